import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Baseline, compare, isFailure, readBaseline, writeBaseline } from "../../src/evals/baseline.ts";
import { type Attempt, type CaseResult, cheapestNearBest, modelReport, type Report } from "../../src/evals/report.ts";
import { exact } from "../../src/evals/scorers/exact.ts";

const attempt = (score: number, more: Partial<Attempt> = {}): Attempt => ({
  status: "done",
  output: "x",
  cost_microusd: 10,
  scorer_cost_microusd: 1,
  input_tokens: 5,
  output_tokens: 2,
  duration_ms: 100,
  scores: { exact: { score, pass: score === 1, reason: "" } },
  ...more,
});
const reportOf = (scores: { [id: string]: number[] }, model = "as configured"): Report => {
  const results: CaseResult[] = Object.entries(scores).map(([id, each]) => ({
    id,
    attempts: each.map((score) => attempt(score)),
    scores: {},
  }));
  return { eval: "e", agent: "a", cases: results.length, models: [modelReport(model, results, {})] };
};
const newFile = () => join(mkdtempSync(join(tmpdir(), "escapement-baseline-")), "e.baseline.json");
const baselineOf = (report: Report, before?: Baseline): Baseline => {
  const file = newFile();
  writeBaseline(file, report, before);
  return readBaseline(file) as Baseline;
};

describe("a baseline", () => {
  it("is sorted and rounded, says nothing of costs and times, and is the same for the same scores in another order", () => {
    const [one, other] = [newFile(), newFile()];
    writeBaseline(one, reportOf({ b: [1, 0, 0], a: [1] }), undefined);
    writeBaseline(other, reportOf({ a: [1], b: [0, 0, 1] }), undefined);
    expect(readFileSync(one, "utf8")).toBe(readFileSync(other, "utf8"));
    expect(readFileSync(one, "utf8")).toBe(
      `${JSON.stringify({ models: { "as configured": { cases: { a: { exact: 1 }, b: { exact: 0.3333 } }, scores: { exact: 0.5 } } }, version: 1 }, null, 2)}\n`.replace(
        /^\{\n {2}"models"([\s\S]*),\n {2}"version": 1\n\}\n$/,
        '{\n  "version": 1,\n  "models"$1\n}\n',
      ),
    );
  });

  it("keeps what it had of models that were not run", () => {
    const before = baselineOf(reportOf({ a: [1] }, "strong"));
    expect(Object.keys(baselineOf(reportOf({ a: [0] }, "cheap"), before).models)).toEqual(["cheap", "strong"]);
  });

  it("that is something else is refused with its name", () => {
    const file = newFile();
    expect(readBaseline(file)).toBeUndefined();
    for (const content of ["no JSON", "{}", '{"version":2,"models":{}}']) {
      writeFileSync(file, content);
      expect(() => readBaseline(file)).toThrow(file);
    }
  });
});

describe("a comparison", () => {
  const base = baselineOf(reportOf({ a: [1], b: [1], c: [1], d: [0] }));
  const verdict = (report: Report, options: Parameters<typeof exact>[0] = {}, baseline: Baseline | undefined = base) =>
    compare(report, [exact(options)], baseline)[0];

  it("tells a fall beyond the tolerance, and the cases that are worse", () => {
    const fallen = verdict(reportOf({ a: [1], b: [0], c: [1], d: [0] }));
    expect(fallen).toMatchObject({ verdict: "fell", mean: 0.5, baseline: 0.75, tolerance: 0.02, worse: [{ id: "b", from: 1, to: 0 }] });
    expect(verdict(reportOf({ a: [1], b: [0], c: [1], d: [0] }), { tolerance: 0.25 })?.verdict).toBe("ok");
    expect(verdict(reportOf({ a: [1], b: [0], c: [1], d: [0] }), { tolerance: 0.24 })?.verdict).toBe("fell");
  });

  it("of the very scores that were written finds nothing, also with thirds and no tolerance", () => {
    const report = reportOf({ a: [1, 0, 0], b: [1, 1, 0], c: [0.1, 0.2, 0.3] });
    expect(verdict(report, { tolerance: 0 }, baselineOf(report))).toMatchObject({ verdict: "ok", worse: [] });
  });

  it("tells a mean below `min`, a scorer without a baseline, and one that scored nothing", () => {
    expect(verdict(reportOf({ a: [0.5] }), { min: 0.6, tolerance: 1 })?.verdict).toBe("below_min");
    expect(compare(reportOf({ a: [1] }), [exact()], undefined)[0]).toMatchObject({ verdict: "new" });
    const none = compare(reportOf({ a: [1] }), [exact({ name: "other" })], base)[0];
    expect(none).toMatchObject({ verdict: "unscored", mean: null });
    expect([none, verdict(reportOf({ a: [0] }))].map((one) => one && isFailure(one))).toEqual([true, true]);
  });
});

describe("a report", () => {
  it("sums costs, tokens and times, and counts who gave no answer", () => {
    const results: CaseResult[] = Array.from({ length: 20 }, (_, i) => ({
      id: String(i),
      attempts: [attempt(i < 10 ? 1 : 0, { duration_ms: i + 1, ...(i === 19 && { status: "failed" }) })],
      scores: {},
    }));
    expect(modelReport("m", results, { calibration: { score: 0.9, pass: true, reason: "r" } })).toMatchObject({
      cases: 20,
      runs: 20,
      failed: 1,
      scores: { exact: { mean: 0.5, passed: 10, scored: 20 }, calibration: { mean: 0.9, reason: "r" } },
      quality: 0.7,
      cost_microusd: 200,
      scorer_cost_microusd: 20,
      cost_per_case_microusd: 10,
      cost_per_point_microusd: 10 / 70,
      input_tokens: 100,
      output_tokens: 40,
      latency_ms: { p50: 10, p95: 19 },
    });
  });

  it("names the cheapest model within 2 % of the best", () => {
    const model = (name: string, score: number, cost: number) =>
      modelReport(name, [{ id: "a", attempts: [attempt(score, { cost_microusd: cost })], scores: {} }], {});
    const all = [model("best", 1, 100), model("near", 0.98, 10), model("far", 0.979, 1)];
    expect(cheapestNearBest(all)?.model).toBe("near");
    expect(cheapestNearBest([model("nothing", 0, 1)])).toBeUndefined();
    expect(cheapestNearBest([])).toBeUndefined();
  });
});
