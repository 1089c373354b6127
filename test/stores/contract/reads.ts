/** Lists, agents, and deletion. */
import { describe, expect, it } from "vitest";
import type { ListQuery } from "../../../src/stores/store.ts";
import { accept, ask, call, end, meter, t0, turn } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

export const readsContract = (make: MakePlace): void => {
  describe("list", () => {
    it("gives whole records, newest first, page by page", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", ...Array.from({ length: 7 }, (_, i) => accept(`r${i}`)));
      await commit("written", turn("r5", 1, { asks: [ask(1)], status: "waiting" }));
      const seen: string[] = [];
      let before: number | undefined;
      const pages: number[] = [];
      do {
        const page = await store.list({ limit: 3, ...(before === undefined ? {} : { before }) });
        pages.push(page.rows.length);
        for (const row of page.rows) {
          expect(row).toEqual(await store.get(row.id));
          seen.push(row.id);
        }
        // What is accepted meanwhile is on no later page.
        await commit("accepted", accept(`later${pages.length}`));
        before = page.next ?? undefined;
      } while (before !== undefined);
      expect(seen).toEqual(["r6", "r5", "r4", "r3", "r2", "r1", "r0"]);
      expect(pages).toEqual([3, 3, 1]);
    });

    it("has no next page after a full last one", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      expect(await store.list({ limit: 2 })).toMatchObject({ rows: [{ id: "r2" }, { id: "r1" }], next: null });
      expect(await store.list({ limit: 5, tenant: "nobody" })).toEqual({ rows: [], next: null });
    });

    it("filters by each field and by all together", async () => {
      const { commit, store } = await world(make);
      const a = { tenant: "a", user: "u", session: "s", feature: "f", agent: "g" };
      await commit(
        "accepted",
        accept("r1", { info: a }),
        accept("r2", { info: { ...a, tenant: "b" } }),
        accept("r3", { info: { ...a, user: "v" } }),
        accept("r4", { info: { ...a, session: "t" } }),
        accept("r5", { info: { ...a, feature: "e" } }),
        accept("r6", { info: { ...a, agent: "h" } }),
        accept("r7"),
      );
      await commit("written", turn("r4", 1, { status: "waiting" }));
      const found = async (query: Omit<ListQuery, "limit">) => (await store.list({ limit: 10, ...query })).rows.map(({ id }) => id).sort();
      expect(await found({ tenant: "b" })).toEqual(["r2"]);
      expect(await found({ user: "v" })).toEqual(["r3"]);
      expect(await found({ user: null })).toEqual(["r7"]);
      expect(await found({ user: null, tenant: "a" })).toEqual([]);
      expect(await found({ session: "t" })).toEqual(["r4"]);
      expect(await found({ feature: "e" })).toEqual(["r5"]);
      expect(await found({ agent: "h" })).toEqual(["r6"]);
      expect(await found({ status: "waiting" })).toEqual(["r4"]);
      expect(await found({ status: "queued" })).toEqual(["r5", "r6"]);
      expect(await found({ ...a, status: "running" })).toEqual(["r1"]);
      expect(await found({})).toHaveLength(7);
    });
  });

  describe("agents", () => {
    it("are stored once under their hash", async () => {
      const { store } = await world(make);
      expect(await store.getAgent("h1")).toBeNull();
      await store.putAgent("h1", '{"name":"a"}');
      await store.putAgent("h1", '{"name":"other"}');
      expect(await store.getAgent("h1")).toBe('{"name":"a"}');
    });
  });

  describe("purge", () => {
    it("deletes runs that ended before, with their turns, facts and messages, and nothing else", async () => {
      const { commit, store, meters } = await world(make);
      await commit("accepted", accept("old"), accept("new"), accept("live"));
      await store.message("old", { nonce: "a", kind: "cancel", value: null, createdAt: t0 });
      await commit("written", turn("live", 1, { asks: [call(1, 5, [meter("m", 10)])] }));
      const ended = (run: string, finishedAt: number) => {
        const entry = end(run, 1);
        return { ...entry, progress: { ...entry.progress, finishedAt } };
      };
      await commit("written", ended("old", t0 + 100), ended("new", t0 + 200));
      expect(await store.purge(t0 + 100, t0)).toBe(0);
      expect(await store.purge(t0 + 200, t0)).toBe(1);
      expect([await store.get("old"), await store.turns("old", 0, 9), await store.facts("old", 0, 9), await store.inbox("old")]).toEqual([
        null,
        [],
        [],
        [],
      ]);
      expect((await store.list({ limit: 10 })).rows.map(({ id }) => id)).toEqual(["live", "new"]);
      expect(await store.facts("new", 0, 9)).toHaveLength(2);
      expect(await meters()).toEqual({ m: [10, 0, 5] });
      expect(await store.purge(t0 + 1e9, t0)).toBe(1);
      expect(await store.get("live")).toMatchObject({ head: 1 });
    });

    it("deletes any number", async () => {
      const { store } = await world(make);
      const runs = Array.from({ length: 450 }, (_, i) => `r${i}`);
      await store.commit([...runs.map((run) => accept(run)), ...runs.map((run) => end(run, 1))]);
      expect(await store.purge(t0 + 1e9, t0)).toBe(450);
      expect(await store.list({ limit: 1 })).toEqual({ rows: [], next: null });
    });

    it("takes a run's end from its turn when the progress does not say it", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { at: 500, status: "failed" }));
      expect([await store.purge(t0 + 500, t0), await store.purge(t0 + 501, t0)]).toEqual([0, 1]);
    });

    it("forgets expired keys, and keeps the others even when their run is gone: a retry must not run it again", async () => {
      const { commit, store } = await world(make);
      const key = (k: string, expiresAt: number) => ({ idempotency: { scope: "s", key: k, bodyHash: "b", expiresAt } });
      await commit("accepted", accept("r1", key("short", t0 + 100)), accept("r2", key("long", t0 + 1_000)));
      await commit("written", end("r1", 1), end("r2", 1));
      expect(await store.purge(t0 + 1e9, t0 + 100)).toBe(2);
      await commit("known", accept("r3", key("long", t0 + 1_000)));
      await commit("accepted", accept("r4", key("short", t0 + 100)));
    });

    it("gives a place that was purged to a new run without mixing them", async () => {
      const { commit, store, facts } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", end("r1", 1));
      await store.purge(t0 + 1e9, t0);
      await commit("accepted", accept("r2", { facts: [] }));
      await commit("written", turn("r2", 1));
      expect(await facts("r2")).toEqual([]);
      expect(await store.turns("r2", 0, 10)).toHaveLength(1);
    });
  });
};
