import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type BudgetLimits, budgetsAt, type Cap, isOver, metersOf, type Override, type Spender } from "../../src/money/budgets.ts";
import type { MeterState } from "../../src/stores/store.ts";

const limits: BudgetLimits = {
  user: { nano: 5_000 },
  feature: { digest: { nano: 7_000 } },
  system: { nano: 9_000 },
};
const evening = Date.parse("2026-11-24T23:59:59.999Z");

describe("the meters of a call", () => {
  it("are one a level, the narrowest first, each with its window", () => {
    expect(metersOf(limits, { tenant: "acme", user: "ada", feature: "digest" }, evening)).toEqual([
      { key: "user/acme/ada/2026-11-24", level: "user", limitNano: 5_000 },
      { key: "feature/acme/digest/2026-11-24", level: "feature", limitNano: 7_000 },
      { key: "system/2026-11-24T23", level: "system", limitNano: 9_000 },
    ]);
  });

  it("are others a millisecond later, in the next hour and day", () => {
    const keys = (now: number) => metersOf(limits, { tenant: "acme", user: "ada", feature: "digest" }, now).map(({ key }) => key);
    expect(keys(evening + 1)).toEqual(["user/acme/ada/2026-11-25", "feature/acme/digest/2026-11-25", "system/2026-11-25T00"]);
    expect(keys(evening).filter((key) => keys(evening + 1).includes(key))).toEqual([]);
  });

  it("include one that all runs without a user share", () => {
    expect(metersOf(limits, { tenant: "acme" }, evening)[0]).toEqual({ key: "user/acme/2026-11-24", level: "user", limitNano: 5_000 });
  });

  it("include the month of an API key, and none where no key started the run", () => {
    const withKey: BudgetLimits = { ...limits, key: { nano: 8_000, calls: 3 } };
    expect(metersOf(withKey, { tenant: "acme", user: "ada", key: "k/1" }, evening)[1]).toEqual({
      key: "key/acme/k%2F1/2026-11",
      level: "key",
      limitNano: 8_000,
      limitCalls: 3,
    });
    expect(metersOf(withKey, { tenant: "acme", user: "ada" }, evening).map(({ level }) => level)).toEqual(["user", "system"]);
  });

  it("have the limits that were set while running over the configuration's, unit by unit, also where it has none", () => {
    const set = (cap: Cap): Override => ({ cap, by: "ops", at: 0 });
    const overrides = new Map([
      ["user/acme/ada", set({ nano: 1_000 })],
      ["user/acme", set({ calls: 3 })],
      ["key/acme/k1", set({ tokens: 0 })],
      ["feature/acme/other", set({ nano: 4 })],
      ["system", set({ calls: 9 })],
    ]);
    const keyed = (spender: Spender) =>
      metersOf(limits, spender, evening, overrides).map(({ key, limitNano, limitTokens, limitCalls }) => [
        key.split("/").slice(0, -1).join("/"),
        limitNano,
        limitTokens,
        limitCalls,
      ]);
    const most = Number.MAX_SAFE_INTEGER;
    expect(keyed({ tenant: "acme", user: "ada", key: "k1", feature: "other" })).toEqual([
      ["user/acme/ada", 1_000, undefined, undefined],
      ["key/acme/k1", most, 0, undefined],
      ["feature/acme/other", 4, undefined, undefined],
      ["system", 9_000, undefined, 9],
    ]);
    expect(keyed({ tenant: "acme", feature: "digest" })).toEqual([
      ["user/acme", 5_000, undefined, 3],
      ["feature/acme/digest", 7_000, undefined, undefined],
      ["system", 9_000, undefined, 9],
    ]);
    expect(keyed({ tenant: "other", user: "ada", key: "k1", feature: "other" }).map(([subject]) => subject)).toEqual([
      "user/other/ada",
      "system",
    ]);
  });

  it("do not include a feature without a budget, whatever its name", () => {
    for (const feature of ["other", "constructor", "__proto__", undefined])
      expect(metersOf(limits, { tenant: "acme", user: "ada", feature }, evening).map(({ level }) => level)).toEqual(["user", "system"]);
  });

  it("are never those of another spender", () => {
    const spender = fc.record({ tenant: fc.string({ minLength: 1 }), user: fc.option(fc.string({ minLength: 1 }), { nil: undefined }) });
    fc.assert(
      fc.property(spender, spender, (one, other) => {
        fc.pre(one.tenant !== other.tenant || one.user !== other.user);
        // Lone surrogates are refused where names come in.
        fc.pre([one.tenant, one.user, other.tenant, other.user].every((name) => name === undefined || name.isWellFormed()));
        const [key, otherKey] = [one, other].map((who) => metersOf({ user: { nano: 1 } }, who, evening)[0]?.key);
        expect(key).not.toBe(otherKey);
      }),
    );
  });
});

