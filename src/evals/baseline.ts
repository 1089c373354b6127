/**
 * The baseline of an eval: what its scores were when somebody said that they are good. A file to commit: sorted, rounded, without times and
 * costs, so that its diff shows what changed in the answers and nothing else.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import { requirement } from "../protocol/requirement.ts";
import type { ModelReport, Report } from "./report.ts";
import { defaultTolerance, type Scorer } from "./scorer.ts";

const values = z.record(z.string(), z.number());
const baselineSchema = z.strictObject({
  version: z.literal(1),
  models: z.record(z.string(), z.strictObject({ scores: values, cases: z.record(z.string(), values) })),
});
export type Baseline = z.infer<typeof baselineSchema>;

/** Undefined where there is none. Throws `invalid_request` for a file that is something else. */
export function readBaseline(file: string): Baseline | undefined {
  if (!existsSync(file)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw refused(`${file} cannot be read: ${(error as Error).message}`);
  }
  const parsed = baselineSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  throw refused(`${file}: ${issue.path.join(".") || "it"} ${requirement(issue)}; make it again with --update-baseline`);
}

const refused = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "baseline" } });

/** Models that were not run keep what they had. */
export function writeBaseline(file: string, { models }: Report, before: Baseline | undefined): void {
  const all = { ...before?.models, ...Object.fromEntries(models.map((model) => [model.model, measured(model)])) };
  writeFileSync(file, `${JSON.stringify({ version: 1, models: sorted(all) }, null, 2)}\n`);
}

function measured({ scores, results }: ModelReport): Baseline["models"][string] {
  const means = Object.fromEntries(Object.entries(scores).map(([name, { mean }]) => [name, rounded(mean)]));
  return { scores: means, cases: Object.fromEntries(results.map((result) => [result.id, caseScores(result)])) };
}

/** Of each scorer, the mean over the attempts. */
function caseScores({ attempts, scores }: ModelReport["results"][number]): { [scorer: string]: number } {
  const all: { [scorer: string]: number[] } = {};
  for (const each of [...attempts.map((attempt) => attempt.scores), scores])
    for (const [name, { score }] of Object.entries(each)) {
      all[name] ??= [];
      all[name].push(score);
    }
  return Object.fromEntries(
    Object.entries(all).map(([name, list]) => [name, rounded(list.reduce((sum, score) => sum + score, 0) / list.length)]),
  );
}

const rounded = (score: number): number => Math.round(score * 10_000) / 10_000;

/** Members of all objects in it in the order of their names. */
function sorted<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)])) as T;
}

export type Comparison = {
  readonly model: string;
  readonly scorer: string;
  readonly mean: number | null;
  readonly min?: number;
  readonly baseline?: number;
  readonly tolerance: number;
  /** `unscored`: it had nothing to say about any case. */
  readonly verdict: "ok" | "new" | "fell" | "below_min" | "unscored";
  /** Cases that are worse than in the baseline. */
  readonly worse: readonly { readonly id: string; readonly from: number; readonly to: number }[];
};

export const isFailure = ({ verdict }: Comparison): boolean => verdict !== "ok" && verdict !== "new";

export function compare({ models }: Report, scorers: readonly Scorer[], baseline: Baseline | undefined): Comparison[] {
  return models.flatMap((model) => {
    const before = baseline?.models[model.model];
    const now = measured(model);
    return scorers.map(({ name, min, tolerance = defaultTolerance }) => {
      const mean = now.scores[name];
      const was = before?.scores[name];
      const worse = Object.entries(now.cases).flatMap(([id, scores]) => {
        const [from, to] = [before?.cases[id]?.[name], scores[name]];
        return from !== undefined && to !== undefined && to < from ? [{ id, from, to }] : [];
      });
      return {
        model: model.model,
        scorer: name,
        mean: mean ?? null,
        ...(min !== undefined && { min }),
        ...(was !== undefined && { baseline: was }),
        tolerance,
        verdict: verdictOf(mean, min, was, tolerance),
        worse,
      };
    });
  });
}

/** Differences of decimals are a little beside what they look like. */
const epsilon = 1e-9;

function verdictOf(mean: number | undefined, min: number | undefined, was: number | undefined, tolerance: number): Comparison["verdict"] {
  if (mean === undefined) return "unscored";
  if (was !== undefined && mean < was - tolerance - epsilon) return "fell";
  if (min !== undefined && mean < min - epsilon) return "below_min";
  return was === undefined ? "new" : "ok";
}
