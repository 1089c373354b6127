/** An eval's report for people: a table of the models, what each scorer says, and the cases that are worse than they were. */
import { type Comparison, isFailure } from "../evals/baseline.ts";
import { cheapestNearBest, type ModelReport, type Report } from "../evals/report.ts";
import { dollars } from "../money/dollars.ts";
import { oneLine } from "../safety/one-line.ts";
import { table } from "./table.ts";

type About = { readonly baselineFile: string; readonly updated: boolean };

/** Cases that are named of each scorer. */
const named = 5;

export function inWords(report: Report, comparisons: readonly Comparison[], { baselineFile, updated }: About): string {
  const { models, stopped } = report;
  const runs = models.reduce((sum, model) => sum + model.runs, 0);
  const lines = [`${report.eval}: ${report.cases} cases of "${report.agent}", ${runs} runs`, "", ...modelTable(models), ""];
  if (models.length > 1) lines.push(...cheapest(models), "");
  if (stopped !== undefined) lines.push(`Stopped: ${stopped}. What is shown are the cases that were run; nothing is compared.`);
  else lines.push(...verdicts(comparisons, models.length > 1), "", ...wrong(models));
  if (updated) lines.push(`Baseline written: ${baselineFile}`);
  else if (stopped === undefined && comparisons.every(({ baseline }) => baseline === undefined))
    lines.push("There is no baseline: --update-baseline keeps these scores as one.");
  return `${lines.join("\n").trimEnd()}\n`;
}

function modelTable(models: readonly ModelReport[]): readonly string[] {
  const head = ["model", "quality", "cost a case", "µ$ a point", "judges", "tokens in", "tokens out", "p50 ms", "p95 ms", "failed"];
  const row = (model: ModelReport): string[] => [
    model.model,
    share(model.quality),
    dollars(model.cost_per_case_microusd),
    model.cost_per_point_microusd === null ? "" : significant(model.cost_per_point_microusd),
    dollars(model.scorer_cost_microusd),
    number(model.input_tokens),
    number(model.output_tokens),
    model.latency_ms === null ? "" : number(model.latency_ms.p50),
    model.latency_ms === null ? "" : number(model.latency_ms.p95),
    number(model.failed),
  ];
  return table([head, ...models.map(row)], 1);
}

function cheapest(models: readonly ModelReport[]): readonly string[] {
  const found = cheapestNearBest(models);
  if (!found) return ["No model has a quality above 0."];
  return [
    `Cheapest within 2 % of the best: ${found.model} (quality ${share(found.quality)}, ${dollars(found.cost_per_case_microusd)} a case).`,
  ];
}

function verdicts(comparisons: readonly Comparison[], isMatrix: boolean): readonly string[] {
  const head = [...(isMatrix ? ["model"] : []), "scorer", "verdict", "score", "baseline", "tolerance", "min"];
  const row = ({ model, scorer, verdict, mean, baseline, tolerance, min }: Comparison): string[] => [
    ...(isMatrix ? [model] : []),
    scorer,
    words[verdict],
    mean === null ? "" : share(mean),
    baseline === undefined ? "" : share(baseline),
    share(tolerance),
    min === undefined ? "" : share(min),
  ];
  const lines = [...table([head, ...comparisons.map(row)], isMatrix ? 3 : 2)];
  for (const { scorer, model, worse } of comparisons.filter(isFailure))
    if (worse.length > 0) {
      const told = worse.slice(0, named).map(({ id, from, to }) => `${oneLine(id)} (${share(from)} → ${share(to)})`);
      const more = worse.length > named ? `, and ${worse.length - named} more` : "";
      lines.push(`Worse by ${scorer}${isMatrix ? ` on ${model}` : ""}: ${told.join(", ")}${more}`);
    }
  return lines;
}

const words: { readonly [verdict in Comparison["verdict"]]: string } = {
  ok: "ok",
  new: "no baseline",
  fell: "FELL",
  below_min: "BELOW MIN",
  unscored: "NOTHING SCORED",
};

/** The first answers that did not pass, with the reason. */
function wrong(models: readonly ModelReport[]): readonly string[] {
  const failures = models.flatMap(({ model, results }) =>
    results.flatMap(({ id, attempts, scores }) =>
      [...attempts.map((attempt) => attempt.scores), scores].flatMap((each) =>
        Object.entries(each).flatMap(([scorer, { pass, reason }]) => (pass ? [] : [{ model, id, scorer, reason }])),
      ),
    ),
  );
  if (failures.length === 0) return [];
  const lines = failures
    .slice(0, 2 * named)
    .map(({ model, id, scorer, reason }) => `  ${models.length > 1 ? `${model}: ` : ""}${oneLine(id)}, ${scorer}: ${oneLine(reason)}`);
  const more = failures.length > lines.length ? [`  and ${failures.length - lines.length} more (--json has all)`] : [];
  return ["Did not pass:", ...lines, ...more, ""];
}

const share = (value: number): string => value.toFixed(3);
/** Micro-dollars: most are less than one. */
const significant = (n: number): string => Number(n.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 9 });
const number = (n: number): string => Math.round(n).toLocaleString("en-US");
