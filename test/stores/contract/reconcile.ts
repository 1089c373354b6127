/** Holds that no open ask has, and open asks that nothing holds for: seen and mended, and on a healthy store nothing is. */
import { describe, expect, it } from "vitest";
import type { Damage } from "./damage.ts";
import { accept, call, close, end, meter, t0, turn } from "./entries.ts";
import { type MakePlace, type World, world } from "./world.ts";

const capped = { ...meter("user/acme/2026-11-01", 10_000), limitCalls: 10, limitTokens: 10_000 };
const plain = meter("system/2026-11-01T12", 20_000, "system");

/** A run with two open calls that hold 300 and 500, and one that ended with 100 spent. */
async function busy(make: MakePlace): Promise<World> {
  const made = await world(make);
  const { commit } = made;
  await commit("accepted", accept("r1", { limitNano: 5_000 }), accept("old", { limitNano: 5_000 }), accept("idle"));
  const asks = [call(1, 300, [capped, plain]), call(2, 500, [capped, plain])];
  await commit("written", turn("r1", 1, { asks }), turn("old", 1, { asks: [call(1, 100, [plain])] }), turn("idle", 1));
  await commit("written", end("old", 2, { closes: [close(1, 100)] }));
  return made;
}

const state = async ({ store }: World) => [await store.meters(), await store.get("r1"), await store.get("old"), await store.get("idle")];

export const reconcileContract = (make: MakePlace, damage: Damage | undefined): void => {
  describe("reconcile", () => {
    it("changes nothing where all is well, whatever is open", async () => {
      const made = await busy(make);
      const before = await state(made);
      expect(await made.store.reconcile()).toEqual([]);
      expect(await state(made)).toEqual(before);
      await made.commit("written", end("r1", 2, { closes: [close(1, 300), close(2, 0)] }));
      expect(await made.store.reconcile()).toEqual([]);
    });

    if (!damage) return;
    it.each<[string, string, readonly object[]]>([
      [
        "a meter that holds what nobody has open",
        "update meters set held_nano = held_nano + 77 where level = 'system'",
        [{ of: "meter", id: plain.key, unit: "nano", was: 877, is: 800 }],
      ],
      [
        "a meter that holds less than what is open, so that too much would be granted",
        "update meters set held_nano = 0 where level = 'user'",
        [{ of: "meter", id: capped.key, unit: "nano", was: 0, is: 800 }],
      ],
      [
        "tokens and calls that were counted wrong",
        `update meters set counts = replace(replace(counts, '"held":2', '"held":5'), '"held":800', '"held":900') where counts is not null`,
        [
          { of: "meter", id: capped.key, unit: "tokens", was: 900, is: 800 },
          { of: "meter", id: capped.key, unit: "calls", was: 5, is: 2 },
        ],
      ],
      [
        "a run that holds what it has not open",
        "update turns set held_nano = 1000 where run = (select position from runs where id = 'r1') and n = 1",
        [{ of: "run", id: "r1", unit: "nano", was: 1_000, is: 800 }],
      ],
      [
        "a run that has ended and holds something still",
        "update turns set held_nano = 40 where run = (select position from runs where id = 'old') and n = 2",
        [{ of: "run", id: "old", unit: "nano", was: 40, is: 0 }],
      ],
      [
        "a run that has nothing open and holds something",
        "update turns set held_nano = 40 where run = (select position from runs where id = 'idle') and n = 1",
        [{ of: "run", id: "idle", unit: "nano", was: 40, is: 0 }],
      ],
    ])("mends %s", async (_, sql, corrections) => {
      const made = await busy(make);
      const before = await state(made);
      await damage(sql);
      expect(await state(made)).not.toEqual(before);
      expect(await made.store.reconcile()).toEqual(corrections);
      expect(await state(made)).toEqual(before);
      expect(await made.store.reconcile()).toEqual([]);
      // Who works on the run goes on, with the right money.
      await made.commit("written", end("r1", 2, { closes: [close(1, 300), close(2, 0)] }));
      expect(await made.meters()).toEqual({ [capped.key]: [10_000, 300, 0], [plain.key]: [20_000, 400, 0] });
    });

    it("makes a meter again that is gone while calls hold on it, limited to them until the next reserve", async () => {
      const made = await busy(make);
      await damage("delete from meters");
      expect(await made.store.reconcile()).toHaveLength(4);
      expect(await made.store.meters()).toMatchObject([
        { key: plain.key, level: "system", limitNano: 800, spentNano: 0, heldNano: 800 },
        {
          key: capped.key,
          level: "user",
          limitNano: 800,
          spentNano: 0,
          heldNano: 800,
          counts: { calls: { held: 2 }, tokens: { held: 800 } },
        },
      ]);
      await made.commit("written", turn("r1", 2, { closes: [close(1, 10)], asks: [call(3, 50, [capped, plain])] }));
      expect(await made.meters()).toEqual({ [capped.key]: [10_000, 10, 550], [plain.key]: [20_000, 10, 550] });
    });

    it("lowers nothing while it cannot read what a run has open, and raises what it can", async () => {
      const made = await busy(make);
      await made.commit("accepted", accept("r2"));
      await made.commit("written", turn("r2", 1, { asks: [call(1, 60, [plain])] }));
      await damage("update turns set open = '[{' where run = (select position from runs where id = 'r2') and n = 1");
      await damage("update meters set held_nano = 5 where level = 'user'");
      expect(await made.store.reconcile()).toEqual([{ of: "meter", id: capped.key, unit: "nano", was: 5, is: 800 }]);
      expect(await made.meters()).toEqual({ [capped.key]: [10_000, 0, 800], [plain.key]: [20_000, 100, 860] });
    });

    it("looks only at runs that ended since then, where it is told so", async () => {
      const made = await busy(make);
      await damage("update turns set held_nano = 40 where run = (select position from runs where id = 'old') and n = 2");
      expect(await made.store.reconcile(t0 + 1_000)).toEqual([]);
      expect(await made.store.reconcile(t0)).toHaveLength(1);
    });

    it("corrects once what several find at once, while turns are written", async () => {
      const made = await busy(make);
      const other = await made.open();
      try {
        await damage("update meters set held_nano = held_nano + 1000");
        const runs = Array.from({ length: 30 }, (_, i) => `n${i}`);
        await made.commit("accepted", ...runs.map((run) => accept(run)));
        const [first, second, third] = await Promise.all([
          made.store.reconcile(),
          other.reconcile(),
          other.reconcile(),
          ...runs.map((run) => made.store.commit([turn(run, 1, { asks: [call(1, 7, [plain])] })])),
        ]);
        expect([...first, ...second, ...third]).toHaveLength(2);
        expect(await made.meters()).toEqual({ [capped.key]: [10_000, 0, 800], [plain.key]: [20_000, 100, 800 + 30 * 7] });
      } finally {
        await other.close();
      }
    });
  });
};