test("a window is over when the next one begins, and a key without a window never", () => {
  const at = (iso: string) => Date.parse(iso);
  expect(isOver("system/2026-11-24T18", at("2026-11-24T18:59:59.999Z"))).toBe(false);
  expect(isOver("system/2026-11-24T18", at("2026-11-24T19:00:00Z"))).toBe(true);
  expect(isOver("user/acme/ada/2026-11-24", at("2026-11-24T23:59:59.999Z"))).toBe(false);
  expect(isOver("user/acme/ada/2026-11-24", at("2026-11-25T00:00:00Z"))).toBe(true);
  expect(isOver("key/acme/k1/2026-12", at("2026-12-31T23:59:59.999Z"))).toBe(false);
  expect(isOver("key/acme/k1/2026-12", at("2027-01-01T00:00:00Z"))).toBe(true);
  expect(isOver("key/acme/k1/2028-02", at("2028-02-29T23:00:00Z"))).toBe(false);
  for (const key of ["system", "user/acme", ""]) expect(isOver(key, at("2100-01-01T00:00:00Z"))).toBe(false);
});

describe("how budgets stand", () => {
  const row = (key: string, level: string, spentNano: number, heldNano = 0): MeterState => ({
    key,
    level,
    limitNano: 1,
    spentNano,
    heldNano,
  });

  it("is told of the present window, with the limits of now", () => {
    const rows = [
      row("user/acme/ada/2026-11-24", "user", 1_500, 500),
      row("user/acme/2026-11-24", "user", 3_000),
      row("user/acme/ada/2026-11-23", "user", 4_000),
      row("user/other/bob/2026-11-24", "user", 4_000),
      row("system/2026-11-24T22", "system", 8_000),
    ];
    expect(budgetsAt(limits, "acme", rows, evening)).toEqual([
      {
        level: "system",
        limit: { cost_microusd: 9 },
        held: { cost_microusd: 0 },
        spent: { cost_microusd: 0 },
        resets_at: "2026-11-25T00:00:00.000Z",
      },
      {
        level: "feature",
        tenant: "acme",
        subject: "digest",
        limit: { cost_microusd: 7 },
        held: { cost_microusd: 0 },
        spent: { cost_microusd: 0 },
        resets_at: "2026-11-25T00:00:00.000Z",
      },
      {
        level: "user",
        tenant: "acme",
        subject: null,
        limit: { cost_microusd: 5 },
        held: { cost_microusd: 0 },
        spent: { cost_microusd: 3 },
        resets_at: "2026-11-25T00:00:00.000Z",
      },
      {
        level: "user",
        tenant: "acme",
        subject: "ada",
        limit: { cost_microusd: 5 },
        held: { cost_microusd: 0.5 },
        spent: { cost_microusd: 1.5 },
        resets_at: "2026-11-25T00:00:00.000Z",
      },
    ]);
  });

  it("tells what was set while running, by whom and when, also where nothing was spent", () => {
    const set = (cap: Cap): Override => ({ cap, by: "ops", at: evening });
    const overrides = new Map([
      ["user/acme/bob", set({ calls: 1 })],
      ["user/other/eve", set({ calls: 1 })],
      ["key/acme/k1", set({ nano: 0 })],
      ["feature/acme/new", set({ tokens: 5 })],
      ["system", set({ calls: 7 })],
    ]);
    const told = budgetsAt(limits, "acme", [row("user/acme/ada/2026-11-24", "user", 1)], evening, overrides);
    expect(told.map(({ level, subject, limit, changed }) => [level, subject, limit, changed?.by])).toEqual([
      ["system", undefined, { cost_microusd: 9, calls: 7 }, "ops"],
      ["feature", "digest", { cost_microusd: 7 }, undefined],
      ["feature", "new", { tokens: 5 }, "ops"],
      ["key", "k1", { cost_microusd: 0 }, "ops"],
      ["user", "ada", { cost_microusd: 5 }, undefined],
      ["user", "bob", { cost_microusd: 5, calls: 1 }, "ops"],
    ]);
    expect(told[0]?.changed).toEqual({ by: "ops", at: new Date(evening).toISOString() });
  });

  it("names a user as he was given, whatever is in the name", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: "grapheme" }), (user) => {
        fc.pre(user.isWellFormed());
        const key = metersOf({ user: { nano: 1 } }, { tenant: "a/b", user }, evening)[0]?.key as string;
        expect(budgetsAt({ user: { nano: 1 } }, "a/b", [row(key, "user", 1)], evening).map(({ subject }) => subject)).toEqual([user]);
      }),
    );
  });
});
