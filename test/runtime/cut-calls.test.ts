/**
 * What a call costs that did not come to its end: what was streamed, shown or not. Each wire, through the real runtime, against a server
 * that cuts. A token of output costs one micro-dollar and input nothing, so that the cost is the count of what was streamed.
 */
import { expect, onTestFinished, test } from "vitest";
import { agent, createRuntime, openai, type Runtime } from "../../src/index.ts";
import { countText, loadTokenizer } from "../../src/money/tokens.ts";
import type { Fact } from "../../src/protocol/events.ts";
import { chunk, event, head, json, type Script, streamHeaders } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { type Answer, type WireUnderTest, wires } from "../providers/wires.ts";

const input = JSON.stringify({ query: "9007199254740993 is not safe", more: "0123456789 abcdefghijklmnopqrstuvwxyz" });
const lookup = { id: "call_a", name: "lookup_the_weather", input };
const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };

type World = { runtime: Runtime; server: FaultServer; tokens: (...texts: string[]) => number };

/** The first answer is `script`; calls after it are answered well. */
async function world(wire: WireUnderTest, script: Script, maxOutputTokens = 10_000): Promise<World> {
  let calls = 0;
  const server = await startFaultServer(() => (calls++ === 0 ? script : played(wire.stream({ text: ["fine"] }).events)));
  const provider = wire.make(server.url, { apiKey: "sk-test" });
  const runtime = await createRuntime({
    store: { path: ":memory:" },
    env: {},
    providers: { it: provider },
    tiers: { main: { provider: "it", model: "model-1", max_output_tokens: maxOutputTokens, price } },
    agents: [agent({ name: "single", machine: "single", limits: { max_output_tokens: maxOutputTokens, max_cost_microusd: 100_000 } })],
  });
  onTestFinished(async () => {
    await runtime.close();
    await server.close();
  });
  return { runtime, server, tokens: (...texts) => texts.reduce((sum, text) => sum + countText(text, provider.tokenizer), 0) };
}

/** A stream of these events that goes on only as `last` says. */
const played = (events: readonly string[], ...last: Script): Script => [
  head(200, { ...streamHeaders, "transfer-encoding": "chunked" }),
  ...events.map((one) => chunk(one)),
  ...(last.length > 0 ? last : [{ send: "0\r\n\r\n" }]),
];

/** The answer up to, and without, the event that proves it. */
function unproven(wire: WireUnderTest, answer: Answer): string[] {
  const { events, proof } = wire.stream({ ...answer, usage: false });
  return events.slice(0, proof);
}

async function firstCall(runtime: Runtime): Promise<Extract<Fact, { type: "call.finished" }> & { hold: number }> {
  const run = await runtime.start({ agent: "single", input: "go" });
  await run.result();
  const { data } = await runtime.facts(run.id);
  const started = data.find((fact) => fact.type === "call.started");
  const finished = data.find((fact) => fact.type === "call.finished");
  if (started?.type !== "call.started" || finished?.type !== "call.finished") throw new Error("no call");
  return { ...finished, hold: started.hold_microusd };
}

test.each(wires)("$name: a stream cut after a tool's arguments is charged for its name and all of them", async (wire) => {
  const { runtime, tokens } = await world(wire, played(unproven(wire, { tools: [lookup] }), { reset: true }));
  const { finish, text, cost_microusd, usage, hold } = await firstCall(runtime);
  expect({ finish, text, estimated: usage.estimated }).toEqual({ finish: "error", text: "", estimated: true });
  const streamed = tokens(lookup.name, input);
  // The name and the arguments are counted as one text or as two.
  expect(cost_microusd).toBeGreaterThanOrEqual(tokens(lookup.name + input));
  expect(cost_microusd).toBeLessThanOrEqual(streamed);
  expect(usage.output_tokens).toBe(cost_microusd);
  expect(cost_microusd).toBeLessThan(hold);
});

// Gemini sends arguments whole.
test.each(wires.filter(({ name }) => name !== "google"))(
  "$name: a stream cut within a tool's arguments is charged for what came of them",
  async (wire) => {
    const events = unproven(wire, { tools: [lookup] });
    const pieces = input.match(/.{1,9}/gs) ?? [];
    const cut = events.findIndex((one) => one.includes(JSON.stringify(pieces[5] as string).slice(1, -1)));
    const { runtime, tokens } = await world(wire, played(events.slice(0, cut + 1), { reset: true }));
    const { cost_microusd } = await firstCall(runtime);
    const came = lookup.name + pieces.slice(0, 6).join("");
    expect(cost_microusd).toBeGreaterThanOrEqual(tokens(came));
    expect(cost_microusd).toBeLessThan(tokens(lookup.name, input));
  },
);

test.each(wires)("$name: a stream cut in its reasoning is charged for that", async (wire) => {
  const reasoning = "The question is about the weather, so let me look at the sky first, and then at the clouds.";
  const { runtime, tokens } = await world(wire, played(unproven(wire, { reasoning }), { reset: true }));
  expect(await firstCall(runtime)).toMatchObject({
    finish: "error",
    text: "",
    cost_microusd: tokens(reasoning),
    usage: { estimated: true },
  });
});

