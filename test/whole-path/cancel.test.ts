/** A cancel reaches a run wherever it is: one end, what was used is paid, the rest is not, and nothing starts any more (FAULTS C11, C13). */
import { describe, expect, test } from "vitest";
import type { Event } from "../../src/protocol/events.ts";
import { chatError } from "../../src/testing/fault-chat.ts";
import { getRun, type ProtocolSocket, post, type RunBody, type Transcript } from "./protocol-client.ts";
import { sharedWorld } from "./shared-world.ts";
import { until, within } from "./until.ts";

const world = sharedWorld();
const words = (count: number) => Array.from({ length: count }, (_, index) => `w${index} `);
/** Micro-dollars of a call of the script: 10 tokens of input, and so many of output. */
const paid = (outputTokens: number) => 10 * 0.4 + outputTokens * 1.6;
const starts = (events: readonly Event[]): number => events.filter(({ type }) => type === "call.started" || type === "tool.started").length;

/** Inputs of runs that were cancelled, with the requests that the provider had seen by then: there may never be more. */
const cancelledWith = new Map<string, number>();

type Cancelled = { readonly run: RunBody; readonly sentAt: number; readonly okAt: bigint };

/** Cancels, waits for the end, and checks what holds in every state. */
async function cancel(socket: ProtocolSocket, transcript: Transcript, input: string): Promise<Cancelled> {
  const { scripts, url, tools } = world();
  let before = { started: 0, requests: 0 };
  let okAt = 0n;
  const sentAt = performance.now();
  const answer = await socket.ask({ type: "cancel", run: transcript.run, reason: "enough" }, () => {
    okAt = process.hrtime.bigint();
    before = { started: starts(transcript.events), requests: scripts.of(input).length };
  });
  expect(answer).toMatchObject({ type: "ok", run: transcript.run });
  await transcript.finished();
  socket.check();
  expect(transcript.end).toMatchObject({ status: "cancelled", error: { code: "cancelled", message: "enough" } });
  expect(starts(transcript.events), "starts after the ok").toBe(before.started);
  expect(scripts.of(input).length, "requests after the ok").toBe(before.requests);
  expect(tools(transcript.run).filter(({ what, at }) => what === "begun" && BigInt(at) > okAt)).toEqual([]);
  cancelledWith.set(input, before.requests);

  // Every call and tool that began has its end, and no money is held for it.
  expect(transcript.of("call.finished").map(({ call }) => call)).toEqual(transcript.of("call.started").map(({ call }) => call));
  const run = await getRun(url, transcript.run);
  expect(run).toMatchObject({ status: "cancelled", held_microusd: 0, cost_microusd: transcript.end?.cost_microusd });
  const costs = transcript.of("call.finished").reduce((sum, { cost_microusd }) => sum + cost_microusd, 0);
  expect(run.cost_microusd).toBeCloseTo(costs, 6);

  // Once more: the same end, told at once.
  expect(await socket.ask({ type: "cancel", run: transcript.run })).toMatchObject({ type: "ok", status: "cancelled" });
  const again = await post(url, `/v1/runs/${transcript.run}/cancel`, { reason: "again" });
  expect(again).toMatchObject({ status: 200, body: { status: "cancelled", error: { message: "enough" } } });
  const facts = (await (await fetch(`${url}/v1/runs/${transcript.run}/events`, { headers: { accept: "application/json" } })).json()).data;
  expect(facts.filter(({ type }: Event) => type === "run.finished")).toHaveLength(1);
  return { run, sentAt, okAt };
}

/** The provider's socket of a request is closed; says how long after `sentAt`. */
async function closed(input: string, index: number, sentAt: number): Promise<number> {
  const closedAt = await within("the provider's socket to be closed", (await world().scripts.entry(input, index)).over);
  expect(closedAt).toBeDefined();
  return Math.round((closedAt ?? 0) - sentAt);
}

const timeout = { timeout: 120_000 };

