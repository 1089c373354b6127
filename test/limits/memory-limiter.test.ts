/** The limiter in memory: the contract, and its bound of keys. */
import { describe, expect, test } from "vitest";
import { slices } from "../../src/limits/limiter.ts";
import { MemoryLimiter } from "../../src/limits/memory-limiter.ts";
import { limiterContract } from "./limiter-contract.ts";

describe("the limiter in memory", () => limiterContract(async () => new MemoryLimiter()));

const windowMs = 1_000;
const take = (limiter: MemoryLimiter, key: string, limit = 10) => limiter.takeNow([{ key, limit, windowMs, amount: 1 }]);

test("keys that are over make room; one in use is never dropped for another", () => {
  let now = 0;
  const limiter = new MemoryLimiter(() => now, 3);
  for (const key of ["a", "b", "c"]) expect(take(limiter, key).admitted).toBe(true);
  expect(take(limiter, "d")).toMatchObject({ admitted: false, retryAfterMs: windowMs * (1 + 1 / slices) });
  expect(take(limiter, "a").admitted).toBe(true);
  now = windowMs * (1 + 1 / slices) - 1;
  expect(take(limiter, "d").admitted).toBe(false);
  now++;
  expect(take(limiter, "d").admitted).toBe(true);
  expect(limiter.size).toBeLessThanOrEqual(3);
});

test("looking makes no key", () => {
  const limiter = new MemoryLimiter(() => 0, 3);
  for (let i = 0; i < 10; i++) limiter.takeNow([{ key: `look ${i}`, limit: 1, windowMs, amount: 0 }]);
  expect(limiter.size).toBe(0);
});

test("a window slides slice by slice: exact to the slice, at any time", () => {
  let now = 0;
  const limiter = new MemoryLimiter(() => now);
  const admitted: number[] = [];
  // Steps that fit no slice.
  for (; now < 5_000; now += 13) if (take(limiter, "a", 7).admitted) admitted.push(now);
  for (let i = 7; i < admitted.length; i++) expect((admitted[i] as number) - (admitted[i - 7] as number)).toBeGreaterThanOrEqual(windowMs);
  // At most a slice and a step are lost in each window.
  expect(admitted.length).toBeGreaterThanOrEqual(7 * Math.floor(5_000 / (windowMs * (1 + 1 / slices) + 13)));
});
