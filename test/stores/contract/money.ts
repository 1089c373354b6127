/** Holds, settling and limits: invariant 3 of the contract. */
import { describe, expect, it } from "vitest";
import { grantFacts, type MeterRef, type Reserve } from "../../../src/stores/store.ts";
import { accept, ask, call, close, end, fact, meter, t0, turn, withoutLevels } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

export const moneyContract = (make: MakePlace): void => {
  describe("money", () => {
    it("holds the worst case on the run and on each meter, and stores the grant with the ask", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 1_000 }));
      const reserving = {
        ...call(1, 0),
        reserve: {
          inputNano: 100,
          outputNanoPerToken: 3,
          maxTokens: 50,
          minTokens: 1,
          meters: [meter("user", 900), meter("system", 5_000, "system")],
        },
      };
      expect(withoutLevels(await commit("written", turn("r1", 1, { asks: [ask(0), reserving] })))).toEqual([
        {
          type: "written",
          firstSeq: 2,
          grants: [
            { ordinal: 0, granted: true, holdNano: 0, maxTokens: 0 },
            { ordinal: 1, granted: true, holdNano: 250, maxTokens: 50 },
          ],
        },
      ]);
      expect(await store.get("r1")).toMatchObject({
        heldNano: 250,
        spentNano: 0,
        open: [
          { ordinal: 0, kind: "ask", hash: "input-0" },
          { ordinal: 1, kind: "call", hash: "input-1", holdNano: 250, maxTokens: 50, meters: ["user", "system"] },
        ],
      });
      expect(await store.meters()).toEqual([
        { key: "system", level: "system", limitNano: 5_000, spentNano: 0, heldNano: 250 },
        { key: "user", level: "user", limitNano: 900, spentNano: 0, heldNano: 250 },
      ]);
    });

    it("settles with what it cost when the ask closes, on the same meters", async () => {
      const { commit, store, meters } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 1_000 }));
      await commit("written", turn("r1", 1, { asks: [call(1, 300, [meter("a", 900), meter("b", 900)]), call(2, 100, [meter("a", 900)])] }));
      expect(await meters()).toEqual({ a: [900, 0, 400], b: [900, 0, 300] });
      await commit("written", turn("r1", 2, { closes: [close(1, 120)] }));
      expect(await meters()).toEqual({ a: [900, 120, 100], b: [900, 120, 0] });
      expect(await store.get("r1")).toMatchObject({ spentNano: 120, heldNano: 100, open: [{ ordinal: 2 }] });
      await commit("written", end("r1", 3, { closes: [close(2, 0)] }));
      expect(await meters()).toEqual({ a: [900, 120, 0], b: [900, 120, 0] });
      expect(await store.get("r1")).toMatchObject({ spentNano: 120, heldNano: 0, open: [] });
    });

    it("frees what a turn closes before it decides on what the turn asks", async () => {
      const { commit, meters } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 100 }));
      await commit("written", turn("r1", 1, { asks: [call(1, 100, [meter("m", 100)])] }));
      const [result] = await commit("written", turn("r1", 2, { closes: [close(1, 10)], asks: [call(2, 90, [meter("m", 100)])] }));
      expect(result).toMatchObject({ grants: [{ granted: true, holdNano: 90 }] });
      expect(await meters()).toEqual({ m: [100, 10, 90] });
    });

    it("tells a cost above the hold as it was, and grants nothing more", async () => {
      const { commit, meters, store } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 100 }));
      await commit("written", turn("r1", 1, { asks: [call(1, 100, [meter("m", 100)])] }));
      await commit("written", turn("r1", 2, { closes: [close(1, 130)] }));
      expect(await meters()).toEqual({ m: [100, 130, 0] });
      expect(await commit("written", turn("r1", 3, { asks: [call(2, 1)] }))).toMatchObject([
        { grants: [{ granted: false, level: "run" }] },
      ]);
      expect(await store.get("r1")).toMatchObject({ spentNano: 130, heldNano: 0 });
    });

    it("breaks an entry that would bring a sum beyond what is counted exactly, and changes nothing", async () => {
      const { commit, store, meters } = await world(make);
      const most = Number.MAX_SAFE_INTEGER;
      const m = [meter("m", most)];
      await commit("accepted", accept("r1", { limitNano: most }), accept("r2", { limitNano: most }));
      await commit("written", turn("r1", 1, { asks: [call(1, 10, m), call(2, 10)] }), turn("r2", 1, { asks: [call(1, 10, m)] }));
      await commit("written", turn("r1", 2, { closes: [close(1, most)] }));
      const before = [await store.get("r1"), await store.get("r2"), await meters()];
      const beyond = { type: "broken", message: expect.stringContaining("2^53") };
      expect(await store.commit([turn("r1", 3, { closes: [close(2, 1)] }), turn("r2", 2, { closes: [close(1, 1)] })])).toEqual([
        beyond,
        beyond,
      ]);
      expect([await store.get("r1"), await store.get("r2"), await meters()]).toEqual(before);
      await commit("written", turn("r1", 3, { closes: [close(2)] }), turn("r2", 2, { closes: [close(1)] }));
    });

    it.each([Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY])("breaks an entry with a meter limited to %d", async (limit) => {
      const { commit, store, meters } = await world(make);
      await commit("accepted", accept("r1"));
      const [result] = await store.commit([turn("r1", 1, { asks: [call(1, 10, [meter("m", limit)])] })]);
      expect([result?.type, await meters()]).toEqual(["broken", {}]);
      await commit("written", turn("r1", 1, { asks: [call(1, 10, [meter("m", 10)])] }));
      expect((await store.commit([turn("r1", 2, { asks: [call(2, 10, [meter("m", limit)])] })]))[0]?.type).toBe("broken");
      expect(await meters()).toEqual({ m: [10, 0, 10] });
    });

    it("cuts the output to what is left, and denies when too little would remain", async () => {
      const { commit, store, meters } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 1_000 }));
      const m = [meter("m", 150, "feature")];
      const asks = [call(1, 100, m), call(2, 100, m, { minTokens: 50 }), call(3, 100, m, { minTokens: 1 })];
      expect(await commit("written", turn("r1", 1, { asks }))).toMatchObject([
        {
          grants: [
            { ordinal: 1, granted: true, maxTokens: 100, holdNano: 100 },
            { ordinal: 2, granted: true, maxTokens: 50, holdNano: 50 },
            { ordinal: 3, granted: false, level: "feature", spentNano: 0, limitNano: 150 },
          ],
        },
      ]);
      expect(await meters()).toEqual({ m: [150, 0, 150] });
      expect((await store.get("r1"))?.open).toEqual([
        expect.objectContaining({ ordinal: 1, maxTokens: 100 }),
        expect.objectContaining({ ordinal: 2, maxTokens: 50 }),
        { ordinal: 3, kind: "call", hash: "input-3", denied: "feature" },
      ]);
    });

    it("keeps a denied ask open, without a hold, until its outcome closes it", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 1 }));
      await commit("written", turn("r1", 1, { asks: [call(1, 2)] }));
      expect(await store.get("r1")).toMatchObject({ heldNano: 0, open: [{ ordinal: 1, denied: "run" }] });
      await commit("written", end("r1", 2, { closes: [close(1)], status: "exhausted" }));
      expect(await store.get("r1")).toMatchObject({ spentNano: 0, heldNano: 0, open: [] });
    });

    it("holds nothing anywhere when one level denies", async () => {
      const { commit, store, meters } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [call(1, 50, [meter("wide", 1_000), meter("tight", 10)])] }));
      expect(await meters()).toEqual({ wide: [1_000, 0, 0], tight: [10, 0, 0] });
      expect(await store.get("r1")).toMatchObject({ heldNano: 0 });
    });

    it("takes a meter's limit from each reserve, and denies all while a lowered one is exceeded", async () => {
      const { commit, meters } = await world(make);
      await commit("accepted", accept("r1"));
      const granted = async (n: number, limit: number) => {
        const [result] = await commit("written", turn("r1", n, { asks: [call(n, 60, [meter("m", limit)])] }));
        return result?.type === "written" && result.grants[0]?.granted;
      };
      expect(await granted(1, 100)).toBe(true);
      expect(await granted(2, 100)).toBe(false);
      expect(await granted(3, 120)).toBe(true);
      expect(await granted(4, 50)).toBe(false);
      expect(await meters()).toEqual({ m: [50, 0, 120] });
    });

    it("counts tokens and calls where they are limited, from the first reserve that does", async () => {
      const { commit, store } = await world(make);
      const counts = async () => Object.fromEntries((await store.meters()).map((each) => [each.key, each.counts]));
      const capped = { ...meter("capped", 10_000), limitTokens: 100, limitCalls: 2 };
      const late = meter("late", 10_000);
      const asked = (ordinal: number, meters: MeterRef[]) => {
        const { reserve, ...more } = call(ordinal, 30, meters);
        return { ...more, reserve: { ...(reserve as Reserve), inputTokens: 5 } };
      };
      await commit("accepted", accept("r1", { limitNano: 10_000 }));
      await commit("written", turn("r1", 1, { asks: [asked(1, [capped, late])] }));
      expect(await counts()).toEqual({
        capped: { tokens: { limit: 100, spent: 0, held: 35 }, calls: { limit: 2, spent: 0, held: 1 } },
        late: undefined,
      });
      expect((await store.get("r1"))?.open).toMatchObject([{ counted: ["capped"], holdTokens: 35 }]);
      // The limit on calls comes while the first call is under way: that one is not counted.
      await commit("written", turn("r1", 2, { asks: [asked(2, [{ ...late, limitCalls: 1 }])] }));
      await commit("written", turn("r1", 3, { closes: [{ ...close(1, 12), tokens: 17 }] }));
      const [denied] = await commit("written", turn("r1", 4, { asks: [asked(3, [{ ...late, limitCalls: 1 }])] }));
      expect(denied).toMatchObject({ grants: [{ granted: false, level: "user" }] });
      expect(await counts()).toEqual({
        capped: { tokens: { limit: 100, spent: 17, held: 0 }, calls: { limit: 2, spent: 1, held: 0 } },
        late: { tokens: { limit: Number.MAX_SAFE_INTEGER, spent: 0, held: 35 }, calls: { limit: 1, spent: 0, held: 1 } },
      });
      await commit("written", end("r1", 5, { closes: [close(2), close(3)] }));
      expect((await counts()).late?.calls).toEqual({ limit: 1, spent: 1, held: 0 });
    });

    it("admits exactly as many calls, and never more tokens, than are limited", async () => {
      const { store } = await world(make);
      const limited = { ...meter("day", 1_000_000), limitCalls: 40, limitTokens: 40 * 30 - 10 };
      const runs = Array.from({ length: 100 }, (_, i) => `r${i}`);
      await store.commit(runs.map((id) => accept(id)));
      const results = await Promise.all(
        runs.map((id) => store.commit([turn(id, 1, { asks: [call(1, 30, [limited], { minTokens: 25 })] })])),
      );
      const granted = results.flat().filter((result) => result.type === "written" && result.grants[0]?.granted);
      expect(granted).toHaveLength(39);
      const [{ counts } = {}] = await store.meters();
      expect(counts).toEqual({ tokens: { limit: 1_190, spent: 0, held: 39 * 30 }, calls: { limit: 40, spent: 0, held: 39 } });
    });

    it("deletes meters that it is told of, but for those that carry a hold, and begins them anew", async () => {
      const { commit, store, meters } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 10_000 }));
      const asks = [call(1, 60, [meter("old", 100), meter("held", 100)]), call(2, 30, [meter("held", 100)])];
      await commit("written", turn("r1", 1, { asks }));
      await commit("written", turn("r1", 2, { closes: [close(1, 40)] }));
      expect(await meters()).toEqual({ old: [100, 40, 0], held: [100, 40, 30] });
      expect(await store.purgeMeters(["old", "held", "never made"])).toBe(1);
      expect(await meters()).toEqual({ held: [100, 40, 30] });
      await commit("written", turn("r1", 3, { closes: [close(2, 5)], asks: [call(3, 70, [meter("old", 100)])] }));
      expect(await meters()).toEqual({ old: [100, 0, 70], held: [100, 45, 0] });
    });

    it("settles a free call whose meter was deleted meanwhile", async () => {
      const { commit, store, meters } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [call(1, 0, [meter("old", 100)])] }));
      expect(await store.purgeMeters(["old"])).toBe(1);
      await commit("written", end("r1", 2, { closes: [close(1, 0)] }));
      expect([await meters(), (await store.get("r1"))?.status]).toEqual([{}, "done"]);
    });

    it("raises the run's own limit in the turn that says so", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 100 }));
      const [result] = await commit("written", turn("r1", 1, { raiseNano: 50, asks: [call(1, 150)] }));
      expect(result).toMatchObject({ grants: [{ granted: true, holdNano: 150 }] });
      expect(await store.get("r1")).toMatchObject({ limitNano: 150, heldNano: 150 });
    });

    it("tells in facts what was granted and what was denied, after the turn's own facts", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 2_500 }));
      const started = { json: fact("call.started", { call: "c1" }), hold: true };
      const asks = [
        { ...call(1, 1_500, [meter("m", 9_000)]), started },
        { ...ask(2), started: { json: fact("tool.started"), hold: false } },
        ask(3),
        { ...call(4, 1_001), started },
        { ...call(5, 1, [meter("full", 0, "key")]), started },
      ];
      const written = turn("r1", 1, { at: 1_234, facts: [fact("state")], asks });
      const [result] = await commit("written", written);
      if (result?.type !== "written") throw new Error("not written");
      const at = "2026-11-01T12:00:01.234Z";
      const told = (await store.facts("r1", 1, 10)).map(({ json }) => JSON.parse(json));
      expect(told).toEqual([
        { type: "state", actor: "run" },
        {
          type: "call.started",
          actor: "run",
          call: "c1",
          hold_microusd: 1.5,
          ledger: [{ level: "user", used_microusd: 0, limit_microusd: 9 }],
        },
        { type: "tool.started", actor: "run" },
        { type: "limit.hit", at, actor: "run", which: "budget.run", value: 0, limit: 2.5 },
        { type: "limit.hit", at, actor: "run", which: "budget.key", ledger: [{ level: "key", used_microusd: 0, limit_microusd: 0 }] },
      ]);
      // What the runtime publishes after the commit is what the store holds, but for what is for operators.
      const published = [...written.facts, ...grantFacts(asks, result.grants, new Date(t0 + written.at).toISOString())];
      expect((await store.facts("r1", result.firstSeq - 1, 10)).map(({ json }) => json.replace(/,"ledger":.*\]/, ""))).toEqual(published);
    });

    it("admits exactly 400 of 1,000 reserves against a budget for 400 (E01)", async () => {
      const { store, meters } = await world(make);
      const runs = Array.from({ length: 1_000 }, (_, i) => `r${i}`);
      const budget = [meter("day", 400 * 25)];
      const batches: Promise<number>[] = [];
      for (let i = 0; i < runs.length; i += 50) {
        const some = runs.slice(i, i + 50);
        const batch = [...some.map((run) => accept(run)), ...some.map((run) => turn(run, 1, { asks: [call(1, 25, budget)] }))];
        batches.push(
          store
            .commit(batch)
            .then((results) => results.filter((r) => r.type === "written" && r.grants.every((grant) => grant.granted)).length),
        );
      }
      const admitted = (await Promise.all(batches)).reduce((sum, n) => sum + n, 0);
      expect(admitted).toBe(400);
      expect(await meters()).toEqual({ day: [10_000, 0, 10_000] });
    });
  });
};