describe("a cancel reaches a run that", () => {
  test("is queued behind another of its session: it ends without a call, and the other is not touched", timeout, async () => {
    const { scripts, url, socket: connect } = world();
    scripts.on("first of session", [{ text: words(10_000), paceMs: 20 }]);
    const socket = await connect();
    const first = await socket.start({ agent: "single", input: "first of session", session: "s" });
    await first.until("text", ({ type }) => type === "text.delta");
    const second = await socket.start({ agent: "single", input: "second of session", session: "s" });
    expect((await getRun(url, second.run)).status).toBe("queued");
    const { run } = await cancel(socket, second, "second of session");
    expect(run).toMatchObject({ cost_microusd: 0, calls: 0, usage: { estimated: false } });
    expect(second.of("call.started")).toEqual([]);
    expect(scripts.of("second of session")).toEqual([]);
    // The first is as it was, and a third still waits for it.
    const third = await socket.start({ agent: "single", input: "third of session", session: "s" });
    expect((await getRun(url, third.run)).status).toBe("queued");
    const shown = first.of("text.delta").length;
    await first.until("more text", () => first.of("text.delta").length > shown);
    expect((await getRun(url, first.run)).status).toBe("running");
    scripts.on("third of session", [{ text: "At last." }]);
    await cancel(socket, first, "first of session");
    expect(await third.finished()).toMatchObject({ status: "done", output: "At last." });
  });

  test("calls, before headers: the socket closes, and the input is charged", timeout, async () => {
    const { scripts, socket: connect } = world();
    scripts.on("no headers", [[{ hang: true }]]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "single", input: "no headers" });
    await scripts.entry("no headers", 0);
    await transcript.until("call.started", ({ type }) => type === "call.started");
    const { run, sentAt } = await cancel(socket, transcript, "no headers");
    const ms = await closed("no headers", 0, sentAt);
    expect(run.usage).toMatchObject({ output_tokens: 0, estimated: true });
    expect(run.cost_microusd).toBeGreaterThan(0);
    expect(run.cost_microusd).toBeLessThan(transcript.of("call.started")[0]?.hold_microusd ?? 0);
    console.log(`cancelled before headers: the provider's socket closed ${ms} ms after the frame`);
  });

  test("streams: what was shown is kept and charged", timeout, async () => {
    const { scripts, socket: connect } = world();
    scripts.on("mid stream", [{ text: words(10_000), paceMs: 5 }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "single", input: "mid stream" });
    await transcript.until("20 deltas", () => transcript.of("text.delta").length >= 20);
    const { run, sentAt } = await cancel(socket, transcript, "mid stream");
    const ms = await closed("mid stream", 0, sentAt);
    const [finished] = transcript.of("call.finished");
    const [entry] = scripts.of("mid stream");
    expect(finished).toMatchObject({ finish: "cancelled", usage: { estimated: true } });
    expect(finished?.text).not.toBe("");
    expect(entry?.textSent.startsWith(finished?.text ?? "?")).toBe(true);
    expect(run.output).toBe(finished?.text);
    const shown = (finished?.text ?? "").split(" ").length - 1;
    expect(run.usage.output_tokens).toBeGreaterThanOrEqual(shown);
    expect(run.cost_microusd).toBeGreaterThanOrEqual(shown * 1.6);
    expect(run.cost_microusd).toBeLessThanOrEqual(transcript.of("call.started")[0]?.hold_microusd ?? 0);
    console.log(
      `cancelled after ${shown} words: ${run.cost_microusd} microusd of ${transcript.of("call.started")[0]?.hold_microusd} held, socket closed after ${ms} ms`,
    );
  });

  test.for([
    ["in memory", "4"],
    ["parked", "20"],
  ] as const)("sleeps before a retry, %s: it costs nothing and is not tried again", timeout, async ([where, seconds]) => {
    const { scripts, socket: connect } = world();
    const input = `sleeping ${where}`;
    scripts.on(input, [chatError(429, "slow down", { headers: { "retry-after": seconds } }), { text: "too late" }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "limited", input });
    await transcript.until("the retry", ({ type }) => type === "request.retrying");
    const { run } = await cancel(socket, transcript, input);
    expect(run).toMatchObject({ cost_microusd: 0, calls: 1, usage: { estimated: false } });
  });

  test("uses a tool: the tool is told to stop, and only the call is paid", timeout, async () => {
    const { scripts, tools, socket: connect } = world();
    scripts.on("tool at work", [{ tools: [{ name: "long", input: { text: "work" } }] }, { text: "never" }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "worker", input: "tool at work" });
    await until("the tool", () => tools(transcript.run).length === 1);
    const { run } = await cancel(socket, transcript, "tool at work");
    await until("the tool's stop", () => tools(transcript.run).some(({ what }) => what === "aborted"));
    expect(transcript.of("tool.failed")).toMatchObject([{ tool: "long", error: { code: "cancelled" } }]);
    expect(run).toMatchObject({ cost_microusd: paid(1), calls: 1, usage: { estimated: false } });
  });

  test("waits for an approval while another tool works: neither takes effect", timeout, async () => {
    const { scripts, tools, socket: connect } = world();
    const uses = [
      { id: "a", name: "deploy", input: { text: "v1" } },
      { id: "b", name: "long", input: { text: "work" } },
    ];
    scripts.on("approval and tool", [{ tools: uses }, { text: "never" }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "worker", input: "approval and tool" });
    await transcript.until("the question", ({ type }) => type === "input.requested");
    await until("the tool", () => tools(transcript.run).length === 1);
    const { run } = await cancel(socket, transcript, "approval and tool");
    await until("the tool's stop", () => tools(transcript.run).some(({ what }) => what === "aborted"));
    expect(transcript.of("input.resolved")).toMatchObject([{ by: "cancel", answer: null }]);
    expect(tools(transcript.run).map(({ tool }) => tool)).toEqual(["long", "long"]);
    expect(run.cost_microusd).toBe(paid(2));
  });

  test("waits for an approval, out of memory: the question is closed", timeout, async () => {
    const { scripts, url, tools, socket: connect } = world();
    scripts.on("parked approval", [{ tools: [{ name: "deploy", input: { text: "v1" } }] }, { text: "never" }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "worker", input: "parked approval" });
    await transcript.until("the question", ({ type }) => type === "input.requested");
    await until("waiting", async () => (await getRun(url, transcript.run)).status === "waiting");
    const { run } = await cancel(socket, transcript, "parked approval");
    expect(run.waiting_for).toBeUndefined();
    expect(transcript.of("input.resolved")).toMatchObject([{ by: "cancel", answer: null }]);
    expect(tools(transcript.run)).toEqual([]);
    const [question] = transcript.of("input.requested");
    const late = await post(url, `/v1/runs/${transcript.run}/answers`, { id: question?.id, approve: true });
    expect(late).toMatchObject({ status: 409, body: { error: { code: "conflict" } } });
  });

  test("waits for a person's verdict on a tool that was interrupted", timeout, async () => {
    const { scripts, url, tools, socket: connect } = world();
    scripts.on("verdict", [{ tools: [{ name: "wire", input: { text: "100" } }] }, { text: "never" }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "worker", input: "verdict" });
    await transcript.until("the question", (event) => event.type === "input.requested" && event.kind === "question");
    await until("waiting", async () => (await getRun(url, transcript.run)).status === "waiting");
    await cancel(socket, transcript, "verdict");
    expect(transcript.of("input.resolved")).toMatchObject([{ by: "cancel" }]);
    expect(tools(transcript.run).filter(({ what }) => what === "begun")).toHaveLength(1);
  });

  test("waits for more budget: no call was made and none is paid", timeout, async () => {
    const { scripts, url, socket: connect } = world();
    const socket = await connect();
    const transcript = await socket.start({ agent: "asking", input: "no money", limits: { max_cost_microusd: 0.001 } });
    await transcript.until("the question", (event) => event.type === "input.requested" && event.kind === "budget");
    await until("waiting", async () => (await getRun(url, transcript.run)).status === "waiting");
    const { run } = await cancel(socket, transcript, "no money");
    expect(run.cost_microusd).toBe(0);
    expect(scripts.of("no money")).toEqual([]);
  });

  test("has ended: the answer is its status, and it stays as it was", timeout, async () => {
    const { scripts, url, socket: connect } = world();
    scripts.on("ended", [{ text: "All done." }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "single", input: "ended" });
    await transcript.finished();
    const before = await getRun(url, transcript.run);
    expect(await socket.ask({ type: "cancel", run: transcript.run })).toMatchObject({ type: "ok", status: "done" });
    expect(await post(url, `/v1/runs/${transcript.run}/cancel`, {})).toMatchObject({ status: 200, body: before });
    expect(await getRun(url, transcript.run)).toEqual(before);
  });

  test("does not exist", timeout, async () => {
    const socket = await world().socket();
    expect(await socket.ask({ type: "cancel", run: "run_nobody" })).toMatchObject({ type: "error", error: { code: "not_found" } });
    expect(await post(world().url, "/v1/runs/run_nobody/cancel", {})).toMatchObject({
      status: 404,
      body: { error: { code: "not_found" } },
    });
  });
});

