/** Cached answers through the runtime: a real provider wire, a real store, the caches in a folder of their own (FEATURES D1 to D4, FAULTS E16). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { type AgentOptions, agent, type Config, createRuntime, type Event, type Run, type Runtime } from "../../src/index.ts";
import { chatError } from "../../src/testing/fault-chat.ts";
import { world as inMemory, type Model, type World } from "../runtime/world.ts";

type Cache = NonNullable<AgentOptions["cache"]>;

const helper = (cache: Cache, more: Partial<AgentOptions> = {}) => agent({ name: "helper", machine: "single", retries: 0, cache, ...more });

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "answers-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

type Answered = World & { requests: () => number };

async function world(cache: Cache, model: Model, more: Config & { agent?: Partial<AgentOptions> } = {}): Promise<Answered> {
  const { agent: options, ...config } = more;
  const made = await inMemory(model, { cwd: folder(), agents: [helper(cache, options)], ...config });
  return { ...made, requests: () => made.provider.book.entries.length };
}

const yes: Model = () => ({ text: "It is yes.", usage: { input: 5, output: 10 } });

type Asked = { readonly run: Run; readonly events: readonly Event[] };

async function ask(runtime: Runtime, input: string, more: { user?: string; sensitive?: boolean; caller?: object } = {}): Promise<Asked> {
  const { caller, ...body } = more;
  const handle = await runtime.start({ agent: "helper", input, ...body }, caller as never);
  const events: Event[] = [];
  for await (const event of handle) events.push(event);
  return { run: await handle.result(), events };
}

const told = (events: readonly Event[]): string => events.map((event) => (event.type === "text.delta" ? event.text : "")).join("");
const finished = (events: readonly Event[]) => events.find((event) => event.type === "call.finished");
/** What is told of a run, but for what each has of its own. */
const shape = (events: readonly Event[]) => [...new Set(events.map(({ type }) => type))].filter((type) => type !== "state");

test("the same question is answered once by a model, then from the cache: the same events, marked, for nothing (E16)", async () => {
  const { runtime, requests } = await world({ exact: {} }, yes, { budgets: { user: { per_day_calls: 5 } } });
  const live = await ask(runtime, "Is it?");
  const again = await ask(runtime, "Is it?");
  expect(requests()).toBe(1);
  expect(live.run).toMatchObject({ status: "done", output: "It is yes.", cost_microusd: 10, tier: "main" });
  expect(live.run.cached).toBeUndefined();
  expect(again.run).toMatchObject({ status: "done", output: "It is yes.", cost_microusd: 0, held_microusd: 0, tier: "main", cached: true });
  expect(again.run.usage).toMatchObject({ input_tokens: 0, output_tokens: 0, estimated: false });
  expect(shape(again.events)).toEqual(shape(live.events));
  expect([told(live.events), told(again.events)]).toEqual(["It is yes.", "It is yes."]);
  expect(finished(again.events)).toMatchObject({ cached: true, finish: "stop", text: "It is yes.", cost_microusd: 0, model: "m" });
  expect(finished(live.events)).not.toHaveProperty("cached");
  expect(again.events.find((event) => event.type === "call.started")).toMatchObject({ hold_microusd: 0 });
  const [budget] = await runtime.budgets();
  expect(budget).toMatchObject({ spent: { cost_microusd: 10, calls: 1 }, held: { cost_microusd: 0 } });
  expect(runtime.cacheCounts()).toMatchObject({ exact: 1, missed: 1, kept: 1 });
});

test("the log tells which calls were answered from the cache", async () => {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const { runtime } = await world({ exact: {} }, yes, { log: { destination } });
  await ask(runtime, "Is it?");
  await ask(runtime, "Is it?");
  const calls = lines.map((line) => JSON.parse(line) as { type?: string; cached?: boolean }).filter(({ type }) => type === "call");
  expect(calls.map(({ cached }) => cached)).toEqual([false, true]);
});

const saved = async (runtime: Runtime) => (await runtime.usage({ by: "agent" })).total.saved_microusd;

test("usage tells what cached answers would have cost, in this process and the next; an entry without a price saves nothing", async () => {
  const first = await world({ exact: {} }, yes);
  await ask(first.runtime, "Is it?");
  expect(await saved(first.runtime)).toBe(0);
  await ask(first.runtime, "Is it?");
  await ask(first.runtime, "Is it?");
  expect(await saved(first.runtime)).toBe(20);
  await first.runtime.close();
  const next = async (runs: string) => {
    const runtime = await createRuntime({ ...first.config, store: { path: runs } });
    expect((await ask(runtime, "Is it?")).run).toMatchObject({ cached: true });
    const microusd = await saved(runtime);
    await runtime.close();
    return microusd;
  };
  expect(await next("second.db")).toBe(10);
  const file = new DatabaseSync(join(first.config.cwd as string, ".escapement/cache.db"));
  expect(file.prepare("UPDATE entries SET json = json_remove(json, '$.costNano')").run().changes).toBe(1);
  file.close();
  expect(await next("third.db")).toBe(0);
});

