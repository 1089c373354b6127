/** From the figures of all rounds to medians, ratios and a table. */
import { type ContestantName, contestantNames, contestants, isOurs } from "./contestant.ts";
import type { Figure } from "./measure.ts";
import type { Scenario } from "./scenarios.ts";

/** What one contestant did in one scenario; index = round, null = it failed there. */
export type Results = Map<ContestantName, (Figure | null)[]>;

export type Row = {
  readonly contestant: ContestantName;
  /** Median of the rounds, in the scenario's unit; null when no round succeeded. */
  readonly median: number | null;
  readonly values: readonly number[];
  /** Medians of the ratios within each round, which are steadier than ratios of medians on a shared machine. */
  readonly toFloor: number | null;
  readonly toSdk: number | null;
  readonly left: number;
  readonly rssKiB?: number;
  readonly wallMs: number | null;
  /** Only ours is held against goals. */
  readonly goals: readonly { readonly label: string; readonly met: boolean }[];
};
export type Section = { readonly name: string; readonly title: string; readonly unit: string; readonly rows: readonly Row[] };

export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function summarise(scenario: Scenario, results: Results): Section {
  const ratios = (name: ContestantName, base: ContestantName): number | null => {
    const pairs = (results.get(name) ?? []).map((figure, round) => [figure, results.get(base)?.[round]] as const);
    return median(pairs.flatMap(([own, other]) => (own && other ? [own.value / other.value] : [])));
  };
  const row = (name: ContestantName): Row => {
    const figures = (results.get(name) ?? []).filter((figure) => figure !== null);
    const value = median(figures.map((figure) => figure.value));
    const toFloor = ratios(name, "floor");
    const toSdk = ratios(name, "openai-sdk");
    const left = Math.max(0, ...figures.map((figure) => figure.left));
    const rssKiB = median(figures.flatMap((figure) => figure.rssKiB ?? []));
    // A ratio that was not measured meets nothing.
    const standing = { value: value ?? Number.NaN, toFloor: toFloor ?? Number.NaN, toSdk: toSdk ?? Number.NaN, left };
    return {
      contestant: name,
      median: value,
      values: figures.map((figure) => figure.value),
      toFloor,
      toSdk,
      left,
      ...(rssKiB === null ? {} : { rssKiB }),
      wallMs: median(figures.map((figure) => figure.wallMs)),
      goals: isOurs(name) ? scenario.goals.map((goal) => ({ label: goal.label, met: goal.isMet(standing) })) : [],
    };
  };
  return {
    name: scenario.name,
    title: scenario.title,
    unit: scenario.unit,
    rows: contestantNames.filter((name) => results.has(name)).map(row),
  };
}

/** Three digits that matter. */
export function short(value: number | null): string {
  if (value === null) return "–";
  if (!Number.isFinite(value)) return "never";
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(value >= 10 ? 1 : 2);
}

export function renderSection(section: Section): string {
  const cancels = section.rows.some((row) => row.left > 0) || section.unit === "ms p99";
  const lines = section.rows.map((row) => [
    `  ${contestants[row.contestant].title}`,
    short(row.median) + (cancels ? ` / ${row.left} left` : ""),
    row.values.length === 0 ? "failed" : `${short(Math.min(...row.values))} … ${short(Math.max(...row.values))}`,
    short(row.toFloor),
    short(row.toSdk),
    [
      ...row.goals.map((goal) => `${goal.label}: ${goal.met ? "yes" : "NO"}`),
      ...(row.rssKiB === undefined ? [] : [`(resident ${short(row.rssKiB)} KiB a run)`]),
    ].join(" · "),
  ]);
  const head = ["", section.unit, "min … max", "× floor", "× SDK", "goal"];
  const widths = head.map((cell, column) => Math.max(cell.length, ...lines.map((line) => line[column]!.length)));
  const render = (line: readonly string[]): string =>
    line
      .map((cell, column) => (column === 0 || column === 5 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd();
  return [`${section.name}: ${section.title}`, render(head), ...lines.map(render), ""].join("\n");
}