describe("a cancel at any moment", () => {
  test("after each event of a run with three tools leaves one end, and nothing begins after it", timeout, async () => {
    const { scripts, url, tools, socket: connect } = world();
    const socket = await connect();
    const calm = "swept 0";
    const script = (input: string) =>
      scripts.on(input, ({ results }) =>
        results < 3
          ? { text: ["Step ", `${results}`], paceMs: 1, tools: [{ id: `u${results}`, name: "note", input: { text: `n${results}` } }] }
          : { text: ["All ", "done"], paceMs: 1 },
      );
    script(calm);
    const undisturbed = await socket.start({ agent: "worker", input: calm });
    await undisturbed.finished();
    const moments = undisturbed.events.length;
    let ended = 0;
    for (let moment = 1; moment <= moments; moment++) {
      const input = `swept ${moment}`;
      script(input);
      const transcript = await socket.start({ agent: "worker", input });
      await transcript.until(`${moment} events`, () => transcript.events.length >= moment || transcript.end !== undefined);
      let okAt = 0n;
      let status: unknown;
      await socket.ask({ type: "cancel", run: transcript.run }, (frame) => {
        okAt = process.hrtime.bigint();
        status = frame.status;
      });
      const end = await transcript.finished();
      socket.check();
      // It may have ended before the cancel came, or its last turn was on its way to the disk when it came.
      if (end.status === "done") {
        expect(["done", "running"]).toContain(status);
        ended++;
      } else expect(end.status).toBe("cancelled");
      const run = await getRun(url, transcript.run);
      expect(run).toMatchObject({ status: end.status, held_microusd: 0 });
      expect(transcript.of("call.finished").map(({ call }) => call)).toEqual(transcript.of("call.started").map(({ call }) => call));
      const toolEnds = [...transcript.of("tool.returned"), ...transcript.of("tool.failed")];
      expect(toolEnds.map(({ id }) => id).sort()).toEqual(
        transcript
          .of("tool.started")
          .map(({ id }) => id)
          .sort(),
      );
      const costs = transcript.of("call.finished").reduce((sum, { cost_microusd }) => sum + cost_microusd, 0);
      expect(run.cost_microusd).toBeCloseTo(costs, 6);
      expect(scripts.of(input).length).toBeLessThanOrEqual(transcript.of("call.started").length);
      expect(tools(transcript.run).filter(({ what, at }) => what === "begun" && BigInt(at) > okAt)).toEqual([]);
      cancelledWith.set(input, scripts.of(input).length);
    }
    expect(ended).toBeLessThan(moments);
    console.log(`cancelled after each of ${moments} events; ${ended} runs had ended before the cancel came`);
  });

  test("two at once: both are ok, one end", timeout, async () => {
    const { scripts, url, socket: connect } = world();
    scripts.on("two cancels", [[{ hang: true }]]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "single", input: "two cancels" });
    await scripts.entry("two cancels", 0);
    const [a, b] = await Promise.all([
      socket.ask({ type: "cancel", run: transcript.run, reason: "one" }),
      post(url, `/v1/runs/${transcript.run}/cancel`, { reason: "two" }),
    ]);
    expect([a.type, [200, 202].includes(b.status)]).toEqual(["ok", true]);
    await transcript.finished();
    socket.check();
    expect(["one", "two"]).toContain(transcript.end?.error?.message);
  });
});

test("of all the runs that were cancelled, none has called since", timeout, async () => {
  const { scripts, url, server } = world();
  // The shorter of the waits that were cancelled is over by then, and the sweep has looked several times.
  const now = performance.now();
  await until("the end of a cancelled wait", () => performance.now() - now > 5_500);
  for (const [input, requests] of cancelledWith) expect([input, scripts.of(input).length]).toEqual([input, requests]);
  const unfinished = (await (await fetch(`${url}/v1/runs?status=running`)).json()).data;
  expect(unfinished).toEqual([]);
  await until("no socket to the provider", () => scripts.server.book.openSockets() === 0);
  expect(server.stderr()).toBe("");
});
