/** Evals through the real runtime: a provider wire, a store, budgets. Both providers and runtimes close with the test. */
import { expect, test } from "vitest";
import { z } from "zod";
import { defaultAgents } from "../../src/config/agents.ts";
import { checkInline } from "../../src/evals/dataset.ts";
import { defineEval, type EvalOptions } from "../../src/evals/definition.ts";
import { evaluate } from "../../src/evals/evaluate.ts";
import { consistency, exact, judge, regex } from "../../src/evals/index.ts";
import { asConfigured } from "../../src/evals/report.ts";
import { Spend } from "../../src/evals/spend.ts";
import { variantOf } from "../../src/evals/variant.ts";
import { agent, chain, fanOut, tool } from "../../src/index.ts";
import { json } from "../../src/testing/fault-script.ts";
import { type Model, world } from "../runtime/world.ts";

/** An output token costs a micro-dollar; `usage` says how many there are. */
const tier = (model: string) => ({
  provider: "self",
  model,
  max_output_tokens: 20,
  price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 },
});
const plain = agent({ name: "plain", machine: "single", tiers: ["main"] });
const cases = (...inputs: string[]) => inputs.map((input) => ({ id: input, input, expect: `re:${input}` }));

/** What the user said last. */
function asked(request: Parameters<Model>[0]): string {
  const { messages } = JSON.parse(request.body) as { messages: { role: string; content: string }[] };
  return messages.findLast(({ role }) => role === "user")?.content ?? "";
}
const echo: Model = (request) => ({ text: `re:${asked(request)}`, usage: { input: 3, output: 5 } });

async function evaluated(model: Model, options: Partial<EvalOptions> & Pick<EvalOptions, "dataset" | "scorers">, more = {}) {
  const definition = defineEval({ agent: plain, ...options });
  const config = { tiers: { main: tier("m"), other: tier("o") }, ...more };
  const tierName = definition.matrix?.[0];
  const { runtime, provider } = await world(model, variantOf(definition, config, defaultAgents, tierName));
  const spend = new Spend(definition.budget_microusd);
  const { scorers } = definition;
  const found = await evaluate(definition, checkInline(definition.dataset as []), {
    runtime,
    scorers,
    spend,
    model: tierName ?? asConfigured,
    signal: new AbortController().signal,
  });
  return { ...found, runtime, provider, spend };
}

test("each case is run and scored; cost, tokens and times are summed", async () => {
  const { report, stopped } = await evaluated(echo, {
    dataset: [...cases("a", "b"), { id: "c", input: "c", expect: "no" }],
    scorers: [exact(), regex("^re:")],
  });
  expect(stopped).toBeUndefined();
  expect(report).toMatchObject({
    cases: 3,
    runs: 3,
    failed: 0,
    scores: { exact: { mean: expect.closeTo(2 / 3), passed: 2, scored: 3 }, regex: { mean: 1 } },
    cost_microusd: 15,
    cost_per_case_microusd: 5,
    scorer_cost_microusd: 0,
    input_tokens: 9,
    output_tokens: 15,
  });
  expect(report.latency_ms?.p95).toBeGreaterThanOrEqual(report.latency_ms?.p50 ?? Number.NaN);
  expect(report.results.map(({ id, attempts }) => [id, attempts[0]?.output, attempts[0]?.scores.exact?.pass])).toEqual([
    ["a", "re:a", true],
    ["b", "re:b", true],
    ["c", "re:c", false],
  ]);
});

test("a run that fails scores 0 with its reason, and the others go on", async () => {
  const model: Model = (request) =>
    asked(request) === "b" ? json(400, { error: { message: "bad", type: "invalid_request_error" } }) : echo(request);
  const { report } = await evaluated(model, { dataset: cases("a", "b", "c"), scorers: [exact()] });
  expect(report).toMatchObject({ cases: 3, failed: 1, scores: { exact: { passed: 2, scored: 3 } } });
  expect(report.results[1]?.attempts[0]).toMatchObject({
    status: "failed",
    scores: { exact: { score: 0, reason: expect.stringMatching(/^the run ended as failed: /) } },
  });
});

test("a case is repeated, and how far its answers agree is scored", async () => {
  let calls = 0;
  const model: Model = (request) => (asked(request) === "a" ? echo(request) : { text: `guess ${++calls}` });
  const { report } = await evaluated(model, { dataset: cases("a", "b"), scorers: [consistency()], repeat: 3 });
  expect(report.runs).toBe(6);
  expect(report.results.map(({ scores }) => scores.consistency?.score)).toEqual([1, 0]);
  expect(() => defineEval({ agent: plain, dataset: cases("a"), scorers: [consistency()] })).toThrow(/repeat: 2/);
});

test("at most `concurrency` runs are under way", async () => {
  let now = 0;
  let most = 0;
  const model: Model = async (request) => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => setImmediate(resolve));
    now--;
    return echo(request);
  };
  const { report } = await evaluated(model, { dataset: cases(..."abcdefgh"), scorers: [exact()], concurrency: 2 });
  expect(report.scores.exact?.mean).toBe(1);
  expect(most).toBe(2);
});

