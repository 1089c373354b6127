/** What only the runtime knows: sessions, parking, top-ups, deadlines, inspection, quarantine. Real provider wire, real store. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { setup } from "xstate";
import { z } from "zod";
import { type Answer, ask } from "../../machines/work.ts";
import {
  agent,
  type Config,
  createRuntime,
  EscapementError,
  type Event,
  openai,
  type Run,
  type Runtime,
  type RuntimeExtras,
  sqlite,
  tool,
  vllm,
} from "../../src/index.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { world } from "./world.ts";

const sends = tool({
  name: "send",
  description: "sends",
  class: "once",
  approval: true,
  input: z.strictObject({ to: z.string() }),
  run: ({ to }) => `sent to ${to}`,
});
const single = agent({ name: "single", machine: "single", limits: { max_output_tokens: 50 } });

async function until(runtime: Runtime, id: string, holds: (run: Run) => boolean): Promise<Run> {
  for (;;) {
    const run = await runtime.get(id);
    if (holds(run)) return run;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("runs of a session go one after another, and each sees the turns before it", async () => {
  const { runtime, provider } = await world((request) => ({ text: `echo of ${request.json().messages.at(-1).content}` }), {
    agents: [single],
  });
  const [first, second] = await Promise.all([
    runtime.start({ agent: "single", input: "one", session: "s" }),
    runtime.start({ agent: "single", input: "two", session: "s" }),
  ]);
  expect((await first.result()).output).toBe("echo of one");
  expect((await second.result()).output).toBe("echo of two");
  expect(provider.book.entries[1]?.request.json().messages).toEqual([
    { role: "user", content: "one" },
    { role: "assistant", content: "echo of one" },
    { role: "user", content: "two" },
  ]);
  const session = await runtime.session("s");
  expect(session.runs.map(({ id }) => id)).toEqual([first.id, second.id]);
});

test("a queued run can be cancelled before it begins, and never calls", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { runtime, provider } = await world(
    async () => {
      await held;
      return { text: "late" };
    },
    { agents: [single] },
  );
  const first = await runtime.start({ agent: "single", input: "one", session: "s" });
  const second = await runtime.start({ agent: "single", input: "two", session: "s" });
  expect((await runtime.get(second.id)).status).toBe("queued");
  await second.cancel("changed my mind");
  expect(await second.result()).toMatchObject({ status: "cancelled", calls: 0, cost_microusd: 0, error: { message: "changed my mind" } });
  release();
  expect((await first.result()).status).toBe("done");
  expect(provider.book.entries).toHaveLength(1);
});

test("a run that waits for a person leaves memory, and comes back with the answer", async () => {
  const { runtime } = await world(
    (request) =>
      request.json().messages.some((message: { role: string }) => message.role === "tool")
        ? { text: "it went out" }
        : { tools: [{ name: "send", input: { to: "Ada" } }] },
    {
      agents: [agent({ name: "sender", tools: ["post"], limits: { deadline_ms: 3_600_000 } })],
      tools: { post: [sends] },
    },
  );
  const run = await runtime.start({ agent: "sender", input: "write to Ada" });
  const waiting = await until(runtime, run.id, ({ status }) => status === "waiting");
  await until(runtime, run.id, () => runtime.load().runs === 0);
  const id = waiting.waiting_for?.[0]?.id ?? "";
  const asked = (await runtime.facts(run.id)).data.find((fact) => fact.type === "input.requested");
  expect(asked).toMatchObject({ id, kind: "approval", tool: "send", input: { to: "Ada" }, input_hash: expect.any(String) });
  await expect(run.answer({ id, amount_microusd: 5 })).rejects.toMatchObject({
    code: "invalid_request",
    message: expect.stringContaining("approve"),
  });
  await expect(runtime.answer(run.id, { id, approve: true, input_hash: "another" })).rejects.toMatchObject({ code: "conflict" });
  await run.answer({ id, approve: true, input_hash: (asked as { input_hash: string }).input_hash });
  await expect(runtime.answer(run.id, { id, approve: true })).rejects.toMatchObject({ code: "conflict" });
  expect(await run.result()).toMatchObject({ status: "done", output: "it went out" });
  expect((await runtime.facts(run.id)).data.filter((fact) => fact.type === "tool.returned")).toHaveLength(1);
});

test("a no is told to the model, and the tool is not run", async () => {
  const { runtime, provider } = await world(
    (request) =>
      request.json().messages.some((message: { role: string }) => message.role === "tool")
        ? { text: "then not" }
        : { tools: [{ name: "send", input: { to: "Ada" } }] },
    {
      agents: [agent({ name: "sender", tools: ["post"] })],
      tools: { post: [sends] },
    },
  );
  const run = await runtime.start({ agent: "sender", input: "write to Ada" });
  const { waiting_for } = await until(runtime, run.id, ({ status }) => status === "waiting");
  await run.answer({ id: waiting_for?.[0]?.id ?? "", approve: false, reason: "not to Ada" });
  expect(await run.result()).toMatchObject({ status: "done", output: "then not" });
  expect(provider.book.entries[1]?.request.json().messages.at(-1)).toMatchObject({ role: "tool", content: "Error: not to Ada" });
  expect((await runtime.facts(run.id)).data.find((fact) => fact.type === "tool.refused")).toMatchObject({
    tool: "send",
    group: "post",
    error: { code: "tool_denied" },
  });
});

test("a run whose budget is gone asks, and goes on with what is granted", async () => {
  const { runtime, provider } = await world(() => ({ text: "worth it" }), {
    agents: [agent({ name: "single", machine: "single", on_budget: "ask", limits: { max_cost_microusd: 5, max_output_tokens: 100 } })],
  });
  const run = await runtime.start({ agent: "single", input: "think", limits: { max_cost_microusd: 0.001 } });
  const { waiting_for } = await until(runtime, run.id, ({ status }) => status === "waiting");
  // The sentence has the numbers, also where only the run is read.
  expect(waiting_for?.[0]).toMatchObject({
    kind: "budget",
    message: expect.stringMatching(/^The budget does not allow the next call: the run budget of 0\.001 micro-dollars, .*\. Grant more\?$/),
  });
  expect(provider.book.entries).toHaveLength(0);
  const id = waiting_for?.[0]?.id ?? "";
  await expect(run.answer({ id, approve: true })).rejects.toMatchObject({
    code: "invalid_request",
    message: expect.stringContaining("amount_microusd"),
    body: { details: { path: "amount_microusd" } },
  });
  await expect(run.answer({ id, value: "yes" })).rejects.toMatchObject({ code: "invalid_request" });
  await expect(run.answer({ id: "q77", approve: true })).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining('"q77"'),
  });
  await run.answer({ id: waiting_for?.[0]?.id ?? "", amount_microusd: 200 });
  expect(await run.result()).toMatchObject({ status: "done", output: "worth it" });
});

test("a run whose budget is gone ends as exhausted when it may ask nobody", async () => {
  const { runtime, provider } = await world(() => ({ text: "never" }), { agents: [single] });
  const run = await runtime.start({ agent: "single", input: "think", limits: { max_cost_microusd: 0.001 } });
  expect(await run.result()).toMatchObject({
    status: "exhausted",
    calls: 1,
    cost_microusd: 0,
    output: null,
    error: { code: "budget_exceeded" },
  });
  expect(provider.book.entries).toHaveLength(0);
});

test("a stopped call of a model whose price has steps is charged what was streamed", async () => {
  const provider = await startFaultServer((request) =>
    chatScript(request, { text: "one two three four five six seven eight nine ten", paceMs: 20 }),
  );
  const runtime = await createRuntime({
    store: sqlite(":memory:"),
    env: {},
    providers: { openai: openai({ baseURL: `${provider.url}/v1`, apiKey: "sk-test" }) },
    tiers: { main: { provider: "openai", model: "gpt-6-luna" } },
    agents: [single],
  });
  onTestFinished(async () => {
    await runtime.close();
    await provider.close();
  });
  expect(runtime.spec("single").tiers[0]?.price.long?.length).toBeGreaterThan(0);
  const run = await runtime.start({ agent: "single", input: "count" });
  let hold = 0;
  for await (const event of run) {
    if (event.type === "call.started") hold = event.hold_microusd;
    if (event.type === "text.delta" && event.offset === 0) await run.cancel();
    if (event.type === "call.finished") {
      expect(event).toMatchObject({ finish: "cancelled", usage: { estimated: true } });
      expect(event.cost_microusd).toBeGreaterThan(0);
      expect(event.cost_microusd).toBeLessThan(hold);
    }
  }
  expect((await run.result()).status).toBe("cancelled");
});

test("a cancel that cannot be stored closes the socket, and the run goes on: the call is lost, charged what was streamed, and made again", async () => {
  const store = sqlite(":memory:");
  let fails = 1;
  const refuses: typeof store.message = (...args) =>
    fails-- > 0 ? Promise.reject(new EscapementError("unavailable", "the disk is gone")) : store.message(...args);
  let calls = 0;
  const { runtime, provider } = await world(() => ({ text: "one two three four", paceMs: calls++ === 0 ? 2_000 : 0 }), {
    store: { ...store, message: refuses },
    agents: [single],
  });
  const run = await runtime.start({ agent: "single", input: "count" });
  const facts: Event[] = [];
  for await (const event of run) {
    if (event.type !== "text.delta") facts.push(event);
    else if (event.call === "c0" && event.offset === 0)
      await expect(run.cancel()).rejects.toMatchObject({ code: "unavailable", message: "the disk is gone" });
  }
  expect(await run.result()).toMatchObject({ status: "done", output: "one two three four", calls: 2 });
  const [lost, made] = facts.filter((event) => event.type === "call.finished");
  expect(lost).toMatchObject({ call: "c0", finish: "lost", usage: { estimated: true } });
  expect(lost?.cost_microusd).toBeGreaterThan(0);
  expect(made).toMatchObject({ finish: "stop" });
  expect(facts.filter((event) => event.type === "retract")).toMatchObject([{ call: "c0", reason: "lost" }]);
  expect((await runtime.get(run.id)).held_microusd).toBe(0);
  await provider.book.entries[0]?.over;
});

test("the deadline ends a call that takes longer", async () => {
  const { runtime, provider } = await world(() => new Promise(() => {}), { agents: [single] });
  const run = await runtime.start({ agent: "single", input: "slow", limits: { deadline_ms: 150 } });
  expect(await run.result()).toMatchObject({ status: "exhausted", error: { code: "limit_hit", details: { which: "deadline" } } });
  await provider.book.idle();
});

test("the deadline ends a call of a provider that keeps no time", async () => {
  let aborted = 0;
  const timeless: Provider = {
    name: "timeless",
    endpoint: "nowhere",
    selfHosted: true,
    tokenizer: { encoding: "bytes", margin: 0 },
    stream(_request, sink) {
      queueMicrotask(() => sink({ type: "text", text: "so far" }));
      return () => {
        aborted++;
      };
    },
    close: async () => {},
  };
  const runtime = await createRuntime({
    store: { path: ":memory:" },
    env: {},
    providers: { timeless },
    tiers: { main: { provider: "timeless", model: "m", max_output_tokens: 100, price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
    agents: [single],
  });
  onTestFinished(() => runtime.close());
  const run = await runtime.start({ agent: "single", input: "slow", limits: { deadline_ms: 150 } });
  expect(await run.result()).toMatchObject({
    status: "exhausted",
    output: "so far",
    cost_microusd: 6,
    held_microusd: 0,
    error: { code: "limit_hit", details: { which: "deadline" } },
  });
  expect(aborted).toBe(1);
});

test("the step cap keeps the partial work", async () => {
  const { runtime } = await world(() => ({ tools: [{ name: "look", input: {} }], text: "looking …" }), {
    agents: [agent({ name: "looker", tools: ["eyes"] })],
    tools: { eyes: [tool({ name: "look", description: "looks", class: "pure", input: z.strictObject({}), run: () => "nothing" })] },
  });
  const run = await runtime.start({ agent: "looker", input: "look", limits: { max_steps: 2 } });
  expect(await run.result()).toMatchObject({
    status: "exhausted",
    steps: 2,
    calls: 2,
    tool_calls: 2,
    output: "looking …",
    error: { code: "limit_hit" },
  });
  expect((await runtime.facts(run.id)).data.find((fact) => fact.type === "limit.hit")).toMatchObject({
    which: "steps",
    value: 2,
    limit: 2,
  });
});

test("inspection events come after the commit, and an inspector that throws breaks nothing", async () => {
  const seen: { type: string; stored: boolean }[] = [];
  const store = sqlite(":memory:");
  let committed = 0;
  const watched = {
    ...store,
    commit: async (batch: Parameters<typeof store.commit>[0]) => {
      const results = await store.commit(batch);
      committed++;
      return results;
    },
  };
  const { runtime } = await world(() => ({ text: "seen" }), {
    store: watched,
    agents: [single],
    inspect: (_run, event) => {
      seen.push({ type: event.type, stored: committed > 0 });
      throw new Error("a broken inspector");
    },
  });
  const run = await runtime.start({ agent: "single", input: "look" });
  expect((await run.result()).status).toBe("done");
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.every(({ stored }) => stored)).toBe(true);
});

/** A machine that asks one question and then another. */
const asker = (second: string, firstExpiresMs = 3_600_000) =>
  setup({ types: { output: {} as Answer }, actors: { ask } }).createMachine({
    id: "asker",
    version: "1",
    output: { status: "done", text: "asked" },
    initial: "first",
    states: {
      first: {
        invoke: {
          id: "ask",
          src: "ask",
          input: { kind: "question", message: "one?", expiresMs: firstExpiresMs },
          onDone: "second",
          onError: "second",
        },
      },
      second: {
        invoke: {
          id: "ask",
          src: "ask",
          input: { kind: "question", message: second, expiresMs: 3_600_000 },
          onDone: "end",
          onError: "end",
        },
      },
      end: { type: "final" },
    },
  });

