/** Turns, facts and batches: invariants 1, 2, 4 and 5 of the contract. */
import { describe, expect, it } from "vitest";
import type { Entry, TurnEntry } from "../../../src/stores/store.ts";
import { accept, ask, call, close, end, fact, info, meter, progress, t0, turn, withoutLevels } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

export const turnsContract = (make: MakePlace): void => {
  describe("accept", () => {
    it("stores the run with its first owner at epoch 1", async () => {
      const { store, commit } = await world(make);
      const full = info({ user: "u1", session: "s1", feature: "search", metadata: { a: 1 }, sensitive: true, webhook: "https://x" });
      expect(await commit("accepted", accept("r1", { info: full, limitNano: 500 }))).toEqual([
        { type: "accepted", status: "running", epoch: 1 },
      ]);
      expect(await store.get("r1")).toEqual({
        id: "r1",
        info: full,
        status: "running",
        progress,
        epoch: 1,
        owner: "w1",
        head: 0,
        seq: 1,
        limitNano: 500,
        spentNano: 0,
        heldNano: 0,
        open: [],
      });
      expect(await store.get("r2")).toBeNull();
    });

    it("gives the key's first run to whoever uses it again, and says whether the body was the same", async () => {
      const { commit, store } = await world(make);
      const key = (bodyHash: string) => ({ scope: "u1:/runs", key: "k", bodyHash, expiresAt: t0 + 1_000 });
      await commit("accepted", accept("r1", { idempotency: key("b") }));
      expect(await commit("known", accept("r2", { idempotency: key("b") }), accept("r3", { idempotency: key("c") }))).toEqual([
        { type: "known", run: "r1", sameBody: true },
        { type: "known", run: "r1", sameBody: false },
      ]);
      await commit("accepted", accept("r4", { idempotency: { ...key("c"), scope: "u2:/runs" } }));
      expect(await store.get("r2")).toBeNull();
      expect(await store.keyed(key("b"), t0 + 999)).toEqual({ run: "r1", sameBody: true });
      expect(await store.keyed(key("c"), t0 + 999)).toEqual({ run: "r1", sameBody: false });
      expect(await store.keyed(key("b"), t0 + 1_000)).toBeNull();
      expect(await store.keyed({ ...key("b"), key: "another" }, t0)).toBeNull();
    });

    it("knows a key within its own batch", async () => {
      const { store } = await world(make);
      const idempotency = { scope: "s", key: "k", bodyHash: "b", expiresAt: t0 + 1 };
      expect(await store.commit([accept("r1", { idempotency }), accept("r2", { idempotency })])).toEqual([
        { type: "accepted", status: "running", epoch: 1 },
        { type: "known", run: "r1", sameBody: true },
      ]);
    });

    it("lets an expired key be used again", async () => {
      const { commit } = await world(make);
      const idempotency = { scope: "s", key: "k", bodyHash: "b", expiresAt: t0 + 1_000 };
      await commit("accepted", accept("r1", { idempotency }));
      await commit("known", accept("r2", { idempotency, info: { createdAt: t0 + 999 } }));
      const later = { ...idempotency, expiresAt: t0 + 2_000 };
      await commit("accepted", accept("r3", { idempotency: later, info: { createdAt: t0 + 1_000 } }));
      expect(await commit("known", accept("r4", { idempotency: later, info: { createdAt: t0 + 1_001 } }))).toMatchObject([{ run: "r3" }]);
    });

    it("answers a repeated acceptance of the same run as the first time", async () => {
      const { commit, claim, facts } = await world(make);
      const idempotency = { scope: "s", key: "k", bodyHash: "b", expiresAt: t0 + 1_000 };
      const first = await commit("accepted", accept("r1", { idempotency }));
      expect(await commit("accepted", accept("r1", { idempotency }))).toEqual(first);
      expect(await facts("r1")).toEqual([[1, "run.accepted"]]);
      await claim("w2", { dead: ["w1"] });
      await commit("fenced", accept("r1", { idempotency }));
    });
  });

  describe("turn", () => {
    it("keeps what it was given, in order", async () => {
      const { commit, store, facts } = await world(make);
      await commit("accepted", accept("r1"));
      expect(await commit("written", turn("r1", 1, { facts: [fact("run.started"), fact("state")], body: '{"ü":"\\u0000€"}' }))).toEqual([
        { type: "written", firstSeq: 2, grants: [] },
      ]);
      expect(await commit("written", turn("r1", 2, { facts: [fact("progress")], status: "waiting" }))).toMatchObject([{ firstSeq: 4 }]);
      expect(await store.turns("r1", 0, 10)).toEqual([
        { n: 1, at: 10, body: '{"ü":"\\u0000€"}', hash: "h1" },
        { n: 2, at: 20, body: '{"input":2}', hash: "h2" },
      ]);
      expect(await facts("r1")).toEqual([
        [1, "run.accepted"],
        [2, "run.started"],
        [3, "state"],
        [4, "progress"],
      ]);
      expect(await store.get("r1")).toMatchObject({ head: 2, seq: 4, status: "waiting" });
    });

    it("replaces the progress as a whole", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      const waiting = { ...progress, steps: 1, waitingFor: [{ id: "q1", kind: "approval" as const }] };
      await commit("written", turn("r1", 1, { progress: waiting, status: "waiting", asks: [ask(1)] }));
      expect((await store.get("r1"))?.progress).toEqual(waiting);
      await commit("written", turn("r1", 2, { progress, closes: [close(1)] }));
      expect((await store.get("r1"))?.progress).toEqual(progress);
    });

    it("is fenced under another epoch, out of order, twice, or for a run that does not exist, and changes nothing", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [call(1, 10, [meter("m", 100)])] }));
      const before = [await store.get("r1"), await store.meters(), await store.turns("r1", 0, 10)];
      const costly: Partial<TurnEntry> = { facts: [fact("state")], closes: [close(1, 10)], asks: [call(2, 20, [meter("m", 500)])] };
      await commit(
        "fenced",
        turn("r1", 2, { ...costly, epoch: 0 }),
        turn("r1", 2, { ...costly, epoch: 2 }),
        turn("r1", 1, costly),
        turn("r1", 3, costly),
        turn("r2", 1, costly),
      );
      expect([await store.get("r1"), await store.meters(), await store.turns("r1", 0, 10)]).toEqual(before);
    });

    it("once more, the very same, is answered as when it was written, and changes nothing", async () => {
      const { commit, store } = await world(make);
      const started = { json: fact("call.started"), hold: true };
      const first = turn("r1", 1, { facts: [fact("state")], asks: [ask(0), { ...call(1, 10, [meter("m", 100)]), started }] });
      const second = turn("r1", 2, { closes: [close(1, 4)], asks: [call(2, 97, [meter("m", 100)]), call(3, 2_000_000)] });
      const batch = [accept("r1"), first, second, turn("r2", 1)];
      const told = await store.commit(batch);
      expect(told).toMatchObject([
        { type: "accepted" },
        { firstSeq: 2 },
        { grants: [{ level: "user" }, { level: "run" }] },
        { type: "fenced" },
      ]);
      const before = [await store.get("r1"), await store.meters(), await store.turns("r1", 0, 10), await store.facts("r1", 0, 10)];
      expect(withoutLevels(await store.commit(batch))).toEqual(withoutLevels(told));
      expect([await store.get("r1"), await store.meters(), await store.turns("r1", 0, 10), await store.facts("r1", 0, 10)]).toEqual(before);
      // Whoever goes on from there does it as if the answer had come at once.
      await commit("written", turn("r1", 3, { closes: [close(2), close(3)] }));
      expect((await store.commit([second]))[0]).toMatchObject({ type: "written", firstSeq: 4 });
    });

    it("that ended the run, once more, is answered the same, with the run that it wakes", async () => {
      const { commit, store, claim } = await world(make);
      const session = { info: { session: "s" } };
      await commit("accepted", accept("r1", session), accept("r2", session));
      const told = await commit("written", end("r1", 1));
      expect(told).toMatchObject([{ wakes: "r2" }]);
      expect(await store.commit([end("r1", 1)])).toEqual(told);
      expect(await claim("w2")).toMatchObject([{ id: "r2" }]);
      expect((await store.commit([end("r1", 1)]))[0]).not.toHaveProperty("wakes");
    });

    it("once more is fenced when it is another one, or when the run has gone on under somebody else", async () => {
      const { commit, claim } = await world(make);
      await commit("accepted", accept("r1"));
      const written = turn("r1", 1, { facts: [fact("state")], asks: [ask(1)] });
      await commit("written", written);
      await commit(
        "fenced",
        { ...written, hash: "another" },
        { ...written, body: "{}" },
        { ...written, at: 11 },
        { ...written, facts: [fact("progress")] },
        { ...written, progress: { ...progress, steps: 9 } },
        { ...written, asks: [ask(2)] },
        { ...written, epoch: 2 },
        { ...written, n: 2, epoch: 2 },
      );
      await claim("w2", { dead: ["w1"] });
      await commit("fenced", written, { ...written, epoch: 2, hash: "another" });
    });

    it("is fenced after the run's end", async () => {
      const { commit, facts } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", end("r1", 1));
      await commit("fenced", turn("r1", 2, { facts: [fact("state")] }), end("r1", 2));
      expect(await facts("r1")).toEqual([
        [1, "run.accepted"],
        [2, "run.finished"],
      ]);
    });

    it("ends the run: it has no owner, keeps its output, and stays as it is", async () => {
      const { commit, store, claim } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", end("r1", 1, { status: "degraded" }));
      expect(await store.get("r1")).toMatchObject({ status: "degraded", owner: null, open: [], progress: { output: 42 } });
      expect(await claim("w2", { dead: ["w1"] })).toEqual([]);
      expect(await store.owners()).toEqual([]);
    });

    it("refuses to end a run with open asks, whose holds would never end", async () => {
      const { store, commit, meters } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [call(1, 10, [meter("m", 100)])] }));
      expect((await store.commit([end("r1", 2)]))[0]).toMatchObject({ type: "broken", message: expect.stringContaining("open asks") });
      expect(await store.get("r1")).toMatchObject({ head: 1, status: "running", heldNano: 10 });
      await commit("written", end("r1", 2, { closes: [close(1, 4)] }));
      expect(await meters()).toEqual({ m: [100, 4, 0] });
    });

    it("writes several turns of one run in one batch, each on top of the one before", async () => {
      const { commit, store } = await world(make);
      const results = await store.commit([
        accept("r1"),
        turn("r1", 1, { facts: [fact("a"), fact("b")] }),
        turn("r1", 2, { facts: [fact("c")] }),
      ]);
      expect(results).toMatchObject([{ type: "accepted" }, { firstSeq: 2 }, { firstSeq: 4 }]);
      await commit("written", turn("r1", 3, { facts: [fact("d")] }), end("r1", 4));
      expect(await store.get("r1")).toMatchObject({ head: 4, seq: 6, status: "done" });
    });

    it("keeps facts apart whatever is in them", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1", { facts: [] }));
      const nasty = [
        JSON.stringify({ text: 'a,\nb"]},{"[' }),
        JSON.stringify({ text: "line\r\nline\u2028sep" }),
        JSON.stringify({ pretty: [1, 2] }, null, 2),
        "{}",
      ];
      await commit("written", turn("r1", 1, { facts: nasty }));
      const facts = await store.facts("r1", 0, 10);
      expect(facts.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
      expect(facts.map(({ json }) => JSON.parse(json))).toEqual(nasty.map((json) => JSON.parse(json)));
    });

    it("pages turns and facts from any point", async () => {
      const { store, commit } = await world(make);
      await commit("accepted", accept("r1"));
      const sizes = [0, 3, 1, 0, 0, 7, 2, 0, 1, 0];
      for (const [i, size] of sizes.entries())
        await commit("written", turn("r1", i + 1, { facts: Array.from({ length: size }, (_, k) => fact(`f${i + 1}.${k}`)) }));
      const all = await store.facts("r1", 0, 1_000);
      expect(all.map(({ seq }) => seq)).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
      for (let after = 0; after <= 16; after++)
        for (const limit of [0, 1, 3, 100]) expect(await store.facts("r1", after, limit)).toEqual(all.slice(after, after + limit));
      const turns = await store.turns("r1", 0, 1_000);
      expect(turns.map(({ n }) => n)).toEqual(sizes.map((_, i) => i + 1));
      for (const after of [0, 4, 10, 11]) expect(await store.turns("r1", after, 3)).toEqual(turns.slice(after, after + 3));
      expect(await store.facts("nobody", 0, 10)).toEqual([]);
      expect(await store.turns("nobody", 0, 10)).toEqual([]);
    });
  });

  describe("batch", () => {
    it("lets entries fail one by one: what one defect breaks is that entry alone", async () => {
      const { store, commit, facts, meters } = await world(make);
      const m = meter("m", 1_000);
      await commit("accepted", accept("r1"), accept("r2"), accept("r3"), accept("r4"));
      await commit("written", turn("r2", 1, { asks: [call(1, 10, [m])] }));
      const batch: Entry[] = [
        turn("r1", 1, { facts: [fact("a")], asks: [call(1, 5, [m])] }),
        // Its money moves before the defect is found, and must move back.
        turn("r2", 2, { closes: [close(1, 7), close(9)], asks: [call(2, 100, [m])] }),
        turn("r3", 1, { consumes: "no such message" }),
        turn("r4", 1, { closes: [], asks: [call(1, 5, [m])] }),
        turn("r1", 2, { facts: [fact("b")] }),
        turn("r1", 9),
      ];
      expect((await store.commit(batch)).map(({ type }) => type)).toEqual(["written", "broken", "broken", "written", "written", "fenced"]);
      expect(await facts("r1")).toEqual([
        [1, "run.accepted"],
        [2, "a"],
        [3, "b"],
      ]);
      expect(await store.get("r2")).toMatchObject({ head: 1, heldNano: 10, spentNano: 0 });
      expect(await store.get("r3")).toMatchObject({ head: 0 });
      expect(await meters()).toEqual({ m: [1_000, 0, 20] });
      await commit("written", turn("r2", 2, { closes: [close(1, 7)] }));
      expect(await meters()).toEqual({ m: [1_000, 7, 10] });
    });

    it.each<[string, Partial<TurnEntry>]>([
      ["a cost that is no number", { closes: [close(1, Number.NaN)] }],
      ["a cost below zero", { closes: [close(1, -1)] }],
      ["a fraction of a nano-dollar", { closes: [close(1, 0.5)] }],
      ["a raise of infinity", { raiseNano: Number.POSITIVE_INFINITY }],
      ["an ask under an ordinal that is open", { asks: [ask(1)] }],
      ["an ask closed twice", { closes: [close(1), close(1)] }],
      ["progress that is no JSON", { progress: { ...progress, output: 1n as unknown as null } }],
      ["a price that is no number", { asks: [{ ...call(2, 5), reserve: { ...call(2, 5).reserve!, outputNanoPerToken: Number.NaN } }] }],
    ])("breaks an entry with %s", async (_, more) => {
      const { store, commit } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      await commit("written", turn("r1", 1, { asks: [call(1, 10)] }));
      const before = await store.get("r1");
      expect((await store.commit([turn("r1", 2, more), turn("r2", 1)])).map(({ type }) => type)).toEqual(["broken", "written"]);
      expect(await store.get("r1")).toEqual(before);
    });

    it("takes an empty batch", async () => {
      expect(await (await world(make)).store.commit([])).toEqual([]);
    });
  });
};
