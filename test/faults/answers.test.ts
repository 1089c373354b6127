/** P30 to P41: an answer that came, and is none. */
import { expect } from "vitest";
import { z } from "zod";
import { agent } from "../../src/index.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { chunk, event, head, lastChunk, type Script, streamHeaders } from "../../src/testing/fault-script.ts";
import { post } from "../whole-path/protocol-client.ts";
import { many, row } from "./row.ts";
import { backoff } from "./world.ts";

const started = head(200, { ...streamHeaders, "transfer-encoding": "chunked" });
const piece = (delta: unknown, finish: string | null = null, more: object = {}): string =>
  event({
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: "m1",
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...more,
  });
const usage = (output: number): string =>
  event({
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: "m1",
    choices: [],
    usage: { prompt_tokens: 10, completion_tokens: output, total_tokens: 10 + output },
  });
/** One use of a tool with these arguments, in pieces of 64 kB. */
const use = (text: string): Script => [
  started,
  chunk(piece({ tool_calls: [{ index: 0, id: "u1", type: "function", function: { name: "note", arguments: "" } }] })),
  ...Array.from({ length: Math.ceil(text.length / 65_536) }, (_, i) =>
    chunk(piece({ tool_calls: [{ index: 0, function: { arguments: text.slice(i * 65_536, (i + 1) * 65_536) } }] })),
  ),
  chunk(piece({}, "tool_calls")),
  chunk(usage(20)),
  chunk(event("[DONE]")),
  lastChunk,
];

const shape = z.object({ name: z.string(), age: z.number() });
const structured = {
  config: () => ({
    agents: [
      agent({ name: "typed", machine: "single", tiers: ["first"], output: shape, backoff }),
      agent({ name: "going-on", machine: "single", tiers: ["first"], output: shape, on_length: "continue", backoff }),
    ],
  }),
} as const;

row(
  "P30",
  "an answer that was cut at its limit",
  { injected: "finish_reason length, as text and in the middle of an object", ...structured },
  async (world) => {
    world.answers("primary", [{ text: "This is only the beg", finish: "length" }]);
    expect((await world.run("alone")).run).toMatchObject({
      status: "failed",
      error: { code: "truncated" },
      output: "This is only the beg",
      calls: 1,
    });
    world.answers("primary", [{ text: '{"name":"Ada",', finish: "length" }]);
    expect((await world.run("typed")).run).toMatchObject({ status: "failed", error: { code: "truncated" }, calls: 1 });
    world.answers("primary", [{ text: '{"name":"Ada",', finish: "length" }, { text: '"age":36}' }]);
    const { run, entries } = await world.run("going-on");
    expect(run).toMatchObject({ status: "done", output: { name: "Ada", age: 36 }, calls: 2 });
    expect(entries[1]?.request.body).toContain("Go on exactly where it ends");
    return "typed `truncated` with what there was, never the same words again; or gone on with, where the agent says so";
  },
);

row(
  "P31",
  "a content filter, a refusal",
  { injected: "finish_reason content_filter; a refusal in 5 runs, once under an Idempotency-Key" },
  async (world) => {
    world.answers("primary", [{ text: "I was about", finish: "content_filter" }]);
    const filtered = await world.runs("chain", 5, 1);
    for (const { run } of filtered) expect(run).toMatchObject({ status: "refused", output: null, error: { code: "refused" }, calls: 1 });
    world.answers("primary", () => [
      started,
      chunk(piece({ role: "assistant", refusal: "I cannot help with that." })),
      chunk(piece({}, "stop")),
      chunk(usage(4)),
      chunk(event("[DONE]")),
      lastChunk,
    ]);
    for (const { run } of await world.runs("chain", 5, 1))
      expect(run).toMatchObject({
        status: "refused",
        output: null,
        error: { code: "refused", message: "I cannot help with that." },
        calls: 1,
      });
    const before = world.primary.book.entries.length;
    const start = () => post(world.url, "/v1/runs", { agent: "chain", input: "The same?" }, { "idempotency-key": "refused-once" });
    const [first, second] = [await start(), await start()];
    expect(first.body).toMatchObject({ status: "refused" });
    expect(second.body).toEqual(first.body);
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect(world.primary.book.entries.length - before).toBe(1);
    expect(world.breaker()).toBe("closed");
    return "refused, once each, no retry and no other tier; 10 of 10 left the breaker closed; the key replayed it without a call";
  },
);

row("P32", "an empty answer", { injected: "no content and finish_reason stop" }, async (world) => {
  world.answers("primary", [{ text: "" }]);
  const { run, entries } = await world.run("alone");
  expect(run.status).toBe("failed");
  expect(["empty", "identical_failure"]).toContain(run.error?.code);
  expect(entries).toHaveLength(2);
  expect(entries[1]?.request.body).not.toBe(entries[0]?.request.body);
  world.answers("primary", [{ text: "" }, { text: "Now." }]);
  expect((await world.run("alone")).run).toMatchObject({ status: "done", output: "Now." });
  return `asked once more in other words, then ${run.error?.code}`;
});

row("P35", "arguments of a tool that are no JSON", { injected: "half an object as arguments, once and for ever" }, async (world) => {
  const half = { tools: [{ name: "note", input: '{"text": "half' }] };
  world.answers("primary", [half, { tools: [{ name: "note", input: { text: "whole" } }] }, { text: "Noted." }]);
  const mended = await world.run("worker");
  expect(mended.run).toMatchObject({ status: "done", output: "Noted.", tool_calls: 2 });
  expect(mended.transcript.of("tool.refused")).toMatchObject([{ error: { code: "tool_denied" } }]);
  expect(mended.entries[1]?.request.body).toContain("arguments do not fit");
  world.answers("primary", [half]);
  const stuck = await world.run("worker");
  expect(stuck.run).toMatchObject({ status: "failed", error: { code: "identical_failure" }, calls: 2, tool_calls: 2 });
  return "told once with the reason and mended; the same again: identical_failure after 2 calls";
});

