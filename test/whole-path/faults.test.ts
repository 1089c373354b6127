/** What providers and tools do wrong, through the whole path: what the run's facts, its status and its bill say (FAULTS P, E). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { chatError } from "../../src/testing/fault-chat.ts";
import { chunk, event, head, lastChunk, streamHeaders } from "../../src/testing/fault-script.ts";
import { getRun, type RunBody, type Transcript } from "./protocol-client.ts";
import type { Answer, Asked } from "./scripts.ts";
import { newFolder, run } from "./served.ts";
import { sharedWorld } from "./shared-world.ts";

const world = sharedWorld();
const timeout = { timeout: 60_000 };
const paid = (outputTokens: number, inputTokens = 10) => inputTokens * 0.4 + outputTokens * 1.6;

/** Runs an agent to its end; what is always so is checked here. */
async function runOf(
  agent: string,
  input: string,
  answer: readonly Answer[] | ((asked: Asked) => Answer),
): Promise<{ transcript: Transcript; run: RunBody }> {
  const { scripts, socket: connect, url } = world();
  scripts.on(input, answer);
  const socket = await connect();
  const transcript = await socket.start({ agent, input });
  await transcript.finished();
  socket.check();
  const run = await getRun(url, transcript.run);
  expect(run).toMatchObject({ status: transcript.end?.status, held_microusd: 0, cost_microusd: transcript.end?.cost_microusd });
  expect(run.calls).toBe(transcript.of("call.started").length);
  const costs = transcript.of("call.finished").reduce((sum, { cost_microusd }) => sum + cost_microusd, 0);
  expect(run.cost_microusd).toBeCloseTo(costs, 6);
  const holds = transcript.of("call.started").reduce((sum, { hold_microusd }) => sum + hold_microusd, 0);
  expect(run.cost_microusd).toBeLessThanOrEqual(holds + 1e-6);
  return { transcript, run };
}

/** Facts of these types, in their order. */
const told = (transcript: Transcript, ...types: string[]): string[] =>
  transcript.events.map(({ type }) => type).filter((type) => types.includes(type));
const steps = ["call.started", "call.finished", "retract", "request.retrying", "request.fell_back"];

