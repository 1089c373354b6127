/** Several stores on the same data, at once or one after another. */
import { describe, expect, it, onTestFinished } from "vitest";
import { accept, ask, call, close, end, fact, meter, t0, turn } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

export const sharedContract = (make: MakePlace): void => {
  const two = async () => {
    const first = await world(make);
    const second = await first.open();
    onTestFinished(() => second.close());
    return { ...first, first: first.store, second };
  };

  describe("two stores on the same data", () => {
    it("keep what was promised when they are opened again", async () => {
      const { store, open, commit } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [call(1, 10, [meter("m", 100)])] }));
      const before = [await store.get("r1"), await store.meters(), await store.facts("r1", 0, 10), await store.turns("r1", 0, 10)];
      await store.close();
      const again = await open();
      onTestFinished(() => again.close());
      expect([await again.get("r1"), await again.meters(), await again.facts("r1", 0, 10), await again.turns("r1", 0, 10)]).toEqual(before);
    });

    it("see each other's claims, turns and messages at once", async () => {
      const { first, second } = await two();
      await first.commit([accept("r1"), turn("r1", 1, { asks: [ask(1)] })]);
      expect(await second.get("r1")).toEqual(await first.get("r1"));
      expect(await second.claim("w2", { now: t0, limit: 1, machines: ["agent@1"], dead: ["w1"] })).toMatchObject([{ epoch: 2 }]);
      expect(await first.commit([turn("r1", 2)])).toEqual([{ type: "fenced" }]);
      expect(await second.commit([turn("r1", 2, { epoch: 2 })])).toMatchObject([{ type: "written" }]);
      await first.message("r1", { nonce: "a", kind: "answer", ordinal: 1, value: 1, createdAt: t0 });
      expect(await second.commit([turn("r1", 3, { epoch: 2, consumes: "a", closes: [close(1)] })])).toMatchObject([{ type: "written" }]);
      expect(await first.get("r1")).toMatchObject({ head: 3, owner: "w2" });
    });

    it("know what the other has spent, and the limit it was told", async () => {
      const { first, second, meters } = await two();
      const reserve = (run: string, limit: number) => [accept(run), turn(run, 1, { asks: [call(1, 60, [meter("m", limit)])] })];
      const granted = (results: readonly { type: string }[]) => JSON.stringify(results).includes('"granted":true');
      expect(granted(await first.commit(reserve("r1", 100)))).toBe(true);
      expect(granted(await second.commit(reserve("r2", 100)))).toBe(false);
      expect(granted(await first.commit([turn("r1", 2, { closes: [close(1, 30)] })]))).toBe(false);
      expect(granted(await second.commit([turn("r2", 2, { closes: [close(1)], asks: [call(2, 70, [meter("m", 100)])] })]))).toBe(true);
      expect(granted(await first.commit(reserve("r3", 100)))).toBe(false);
      expect(await meters()).toEqual({ m: [100, 30, 70] });
    });

    it("admit exactly 400 of 1,000 reserves against a budget for 400 between them", async () => {
      const { first, second, meters } = await two();
      const commits = Array.from({ length: 100 }, async (_, i) => {
        const runs = Array.from({ length: 10 }, (_, k) => `r${i}.${k}`);
        const batch = [
          ...runs.map((run) => accept(run)),
          ...runs.map((run) => turn(run, 1, { asks: [call(1, 7, [meter("day", 2_800)])] })),
        ];
        const results = await (i % 2 === 0 ? first : second).commit(batch);
        return results.filter((r) => r.type === "written" && r.grants.every((grant) => grant.granted)).length;
      });
      expect((await Promise.all(commits)).reduce((sum, n) => sum + n, 0)).toBe(400);
      expect(await meters()).toEqual({ day: [2_800, 0, 2_800] });
    });

    it("give each run to one of them, and each turn to its owner", async () => {
      const { first, second } = await two();
      const runs = Array.from({ length: 60 }, (_, i) => `r${i}`);
      await first.commit(runs.map((run) => accept(run)));
      const claim = (store: typeof first, owner: string) => store.claim(owner, { now: t0, limit: 20, machines: ["agent@1"], dead: ["w1"] });
      await first.heartbeat("a", t0 + 1e6);
      await second.heartbeat("b", t0 + 1e6);
      const taken = await Promise.all([claim(first, "a"), claim(second, "b"), claim(first, "a"), claim(second, "b")]);
      const owners = taken.flat().map(({ id, owner }) => [id, owner] as const);
      expect(new Set(owners.map(([id]) => id)).size).toBe(60);
      expect(owners).toHaveLength(60);
      // Both write a turn for every run, as owner and as zombie.
      const write = (store: typeof first, owner: string) =>
        store.commit(
          runs.map((run) => turn(run, 1, { epoch: owners.find(([id]) => id === run)?.[1] === owner ? 2 : 1, facts: [fact(owner)] })),
        );
      const [byA, byB] = await Promise.all([write(first, "a"), write(second, "b")]);
      for (const [i, run] of runs.entries()) {
        const owner = owners.find(([id]) => id === run)?.[1];
        expect([byA?.[i]?.type, byB?.[i]?.type]).toEqual(owner === "a" ? ["written", "fenced"] : ["fenced", "written"]);
        expect(JSON.parse((await first.facts(run, 1, 1))[0]?.json ?? "")).toMatchObject({ type: owner });
      }
    });

    it("queue a session's runs whichever of them accepts", async () => {
      const { first, second } = await two();
      const session = { info: { session: "s" } };
      const results = await Promise.all([first, second, first, second].map((store, i) => store.commit([accept(`r${i}`, session)])));
      expect(results.flat().filter((r) => r.type === "accepted" && r.status === "running")).toHaveLength(1);
      const running = (await second.list({ status: "running", limit: 9 })).rows[0]?.id ?? "";
      const [ended] = await first.commit([end(running, 1)]);
      const wakes = ended?.type === "written" ? ended.wakes : undefined;
      expect(await second.claim("w2", { now: t0, limit: 9, machines: ["agent@1"] })).toMatchObject([{ id: wakes }]);
    });

    it("accept a key once between them", async () => {
      const { first, second } = await two();
      const idempotency = { scope: "s", key: "k", bodyHash: "b", expiresAt: t0 + 1_000 };
      const entries = Array.from({ length: 100 }, (_, i) => accept(`r${i}`, { idempotency }));
      const results = (await Promise.all(entries.map((entry, i) => (i % 2 === 0 ? first : second).commit([entry])))).flat();
      expect(results.filter(({ type }) => type === "accepted")).toHaveLength(1);
      const known = results.flatMap((result) => (result.type === "known" ? [result] : []));
      expect([known.length, new Set(known.map(({ run }) => run)).size]).toEqual([99, 1]);
      expect((await second.list({ limit: 9 })).rows.map(({ id }) => id)).toEqual([known[0]?.run]);
    });
  });
};
