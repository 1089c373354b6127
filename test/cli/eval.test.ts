/** `escapement eval` over eval files, a configuration and a provider behind HTTP: what it prints, writes, and exits with. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { runEval } from "../../src/cli/eval.ts";
import { inWords } from "../../src/cli/eval-words.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { endAll, newFolder, run } from "../whole-path/served.ts";

afterEach(endAll);

const entry = resolve(import.meta.dirname, "../../src/evals/index.ts");

/** Model `good` answers as it is asked to, `fair` gets one in four wrong, `poor` all; an output token costs 4, 1 and 1 micro-dollars. */
async function office() {
  const provider = await startFaultServer((request) => {
    const { model, messages } = request.json();
    const asked = messages.at(-1).content as string;
    const isWrong = model === "poor" || (model === "fair" && asked === "d");
    return chatScript(request, { text: isWrong ? "no" : `re:${asked}`, usage: { input: 1, output: 10 } });
  });
  onTestFinished(() => provider.close());
  const cwd = newFolder();
  const tier = (model: string, usd: number) => ({
    provider: "self",
    model,
    max_output_tokens: 20,
    price: { input_usd_per_mtok: 0, output_usd_per_mtok: usd },
  });
  const config = {
    providers: { self: { preset: "vllm", base_url: `${provider.url}/v1` } },
    tiers: { good: tier("good", 4), fair: tier("fair", 1), poor: tier("poor", 1) },
    agents: [{ name: "echo", machine: "single", tiers: ["good"] }],
  };
  const write = (name: string, content: string): string => {
    writeFileSync(join(cwd, name), content);
    return join(cwd, name);
  };
  const configFile = write("escapement.config.json", JSON.stringify(config));
  write("cases.jsonl", [..."abcd"].map((id) => JSON.stringify({ id, input: id, expect: `re:${id}` })).join("\n"));
  const evalOf = (name: string, more = "", scorers = "[exact()]"): string =>
    write(
      `${name}.eval.ts`,
      `import { defineEval, exact, regex } from ${JSON.stringify(entry)};\nexport default defineEval({ agent: "echo", dataset: "cases.jsonl", scorers: ${scorers}, ${more} });\n`,
    );
  return { cwd, config: configFile, write, evalOf, provider };
}

test("a baseline is written, held, and a fall is told with the cases that are worse", { timeout: 30_000 }, async () => {
  const { config, evalOf, write } = await office();
  const file = evalOf("sound");
  const first = await runEval(file, { config, updateBaseline: true });
  expect(first.comparisons).toMatchObject([{ verdict: "ok", mean: 1, baseline: 1 }]);
  expect(first.baselineFile).toMatch(/sound\.baseline\.json$/);
  const kept = readFileSync(first.baselineFile, "utf8");
  const again = await runEval(file, { config, updateBaseline: true });
  expect(readFileSync(again.baselineFile, "utf8")).toBe(kept);
  // The agent gets a model that errs.
  write("escapement.config.json", readFileSync(config, "utf8").replace('"tiers":["good"]', '"tiers":["fair"]'));
  const fallen = await runEval(file, { config });
  expect(fallen.comparisons).toMatchObject([{ verdict: "fell", mean: 0.75, worse: [{ id: "d", from: 1, to: 0 }] }]);
  expect(readFileSync(fallen.baselineFile, "utf8")).toBe(kept);
  const words = inWords(fallen.report, fallen.comparisons, fallen);
  expect(words).toMatch(/^exact +FELL +0\.750 +1\.000 +0\.020$/m);
  expect(words).toContain("Worse by exact: d (1.000 → 0.000)");
  expect(words).toContain('  d, exact: "no" is not "re:d"');
});

test("a matrix prints quality, cost a case and a point of each model, and the cheapest near the best", { timeout: 30_000 }, async () => {
  const { config, evalOf, provider } = await office();
  const { report, comparisons } = await runEval(evalOf("matrix", 'matrix: ["good", "fair"]'), { config, matrix: "good, fair, poor" });
  expect(
    report.models.map(({ model, quality, cost_per_case_microusd: cost, cost_per_point_microusd: point }) => [model, quality, cost, point]),
  ).toEqual([
    ["good", 1, 40, 0.4],
    ["fair", 0.75, 10, 10 / 75],
    ["poor", 0, 10, null],
  ]);
  expect(provider.book.entries.map(({ request }) => request.json().model)).toEqual(
    ["good", "fair", "poor"].flatMap((model) => Array(4).fill(model)),
  );
  const words = inWords(report, comparisons, { baselineFile: "", updated: false });
  expect(words).toMatch(/^fair +0\.750 +\$0\.00001 +0\.133 /m);
  expect(words).toContain("Cheapest within 2 % of the best: good (quality 1.000, $0.00004 a case).");
});

test("the budget of an eval is that of its whole matrix", { timeout: 30_000 }, async () => {
  const { config, evalOf } = await office();
  const { report, comparisons, updated } = await runEval(evalOf("poor", "budget_microusd: 150"), {
    config,
    matrix: "fair,good",
    updateBaseline: true,
  });
  expect(report.stopped).toMatch(/budget of 150 micro-dollars/);
  expect(report.models.map(({ model, cases }) => [model, cases === 4])).toEqual([
    ["fair", true],
    ["good", false],
  ]);
  expect(report.models.reduce((sum, { cost_microusd }) => sum + cost_microusd, 0)).toBeLessThanOrEqual(150);
  expect([comparisons, updated]).toEqual([[], false]);
});

test.each([
  ["another tier", { matrix: "best" }, /asks for the tier "best", which is not configured; there are: good, fair, poor/],
  ["a configuration that is not there", { config: "/nowhere/c.json" }, /there is no configuration file/],
])("%s is bad input", async (_, options, words) => {
  const { config, evalOf } = await office();
  await expect(runEval(evalOf("bad"), { config, ...options })).rejects.toMatchObject({
    code: "invalid_request",
    message: expect.stringMatching(words),
  });
});

test("it exits with 0 when all holds, 1 when a score is too low, 2 when the eval is wrong", { timeout: 60_000 }, async () => {
  const { cwd, evalOf, write } = await office();
  const good = await run({ cwd, args: ["eval", evalOf("good"), "--json"] });
  expect({ ...good, stdout: JSON.parse(good.stdout) }).toMatchObject({
    code: 0,
    stderr: "",
    stdout: { eval: "good", cases: 4, models: [{ scores: { exact: { mean: 1 } } }], comparisons: [{ verdict: "new" }] },
  });
  const low = await run({ cwd, args: ["eval", evalOf("low", "", '[regex("never", { min: 0.5 })]')] });
  expect([low.code, low.stdout]).toEqual([1, expect.stringMatching(/^regex +BELOW MIN +0\.000 +0\.020 +0\.500$|BELOW MIN/m)]);
  write("cases.jsonl", '{"id":"a","input":"a"}\n{"id":"b"}\n');
  const wrong = await run({ cwd, args: ["eval", evalOf("wrong")] });
  expect(wrong).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringMatching(/^escapement: .*cases\.jsonl:2: input .* \(invalid_request\)\n$/),
  });
});

test("the example runs offline, and holds its baseline", { timeout: 30_000 }, async () => {
  const { code, stdout } = await run({
    cwd: newFolder(),
    args: ["eval", resolve(import.meta.dirname, "../../examples/evals/hello.eval.ts")],
    env: { NODE_OPTIONS: "-C escapement-source" },
  });
  expect(stdout).toMatch(/^result +ok +1\.000 +1\.000 /m);
  expect(code).toBe(0);
});
