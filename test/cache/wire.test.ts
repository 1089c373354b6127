/** A cached answer over the wire is a live one (FEATURES D4), and the command that purges it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { agent, type Event } from "../../src/index.ts";
import { createServer } from "../../src/server/server.ts";
import { world as inMemory } from "../runtime/world.ts";
import { endAll, newFolder, run } from "../whole-path/served.ts";

afterEach(endAll);

async function served() {
  const cwd = mkdtempSync(join(tmpdir(), "wire-"));
  const { runtime, provider } = await inMemory(() => ({ text: "It is so, and it has been so for long." }), {
    cwd,
    agents: [agent({ name: "helper", machine: "single", cache: { exact: {}, tags: ["faq"] } })],
  });
  const listening = await createServer(runtime).listen({ port: 0 });
  onTestFinished(async () => {
    await listening.close(0);
    rmSync(cwd, { recursive: true, force: true });
  });
  return { url: listening.url, requests: () => provider.book.entries.length };
}

/** The events of a new run, as an event stream tells them. */
async function follow(url: string): Promise<Event[]> {
  const response = await fetch(`${url}/v1/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ agent: "helper", input: "Is it?" }),
  });
  return [...(await response.text()).matchAll(/^data: (\{.*)$/gm)].map(([, json]) => JSON.parse(json as string) as Event);
}

test("the same events in the same order, the same text; marked, and for nothing", async () => {
  const { url, requests } = await served();
  const [live, cached] = [await follow(url), await follow(url)];
  const kinds = (events: readonly Event[]) => events.map(({ type }) => type).filter((type) => type !== "state");
  expect(kinds(cached)).toEqual(kinds(live));
  const text = (events: readonly Event[]) => events.map((event) => (event.type === "text.delta" ? event.text : "")).join("");
  expect(text(cached)).toBe(text(live));
  const finished = cached.find((event) => event.type === "call.finished");
  expect(finished).toMatchObject({ cached: true, cost_microusd: 0, finish: "stop", text: text(live) });
  const end = cached.at(-1);
  expect(end).toMatchObject({ type: "run.finished", status: "done", cost_microusd: 0 });
  expect(requests()).toBe(1);
});

test("`escapement cache purge` purges, and says what is missing", async () => {
  const { url, requests } = await served();
  await follow(url);
  const command = (...args: string[]) => run({ cwd: newFolder(), args: ["cache", "purge", ...args] });
  expect(await command("--tag", "faq", "--url", url)).toMatchObject({ code: 0, stdout: "1 answers purged\n" });
  const mute = await command("--url", url);
  expect([mute.code, mute.stderr]).toEqual([1, expect.stringContaining("say what is to go: --tag, --key")]);
  await follow(url);
  expect(requests()).toBe(2);
});