test.each(wires)("$name: an answer by an error status costs nothing", async (wire) => {
  const { runtime } = await world(wire, json(500, { error: { message: "no", type: "server_error" } }));
  expect(await firstCall(runtime)).toMatchObject({ finish: "error", cost_microusd: 0, usage: { output_tokens: 0, estimated: false } });
});

test.each(wires)("$name: an error in the stream, after the status said 200, is charged for what was streamed", async (wire) => {
  const events = [...unproven(wire, { text: ["One two three ", "four five"] }), wire.overloaded];
  const { runtime, tokens } = await world(wire, played(events));
  expect(await firstCall(runtime)).toMatchObject({
    finish: "error",
    cost_microusd: tokens("One two three four five"),
    usage: { estimated: true },
  });
});

test.each(wires)("$name: output that is not shown is cut at its hold too", async (wire) => {
  const long = JSON.stringify({ query: "word ".repeat(2_000) });
  for (const answer of [{ tools: [{ ...lookup, input: long }] }, { reasoning: "word ".repeat(2_000) }]) {
    const { runtime, server } = await world(wire, played(unproven(wire, answer), { hang: true }), 50);
    const { finish, cost_microusd, hold, error } = await firstCall(runtime);
    expect({ finish, cost_microusd, code: error?.code }).toEqual({ finish: "error", cost_microusd: hold, code: "truncated" });
    await server.book.idle();
  }
});

const streamOf = (pieces: readonly string[]): Script => played(unproven(wires[0] as WireUnderTest, { text: pieces }), { hang: true });
const openAI = wires[0] as WireUnderTest;
const countedBy = (margin: number): WireUnderTest => ({
  ...openAI,
  make: (url) => openai({ baseURL: `${url}/v1`, apiKey: "sk-test", tokenizer: { encoding: "o200k_base", margin } }),
});

test.each([
  ["rare characters", "\u9f98"],
  ["digits", "7 "],
  ["signs of old scripts", "\u{13000}"],
  ["English", " word"],
])("output of %s is cut at its hold, however few characters a token has", async (_, piece) => {
  await loadTokenizer();
  const { runtime, server, tokens } = await world(countedBy(0), streamOf(Array.from({ length: 5_000 }, () => piece)), 1_000);
  const { finish, error, text, usage } = await firstCall(runtime);
  expect({ finish, code: error?.code }).toEqual({ finish: "error", code: "truncated" });
  expect(usage.output_tokens).toBeGreaterThan(1_000);
  // What came with the same read of the socket is counted with it.
  expect(tokens(text ?? "")).toBeLessThan(5_000);
  await server.book.idle();
});

test.each([
  ["as many tokens as were granted", 0, 1_000],
  ["as many tokens as its margin may take away", 0.5, 1_480],
])("an answer of %s is not cut", async (_, margin, pieces) => {
  await loadTokenizer();
  const { events } = openAI.stream({ text: Array.from({ length: pieces }, () => " word") });
  const { runtime } = await world(countedBy(margin), played(events), 1_000);
  expect(await firstCall(runtime)).toMatchObject({ finish: "stop" });
});

const usageOf = (input: number, output: number) => ({ prompt_tokens: input, completion_tokens: output });

test.each([
  ["nothing", usageOf(0, 0), true],
  ["no output", usageOf(100, 0), true],
  ["no input", usageOf(0, 5), true],
  ["both", usageOf(100, 5), false],
])("a usage that tells of %s beside output is charged for what came", async (_, told, estimated) => {
  const { events } = openAI.stream({ text: ["One two", " three four five"], usage: false });
  const bill = event({ id: "x", object: "chat.completion.chunk", created: 1, model: "m", choices: [], usage: told });
  const { runtime, tokens } = await world(openAI, played(events.toSpliced(-1, 0, bill)));
  const { finish, cost_microusd, usage } = await firstCall(runtime);
  expect({ finish, estimated: usage.estimated }).toEqual({ finish: "stop", estimated });
  expect(cost_microusd).toBe(told.completion_tokens || tokens("One two three four five"));
  expect(usage.output_tokens).toBe(cost_microusd);
  expect(usage.input_tokens).toBeGreaterThan(0);
});

test("a call that is stopped within a tool's arguments is charged for them", async () => {
  const wire = wires[0] as WireUnderTest;
  // The word that is shown says that the arguments before it have arrived.
  const shown = event({
    id: "x",
    object: "chat.completion.chunk",
    created: 1,
    model: "m",
    choices: [{ index: 0, delta: { content: "now" } }],
  });
  const { runtime, tokens } = await world(wire, played([...unproven(wire, { tools: [lookup] }), shown], { hang: true }));
  const run = await runtime.start({ agent: "single", input: "go" });
  for await (const event of run) {
    if (event.type === "text.delta") await run.cancel();
    if (event.type !== "call.finished") continue;
    expect(event).toMatchObject({ finish: "cancelled", text: "now", usage: { estimated: true } });
    expect(event.cost_microusd).toBeGreaterThanOrEqual(tokens(lookup.name + input, "now"));
  }
});
