/** What an eval found, as `--json` prints it: each answer with its scores, and their sums for each model. */
import type { Json } from "../protocol/json.ts";
import type { EndStatus } from "../protocol/run.ts";
import type { Scored } from "./scorer.ts";

export type Scores = { readonly [scorer: string]: Scored };

/** One run of a case. */
export type Attempt = {
  readonly run?: string;
  /** `refused_start`: it was not accepted. */
  readonly status: EndStatus | "refused_start";
  readonly output: Json;
  readonly error?: string;
  readonly cost_microusd: number;
  /** Of judges and embeddings. */
  readonly scorer_cost_microusd: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  /** From its acceptance to its end. */
  readonly duration_ms: number;
  readonly scores: Scores;
};
export type CaseResult = {
  readonly id: string;
  readonly attempts: readonly Attempt[];
  /** Of scorers that compare its attempts. */
  readonly scores: Scores;
};

export type ScoreSummary = { readonly mean: number; readonly passed: number; readonly scored: number; readonly reason?: string };

export type ModelReport = {
  /** A tier, or {@link asConfigured}. */
  readonly model: string;
  /** Those that were run as often as they should be. */
  readonly cases: number;
  readonly runs: number;
  /** That gave no answer. */
  readonly failed: number;
  readonly scores: { readonly [scorer: string]: ScoreSummary };
  /** The mean over the scorers, 0 to 1. */
  readonly quality: number;
  readonly cost_microusd: number;
  readonly scorer_cost_microusd: number;
  readonly cost_per_case_microusd: number;
  /** Of a run, divided by its quality in hundredths; null where the quality is 0. */
  readonly cost_per_point_microusd: number | null;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly latency_ms: { readonly p50: number; readonly p95: number } | null;
  readonly results: readonly CaseResult[];
};

export type Report = {
  readonly eval: string;
  readonly agent: string;
  readonly cases: number;
  readonly models: readonly ModelReport[];
  /** Why it ended before its last case. */
  readonly stopped?: string;
};

export const asConfigured = "as configured";

/** `dataset`: scores of scorers that look at all answers. */
export function modelReport(model: string, results: readonly CaseResult[], dataset: Scores): ModelReport {
  const attempts = results.flatMap((result) => result.attempts);
  const sum = (of: (attempt: Attempt) => number): number => attempts.reduce((total, attempt) => total + of(attempt), 0);
  const scores: { [scorer: string]: ScoreSummary } = {
    ...summaries([...attempts.map((attempt) => attempt.scores), ...results.map((result) => result.scores)]),
  };
  for (const [name, { score, pass, reason }] of Object.entries(dataset))
    scores[name] = { mean: score, passed: pass ? 1 : 0, scored: 1, reason };
  const means = Object.values(scores).map(({ mean }) => mean);
  const quality = means.length === 0 ? 0 : means.reduce((total, mean) => total + mean, 0) / means.length;
  const cost = sum(({ cost_microusd }) => cost_microusd);
  const perCase = attempts.length === 0 ? 0 : cost / attempts.length;
  const times = attempts.filter(({ status }) => status !== "refused_start").map(({ duration_ms }) => duration_ms);
  return {
    model,
    cases: results.length,
    runs: attempts.length,
    failed: attempts.filter(({ status }) => !isAnswered(status)).length,
    scores,
    quality,
    cost_microusd: cost,
    scorer_cost_microusd: sum(({ scorer_cost_microusd }) => scorer_cost_microusd),
    cost_per_case_microusd: perCase,
    cost_per_point_microusd: quality === 0 ? null : perCase / (100 * quality),
    input_tokens: sum(({ input_tokens }) => input_tokens),
    output_tokens: sum(({ output_tokens }) => output_tokens),
    latency_ms: times.length === 0 ? null : { p50: percentile(times, 0.5), p95: percentile(times, 0.95) },
    results,
  };
}

export const isAnswered = (status: string): boolean => status === "done" || status === "degraded";

function summaries(all: readonly Scores[]): { [scorer: string]: ScoreSummary } {
  const sums: { [scorer: string]: { sum: number; passed: number; scored: number } } = {};
  for (const scores of all)
    for (const [name, { score, pass }] of Object.entries(scores)) {
      sums[name] ??= { sum: 0, passed: 0, scored: 0 };
      sums[name].sum += score;
      sums[name].passed += pass ? 1 : 0;
      sums[name].scored++;
    }
  return Object.fromEntries(Object.entries(sums).map(([name, { sum, ...rest }]) => [name, { mean: sum / rest.scored, ...rest }]));
}

/** By nearest rank. */
function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
}

/** Least cost a case among the models whose quality is at most 2 % below the best. Undefined where nothing was judged. */
export function cheapestNearBest(models: readonly ModelReport[]): ModelReport | undefined {
  const best = Math.max(0, ...models.map(({ quality }) => quality));
  if (best === 0) return undefined;
  const near = models.filter(({ quality }) => quality >= best * 0.98 - 1e-9);
  return near.toSorted((a, b) => a.cost_per_case_microusd - b.cost_per_case_microusd || b.quality - a.quality)[0];
}
