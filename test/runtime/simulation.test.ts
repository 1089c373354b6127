import { expect, test } from "vitest";
import { type Mutation, simulate } from "./simulation.ts";

/** The whole is `npm run simulate` (20,000 seeds). */
const seeds = Number(process.env.SIMULATION_SEEDS ?? 600);

test(`${seeds} histories with crashes, zombies and outages keep every promise`, { timeout: 600_000 }, async () => {
  const violations: string[] = [];
  let crashes = 0;
  let fenced = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      const tally = await simulate(seed);
      crashes += tally.crashes;
      fenced += tally.fenced;
    } catch (error) {
      violations.push(`seed ${seed}: ${error instanceof Error ? error.message : error}`);
    }
  }
  expect(violations).toEqual([]);
  // The histories were eventful enough to mean something.
  expect(crashes).toBeGreaterThan(seeds / 5);
  expect(fenced).toBeGreaterThan(seeds / 20);
});

/** How many seeds see a rule broken on purpose, of how many. */
const mutations: readonly [Mutation, seeds: number, least: number][] = [
  ["publish-early", 20, 20],
  ["start-early", 30, 10],
  ["no-fence", 600, 2],
];

for (const [mutation, of, least] of mutations) {
  test(`${mutation} is caught in at least ${least} of ${of} histories`, { timeout: 300_000 }, async () => {
    let caught = 0;
    for (let seed = 1; seed <= of; seed++) await simulate(seed, mutation).catch(() => caught++);
    expect(caught).toBeGreaterThanOrEqual(least);
  });
}