test("a journal that the machine does not repeat is quarantined, with its reason", async () => {
  const folder = mkdtempSync(join(tmpdir(), "escapement-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const config = (second: string): Config & RuntimeExtras => ({
    store: { path: join(folder, "runs.db") },
    env: {},
    agents: [agent({ name: "asker", machine: "asker", limits: { deadline_ms: 3_600_000 } })],
    machines: { asker: asker(second) },
  });
  const before = await createRuntime(config("two?"));
  const run = await before.start({ agent: "asker", input: "go" });
  const { waiting_for } = await until(before, run.id, ({ status }) => status === "waiting");
  await run.answer({ id: waiting_for?.[0]?.id ?? "", value: "yes" });
  await until(before, run.id, ({ waiting_for: asked }) => asked?.[0]?.id === "q1");
  await before.close();
  // The same revision behaves differently now.
  const errors: string[] = [];
  const after = await createRuntime({ ...config("something else?"), onError: (message) => errors.push(message) });
  onTestFinished(() => after.close());
  await after.answer(run.id, { id: "q1", value: "yes" });
  await until(after, run.id, ({ status }) => status === "quarantined");
  expect(errors.join()).toMatch(/went otherwise than recorded/);
  // An operator ends it, and its readers hear of it.
  const reading = after.run(run.id).result();
  await after.cancel(run.id, { reason: "replaced" });
  expect(await reading).toMatchObject({ status: "cancelled", held_microusd: 0, error: { code: "cancelled", message: "replaced" } });
  const { data } = await after.facts(run.id);
  expect(data.map(({ seq }) => seq)).toEqual(data.map((_, i) => i + 1));
  expect(data.slice(-2).map(({ type }) => type)).toEqual(["input.resolved", "run.finished"]);
  // With the machine that it was made by it can be replayed, the operator's end too, which no machine took.
  await after.close();
  const again = await createRuntime(config("two?"));
  onTestFinished(() => again.close());
  const inputs: string[] = [];
  for await (const turn of again.replay(run.id)) inputs.push(turn.input);
  expect(inputs).toEqual(["start", "answer", "cancel"]);
});