describe("the provider", () => {
  test("says 429 and when to come back: it is waited for, and only the answer is paid", timeout, async () => {
    const { scripts } = world();
    const { transcript, run } = await runOf("limited", "429", [
      chatError(429, "slow down", { headers: { "retry-after": "1" } }),
      { text: "Now it works." },
    ]);
    expect(run).toMatchObject({ status: "done", output: "Now it works.", calls: 2, cost_microusd: paid(3), usage: { estimated: false } });
    expect(told(transcript, ...steps)).toEqual(["call.started", "call.finished", "request.retrying", "call.started", "call.finished"]);
    expect(transcript.of("request.retrying")).toMatchObject([{ reason: "provider_rate_limited", delay_ms: 1_000, attempt: 2 }]);
    expect(transcript.of("call.finished")[0]).toMatchObject({
      finish: "error",
      error: { code: "provider_rate_limited", retry_after_ms: 1_000, details: { status: 429, provider: "fault" } },
      cost_microusd: 0,
    });
    const [first, second] = scripts.of("429");
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect(scripts.of("429")).toHaveLength(2);
  });

  test("fails three times: the next tier answers, and the run says which", timeout, async () => {
    const { transcript, run } = await runOf("falling", "500", ({ request }) =>
      request.json().model === "failing" ? chatError(500, "it broke") : { text: "Second best." },
    );
    expect(run).toMatchObject({ status: "done", output: "Second best.", tier: "second", calls: 4, cost_microusd: paid(2) });
    expect(transcript.of("call.started").map(({ tier, attempt }) => [tier, attempt])).toEqual([
      ["failing", 1],
      ["failing", 2],
      ["failing", 3],
      ["second", 4],
    ]);
    expect(transcript.of("request.fell_back")).toMatchObject([{ from: "failing", to: "second", reason: "provider_unavailable" }]);
    expect(transcript.of("request.retrying").map(({ delay_ms }) => delay_ms)).toEqual([250, 500]);
    expect(world().scripts.of("500")).toHaveLength(4);
  });

  test.for([
    ["ends its stream cleanly in the middle", "end"],
    ["resets the connection in the middle", "reset"],
    ["sends an error in the middle", "error"],
  ] as const)("%s: what was shown is void, and the whole is asked for again", timeout, async ([, by]) => {
    const { transcript, run } = await runOf(`cut-${by}`, `cut by ${by}`, [
      { text: ["Once ", "upon ", "a ", "time"], cut: { after: 2, by } },
      { text: "Once upon a time." },
    ]);
    expect(run).toMatchObject({ status: "done", output: "Once upon a time.", calls: 2, usage: { estimated: true } });
    expect(told(transcript, ...steps)).toEqual([
      "call.started",
      "call.finished",
      "retract",
      "request.retrying",
      "call.started",
      "call.finished",
    ]);
    const [broken, whole] = transcript.of("call.finished");
    expect(broken).toMatchObject({ finish: "error", text: "Once upon ", error: { code: "interrupted" }, usage: { estimated: true } });
    expect(transcript.of("retract")).toMatchObject([{ call: broken?.call, reason: "interrupted" }]);
    // A cut stream told no usage: at least what it sent, at most what was held.
    expect(broken?.cost_microusd).toBeGreaterThanOrEqual(2 * 1.6);
    expect(broken?.cost_microusd).toBeLessThanOrEqual(transcript.of("call.started")[0]?.hold_microusd ?? 0);
    expect(whole).toMatchObject({ finish: "stop", cost_microusd: paid(4) });
  });

  test("breaks off and does not come back: what was retracted is no output either", timeout, async () => {
    const { transcript, run } = await runOf("cut-twice", "cut and gone", [
      { text: ["Once ", "upon"], cut: { after: 1, by: "end" } },
      chatError(503, "gone"),
    ]);
    expect(transcript.of("retract")).toHaveLength(1);
    expect(run).toMatchObject({ status: "failed", error: { code: "provider_unavailable" }, output: null, calls: 3 });
  });

  test("stops at the limit of tokens: truncated, with what there was, not asked again", timeout, async () => {
    const { run } = await runOf("single", "truncated", [{ text: "This is only the beg", finish: "length" }]);
    expect(run).toMatchObject({ status: "failed", error: { code: "truncated" }, output: "This is only the beg", calls: 1 });
    expect(world().scripts.of("truncated")).toHaveLength(1);
  });

  test("streams more than was held for: it is cut, and costs no more than the hold", timeout, async () => {
    const words = Array.from({ length: 5_000 }, (_, index) => `word${index} `);
    const { transcript, run } = await runOf("single", "too much", [{ text: words, paceMs: 1 }]);
    expect(run).toMatchObject({ status: "failed", error: { code: "truncated" }, calls: 1 });
    const [entry] = world().scripts.of("too much");
    expect(await entry?.over).toBeDefined();
    expect(run.cost_microusd).toBeLessThanOrEqual(transcript.of("call.started")[0]?.hold_microusd ?? 0);
  });

  test("refuses: the run is refused, once, and its words are no output", timeout, async () => {
    const refusal = ({ request }: Asked): Answer => {
      const piece = (delta: unknown, finish: string | null = null) =>
        chunk(
          event({
            id: "c",
            object: "chat.completion.chunk",
            created: 1,
            model: request.json().model,
            choices: [{ index: 0, delta, finish_reason: finish }],
          }),
        );
      const usage = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 };
      return [
        head(200, { ...streamHeaders, "transfer-encoding": "chunked" }),
        piece({ role: "assistant", refusal: "I cannot help with that." }),
        piece({}, "stop"),
        chunk(event({ id: "c", object: "chat.completion.chunk", created: 1, model: request.json().model, choices: [], usage })),
        chunk(event("[DONE]")),
        lastChunk,
      ];
    };
    const { run } = await runOf("single", "refusal", refusal);
    expect(run).toMatchObject({
      status: "refused",
      output: null,
      error: { code: "refused", message: "I cannot help with that." },
      cost_microusd: paid(4),
      calls: 1,
    });
    const filtered = await runOf("single", "filtered", [{ text: "I was about", finish: "content_filter" }]);
    expect(filtered.run).toMatchObject({ status: "refused", output: null, error: { code: "refused" } });
    expect([world().scripts.of("refusal").length, world().scripts.of("filtered").length]).toEqual([1, 1]);
  });

  test("tells no usage: the hold is charged and marked", timeout, async () => {
    const { transcript, run } = await runOf("single", "no usage", [{ text: "Free of charge?", usage: false }]);
    const [hold] = transcript.of("call.started").map(({ hold_microusd }) => hold_microusd);
    expect(run).toMatchObject({ status: "done", cost_microusd: hold, usage: { estimated: true, output_tokens: 200 } });
  });

  test("answers with nothing: it is asked once more, in other words, then the tier is over", timeout, async () => {
    const { run } = await runOf("single", "nothing", [{ text: "" }]);
    expect(run).toMatchObject({
      status: "failed",
      error: { code: expect.stringMatching(/^(empty|identical_failure)$/) },
      output: expect.toSatisfy((output) => output === null || output === ""),
    });
    expect(run.calls).toBeLessThanOrEqual(2);
  });

  test("rejects the key: not tried again", timeout, async () => {
    const { run } = await runOf("single", "401", [
      chatError(401, "Incorrect API key provided: sk-abc", { type: "invalid_request_error", code: "invalid_api_key" }),
    ]);
    expect(run).toMatchObject({ status: "failed", error: { code: "provider_rejected" }, calls: 1, cost_microusd: 0 });
  });
});

