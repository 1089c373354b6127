/** Usage: a row a call, written with the turn that settles it. */
import { describe, expect, it } from "vitest";
import { usageGroups } from "../../../src/protocol/usage.ts";
import type { CallRow, RunInfo, UsageQuery } from "../../../src/stores/store.ts";
import { accept, call, called, close, end, t0, turn } from "./entries.ts";
import { type MakePlace, type World, world } from "./world.ts";

const hour = 3_600_000;
const all = (more: Partial<UsageQuery> = {}): UsageQuery => ({
  tenant: "acme",
  by: "model",
  from: t0 - hour,
  to: t0 + hour,
  limit: 100,
  ...more,
});
const nothing = { calls: 0, errors: 0, fallbacks: 0, retries: 0, cached: 0, estimated: 0, costNano: 0, savedNano: 0, durationMs: null };

/** A run that made these calls and ended. */
async function ran({ commit }: World, run: string, calls: readonly CallRow[], info: Partial<RunInfo> = {}): Promise<void> {
  await commit("accepted", accept(run, { info }));
  const asks = calls.map(({ ordinal, costNano }) => call(ordinal, Math.max(1, costNano)));
  await commit("written", turn(run, 1, { asks }), end(run, 2, { closes: calls.map((one) => close(one.ordinal, one.costNano)), calls }));
}