test("an answer in two parts has cost both, and not what was retracted before them", async () => {
  const parts = [{ text: "no JSON", finish: "stop" }, { text: '{"so":', finish: "length" }, { text: '"it is"}' }];
  const { runtime, requests } = await world({ exact: {} }, () => ({ ...parts.shift(), usage: { input: 5, output: 10 } }), {
    agent: { on_length: "continue", retries: 3, backoff: { first_ms: 1, max_ms: 1 }, output: z.object({ so: z.string() }) },
  });
  const { run } = await ask(runtime, "Is it?");
  expect([run.status, run.cost_microusd, requests()]).toEqual(["done", 30, 3]);
  expect((await ask(runtime, "Is it?")).run).toMatchObject({ cached: true, output: { so: "it is" } });
  expect(await saved(runtime)).toBe(20);
});

test("another question, user, tenant, version or a sensitive run is not answered from it", async () => {
  const { runtime, requests, config } = await world({ exact: {} }, yes);
  await ask(runtime, "Is it?", { user: "ada" });
  await ask(runtime, "Is it not?", { user: "ada" });
  await ask(runtime, "Is it?", { user: "bob" });
  await ask(runtime, "Is it?", { user: "ada", sensitive: true });
  await ask(runtime, "Is it?", { caller: { caller: { tenant: "umbrella", user: "ada", scopes: ["tenant"] } } });
  expect(requests()).toBe(5);
  const { store: _store, ...settings } = config;
  const raised = await createRuntime({ ...settings, store: { path: ":memory:" }, agents: [helper({ exact: {}, version: "2" })] });
  onTestFinished(() => raised.close());
  await ask(raised, "Is it?", { user: "ada" });
  expect(requests()).toBe(6);
});

test("users of a tenant share answers where the agent says so", async () => {
  const { runtime, requests } = await world({ exact: {}, scope: "tenant" }, yes);
  await ask(runtime, "Is it?", { user: "ada" });
  expect((await ask(runtime, "Is it?", { user: "bob" })).run).toMatchObject({ cached: true });
  await ask(runtime, "Is it?", { caller: { caller: { tenant: "umbrella", scopes: ["tenant"] } } });
  expect(requests()).toBe(2);
});

test("an answer outlives its process, in the file", async () => {
  const { runtime, requests, config } = await world({ exact: {} }, yes, { store: { path: "runs.db" } });
  await ask(runtime, "Is it?");
  await runtime.close();
  const next = await createRuntime(config);
  onTestFinished(() => next.close());
  expect((await ask(next, "Is it?")).run).toMatchObject({ cached: true, output: "It is yes." });
  expect(requests()).toBe(1);
});

test("an object is given again as the object that it was", async () => {
  const output = z.object({ n: z.number() });
  const { runtime } = await world({ exact: {} }, () => ({ text: 'Here: {"n": 7}' }), { agent: { output } });
  const live = await ask(runtime, "n?");
  const cached = await ask(runtime, "n?");
  expect(live.run.output).toEqual({ n: 7 });
  expect(cached.run).toMatchObject({ cached: true, output: { n: 7 } });
  expect(shape(cached.events)).toEqual(shape(live.events));
});

test("a bad answer, a refusal and a cut one are not kept", async () => {
  for (const bad of [{ text: "  " }, { text: "no", finish: "content_filter" }, { text: "So far", finish: "length" }]) {
    const { runtime, requests } = await world({ exact: {} }, () => bad);
    await ask(runtime, "Is it?");
    await ask(runtime, "Is it?");
    expect(requests()).toBe(2);
  }
});

test("an answer that is over is asked for anew, and given, marked stale, when no model answers", async () => {
  let isDown = false;
  const model: Model = (request) => (isDown ? chatError(500, "down") : (yes(request) as never));
  const { runtime, requests } = await world({ exact: { ttl_ms: 1 } }, model);
  await ask(runtime, "Is it?");
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect((await ask(runtime, "Is it?")).run.cached).toBeUndefined();
  expect(requests()).toBe(2);
  isDown = true;
  await new Promise((resolve) => setTimeout(resolve, 5));
  const { run, events } = await ask(runtime, "Is it?");
  expect(run).toMatchObject({ status: "degraded", tier: "cached", cached: true, output: "It is yes.", cost_microusd: 0 });
  expect(events.filter((event) => event.type === "call.finished").at(-1)).toMatchObject({ cached: true, stale: true });
  expect(runtime.cacheCounts()).toMatchObject({ stale: 1 });
  expect((await ask(runtime, "Something else?")).run.status).toBe("failed");
});

test("an old answer of a lower tier is given as well, and an answer of one is kept", async () => {
  let down: readonly string[] = ["m"];
  const model: Model = (request) => (down.includes(request.json().model) ? chatError(500, "down") : (yes(request) as never));
  const tier = { provider: "self", max_output_tokens: 100, price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } };
  const { runtime } = await world({ exact: {} }, model, { tiers: { main: { ...tier, model: "m" }, cheap: { ...tier, model: "s" } } });
  expect((await ask(runtime, "Is it?")).run).toMatchObject({ status: "done", tier: "cheap" });
  down = ["m", "s"];
  const { run, events } = await ask(runtime, "Is it?");
  expect(run).toMatchObject({ status: "degraded", tier: "cached", output: "It is yes." });
  expect(events.filter((event) => event.type === "call.finished").at(-1)).toMatchObject({ cached: true, model: "s" });
});

