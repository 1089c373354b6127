/** P17 to P28: a stream that goes wrong on its way. */
import { expect } from "vitest";
import { agent } from "../../src/index.ts";
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import { chunk, event, head, lastChunk, type Script, split, streamHeaders } from "../../src/testing/fault-script.ts";
import type { FaultRequest } from "../../src/testing/fault-server.ts";
import { many, row } from "./row.ts";
import { backoff, type FaultWorld, impatient, type Played } from "./world.ts";

const words = ["Once ", "upon ", "a ", "time"];
const whole = { text: "Once upon a time." };
const started = head(200, { ...streamHeaders, "transfer-encoding": "chunked" });
const piece = (delta: unknown, finish: string | null = null): string =>
  event({ id: "c", object: "chat.completion.chunk", created: 1, model: "m1", choices: [{ index: 0, delta, finish_reason: finish }] });

/** What agents may choose to do with text that was shown of a stream that broke. */
const choices = {
  config: () => ({
    agents: [
      agent({ name: "keeps", machine: "single", tiers: ["first"], on_cut: "keep", backoff }),
      agent({ name: "continues", machine: "single", tiers: ["first", "second"], on_cut: "continue", retries: 0, backoff }),
      agent({ name: "checked", machine: "single", tiers: ["first"], stream: "checked", backoff }),
    ],
  }),
} as const;

/** The three things that may follow a stream that broke after text was shown. */
async function afterCut(world: FaultWorld, cut: ChatAnswer, details: object = {}): Promise<Played> {
  world.answers("primary", [cut, whole]);
  const retracted = await world.run("alone");
  expect(retracted.run).toMatchObject({ status: "done", output: whole.text, calls: 2, usage: { estimated: true } });
  const [broken] = retracted.transcript.of("call.finished");
  expect(broken).toMatchObject({
    finish: "error",
    text: "Once upon ",
    usage: { estimated: true },
    error: { code: "interrupted", retryable: true, details },
  });
  expect(retracted.transcript.of("retract")).toMatchObject([{ call: broken?.call, reason: "interrupted" }]);

  world.answers("primary", [cut]);
  const kept = await world.run("keeps");
  expect(kept.run).toMatchObject({ status: "failed", output: "Once upon ", error: { code: "interrupted" }, calls: 1 });
  expect(kept.transcript.of("retract")).toEqual([]);

  world.answers("primary", [cut]);
  world.answers("secondary", [{ text: "a time." }]);
  const continued = await world.run("continues");
  expect(continued.run).toMatchObject({ status: "done", output: "Once upon a time.", tier: "second" });
  expect(continued.transcript.of("retract")).toEqual([]);
  expect(continued.transcript.of("request.fell_back")).toMatchObject([{ reason: "interrupted" }]);
  return retracted;
}

row(
  "P17",
  "a stall in the middle of a stream",
  { injected: "2 tokens, then silence; idle limit 400 ms", first: impatient, ...choices },
  async (world) => {
    await afterCut(world, { text: words, cut: { after: 2, by: "hang" } }, { reason: "idle limit" });
    return "interrupted by the idle limit, charged as estimated; retracted and asked anew, kept, or continued by the next tier, as the agent says";
  },
);

row(
  "P19",
  "a clean end without an end mark",
  { injected: "2 tokens, then the last chunk and FIN; also all tokens without finish_reason", ...choices },
  async (world) => {
    await afterCut(world, { text: words, cut: { after: 2, by: "end" } });
    // Among good answers: the breaker is not the subject.
    world.heal();
    await world.runs("alone", 10);
    world.answers("primary", [{ text: words, cut: { after: 4, by: "end" } }]);
    const { run } = await world.run("alone");
    expect(run).toMatchObject({ status: "failed", error: { code: "interrupted" } });
    return "interrupted, never taken as an answer";
  },
);

row("P20", "a reset in the middle of a stream", { injected: "2 tokens, then RST", ...choices }, async (world) => {
  await afterCut(world, { text: words, cut: { after: 2, by: "reset" } });
  return "as P17";
});