test("the budget stops the eval before it is passed; cases that were run keep their scores", async () => {
  const options = { dataset: cases(..."abcdefgh"), scorers: [exact()], concurrency: 3, budget_microusd: 36 };
  const { report, stopped, spend } = await evaluated(echo, options);
  expect(stopped).toMatch(/^the eval's budget of 36 micro-dollars does not cover the next run \(\d+ spent\): raise budget_microusd/);
  expect(spend.spent).toBeLessThanOrEqual(36);
  // Answers cost 5 each; a call that may cost less than its least number of tokens is not made.
  expect(spend.spent).toBeGreaterThan(15);
  expect(report).toMatchObject({ runs: report.cases, failed: 0, scores: { exact: { mean: 1 } }, cost_microusd: 5 * report.cases });
  expect(spend.spent).toBe(report.cost_microusd);
});

test("a judge's runs have the eval's budget, its cost is told apart, and one that does not answer scores 0", async () => {
  const model: Model = (request) => {
    const text = asked(request);
    if (!text.startsWith('{"question"')) return echo(request);
    const { question, expected, answer } = JSON.parse(text);
    if (question === "b") return json(400, { error: { message: "no", type: "invalid_request_error" } });
    return { text: JSON.stringify({ reason: "so it is", score: answer === expected ? 0.9 : 0.1 }), usage: { input: 1, output: 7 } };
  };
  const quality = judge({ tier: "other", criteria: "It repeats the question.", name: "quality" });
  const { report, spend } = await evaluated(model, {
    dataset: [...cases("a", "b"), { id: "c", input: "c", expect: "no" }],
    scorers: [quality],
  });
  const of = (i: number) => report.results[i]?.attempts[0]?.scores.quality;
  expect(of(0)).toEqual({ score: 0.9, pass: true, reason: "so it is" });
  expect(of(1)).toMatchObject({
    score: 0,
    pass: false,
    reason: expect.stringMatching(/^could not be scored: eval-quality ended as failed/),
  });
  expect(of(2)).toMatchObject({ score: 0.1, pass: false });
  expect(report).toMatchObject({ cost_microusd: 15, scorer_cost_microusd: 14 });
  expect(spend.spent).toBe(29);
});

test("caches are off unless the eval says otherwise", async () => {
  const cached = agent({ name: "plain", machine: "single", tiers: ["main"], cache: { exact: {} } });
  const options = { agent: cached, dataset: cases("a"), scorers: [exact()], repeat: 3, concurrency: 1 };
  const inMemory = { store: { path: ":memory:" } };
  expect((await evaluated(echo, options, inMemory)).provider.book.entries).toHaveLength(3);
  expect((await evaluated(echo, { ...options, cache: true }, inMemory)).provider.book.entries).toHaveLength(1);
});

test("each agent in a pattern, and each that is a tool, is changed alike", () => {
  const leaf = agent({ name: "leaf", description: "Helps.", tiers: ["main"], cache: { exact: {} } });
  const boss = agent({ name: "boss", tiers: ["main", "other"], tools: ["clock", leaf], escalate_below: 0.5 });
  const merge = agent({ name: "merge", tiers: ["main"] });
  const deep = chain({
    name: "deep",
    stages: [{ agent: fanOut({ name: "drafts", branches: { agent: leaf, times: 2 }, aggregate: { merge } }) }, boss],
  });
  const [found] =
    variantOf(defineEval({ agent: deep, dataset: cases("a"), scorers: [exact()] }), { agents: [] }, defaultAgents, "other").agents ?? [];
  const text = JSON.stringify(found);
  expect(text.match(/"tiers":\["other"\]/g)).toHaveLength(4);
  expect(text).not.toMatch(/"main"|"cache"|escalate_below/);
  expect(found).toMatchObject({
    kind: "chain",
    stages: [{ agent: { kind: "fan-out", branches: { times: 2 } } }, { name: "boss", tools: ["clock", { name: "leaf" }] }],
  });
});

test("a tier of a matrix is the only one that the agent uses", async () => {
  const both = agent({ name: "plain", machine: "single", tiers: ["main", { tier: "other", instructions: "Only for other." }] });
  const { provider, report } = await evaluated(echo, { agent: both, dataset: cases("a"), scorers: [exact()], matrix: ["other"] });
  const body = JSON.parse(provider.book.entries[0]?.request.body ?? "");
  expect([body.model, body.messages[0]?.content, report.model]).toEqual(["o", "Only for other.", "other"]);
});

test("what a run asks of a person is agreed to where the eval says so, else ends it", async () => {
  const deploy = tool({
    name: "deploy",
    description: "Deploys.",
    class: "once",
    approval: true,
    input: z.object({}),
    run: () => "deployed",
  });
  const ops = agent({ name: "ops", tiers: ["main"], tools: ["hands"] });
  const model: Model = (request) => (request.body.includes("deployed") ? { text: "done" } : { tools: [{ name: "deploy", input: {} }] });
  const options = { agent: ops, dataset: [{ id: "a", input: "deploy it", expect: "done" }], scorers: [exact()] };
  const more = { tools: { hands: [deploy] } };
  expect((await evaluated(model, { ...options, approve: true }, more)).report.scores.exact?.mean).toBe(1);
  const alone = (await evaluated(model, options, more)).report;
  expect(alone.results[0]?.attempts[0]?.status).toBe("cancelled");
  expect(alone.scores.exact?.mean).toBe(0);
});

test("a case that the agent does not take is told before anything runs", async () => {
  const strict = agent({ name: "plain", machine: "single", tiers: ["main"], input: z.object({ topic: z.string() }) });
  const dataset = [
    { id: "a", input: { topic: "x" } },
    { id: "b", input: { subject: "x" } },
  ];
  await expect(evaluated(echo, { agent: strict, dataset, scorers: [regex("x")] })).rejects.toMatchObject({
    code: "invalid_request",
    message: expect.stringMatching(/^dataset\[1\]: agent "plain" takes another input: input\.topic /),
  });
});
