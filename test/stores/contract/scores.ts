/** Marks on runs: kept by name and author, bounded, and gone with their run. */
import { describe, expect, it } from "vitest";
import { maxScores, type ScoreRow } from "../../../src/stores/store.ts";
import { accept, progress, t0, turn } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

const mark = (name: string, value: number, more: Partial<ScoreRow> = {}): ScoreRow => ({ name, by: "ada", value, at: t0, ...more });

export const scoresContract = (make: MakePlace): void => {
  describe("scores", () => {
    it("are kept a run, by name and author; a later mark takes the place of the one before", async () => {
      const { store, commit } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      expect(await store.scores("r1")).toEqual([]);
      expect(await store.score("r1", mark("tone\u0000", 0.25, { comment: "dry\u0000", by: "b\u0000b" }))).toBe("written");
      expect(await store.score("r1", mark("correct", 1, { comment: "yes" }))).toBe("written");
      expect(await store.score("r2", mark("correct", -3.5))).toBe("written");
      expect(await store.score("r1", mark("correct", 0, { at: t0 + 1 }))).toBe("written");
      expect(await store.score("r1", mark("correct", 0.5, { by: "bob" }))).toBe("written");
      expect(await store.scores("r1")).toEqual([
        mark("correct", 0, { at: t0 + 1 }),
        mark("correct", 0.5, { by: "bob" }),
        mark("tone\u0000", 0.25, { comment: "dry\u0000", by: "b\u0000b" }),
      ]);
      expect(await store.scores("r2")).toEqual([mark("correct", -3.5)]);
    });

    it("of a run that is not there are not kept", async () => {
      const { store } = await world(make);
      expect(await store.score("r1", mark("correct", 1))).toBe("not_found");
      expect(await store.scores("r1")).toEqual([]);
    });

    it(`are ${maxScores} a run at most; those that are there can still be changed`, async () => {
      const { store, commit } = await world(make);
      await commit("accepted", accept("r1"));
      const results = await Promise.all(Array.from({ length: maxScores + 5 }, (_, i) => store.score("r1", mark(`s${i}`, i))));
      expect(results.filter((result) => result === "written")).toHaveLength(maxScores);
      expect(results.filter((result) => result === "full")).toHaveLength(5);
      const [first] = await store.scores("r1");
      expect(await store.score("r1", { ...(first as ScoreRow), value: -1 })).toBe("written");
      expect(await store.scores("r1")).toHaveLength(maxScores);
    });

    it("go with their run", async () => {
      const { store, commit } = await world(make);
      await commit("accepted", accept("r1"));
      await store.score("r1", mark("correct", 1));
      await commit("written", turn("r1", 1, { status: "done", progress: { ...progress, finishedAt: t0 + 10 } }));
      expect(await store.purge(t0 + 11, t0 + 11)).toBe(1);
      expect(await store.scores("r1")).toEqual([]);
      await commit("accepted", accept("r1"));
      expect(await store.scores("r1")).toEqual([]);
    });
  });
};
