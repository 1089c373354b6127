/** What is measured: the columns A to E, how much work each is, and the goals (the first step's) that ours is held against. */
import type { Way } from "./workload.ts";

/** `cpu`: CPU time of the whole process over a number of runs. `heap`: live memory mid-stream. `cancel`: when the provider saw sockets close. */
export type Kind = "cpu" | "heap" | "cancel";

/** Ours in one scenario: the absolute figure, its ratios, and what was left open (cancel only). */
export type Standing = { readonly value: number; readonly toFloor: number; readonly toSdk: number; readonly left: number };
export type Goal = { readonly label: string; readonly isMet: (ours: Standing) => boolean };

export type Scenario = {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly way: Way;
  readonly kind: Kind;
  /** Runs in flight; for `cancel`, cancels at once. */
  readonly width: number;
  /** `cpu`: the least time for which runs are started, so that fast and slow contestants are equally warm; else repetitions. */
  readonly warmup: number;
  /** As `warmup`, of what is measured. */
  readonly measured: number;
  /** What the figure is divided by, for each run. */
  readonly perRun: number;
  readonly goals: readonly Goal[];
};

const floorAtMost = (limit: number): Goal => ({ label: `≤ ${limit}× floor`, isMet: ({ toFloor }) => toFloor <= limit });
const thirdOfSdk: Goal = { label: "≤ ⅓ of the SDK", isMet: ({ toSdk }) => toSdk <= 1 / 3 };

export const scenarios: readonly Scenario[] = [
  {
    name: "A",
    title: "one JSON call, 200 tokens, 64 at once",
    unit: "µs CPU a run",
    way: "json",
    kind: "cpu",
    width: 64,
    warmup: 2_000,
    measured: 2_000,
    perRun: 1,
    goals: [floorAtMost(5), thirdOfSdk],
  },
  {
    name: "B",
    title: "streamed, 500 tokens in bursts of 50, 16 at once",
    unit: "µs CPU a token",
    way: "burst",
    kind: "cpu",
    width: 16,
    warmup: 2_000,
    measured: 2_000,
    perRun: 500,
    goals: [floorAtMost(1.6)],
  },
  {
    name: "B2",
    title: "streamed, paced, a token a segment, 50 at once",
    unit: "µs CPU a token",
    way: "paced",
    kind: "cpu",
    width: 50,
    warmup: 1_000,
    measured: 1_000,
    perRun: 250,
    goals: [floorAtMost(1.3)],
  },
  {
    name: "C",
    title: "loop, 5 tools and an answer, 64 at once",
    unit: "µs CPU a run",
    way: "loop",
    kind: "cpu",
    width: 64,
    warmup: 2_000,
    measured: 2_000,
    perRun: 1,
    goals: [floorAtMost(5), thirdOfSdk],
  },
  {
    name: "D",
    title: "mid-stream, 2,000 in flight",
    unit: "KiB heap a run",
    way: "hang",
    kind: "heap",
    width: 2_000,
    warmup: 1,
    measured: 1,
    perRun: 1,
    goals: [{ label: "≤ 24 KiB", isMet: ({ value }) => value <= 24 }],
  },
  {
    name: "E",
    title: "200 cancels at once, provider saw the close",
    unit: "ms p99",
    way: "hang",
    kind: "cancel",
    width: 200,
    warmup: 1,
    measured: 3,
    perRun: 1,
    goals: [
      { label: "≤ 25 ms", isMet: ({ value }) => value <= 25 },
      { label: "none left", isMet: ({ left }) => left === 0 },
    ],
  },
];

export const scenarioNamed = (name: string): Scenario => {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario "${name}"; there are ${scenarios.map((scenario) => scenario.name).join(", ")}`);
  return found;
};
