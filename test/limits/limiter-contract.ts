/** What every limiter keeps: the suite of the contract, to be run on each. Windows are short, and no test depends on how short. */
import { expect, test } from "vitest";
import { type Limiter, slices, type Taking, type Window } from "../../src/limits/limiter.ts";

export function limiterContract(make: () => Promise<Limiter>): void {
  const one = (key: string, limit: number, amount = 1, windowMs = 60_000): Window => ({ key, limit, windowMs, amount });
  const left = (taking: Taking): number[] => taking.standings.map(({ remaining }) => remaining);

  test("admits up to the limit, says what remains, and refuses the next with the time to wait", async () => {
    const limiter = await make();
    expect(await limiter.take([one("a", 2)])).toMatchObject({ admitted: true, standings: [{ remaining: 1 }] });
    expect(await limiter.take([one("a", 2)])).toMatchObject({ admitted: true, standings: [{ remaining: 0 }] });
    const refused = await limiter.take([one("a", 2)]);
    expect(refused).toMatchObject({ admitted: false, window: 0, standings: [{ remaining: 0 }] });
    if (refused.admitted) return;
    expect(refused.retryAfterMs).toBeGreaterThan(57_000 - 2_000);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(60_000 * (1 + 1 / slices));
    expect(refused.standings[0]?.resetMs).toBe(refused.retryAfterMs);
    expect(await limiter.take([one("b", 2)])).toMatchObject({ admitted: true });
  });

  test("admits exactly the limit of many at once", async () => {
    const limiter = await make();
    const takings = await Promise.all(Array.from({ length: 200 }, () => limiter.take([one("crowd", 60)])));
    expect(takings.filter(({ admitted }) => admitted)).toHaveLength(60);
  });

  test("takes from all windows or from none", async () => {
    const limiter = await make();
    const refused = await limiter.take([one("user", 10), one("key", 0), one("tokens", 100, 50)]);
    expect(refused).toMatchObject({ admitted: false, window: 1 });
    expect(left(refused)).toEqual([10, 0, 100]);
    expect(left(await limiter.take([one("user", 10), one("tokens", 100, 50)]))).toEqual([9, 50]);
    expect(await limiter.take([one("user", 10), one("tokens", 100, 51)])).toMatchObject({ admitted: false, window: 1 });
    expect(left(await limiter.take([one("user", 10, 0), one("tokens", 100, 0)]))).toEqual([9, 50]);
  });

  test("refuses a limit of 0 and what is larger than the limit, with the whole window to wait", async () => {
    const limiter = await make();
    for (const window of [one("zero", 0), one("large", 10, 11)])
      expect(await limiter.take([window])).toMatchObject({ admitted: false, retryAfterMs: 60_000 * (1 + 1 / slices) });
  });

  test("a look takes nothing, and is refused when nothing is left", async () => {
    const limiter = await make();
    expect(left(await limiter.take([one("look", 1, 0)]))).toEqual([1]);
    expect(await limiter.take([one("look", 1)])).toMatchObject({ admitted: true });
    expect(await limiter.take([one("look", 1, 0)])).toMatchObject({ admitted: false });
  });

  test("gives back what an estimate took too much, and charges what it took too little", async () => {
    const limiter = await make();
    const tokens = (amount: number): Window => one("settled", 1_000, amount);
    const taken = await limiter.take([tokens(900)]);
    await limiter.settle({ key: "settled", windowMs: 60_000, taken, change: -800 });
    expect(left(await limiter.take([tokens(0)]))).toEqual([900]);
    await limiter.settle({ key: "settled", windowMs: 60_000, taken, change: 1_000 });
    expect(await limiter.take([tokens(0)])).toMatchObject({ admitted: false, standings: [{ remaining: 0 }] });
  });

  test("what was taken leaves after the window, and not before: no stretch of time has more than the limit", async () => {
    const limiter = await make();
    const windowMs = 400;
    const admitted: number[] = [];
    const end = performance.now() + 3 * windowMs;
    while (performance.now() < end) {
      const before = performance.now();
      const taking = await limiter.take([{ key: "stream", limit: 5, windowMs, amount: 1 }]);
      // Taken some time between the two; the earlier counts against us, the later for us.
      if (taking.admitted) admitted.push(before);
      else await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(admitted.length).toBeGreaterThan(5);
    const tolerance = 15;
    for (let i = 5; i < admitted.length; i++)
      expect((admitted[i] as number) - (admitted[i - 5] as number)).toBeGreaterThan(windowMs - tolerance);
  });

  test("waiting as long as it was told is enough", async () => {
    const limiter = await make();
    const window = { key: "told", limit: 1, windowMs: 100, amount: 1 };
    await limiter.take([window]);
    const refused = await limiter.take([window]);
    if (refused.admitted) throw new Error("not refused");
    await new Promise((resolve) => setTimeout(resolve, refused.retryAfterMs + 3));
    expect(await limiter.take([window])).toMatchObject({ admitted: true });
  });

  test("a settlement after the window gives nothing back, but what was taken too little counts now", async () => {
    const limiter = await make();
    const windowMs = 50;
    const taken = await limiter.take([{ key: "late", limit: 100, windowMs, amount: 10 }]);
    await new Promise((resolve) => setTimeout(resolve, 2 * windowMs));
    await limiter.settle({ key: "late", windowMs, taken, change: -10 });
    expect(left(await limiter.take([{ key: "late", limit: 100, windowMs, amount: 0 }]))).toEqual([100]);
    await limiter.settle({ key: "late", windowMs, taken, change: 7 });
    expect(left(await limiter.take([{ key: "late", limit: 100, windowMs, amount: 0 }]))).toEqual([93]);
  });
}
