/** An agent that uses the reference server `everything` from npm, through the whole runtime: real child process, real wire, real store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Event } from "../../../src/index.ts";
import { agent } from "../../../src/index.ts";
import { serveOverHTTP } from "../../../src/mcp/http.ts";
import { mcpServers } from "../../../src/mcp/server.ts";
import type { FaultRequest } from "../../../src/testing/fault-server.ts";
import { world } from "../../runtime/world.ts";
import { definition, scripted } from "./scripted.ts";

const everything = {
  command: process.execPath,
  args: [join(import.meta.dirname, "../../../node_modules/@modelcontextprotocol/server-everything/dist/index.js"), "stdio"],
  tools: ["get-sum", "echo", "get-tiny-image", "get-structured-content"],
};

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "mcp-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const toolMessages = (request: FaultRequest): { content: string }[] =>
  request.json().messages.filter(({ role }: { role: string }) => role === "tool");

async function eventsOf(run: AsyncIterable<Event>): Promise<Event[]> {
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  return events;
}

test("an agent uses the tools of a server from npm, whose results come back to the model", async () => {
  const { runtime, provider } = await world(
    (request) =>
      toolMessages(request).length === 0
        ? {
            tools: [
              { id: "a", name: "everything_get-sum", input: { a: 19, b: 23 } },
              { id: "b", name: "everything_get-sum", input: { a: "nineteen" } },
              { id: "c", name: "everything_get-tiny-image", input: {} },
              { id: "d", name: "everything_get-structured-content", input: { location: "New York" } },
            ],
          }
        : { text: "42" },
    {
      cwd: folder(),
      mcp: { everything },
      agents: [agent({ name: "asker", tools: ["everything"] })],
    },
  );
  const run = await runtime.start({ agent: "asker", input: "what is 19 + 23?" });
  const events = await eventsOf(run);
  expect(await run.result()).toMatchObject({ status: "done", output: "42" });

  const offered = provider.book.entries[0]?.request.json().tools.map(({ function: { name } }: { function: { name: string } }) => name);
  expect(offered).toEqual(["everything_get-sum", "everything_echo", "everything_get-tiny-image", "everything_get-structured-content"]);
  const results = toolMessages(provider.book.entries[1]?.request as FaultRequest).map(({ content }) => content);
  expect(results[0]).toBe("The sum of 19 and 23 is 42.");
  expect(results[1]).toMatch(/the arguments do not fit: .*nineteen|type/);
  expect(results[2]).toMatch(/\[image: image\/png, \d+ bytes, not shown\]/);
  expect(JSON.parse(results[3] as string)).toMatchObject({ temperature: expect.any(Number) });
  expect(events.filter(({ type }) => type === "tool.returned")).toHaveLength(3);
});

test("an agent asks another runtime's agent over HTTP, in the protocol of 2026, with a secret header", async () => {
  const asked = await world(() => ({ text: "from afar" }), { agents: [agent({ name: "far" })] });
  const http = await serveOverHTTP(mcpServers(asked.runtime), 0, () => {});
  onTestFinished(() => http.close());
  const { runtime, provider } = await world(
    (request) => (toolMessages(request).length === 0 ? { tools: [{ name: "other_far", input: { input: "hello" } }] } : { text: "done" }),
    {
      cwd: folder(),
      mcp: { other: { url: http.url, headers: { authorization: "Bearer a-long-secret" } } },
      agents: [agent({ name: "near", tools: ["other"] })],
    },
  );
  const run = await runtime.start({ agent: "near", input: "ask" });
  const messages = (await eventsOf(run)).flatMap((event) => (event.type === "progress" ? [event.message] : []));
  expect(await run.result()).toMatchObject({ status: "done" });
  expect(messages).toEqual(["started", "asks m (step 1)"]);
  expect(toolMessages(provider.book.entries[1]?.request as FaultRequest)).toMatchObject([{ content: "from afar" }]);
});

test("a long use tells its progress, and a cancel of the run reaches the server", async () => {
  const there = scripted([definition("hang")]);
  const { runtime } = await world(() => ({ tools: [{ name: "scripted_hang", input: {} }] }), {
    cwd: there.folder,
    mcp: { scripted: there.settings() },
    agents: [agent({ name: "asker", tools: ["scripted"] })],
  });
  const run = await runtime.start({ agent: "asker", input: "wait" });
  for await (const event of run) {
    if (event.type !== "progress") continue;
    expect(event).toMatchObject({ message: "one of three", done: 1, total: 3 });
    await run.cancel();
  }
  expect(await run.result()).toMatchObject({ status: "cancelled" });
  await expect.poll(() => there.book()).toContain("notifications/cancelled");
});

test("a server that dies under a `once` tool leaves it unknown, and is used once", async () => {
  const there = scripted([definition("die")]);
  const { runtime } = await world(
    (request) => (toolMessages(request).length === 0 ? { tools: [{ name: "scripted_die", input: {} }] } : { text: "well" }),
    {
      cwd: there.folder,
      mcp: { scripted: there.settings() },
      agents: [agent({ name: "asker", tools: ["scripted"] })],
    },
  );
  const run = await runtime.start({ agent: "asker", input: "go" });
  const failures: unknown[] = [];
  for await (const event of run) {
    if (event.type === "tool.failed") failures.push(event.error);
    if (event.type === "input.requested") await run.cancel();
  }
  expect(failures).toMatchObject([{ code: "tool_unknown" }]);
  expect(there.book().filter((line) => line === "use die")).toHaveLength(1);
});

test("its process ends with the runtime, also with one that could not be made", async () => {
  const there = scripted([definition("echo")]);
  const config = { cwd: there.folder, mcp: { scripted: there.settings() } };
  const { runtime } = await world(() => ({ text: "hi" }), { ...config, agents: [agent({ name: "asker", tools: ["scripted"] })] });
  await runtime.close();
  await expect(
    world(() => ({ text: "hi" }), { ...config, agents: [agent({ name: "asker", tools: ["scripted", "no-such-group"] })] }),
  ).rejects.toThrow(/no-such-group/);
  expect(there.book().filter((line) => line === "start")).toHaveLength(2);
  await expect.poll(() => there.isRunning()).toBe(false);
});

test("a server that no agent asks for is not started", async () => {
  const there = scripted([definition("echo")]);
  await world(() => ({ text: "hi" }), { cwd: there.folder, mcp: { scripted: there.settings() }, agents: [agent({ name: "asker" })] });
  expect(there.book()).toEqual([]);
});
