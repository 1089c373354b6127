/** An outage and an unreliable primary, in a small size; `npm run outage` plays the whole. */
import { expect, test } from "vitest";
import { lostOf, mixedFaults, outage } from "./outage.ts";

const timeout = { timeout: 120_000 };

test.for(["503", "silent"] as const)("a minute of outage (%s): everything is answered by the next tier", timeout, async (way) => {
  const { tally, calls, retries, openedAfterMs, closedAfterProbes } = await outage(way, 60);
  expect(tally.lost).toEqual({});
  expect(tally.by.second).toBeGreaterThan(0);
  // 10 are always allowed in a window, and a play touches two.
  expect(retries).toBeLessThanOrEqual(Math.max(20, 0.1 * calls));
  expect(openedAfterMs).toBeLessThanOrEqual(50);
  // None, where the one that was out as it healed has closed it.
  expect(closedAfterProbes).toBeLessThanOrEqual(1);
});

test("a fifth of the primary's answers broken before their first byte: all are answered", timeout, async () => {
  const { tally, calls, broken, retries } = await mixedFaults(300, 100);
  expect(broken / calls).toBeGreaterThan(0.1);
  expect(lostOf(tally), JSON.stringify(tally.lost)).toBe(0);
  expect(tally.by.first).toBeGreaterThan(200);
  // The share holds in each window, where the first 10 are always allowed.
  expect(retries).toBeLessThanOrEqual(0.1 * calls + 10);
});