export const usageContract = (make: MakePlace): void => {
  describe("usage", () => {
    it("sums the calls of a time by what is asked for, the dearest first", async () => {
      const w = await world(make);
      await ran(
        w,
        "r1",
        [
          called(1, 100, { model: "large", durationMs: 1_000, ttftMs: 50 }),
          called(2, 0, { model: "large", finish: "error", error: "provider_unavailable", durationMs: 30_000 }),
          called(3, 60, { model: "small", provider: "q", tier: "cheap", attempt: 2, fellBack: true, prompt: "v2", estimated: true }),
        ],
        { user: "ada", key: "k1", feature: "search" },
      );
      await ran(w, "r2", [
        called(1, 0, { model: "small", provider: "q", tier: "cheap", cached: true, savedNano: 55, durationMs: 2, ttftMs: 1 }),
        called(2, 7, { model: "small", retry: true, endedAt: t0 + hour - 1 }),
      ]);
      const { total, groups } = await w.store.usage(all());
      expect(total).toEqual({
        calls: 5,
        errors: 1,
        fallbacks: 1,
        retries: 1,
        cached: 1,
        estimated: 1,
        inputTokens: 50,
        cachedTokens: 20,
        outputTokens: 15,
        costNano: 167,
        savedNano: 55,
        durationMs: [100, 30_000, 30_000],
        ttftMs: [10, 50, 50],
      });
      expect(groups).toMatchObject([
        { group: "large", calls: 2, errors: 1, costNano: 100, durationMs: [1_000, 30_000, 30_000] },
        { group: "small", calls: 3, cached: 1, fallbacks: 1, retries: 1, costNano: 67, savedNano: 55, ttftMs: [10, 10, 10] },
      ]);
      const by = async (by: UsageQuery["by"], more: Partial<UsageQuery> = {}) =>
        (await w.store.usage(all({ by, ...more }))).groups.map(({ group, costNano }) => [group, costNano]);
      expect(await by("user")).toEqual([
        ["ada", 160],
        [null, 7],
      ]);
      expect(await by("key")).toEqual([
        ["k1", 160],
        [null, 7],
      ]);
      expect(await by("feature")).toEqual([
        ["search", 160],
        [null, 7],
      ]);
      expect(await by("provider")).toEqual([
        ["p", 107],
        ["q", 60],
      ]);
      expect(await by("agent")).toEqual([["assistant", 167]]);
      expect(await by("prompt")).toEqual([
        [null, 107],
        ["v2", 60],
      ]);
      expect(await by("tier")).toEqual([
        ["main", 107],
        ["cheap", 60],
      ]);
      expect(await by("hour")).toEqual([[t0, 167]]);
      expect(await by("day")).toEqual([[t0 - 12 * hour, 167]]);
      expect(await by("model", { limit: 1 })).toEqual([["large", 100]]);
    });

    it("takes the calls from one time on and before another, and tells windows of time in their order", async () => {
      const w = await world(make);
      await ran(
        w,
        "r1",
        [-1, 0, 1, 2].map((hours, i) => called(i, 10 ** i, { endedAt: t0 + hours * hour })),
      );
      const { total, groups } = await w.store.usage(all({ by: "hour", from: t0, to: t0 + 2 * hour }));
      expect([total.costNano, groups.map(({ group, costNano }) => [group, costNano])]).toEqual([
        110,
        [
          [t0, 10],
          [t0 + hour, 100],
        ],
      ]);
    });

    it("gives each percentile as the value of a call", async () => {
      const w = await world(make);
      const durations = Array.from({ length: 200 }, (_, i) => ((i * 77) % 200) + 1);
      await ran(
        w,
        "r1",
        durations.map((durationMs, i) => {
          const { ttftMs: _none, ...rest } = called(i, 1, { durationMs });
          return rest;
        }),
      );
      const { total } = await w.store.usage(all());
      expect([total.durationMs, total.ttftMs]).toEqual([[100, 190, 198], null]);
    });

    it("shows a tenant, and of it a user, nothing of others", async () => {
      const w = await world(make);
      await ran(w, "r1", [called(1, 1)], { user: "ada" });
      await ran(w, "r2", [called(1, 20)], { user: "bob" });
      await ran(w, "r3", [called(1, 300)], { tenant: "other", user: "ada" });
      await ran(w, "r4", [called(1, 4_000)]);
      const spent = async (more: Partial<UsageQuery>) => (await w.store.usage(all({ by: "user", ...more }))).total.costNano;
      expect(await spent({})).toBe(4_021);
      expect(await spent({ user: "ada" })).toBe(1);
      expect(await spent({ user: null })).toBe(4_000);
      expect(await spent({ tenant: "other" })).toBe(300);
      for (const by of usageGroups) {
        const { total, groups } = await w.store.usage(all({ tenant: "nobody", by }));
        expect([total, groups]).toMatchObject([nothing, []]);
      }
    });

    it("counts a call once: not with a turn that is refused, and not again with one that is repeated", async () => {
      const { store, commit } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      await commit("written", turn("r1", 1, { asks: [call(1, 50), call(2, 50)] }));
      const settles = turn("r1", 2, { closes: [close(1, 40)], calls: [called(1, 40)] });
      const total = async () => {
        const { calls, costNano } = (await store.usage(all())).total;
        return [calls, costNano];
      };
      await commit("fenced", { ...settles, n: 3 }, { ...settles, epoch: 2 });
      // It closes what is not open.
      const [broken] = await store.commit([turn("r1", 2, { closes: [close(9, 1)], calls: [called(9, 1)] })]);
      expect([broken?.type, await total()]).toEqual(["broken", [0, 0]]);
      const first = await commit("written", settles);
      expect(await commit("written", settles, settles)).toEqual([first[0], first[0]]);
      expect(await total()).toEqual([1, 40]);
      await commit("written", turn("r1", 3, { closes: [close(2, 5)], calls: [called(2, 5)] }));
      expect(await total()).toEqual([2, 45]);
    });

    it("keeps what a provider says of tokens and models, whatever that is", async () => {
      const w = await world(make);
      const model = "m\u0000\u0001\ud83d";
      await ran(w, "r1", [called(1, 1, { model, inputTokens: 1e300, cachedTokens: Number.NaN, outputTokens: -4 })]);
      const { groups } = await w.store.usage(all());
      expect(groups).toMatchObject([{ inputTokens: Number.MAX_SAFE_INTEGER, cachedTokens: 0, outputTokens: 0, costNano: 1 }]);
      await ran(w, "r2", [called(1, 1, { inputTokens: Number.MAX_SAFE_INTEGER })]);
      expect((await w.store.usage(all())).total.inputTokens).toBe(Number.MAX_SAFE_INTEGER);
    });

    it("forgets the calls that ended before the time of a purge, of every tenant, and no others", async () => {
      const w = await world(make);
      for (const tenant of ["acme", "b", "c"])
        await ran(w, `of-${tenant}`, [called(1, 1, { endedAt: t0 - 1 }), called(2, 30, { endedAt: t0 })], { tenant });
      expect(await w.store.purge(t0, t0)).toBe(0);
      for (const tenant of ["acme", "b", "c"])
        expect((await w.store.usage(all({ tenant }))).total).toMatchObject({ calls: 1, costNano: 30 });
    });
  });
};
