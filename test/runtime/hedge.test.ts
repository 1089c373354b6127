/** A second call when the first token is late (FEATURES C10): who wins, who pays, who is told. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createRuntime, type Event, openai, type Runtime, sqlite, vllm } from "../../src/index.ts";
import type { StartBody } from "../../src/protocol/commands.ts";
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import { body, type Script } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { until } from "../whole-path/until.ts";

const usd = (output: number) => ({ input_usd_per_mtok: 0, output_usd_per_mtok: output });
const afterMs = 30;
/** Longer than any test waits. */
const late = 20_000;
let answers: { [model: string]: ChatAnswer | Script } = {};
let server: FaultServer;
let runtime: Runtime;
let seen = 0;
beforeAll(async () => {
  server = await startFaultServer((request) => {
    const answer = answers[request.json().model] ?? { text: "one two three" };
    return Array.isArray(answer) ? (answer as Script) : chatScript(request, answer as ChatAnswer);
  });
  runtime = await createRuntime({
    store: sqlite(":memory:"),
    env: {},
    providers: {
      own: vllm({ name: "own", baseURL: `${server.url}/v1` }),
      cloud: openai({ name: "cloud", baseURL: `${server.url}/v1` }),
    },
    tiers: {
      main: { provider: "own", model: "main", price: usd(1), max_output_tokens: 100, hedge: { after_ms: afterMs, tier: "spare" } },
      spare: { provider: "own", model: "spare", price: usd(10), max_output_tokens: 60 },
      patient: { provider: "own", model: "main", price: usd(1), max_output_tokens: 100, hedge: { after_ms: 60_000, tier: "spare" } },
      own: { provider: "own", model: "main", price: usd(1), max_output_tokens: 100, hedge: { after_ms: afterMs, tier: "cloud" } },
      cloud: { provider: "cloud", model: "cloud", price: usd(10), max_output_tokens: 60 },
    },
    agents: [
      { name: "a", machine: "single", tiers: ["main"], retries: 0 },
      { name: "patient", machine: "single", tiers: ["patient"], retries: 0 },
      { name: "checked", machine: "single", tiers: ["main"], retries: 0, stream: "checked" },
      { name: "private", machine: "single", tiers: ["own"], retries: 0 },
      { name: "plain", machine: "single", tiers: ["spare"], retries: 0 },
    ],
  });
});
afterAll(async () => {
  await runtime.close();
  await server.close();
});
beforeEach(() => {
  answers = {};
  seen = server.book.entries.length;
});
const asked = () => server.book.entries.slice(seen);
const models = () => asked().map(({ request }) => request.json().model);

async function play(start: Partial<StartBody> = {}, during: (event: Event, cancel: () => void) => void = () => {}) {
  const run = await runtime.start({ agent: "a", input: "?", ...start });
  const events: Event[] = [];
  for await (const event of run) {
    events.push(event);
    during(event, () => void run.cancel("enough"));
  }
  const of = <T extends Event["type"]>(type: T) => events.filter((event): event is Event & { type: T } => event.type === type);
  const text = of("text.delta")
    .map((delta) => delta.text)
    .join("");
  return { ended: await run.result(), of, text, call: of("call.finished")[0] };
}

test("a first token in time needs no second call", async () => {
  const { ended, call } = await play({ agent: "patient" });
  expect(models()).toEqual(["main"]);
  // Counted as the two that it might have been.
  expect(ended).toMatchObject({ status: "done", tier: "patient", calls: 2, cost_microusd: 3, held_microusd: 0 });
  expect(call).toMatchObject({ model: "main", usage: { estimated: false } });
});

test("the hold is that of both, and the second wins when the first is late", async () => {
  answers = { main: { text: "too late", firstTokenDelayMs: late } };
  const { ended, of, text, call } = await play();
  expect(models()).toEqual(["main", "spare"]);
  expect(of("call.started")).toMatchObject([{ model: "main", tier: "main", hold_microusd: 100 * 1 + 100 * 10 + 0.001 }]);
  expect(ended).toMatchObject({ status: "done", output: "one two three", tier: "spare", held_microusd: 0 });
  // The one that lost has said nothing: its input is free here, and its output is none.
  expect(call).toMatchObject({ model: "spare", finish: "stop", cost_microusd: 30, usage: { output_tokens: 3, estimated: true } });
  expect(call?.ttft_ms).toBeGreaterThanOrEqual(afterMs);
  expect(text).toBe("one two three");
  // The loser's socket is closed at once, not when it would have answered.
  expect(await asked()[0]?.over).toBeDefined();
});

test("the first wins when it is late and still the first, and the second is aborted and charged", async () => {
  answers = { main: { text: "late but first", firstTokenDelayMs: 150 }, spare: { text: "never", firstTokenDelayMs: late } };
  const { ended, text } = await play();
  expect(models()).toEqual(["main", "spare"]);
  expect(ended).toMatchObject({ status: "done", output: "late but first", tier: "main", cost_microusd: 3, usage: { estimated: true } });
  expect(text).toBe("late but first");
  expect(await asked()[1]?.over).toBeDefined();
});