row(
  "P36",
  "a tool that there is not, or that is not shown",
  { injected: "uses of `launch`, and of a tool of another group", config: () => ({}) },
  async (world) => {
    world.answers("primary", [{ tools: [{ name: "launch", input: { text: "rocket" } }] }, { text: "Then not." }]);
    const { run, transcript, entries } = await world.run("worker");
    expect(run).toMatchObject({ status: "done", tool_calls: 1, steps: 2 });
    expect(transcript.of("tool.refused")).toMatchObject([{ tool: "launch", error: { code: "tool_not_found" } }]);
    expect(transcript.of("tool.started")).toEqual([]);
    expect(entries[1]?.request.body).toContain("there is no tool");
    world.answers("primary", [{ tools: [{ name: "note", input: { text: "hidden" } }] }]);
    const hidden = await world.run("alone");
    expect(hidden.transcript.of("tool.started")).toEqual([]);
    expect(hidden.run.status).not.toBe("done");
    expect(world.noted).toEqual([]);
    return "refused before anything ran, told as `tool.refused`, counted as a use and a step";
  },
);

row("P37", "arguments of 5 MB, and 10,000 deep", { injected: "5 MB in a string; 10,000 nested objects" }, async (world) => {
  for (const text of [`{"text":"${"x".repeat(5_000_000)}"}`, `${'{"text":'.repeat(10_000)}1${"}".repeat(10_000)}`]) {
    world.answers("primary", [use(text)]);
    const { run, transcript } = await world.run("worker");
    expect(run.status).toBe("failed");
    // By the hold, where that is the smaller cap.
    expect(["truncated", "invalid_output"]).toContain(run.error?.code);
    expect(transcript.of("tool.started")).toEqual([]);
    expect(JSON.stringify(transcript.events).length).toBeLessThan(100_000);
  }
  expect(world.noted).toEqual([]);
  return "cut or refused before they were parsed; no tool ran";
});

row("P38", "50 uses of a tool in one message", { injected: "50 parallel tool calls" }, async (world) => {
  const uses = Array.from({ length: 50 }, (_, i) => ({ id: `u${i}`, name: "note", input: { text: `${i}` } }));
  world.answers("primary", [{ tools: uses }, { text: "Enough." }]);
  const { run, transcript, entries } = await world.run("worker");
  expect(run).toMatchObject({ status: "done", output: "Enough.", tool_calls: 16 });
  expect(transcript.of("tool.returned")).toHaveLength(16);
  expect(world.noted).toHaveLength(16);
  const results = (
    JSON.parse(entries[1]?.request.body ?? "{}").messages as { role: string; tool_call_id: string; content: string }[]
  ).filter(({ role }) => role === "tool");
  expect(results.map(({ tool_call_id }) => tool_call_id)).toEqual(uses.map(({ id }) => id));
  expect(results.slice(16).every(({ content }) => content.includes("at most 16 tools"))).toBe(true);
  return "16 ran, 4 at once; 34 were refused with the reason; the results came back in the order of the uses";
});

row(
  "P40",
  "another model than was asked for",
  {
    injected: "the answer names a cheaper, a dearer and an unknown model",
    config: () => ({
      prices: {
        "primary/m1-mini": { input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4 },
        "primary/m1-ultra": { input_usd_per_mtok: 0.8, output_usd_per_mtok: 3.2 },
      },
    }),
  },
  async (world) => {
    Object.assign(world.invoices.factors, { "m1-mini": 0.25, "m1-ultra": 2 });
    const answered = async (model: string) => {
      world.answers("primary", [{ text: "Served.", model }]);
      const { run, transcript } = await world.run("alone");
      expect(run.status).toBe("done");
      expect(transcript.of("call.finished")).toMatchObject([{ model }]);
      return { cost: run.cost_microusd, data: transcript.of("data") };
    };
    const asked = await answered("m1");
    const dated = await answered("m1-2026-11-01");
    const mini = await answered("m1-mini");
    const ultra = await answered("m1-ultra");
    const unknown = await answered("m9");
    expect(asked.data).toEqual([]);
    expect(dated.data).toEqual([]);
    expect(mini.cost).toBeCloseTo(asked.cost / 4, 3);
    expect(ultra.cost).toBeCloseTo(asked.cost * 2, 3);
    expect(unknown.cost).toBeCloseTo(asked.cost, 3);
    for (const { data } of [mini, ultra, unknown]) expect(data).toMatchObject([{ name: "served_model", data: { asked: "m1" } }]);
    return "told as `data` named `served_model`; priced by the model that answered where its price is known";
  },
);

row("P41", "a provider whose clock is wrong", { injected: "Date one hour ahead and one hour behind" }, async (world) => {
  for (const hours of [1, -1]) {
    const date = new Date(Date.now() + hours * 3_600_000).toUTCString();
    world.answers("primary", (request, call) =>
      call === 0 ? chatScript(request, { text: ["On ", "time."], paceMs: 20, headers: { date } }) : { text: "x" },
    );
    const { run, transcript } = await world.run("alone");
    expect(run).toMatchObject({ status: "done", output: "On time." });
    const [call] = transcript.of("call.finished");
    expect(call?.duration_ms).toBeGreaterThanOrEqual(19);
    expect(call?.duration_ms).toBeLessThan(many(3_000, 3_000));
    expect(Math.abs(Date.parse(call?.at ?? "") - Date.now())).toBeLessThan(10_000);
  }
  return "durations and times are our own, whatever its Date says";
});