row(
  "P21",
  "an event stream split anywhere",
  { injected: "every split offset; CRLF, CR, BOM, comments, data over several lines; an event of 10 MB" },
  async (world) => {
    const text = "Grüße 🌍, it\nworks";
    const bytesOf = (request: FaultRequest): Buffer => {
      const sent = chatScript(request, { text }).flatMap((step) => ("send" in step ? [Buffer.from(step.send as string)] : []));
      // The chunks' own framing is not part of what is split.
      return Buffer.concat(sent.slice(1, -1).map((one) => one.subarray(one.indexOf("\r\n") + 2, one.length - 2)));
    };
    let length = 0;
    world.answers("primary", (request) => {
      length = bytesOf(request).length;
      return split(bytesOf(request), []);
    });
    expect((await world.run("alone")).run).toMatchObject({ status: "done", output: text });
    const offsets = Array.from({ length: length - 1 }, (_, i) => i + 1).filter((offset) => offset % many(1, 13) === 0);
    let next = 0;
    world.answers("primary", (request) => split(bytesOf(request), [offsets[next++ % offsets.length] as number]));
    const all = await world.runs("alone", offsets.length, 4);
    world.answers("primary", (request) =>
      split(
        bytesOf(request),
        Array.from({ length: length - 1 }, (_, i) => i + 1),
      ),
    );
    all.push(await world.run("alone"));
    for (const change of [
      (sent: string) => sent.replaceAll("\n", "\r\n"),
      (sent: string) => sent.replaceAll("\n", "\r"),
      (sent: string) => `\ufeff${sent}`,
      (sent: string) => sent.replaceAll("\n\n", "\n\n: keep-alive\n\n"),
      (sent: string) => sent.replaceAll("data: {", "data: {\ndata: "),
    ]) {
      world.answers("primary", (request) => split(Buffer.from(change(bytesOf(request).toString())), [1, 2, 3]));
      all.push(await world.run("alone"));
    }
    for (const { run } of all) expect(run).toMatchObject({ status: "done", output: text });
    const megabyte = Buffer.alloc(1024 * 1024, "x");
    world.answers("primary", [
      [
        head(200, { ...streamHeaders, connection: "close" }),
        { send: "data: " },
        ...Array.from({ length: 10 }, () => ({ send: megabyte })),
        { hang: true },
      ],
    ]);
    const { run } = await world.run("alone");
    expect(run).toMatchObject({ status: "failed", error: { code: "interrupted", message: expect.stringContaining("bytes at once") } });
    return `${all.length} ways to cut the same ${length} bytes, one answer; 10 MB at once: aborted at the cap`;
  },
);

const noJson: Script = [started, chunk(piece({ content: "Once " }), "Once "), chunk('data: {"secret": canary-in-raw-data}\n\n'), lastChunk];

row(
  "P23",
  "malformed JSON in one event",
  { injected: "1 token, then an event that is no JSON and holds a canary", ...choices },
  async (world) => {
    world.answers("primary", [noJson, whole]);
    const { run, transcript } = await world.run("alone");
    expect(run).toMatchObject({ status: "done", output: whole.text, calls: 2 });
    expect(transcript.of("call.finished")[0]).toMatchObject({
      finish: "error",
      text: "Once ",
      error: { code: "interrupted" },
      usage: { estimated: true },
    });
    expect(transcript.of("call.finished")[0]?.cost_microusd).toBeGreaterThan(0);
    expect(JSON.stringify([transcript.events, world.told])).not.toContain("canary-in-raw-data");
    return "interrupted, the attempt charged, the stream closed, nothing raw repeated";
  },
);

const overloaded = (shown: readonly string[]): Script => [
  started,
  ...shown.map((token) => chunk(piece({ content: token }), token)),
  chunk(event({ error: { type: "overloaded_error", message: "Overloaded.", code: null } }, "error")),
  lastChunk,
];

row("P24", "an error event before any text", { injected: "200, then `event: error` overloaded_error" }, async (world) => {
  world.answers("primary", () => overloaded([]));
  const { run, transcript } = await world.run("chain");
  expect(run).toMatchObject({ status: "done", tier: "second", calls: 4 });
  expect(transcript.of("call.finished")[0]?.error).toMatchObject({ code: "provider_unavailable", details: { status: 529 } });
  expect(transcript.of("retract")).toEqual([]);
  return "taken as 529: retried twice, then the next tier";
});

row("P25", "an error event after text", { injected: "2 tokens, then `event: error` overloaded_error", ...choices }, async (world) => {
  const { transcript } = await afterCut(world, overloaded(["Once ", "upon "]) as never, { reason: "provider_unavailable" });
  expect(transcript.of("call.finished")[0]?.error?.details).toMatchObject({ status: 529 });
  return "as P17, with status 529 kept";
});

row("P26", "an error object inside data", { injected: '200, then `data: {"error": …}` and nothing more' }, async (world) => {
  world.answers("primary", [
    { text: words, cut: { after: 0, by: "error" }, error: { message: "It broke.", type: "server_error", code: null } },
    whole,
  ]);
  const from = performance.now();
  const { run, transcript } = await world.run("alone");
  expect(run).toMatchObject({ status: "done", output: whole.text, calls: 2 });
  expect(transcript.of("call.finished")[0]?.error).toMatchObject({ code: "provider_unavailable", retryable: true });
  expect(performance.now() - from).toBeLessThan(3_000);
  return "recognised at once, retried";
});

row("P28", "no usage", { injected: "a whole answer that tells no usage" }, async (world) => {
  world.answers("primary", [{ text: "Free of charge?", usage: false }]);
  const { run, transcript } = await world.run("alone");
  const [hold] = transcript.of("call.started").map(({ hold_microusd }) => hold_microusd);
  expect(run).toMatchObject({ status: "done", cost_microusd: hold, usage: { estimated: true } });
  expect(run.cost_microusd).toBeGreaterThan(0);
  return `the hold of ${hold} µ$ was charged and marked estimated`;
});
