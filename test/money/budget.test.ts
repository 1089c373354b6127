import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, type Level } from "../../src/money/budget.ts";
import type { Reserve } from "../../src/stores/store.ts";

const reserve = (more: Partial<Reserve> = {}): Reserve => ({
  inputNano: 100,
  outputNanoPerToken: 10,
  maxTokens: 50,
  minTokens: 1,
  meters: [],
  ...more,
});
const level = (limitNano: number, more: Partial<Level> = {}): Level => ({ level: "run", limitNano, spentNano: 0, heldNano: 0, ...more });

describe("decide", () => {
  const counted = (tokens: number, calls: number) =>
    level(1_000_000, { counts: { tokens: { limit: tokens, spent: 100, held: 50 }, calls: { limit: calls, spent: 3, held: 2 } } });
  it.each([
    ["tokens for all of it", 150 + 20 + 50, 6, 50],
    ["one token less", 150 + 20 + 49, 6, 49],
  ])("cuts the output to the tokens that are left: %s", (_, tokens, calls, maxTokens) => {
    expect(decide(1, reserve({ inputTokens: 20 }), [counted(tokens, calls)])).toMatchObject({ granted: true, maxTokens });
  });

  it("denies when no call is left, or no token beside the input", () => {
    expect(decide(1, reserve({ inputTokens: 20 }), [counted(1_000, 5)]).granted).toBe(false);
    expect(decide(1, reserve({ inputTokens: 20 }), [counted(170, 6)]).granted).toBe(false);
    const embed = reserve({ inputTokens: 20, maxTokens: 0, minTokens: 0 });
    expect(decide(1, embed, [counted(170, 6)]).granted).toBe(true);
    expect(decide(1, embed, [counted(169, 6)]).granted).toBe(false);
    expect(decide(1, embed, [counted(170, 5)]).granted).toBe(false);
  });

  it("holds the worst case: the input and all output tokens", () => {
    expect(decide(7, reserve(), [level(10_000)])).toEqual({ ordinal: 7, granted: true, holdNano: 600, maxTokens: 50 });
  });

  it("grants what fits to the last nano-dollar", () => {
    expect(decide(1, reserve(), [level(600)])).toMatchObject({ granted: true, holdNano: 600, maxTokens: 50 });
  });

  it.each([
    ["one nano-dollar less than all", 599, 49],
    ["room for one token", 110, 1],
  ])("cuts the output to what is left: %s", (_, limit, maxTokens) => {
    expect(decide(1, reserve(), [level(limit)])).toMatchObject({ granted: true, maxTokens, holdNano: 100 + maxTokens * 10 });
  });

  it("denies when less than the smallest useful output would remain, and says what was spent", () => {
    const run = level(1_000, { spentNano: 500, heldNano: 300 });
    expect(decide(3, reserve({ minTokens: 11 }), [run])).toEqual({
      ordinal: 3,
      granted: false,
      level: "run",
      spentNano: 500,
      limitNano: 1_000,
    });
    expect(decide(3, reserve({ minTokens: 10 }), [run])).toMatchObject({ granted: true, maxTokens: 10 });
  });

  it("counts what is held as if it were spent", () => {
    expect(decide(1, reserve(), [level(1_000, { heldNano: 1_000 })]).granted).toBe(false);
    expect(decide(1, reserve(), [level(1_000, { spentNano: 1_000 })]).granted).toBe(false);
  });

  it("obeys the tightest level, wherever it stands", () => {
    const wide = level(100_000);
    const tight = level(200, { level: "user" });
    expect(decide(1, reserve(), [wide, tight])).toMatchObject({ granted: true, maxTokens: 10 });
    expect(decide(1, reserve(), [tight, wide])).toMatchObject({ granted: true, maxTokens: 10 });
  });

  it("names the first level that has not enough", () => {
    const levels = [level(100_000), level(100, { level: "feature" }), level(0, { level: "system" })];
    expect(decide(1, reserve(), levels)).toMatchObject({ granted: false, level: "feature", limitNano: 100 });
  });

  it.each([
    ["the input fits exactly", 100, true],
    ["the input does not fit", 99, false],
  ])("prices work without output by its input alone: %s", (_, limit, granted) => {
    const embed = reserve({ outputNanoPerToken: 0, maxTokens: 0, minTokens: 0 });
    expect(decide(1, embed, [level(limit)]).granted).toBe(granted);
  });

  it("leaves the output uncut where tokens are free", () => {
    expect(decide(1, reserve({ outputNanoPerToken: 0 }), [level(100)])).toMatchObject({ granted: true, holdNano: 100, maxTokens: 50 });
  });

  it("denies on a meter that is already beyond its limit, even for nothing", () => {
    const free = reserve({ inputNano: 0, outputNanoPerToken: 0 });
    expect(decide(1, free, [level(100, { spentNano: 101 })]).granted).toBe(false);
  });

  const nano = fc.integer({ min: 0, max: 10_000_000_000 });
  /** Prices per token are often fractions of a nano-dollar. */
  const price = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100_000 }), fc.double({ min: 0.001, max: 1_000, noNaN: true }));
  const reserves = fc
    .record({ inputNano: nano, outputNanoPerToken: price, maxTokens: fc.integer({ min: 0, max: 1_000_000 }), minTokens: fc.nat(1_000) })
    .map((r): Reserve => ({ ...r, minTokens: Math.min(r.minTokens, r.maxTokens), meters: [] }));
  const levels = fc.array(
    fc.record({ level: fc.constantFrom("run", "user", "key", "feature", "system"), limitNano: nano, spentNano: nano, heldNano: nano }),
    { minLength: 1, maxLength: 5 },
  );

  it("never grants beyond any level, in whole nano-dollars, and never less than is useful", () => {
    fc.assert(
      fc.property(reserves, levels, (asked, on) => {
        const grant = decide(1, asked, on);
        if (!grant.granted) return;
        expect(Number.isSafeInteger(grant.holdNano)).toBe(true);
        expect(grant.holdNano).toBeGreaterThanOrEqual(asked.inputNano + grant.maxTokens * asked.outputNanoPerToken);
        expect(grant.maxTokens).toBeGreaterThanOrEqual(asked.minTokens);
        expect(grant.maxTokens).toBeLessThanOrEqual(asked.maxTokens);
        for (const { limitNano, spentNano, heldNano } of on) expect(spentNano + heldNano + grant.holdNano).toBeLessThanOrEqual(limitNano);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    [7_867_584, 10.8],
    [5_453_681, 4.15],
    [3_807_796, 0.68],
  ])("does not exceed the limit by the rounding of a fractional price: %d at %d", (limitNano, outputNanoPerToken) => {
    const grant = decide(1, reserve({ inputNano: 0, outputNanoPerToken, maxTokens: 10_000_000 }), [level(limitNano)]);
    expect(grant).toMatchObject({ granted: true, maxTokens: Math.round(limitNano / outputNanoPerToken) - 1 });
    if (grant.granted) expect(grant.holdNano).toBeLessThanOrEqual(limitNano);
  });

  it("grants whenever the smallest useful output fits on every level", () => {
    fc.assert(
      fc.property(reserves, levels, (asked, on) => {
        const worst = asked.inputNano + Math.ceil(asked.minTokens * asked.outputNanoPerToken);
        // One nano-dollar of slack: a budget that fits to the fraction may be refused, never exceeded.
        const roomy = on.map((at) => ({ ...at, limitNano: Math.max(at.limitNano, at.spentNano + at.heldNano + worst + 1) }));
        expect(decide(1, asked, roomy).granted).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