test("an answer that was stored while its question expired is read, so that the run can leave memory", async () => {
  const folder = mkdtempSync(join(tmpdir(), "escapement-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const store = sqlite(join(folder, "runs.db"));
  const { runtime } = await world(() => ({ text: "never" }), {
    store,
    agents: [agent({ name: "asker", machine: "asker", limits: { deadline_ms: 3_600_000 } })],
    machines: { asker: asker("two?", 300) },
  });
  const run = await runtime.start({ agent: "asker", input: "go" });
  await until(runtime, run.id, ({ waiting_for }) => waiting_for?.[0]?.id === "q0");
  // By another process, whose hint is lost: the sweep finds it when the question is over.
  const stored = await store.message(run.id, { nonce: "late", kind: "answer", ordinal: 0, value: { value: "yes" }, createdAt: Date.now() });
  expect(stored.type).toBe("stored");
  await until(runtime, run.id, () => runtime.load().runs === 0);
  expect(await store.inbox(run.id)).toEqual([]);
  const resolved = (await runtime.facts(run.id)).data.filter(({ type }) => type === "input.resolved");
  expect(resolved).toMatchObject([{ id: "q0", by: "expiry" }]);
  // Its journal can be replayed, and the next question be answered.
  await runtime.answer(run.id, { id: "q1", value: "yes" });
  expect(await run.result()).toMatchObject({ status: "done" });
});

test.each([
  ["a turn", "update turns set body = substr(body, 1, 20) where n = 1 and run = 1", "the body of turn 1 is damaged"],
  ["a turn that is JSON of something else", "update turns set body = '[]' where n = 1 and run = 1", "the body of turn 1 is damaged"],
  ["an agent's definition", "update agents set json = '{' where json like '%asker%'", "the definition of an agent"],
  ["a message", "update inbox set value = '{' where run = 1", "a message of"],
])("damage costs its own run, which is quarantined with the reason: %s", async (_, damage, reason) => {
  const folder = mkdtempSync(join(tmpdir(), "escapement-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "runs.db");
  const config = (limits = {}): Config & RuntimeExtras => ({
    store: { path },
    env: {},
    agents: [agent({ name: "asker", machine: "asker", limits: { deadline_ms: 3_600_000, ...limits } })],
    machines: { asker: asker("two?") },
  });
  const before = await createRuntime(config());
  const bad = await before.start({ agent: "asker", input: "go" });
  await until(before, bad.id, ({ status }) => status === "waiting");
  await before.close();
  const db = new DatabaseSync(path);
  const value = { value: "yes" };
  db.prepare("insert into inbox (run, nonce, kind, ordinal, value, created_at) values (1, 'a', 'answer', 0, ?, 0)").run(
    JSON.stringify(value),
  );
  db.exec(damage);
  db.prepare("update runs set wake_at = 0").run();
  db.close();
  const errors: [string, string | undefined][] = [];
  // With another definition of the agent: the old one is read from the store.
  const after = await createRuntime({ ...config({ max_steps: 3 }), onError: (message, run) => errors.push([message, run]) });
  onTestFinished(() => after.close());
  await until(after, bad.id, ({ status }) => status === "quarantined");
  expect(errors).toEqual([[expect.stringContaining(reason), bad.id]]);
  const good = await after.start({ agent: "asker", input: "go" });
  await until(after, good.id, ({ status }) => status === "waiting");
  await good.answer({ id: "q0", value: "yes" });
  await until(after, good.id, ({ waiting_for }) => waiting_for?.[0]?.id === "q1");
});

test("a tool that refuses now what it took then does not disturb a run that used it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "escapement-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const provider = await startFaultServer((request) =>
    chatScript(
      request,
      request.json().messages.filter((message: { role: string }) => message.role === "tool").length < 1
        ? {
            tools: [
              { name: "look", input: { at: "x" } },
              { name: "send", input: { to: "Ada" } },
            ],
          }
        : { text: "both done" },
    ),
  );
  onTestFinished(() => provider.close());
  const config = (at: z.ZodType): Config & RuntimeExtras => ({
    store: { path: join(folder, "runs.db") },
    env: {},
    providers: { self: vllm({ baseURL: `${provider.url}/v1` }) },
    tiers: { main: { provider: "self", model: "m", max_output_tokens: 100 } },
    agents: [agent({ name: "worker", tools: ["hands"], limits: { deadline_ms: 3_600_000 } })],
    tools: { hands: [sends, tool({ name: "look", description: "looks", class: "pure", input: z.looseObject({ at }), run: () => "seen" })] },
  });
  const before = await createRuntime(config(z.string()));
  const run = await before.start({ agent: "worker", input: "go" });
  const { waiting_for } = await until(before, run.id, ({ status, tool_calls }) => status === "waiting" && tool_calls === 1);
  await before.close();
  const after = await createRuntime(config(z.string().min(3)));
  onTestFinished(() => after.close());
  await after.answer(run.id, { id: waiting_for?.[0]?.id ?? "", approve: true });
  expect(await after.run(run.id).result()).toMatchObject({ status: "done", output: "both done" });
});

test("a machine that waits for nothing is ended, and says so", async () => {
  const idle = setup({ types: { output: {} as Answer } }).createMachine({
    id: "idle",
    version: "1",
    initial: "resting",
    states: { resting: {} },
  });
  const { runtime } = await world(() => ({ text: "never" }), { agents: [agent({ name: "idle", machine: "idle" })], machines: { idle } });
  const run = await runtime.start({ agent: "idle", input: "go" });
  expect(await run.result()).toMatchObject({
    status: "failed",
    error: { code: "internal", message: expect.stringContaining("waits for nothing") },
  });
});

test("an answer whose schema throws is told to the model as a bad answer", async () => {
  const { runtime, provider } = await world(
    (request) => ({ text: request.json().messages.length > 2 ? '{"a":"https://ok.example"}' : '{"a":"no url"}' }),
    {
      agents: [
        agent({
          name: "single",
          machine: "single",
          output: z.object({ a: z.string().refine((value) => new URL(value).protocol === "https:") }),
        }),
      ],
    },
  );
  const run = await runtime.start({ agent: "single", input: "an address" });
  expect(await run.result()).toMatchObject({ status: "done", output: { a: "https://ok.example" } });
  expect(provider.book.entries).toHaveLength(2);
});

test("a limit that is no positive number is refused, in process too", async () => {
  const { runtime } = await world(() => ({ text: "never" }), { agents: [single] });
  for (const limits of [{ deadline_ms: Number.NaN }, { max_output_tokens: -5 }, { max_stepz: 1 } as object]) {
    await expect(runtime.start({ agent: "single", input: "x", limits })).rejects.toMatchObject({ code: "invalid_request" });
  }
});

test("a run without a user does not see what a user said in a session of the same name", async () => {
  const { runtime, provider } = await world(() => ({ text: "noted" }), { agents: [single] });
  await (await runtime.start({ agent: "single", input: "ada's secret", session: "s", user: "ada" })).result();
  await (await runtime.start({ agent: "single", input: "what was said?", session: "s" })).result();
  expect(provider.book.entries[1]?.request.json().messages).toEqual([{ role: "user", content: "what was said?" }]);
});

const look = tool({ name: "look", description: "looks", class: "pure", input: z.strictObject({}), run: () => "nothing" });
/** One micro-dollar a token of input and of output. */
const dear = { main: { provider: "self", model: "m", max_output_tokens: 100, price: { input_usd_per_mtok: 1, output_usd_per_mtok: 1 } } };

test("a call that cost more than its hold is told, and stops the run where its limit is exceeded", async () => {
  const errors: [string, string | undefined][] = [];
  const { runtime, provider } = await world(
    () => ({ text: "looking …", tools: [{ name: "look", input: {} }], usage: { input: 60_000, output: 9 } }),
    {
      tiers: dear,
      agents: [agent({ name: "looker", tools: ["eyes"], limits: { max_cost_microusd: 50_000 } })],
      tools: { eyes: [look] },
      onError: (message, run) => errors.push([message, run]),
    },
  );
  const run = await runtime.start({ agent: "looker", input: "look" });
  expect(await run.result()).toMatchObject({
    status: "exhausted",
    output: "looking …",
    cost_microusd: 60_009,
    held_microusd: 0,
    error: { code: "budget_exceeded" },
  });
  expect(provider.book.entries).toHaveLength(1);
  expect(errors).toEqual([[expect.stringMatching(/^the call c0 of m cost 60009 micro-dollars .* were reserved for it$/), run.id]]);
  const { data } = await runtime.facts(run.id);
  const types = data.map(({ type }) => type);
  expect(data[types.indexOf("limit.hit")]).toMatchObject({ which: "budget.run", value: 60_009, limit: 50_000 });
  // Told with the call that did it, not only when the next one is denied.
  expect(types.indexOf("limit.hit")).toBeLessThan(types.indexOf("tool.started"));
});

test("a call that cost more than its hold is told, and the run goes on within its limit", async () => {
  const errors: string[] = [];
  const { runtime } = await world(() => ({ text: "dear", usage: { input: 40_000, output: 1 } }), {
    tiers: dear,
    agents: [agent({ name: "single", machine: "single", limits: { max_cost_microusd: 50_000 } })],
    onError: (message) => errors.push(message),
  });
  const run = await runtime.start({ agent: "single", input: "think" });
  expect(await run.result()).toMatchObject({ status: "done", cost_microusd: 40_001 });
  expect(errors).toEqual([expect.stringContaining("cost 40001 micro-dollars")]);
  expect((await runtime.facts(run.id)).data.map(({ type }) => type)).not.toContain("limit.hit");
});

test("a bill that nobody could count is charged as a call without usage: its hold", async () => {
  const { runtime } = await world(() => ({ text: "dear", usage: { input: Number.MAX_SAFE_INTEGER, output: 1 } }), {
    tiers: dear,
    agents: [single],
  });
  const run = await runtime.start({ agent: "single", input: "think" });
  const { status, cost_microusd, usage } = await run.result();
  const { data } = await runtime.facts(run.id);
  const started = data.find(({ type }) => type === "call.started") as { hold_microusd: number };
  expect({ status, cost_microusd, estimated: usage.estimated }).toEqual({
    status: "done",
    cost_microusd: started.hold_microusd,
    estimated: true,
  });
});

test("why a turn could not be written is told", async () => {
  const errors: string[] = [];
  const store = sqlite(":memory:");
  const { runtime } = await world(() => ({ text: "never stored" }), {
    agents: [single],
    store: {
      ...store,
      // The ledger refuses a cost that is no whole number of nano-dollars.
      commit: (batch) =>
        store.commit(
          batch.map((entry) =>
            entry.type === "turn" ? { ...entry, closes: entry.closes.map((close) => ({ ...close, costNano: 0.5 })) } : entry,
          ),
        ),
    },
    onError: (message) => errors.push(message),
  });
  const run = await runtime.start({ agent: "single", input: "think" });
  await until(runtime, run.id, ({ status }) => status === "quarantined");
  expect(errors[0]).toBe("a turn could not be written: costNano is 0.5: an amount is a whole number of nano-dollars from 0 to 2^53 - 1");
});