test("a purge by tag, agent, version or key takes what fits, in memory and in the file, and needs the scope for it", async () => {
  const { runtime, requests } = await world({ exact: {}, tags: ["prices", "shop"] }, yes);
  const purges = [{ tag: "prices" }, { agent: "helper" }, { version: "1" }, {}] as const;
  for (const [i, which] of purges.entries()) {
    await ask(runtime, "Is it?");
    await ask(runtime, "Is it?");
    expect(requests()).toBe(i + 1);
    expect(await runtime.purgeCache({ ...which, ...("tag" in which ? {} : { tag: "shop" }) })).toBe(1);
  }
  const { run } = await ask(runtime, "Is it?");
  expect(requests()).toBe(purges.length + 1);
  expect(await runtime.purgeCache({ tag: "unknown" })).toBe(0);
  await ask(runtime, "Is it?");
  const hit = await ask(runtime, "Is it?");
  // The key is in the journal of a run that was answered by it.
  const { data } = await runtime.journal(hit.run.id);
  const key = /"id":"([\w-]{32})"/.exec(JSON.stringify(data))?.[1];
  expect(await runtime.purgeCache({ key: key ?? "" })).toBe(1);
  await expect(runtime.purgeCache({}, { tenant: "local", scopes: ["tenant"] })).rejects.toMatchObject({ code: "forbidden" });
  expect(run.status).toBe("done");
});

test("an answer whose question was asked before a purge is not kept", async () => {
  let go = (): void => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { runtime, requests, provider } = await world({ exact: {} }, async (request) => {
    await gate;
    return yes(request);
  });
  const first = ask(runtime, "Is it?");
  await provider.book.entry(0);
  await runtime.purgeCache();
  go();
  await first;
  await ask(runtime, "Is it?");
  expect(requests()).toBe(2);
});

/** As long as the tier allows: a dozen pieces. */
const long = Array.from({ length: 22 }, (_, i) => `word${i} 😀`).join(" ");

test("a cached answer is cancelled midway: told so far, for nothing", async () => {
  const { runtime } = await world({ exact: {} }, () => ({ text: [long] }));
  await ask(runtime, "Long?");
  const handle = await runtime.start({ agent: "helper", input: "Long?" });
  const events: Event[] = [];
  for await (const event of handle) {
    events.push(event);
    if (event.type === "text.delta" && events.filter(({ type }) => type === "text.delta").length === 1) void handle.cancel();
  }
  expect(await handle.result()).toMatchObject({ status: "cancelled", cost_microusd: 0, held_microusd: 0 });
  const call = finished(events);
  expect(call).toMatchObject({ finish: "cancelled", cached: true, cost_microusd: 0, usage: { estimated: false } });
  const text = call?.type === "call.finished" ? (call.text ?? "") : "";
  expect(text.length).toBeGreaterThan(0);
  expect(text.length).toBeLessThan(long.length);
  expect(long.startsWith(text)).toBe(true);
});

test("a reader that comes back in the middle of a cached answer misses nothing and hears nothing twice", async () => {
  const { runtime } = await world({ exact: {} }, () => ({ text: [long] }));
  await ask(runtime, "Long?");
  const handle = await runtime.start({ agent: "helper", input: "Long?" });
  let text = "";
  let cursor: string | undefined;
  for (let ended = false; !ended; ) {
    const reader = handle.events(cursor === undefined ? {} : { after: cursor });
    for (let read = 0; read < 2; read++) {
      const some = await reader.read();
      if (some === null) {
        ended = true;
        break;
      }
      for (const event of some) {
        if (event.type !== "text.delta") continue;
        expect(event.offset).toBe(text.length);
        text += event.text;
      }
    }
    cursor = reader.cursor();
    reader.close();
  }
  expect(text === long).toBe(true);
});

test("an agent with tools: the answer without a tool is kept", async () => {
  const { runtime, requests } = await world({ exact: {} }, yes, { agent: { machine: "agent", tools: ["compute"] } });
  await ask(runtime, "Is it?");
  expect((await ask(runtime, "Is it?")).run).toMatchObject({ cached: true, steps: 1, cost_microusd: 0 });
  expect(requests()).toBe(1);
});

test("a cache that keeps nothing is refused when the agent is defined", async () => {
  await expect(createRuntime({ env: {}, store: { path: ":memory:" }, agents: [helper({ version: "2" })] })).rejects.toThrow(
    /its cache keeps nothing; say exact: \{\}/,
  );
});

test("without a cache nothing is made for it", async () => {
  const { runtime } = await inMemory(yes, { agents: [agent({ name: "helper", machine: "single" })] });
  await ask(runtime, "Is it?");
  expect([runtime.cacheCounts(), await runtime.purgeCache()]).toEqual([null, 0]);
});