describe("the model", () => {
  test("asks for a tool that there is not: it is told which there are, and goes on", timeout, async () => {
    const { scripts, tools } = world();
    const { transcript, run } = await runOf("worker", "unknown tool", ({ results }) =>
      results === 0 ? { tools: [{ name: "launch", input: { text: "rocket" } }] } : { text: "Then not." },
    );
    expect(run).toMatchObject({ status: "done", output: "Then not.", tool_calls: 1 });
    expect(transcript.of("tool.refused")).toMatchObject([
      { tool: "launch", error: { code: "tool_not_found", message: expect.stringContaining("note") } },
    ]);
    expect(transcript.of("tool.started")).toEqual([]);
    expect(scripts.of("unknown tool")[1]?.request.body).toContain("there is no tool");
    expect(tools(transcript.run)).toEqual([]);
  });

  test("gives a tool wrong arguments: it is told what is wrong, and its second try is used", timeout, async () => {
    const { scripts, tools } = world();
    const { transcript, run } = await runOf("worker", "wrong arguments", ({ results }) =>
      results === 0
        ? { tools: [{ name: "note", input: { txt: 1 } }] }
        : results === 1
          ? { tools: [{ id: "second", name: "note", input: { text: "right" } }] }
          : { text: "Noted." },
    );
    expect(run).toMatchObject({ status: "done", output: "Noted.", tool_calls: 2 });
    expect(transcript.of("tool.refused")).toMatchObject([{ tool: "note", error: { code: "tool_denied" } }]);
    expect(transcript.of("tool.returned")).toMatchObject([{ output: "noted right" }]);
    expect(scripts.of("wrong arguments")[1]?.request.body).toContain("arguments do not fit");
    expect(tools(transcript.run).filter(({ what }) => what === "begun")).toHaveLength(1);
  });

  test("gives arguments that are no JSON: the same", timeout, async () => {
    const { transcript, run } = await runOf("worker", "no JSON", ({ results }) =>
      results === 0 ? { tools: [{ name: "note", input: '{"text": "half' }] } : { text: "I give up." },
    );
    expect(run).toMatchObject({ status: "done", output: "I give up." });
    expect(transcript.of("tool.refused")).toMatchObject([{ tool: "note", error: { code: "tool_denied" } }]);
  });

  test("makes the same wrong use twice: it ends as identical_failure", timeout, async () => {
    const { run } = await runOf("worker", "stuck", ({ results }) => ({ tools: [{ id: `u${results}`, name: "note", input: { txt: 1 } }] }));
    expect(run).toMatchObject({ status: "failed", error: { code: "identical_failure" }, calls: 2, tool_calls: 2 });
  });

  test("never stops: the agent's steps are the end of it", timeout, async () => {
    const { scripts } = world();
    const { transcript, run } = await runOf("worker", "endless", ({ results }) => ({
      tools: [{ id: `u${results}`, name: "note", input: { text: `${results}` } }],
    }));
    expect(run).toMatchObject({ status: "exhausted", error: { code: "limit_hit", details: { which: "steps" } }, steps: 6, calls: 6 });
    expect(transcript.of("limit.hit")).toMatchObject([{ which: "steps", limit: 6 }]);
    expect(scripts.of("endless")).toHaveLength(6);
  });
});

describe("a tool", () => {
  test("takes too long: it is stopped, the model is told, the run goes on", timeout, async () => {
    const { scripts, tools } = world();
    const { transcript, run } = await runOf("worker", "slow tool", ({ results }) =>
      results === 0 ? { tools: [{ name: "tardy", input: { text: "x" } }] } : { text: "Without it." },
    );
    expect(run).toMatchObject({ status: "done", output: "Without it." });
    expect(transcript.of("tool.failed")).toMatchObject([
      { tool: "tardy", error: { code: expect.any(String), message: expect.stringContaining("150 ms") } },
    ]);
    expect(transcript.of("tool.failed")[0]?.duration_ms).toBeGreaterThanOrEqual(149);
    expect(scripts.of("slow tool")[1]?.request.body).toContain("150 ms");
    expect(tools(transcript.run).map(({ what }) => what)).toEqual(["begun", "aborted"]);
  });
});

describe("a configuration", () => {
  test("without a price for its model is refused before anything starts", timeout, async () => {
    const cwd = newFolder();
    const config = {
      providers: { mine: { preset: "openai", base_url: "http://127.0.0.1:9/v1" } },
      tiers: { main: { provider: "mine", model: "unheard-of" } },
    };
    writeFileSync(join(cwd, "escapement.config.json"), JSON.stringify(config));
    const ended = await run({ cwd, args: ["serve"] });
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toMatch(/the price of mine\/unheard-of is not known.*invalid_request/s);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
  });
});

test("the operator was told of no defect", timeout, () => {
  expect(world().server.stderr()).toBe("");
});
