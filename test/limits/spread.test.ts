import { expect, test } from "vitest";
import { Spread } from "../../src/limits/spread.ts";
import { chance } from "../machines/inputs.ts";

/** From 0 to below 1, the same for the same seed. */
const seeded = (seed: number): (() => number) => {
  const pick = chance(seed);
  return () => pick(2 ** 30) / 2 ** 30;
};
const route = (provider: string, weight?: number) => ({ provider, model: "m", ...(weight !== undefined && { weight }) });

test("spreads 10,000 calls by weight, within four standard deviations", () => {
  const spread = new Spread(seeded(1));
  const routes = [route("a", 60), route("b", 40)];
  let first = 0;
  for (let i = 0; i < 10_000; i++) if (spread.order(routes, `r${i}`, false)[0]?.provider === "a") first++;
  expect(Math.abs(first - 6_000)).toBeLessThan(4 * Math.sqrt(10_000 * 0.6 * 0.4));
});

test("the routes that are left share what is left by their weights too", () => {
  const spread = new Spread(seeded(2));
  const routes = [route("a", 8), route("b", 1), route("c", 1)];
  let second = 0;
  let all = 0;
  for (let i = 0; i < 10_000; i++) {
    const [one, two] = spread.order(routes, "", false);
    if (one?.provider !== "a") continue;
    all++;
    if (two?.provider === "b") second++;
  }
  expect(Math.abs(second - all / 2)).toBeLessThan(4 * Math.sqrt(all / 4));
});

test("a retry tries the route of its last call last, and a new request does not", () => {
  const spread = new Spread(seeded(3));
  const routes = [route("a", 1_000), route("b")];
  spread.took(route("a"), "r1");
  for (let i = 0; i < 20; i++) expect(spread.order(routes, "r1", true).map(({ provider }) => provider)).toEqual(["b", "a"]);
  expect(spread.order(routes, "r1", false)[0]?.provider).toBe("a");
  expect(spread.order(routes, "r2", true)[0]?.provider).toBe("a");
});

test("remembers a bounded number of requests", () => {
  const spread = new Spread(seeded(4));
  for (let i = 0; i < 10_001; i++) spread.took(route("a"), `r${i}`);
  expect([spread.lastOf("r0"), spread.lastOf("r1")]).toEqual([undefined, { provider: "a", model: "m" }]);
});