describe("failures", () => {
  test("of the first before its time are the ask's own", async () => {
    answers = { main: body(503, "{}") };
    const { ended } = await play({ agent: "patient" });
    expect(models()).toEqual(["main"]);
    expect(ended).toMatchObject({ status: "failed", error: { code: "provider_unavailable" } });
  });

  test("of the first after its time leave the second to win", async () => {
    answers = { main: [{ delayMs: 100 }, ...body(503, "{}")], spare: { text: "spare words", firstTokenDelayMs: 200 } };
    expect((await play()).ended).toMatchObject({ status: "done", output: "spare words", tier: "spare" });
  });

  test("of the second leave the first to win", async () => {
    answers = { main: { text: "main words", firstTokenDelayMs: 200 }, spare: body(503, "{}") };
    expect((await play()).ended).toMatchObject({ status: "done", output: "main words", tier: "main" });
  });

  test("of both are told as the first's", async () => {
    answers = { main: [{ delayMs: 100 }, ...body(500, "{}")], spare: body(401, "{}") };
    expect((await play()).ended).toMatchObject({ status: "failed", error: { code: "provider_unavailable" }, held_microusd: 0 });
  });

  test("of the winner after its first token are the ask's", async () => {
    answers = { main: { text: "a b c d", firstTokenDelayMs: late }, spare: { text: "a b c d", cut: { after: 2, by: "reset" } } };
    const { ended, of } = await play();
    expect(ended).toMatchObject({ status: "failed", error: { code: "interrupted" }, held_microusd: 0 });
    expect(of("call.finished")).toMatchObject([{ text: "a b", finish: "error", model: "spare" }]);
  });
});

test("a cancel aborts both", async () => {
  answers = { main: { text: "x", firstTokenDelayMs: late }, spare: { text: "x", firstTokenDelayMs: late } };
  const run = await runtime.start({ agent: "a", input: "?" });
  await server.book.entry(seen + 1);
  await run.cancel("enough");
  expect(await run.result()).toMatchObject({ status: "cancelled", held_microusd: 0 });
  await Promise.all(asked().map(({ over }) => over));
  expect(models()).toEqual(["main", "spare"]);
  await server.book.idle();
});

test("nothing of a checked stream is told before it is whole, whoever wins", async () => {
  answers = { main: { text: "too late", firstTokenDelayMs: late } };
  const { ended, of } = await play({ agent: "checked" });
  expect(ended).toMatchObject({ status: "done", output: "one two three", tier: "spare" });
  expect(of("text.delta").map(({ text }) => text)).toEqual(["one two three"]);
});

test("a sensitive run is not hedged to where it may not go", async () => {
  answers = { main: { text: "at home", firstTokenDelayMs: 200 } };
  expect((await play({ agent: "private", sensitive: true })).ended).toMatchObject({ status: "done", output: "at home", tier: "own" });
  expect(models()).toEqual(["main"]);
});

test("usage has a row for each of the two, with its own model, tier, cost and end", async () => {
  const user = (name: string) => async (by: "tier" | "provider") => {
    const { total, data } = await runtime.usage({ by }, { tenant: "local", user: name, scopes: ["users"] });
    return [total.calls, ...data.map((row) => [row.group, row.calls, row.errors, row.output_tokens, row.cost_microusd])];
  };
  answers = { main: { text: "too late", firstTokenDelayMs: late } };
  expect((await play({ user: "second-wins" })).ended).toMatchObject({ status: "done", tier: "spare" });
  expect(await user("second-wins")("tier")).toEqual([2, ["spare", 1, 0, 3, 30], ["main", 1, 0, 0, 0]]);
  answers = { cloud: body(503, "{}"), main: { text: "late but first", firstTokenDelayMs: 300 } };
  expect((await play({ agent: "private", user: "second-fails" })).ended).toMatchObject({ status: "done", tier: "own" });
  expect(await user("second-fails")("provider")).toEqual([2, ["own", 1, 0, 3, 3], ["cloud", 1, 1, 0, 0]]);
  answers = { main: { text: "late", firstTokenDelayMs: late }, spare: { text: "late", firstTokenDelayMs: late } };
  const before = asked().length;
  const { ended } = await play({ user: "cancels" }, (event, cancel) => {
    if (event.type === "call.started") void until("both", () => asked().length === before + 2).then(cancel);
  });
  expect(ended.status).toBe("cancelled");
  expect((await user("cancels")("tier"))[0]).toBe(2);
  answers = {};
  expect((await play({ agent: "patient", user: "needs-none" })).ended.status).toBe("done");
  expect(await user("needs-none")("tier")).toEqual([1, ["patient", 1, 0, 3, 3]]);
});

test("bounds and limits count both calls", async () => {
  expect(runtime.bounds("a").calls).toBe(2 * runtime.bounds("plain").calls);
  const { ended } = await play({ limits: { max_calls: 1 } });
  expect(ended).toMatchObject({ status: "exhausted", error: { code: "limit_hit" }, calls: 0 });
  expect((await play({ limits: { max_calls: 2 } })).ended).toMatchObject({ status: "done" });
});
