/** Leases, claims, sessions, parking and quarantine. */
import { describe, expect, it } from "vitest";
import { accept, ask, call, close, end, meter, t0, turn } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

const ids = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id).sort();
const cancel = (nonce = "n1") => ({ nonce, kind: "cancel" as const, value: null, createdAt: t0 });

export const ownershipContract = (make: MakePlace): void => {
  describe("sessions", () => {
    const inSession = (run: string, more: object = {}) => accept(run, { info: { session: "s1", user: "u1", ...more } });

    it("queue a run while the session has an unfinished one, without owner and at epoch 0", async () => {
      const { store } = await world(make);
      expect(await store.commit([inSession("r1"), inSession("r2")])).toEqual([
        { type: "accepted", status: "running", epoch: 1 },
        { type: "accepted", status: "queued", epoch: 0 },
      ]);
      expect(await store.get("r2")).toMatchObject({ status: "queued", owner: null, epoch: 0 });
    });

    it("belong to one user of one tenant", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", inSession("r1"), inSession("r2", { tenant: "other" }), inSession("r3", { user: "u2" }), accept("r4"));
      await commit("accepted", accept("r5", { info: { session: "s1" } }), accept("r6", { info: { session: "s1" } }));
      const statuses = await Promise.all(["r1", "r2", "r3", "r4", "r5", "r6"].map(async (run) => (await store.get(run))?.status));
      expect(statuses).toEqual(["running", "running", "running", "running", "running", "queued"]);
    });

    it("go one after another: the end of a run names the next, which can be claimed then and not before", async () => {
      const { commit, claim, store } = await world(make);
      await commit("accepted", inSession("r1"), inSession("r2"), inSession("r3"));
      expect(await claim("w2")).toEqual([]);
      await commit("fenced", turn("r2", 1, { epoch: 0 }), turn("r2", 1));
      expect(await commit("written", end("r1", 1))).toEqual([{ type: "written", firstSeq: 2, grants: [], wakes: "r2" }]);
      // Whoever is accepted now still waits: r2 is first.
      await commit("accepted", inSession("r4"));
      expect(await store.get("r4")).toMatchObject({ status: "queued" });
      expect(await claim("w2")).toMatchObject([{ id: "r2", status: "running", epoch: 1, owner: "w2" }]);
      expect(await claim("w3")).toEqual([]);
      expect(await commit("written", end("r2", 1, { status: "failed" }))).toMatchObject([{ wakes: "r3" }]);
      expect(await claim("w2", { run: "r4" })).toEqual([]);
      expect(await claim("w2", { run: "r3" })).toMatchObject([{ id: "r3" }]);
      expect(await commit("written", end("r3", 1))).toMatchObject([{ wakes: "r4" }]);
      await claim("w2");
      expect(await commit("written", end("r4", 1))).toEqual([{ type: "written", firstSeq: 2, grants: [] }]);
      await commit("accepted", inSession("r5"));
      expect(await store.get("r5")).toMatchObject({ status: "running", owner: "w1" });
    });

    it("find the next run again when the hint was lost", async () => {
      const { commit, claim } = await world(make);
      await commit("accepted", inSession("r1"), inSession("r2"));
      await commit("written", end("r1", 1));
      expect(ids(await claim("w9"))).toEqual(["r2"]);
    });

    it("wait for a parked and for a quarantined run", async () => {
      const { commit, claim, store } = await world(make);
      await commit("accepted", inSession("r1"), inSession("r2"));
      await commit("written", turn("r1", 1, { status: "waiting", asks: [ask(1)] }));
      await commit("parked", { type: "park", run: "r1", epoch: 1, head: 1 });
      expect(await claim("w2")).toEqual([]);
      await store.message("r1", cancel());
      await claim("w2");
      await commit("quarantined", { type: "quarantine", run: "r1", epoch: 2, reason: "diverged" });
      expect(await claim("w2", { dead: ["w1", "w2"] })).toEqual([]);
      expect(await store.get("r2")).toMatchObject({ status: "queued" });
    });
  });

  describe("owners", () => {
    it("are those of unfinished runs, with the end of their lease", async () => {
      const { commit, store } = await world(make);
      expect(await store.owners()).toEqual([]);
      await store.heartbeat("w1", t0 + 1_000);
      await store.heartbeat("idle", t0 + 1_000);
      await commit("accepted", accept("r1"), accept("r2"), accept("r3", { owner: "silent" }));
      expect(await store.owners()).toEqual([
        { owner: "silent", until: 0 },
        { owner: "w1", until: t0 + 1_000 },
      ]);
      await store.heartbeat("w1", t0 + 2_000);
      expect(await store.owners()).toContainEqual({ owner: "w1", until: t0 + 2_000 });
      await commit("written", end("r1", 1), end("r2", 1), end("r3", 1));
      expect(await store.owners()).toEqual([]);
    });

    it("lose their runs to a claim when their lease has ended, at the next epoch, and are fenced", async () => {
      const { commit, store, claim } = await world(make);
      await store.heartbeat("w1", t0);
      await store.heartbeat("w2", t0 + 9_000);
      await commit("accepted", accept("r1"), accept("r2", { owner: "w2" }));
      await commit("written", turn("r1", 1, { status: "waiting", asks: [call(1, 10, [meter("m", 100)])] }));
      expect(await claim("w3", { now: t0 })).toEqual([]);
      const taken = await claim("w3", { now: t0 + 1 });
      expect(taken).toEqual([await store.get("r1")]);
      expect(taken).toMatchObject([{ id: "r1", epoch: 2, owner: "w3", status: "waiting", head: 1, heldNano: 10, open: [{ ordinal: 1 }] }]);
      await commit("fenced", turn("r1", 2, { closes: [close(1, 10)] }), { type: "park", run: "r1", epoch: 1, head: 1 });
      await commit("fenced", { type: "quarantine", run: "r1", epoch: 1, reason: "zombie" });
      await commit("written", turn("r1", 2, { epoch: 2, closes: [close(1, 4)] }));
      expect(await store.meters()).toMatchObject([{ spentNano: 4, heldNano: 0 }]);
    });

    it("lose their runs at once when they are named as dead", async () => {
      const { commit, store, claim } = await world(make);
      await store.heartbeat("w1", t0 + 60_000);
      await commit("accepted", accept("r1"));
      expect(ids(await claim("w2"))).toEqual([]);
      expect(ids(await claim("w2", { dead: ["w1", "nobody"] }))).toEqual(["r1"]);
    });

    it("take their own runs again after a restart under the same name", async () => {
      const { commit, claim } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      expect((await claim("w1", { dead: ["w1"] })).map(({ id, epoch, owner }) => [id, epoch, owner])).toEqual([
        ["r1", 2, "w1"],
        ["r2", 2, "w1"],
      ]);
      await commit("fenced", turn("r1", 1));
      await commit("written", turn("r1", 1, { epoch: 2 }));
    });

    it("release their runs for anyone to claim at once, with no claim counted", async () => {
      const { commit, store, claim } = await world(make);
      for (const owner of ["w1", "w2", "w3", "w4"]) await store.heartbeat(owner, t0 + 60_000);
      await commit("accepted", accept("r1"), accept("r2", { owner: "w2" }));
      for (const [i, owner] of ["w1", "w3", "w4"].entries()) {
        await store.release(owner);
        await commit("fenced", turn("r1", 1, { epoch: i + 1 }));
        expect(await store.owners()).not.toContainEqual(expect.objectContaining({ owner }));
        expect(await claim(["w3", "w4", "w5"][i] ?? "")).toMatchObject([{ id: "r1", epoch: i + 2 }]);
      }
      expect(await store.get("r2")).toMatchObject({ owner: "w2" });
    });
  });

  describe("owners that lost their lease", () => {
    it("give their runs up as lost: fenced at once, claimed at once, and what is open may have been begun", async () => {
      const { commit, store, claim } = await world(make);
      await commit("accepted", accept("r1"));
      for (const [i, owner] of ["w1", "w2", "w3", "w4"].entries()) {
        await store.release(owner, { begun: true });
        await commit("fenced", turn("r1", 1, { epoch: i + 1 }), { type: "park", run: "r1", epoch: i + 1, head: 0 });
        expect(await store.get("r1")).toMatchObject({ owner: null, status: "running" });
        expect(await store.owners()).toEqual([]);
        const [taken] = await claim(["w2", "w3", "w4", "w5"][i] ?? "", i % 2 === 0 ? {} : { run: "r1" });
        expect(taken).toMatchObject({ id: "r1", epoch: i + 2 });
        expect(taken).not.toHaveProperty("released");
      }
    });
  });

  describe("unread", () => {
    it("names the owner's runs for which a message waits", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"), accept("r3", { owner: "w2" }), accept("r4"));
      for (const run of ["r1", "r3", "r4"]) for (const nonce of ["a", "b"]) await store.message(run, cancel(`${run}.${nonce}`));
      expect([...(await store.unread("w1"))].sort()).toEqual(["r1", "r4"]);
      await commit("written", turn("r1", 1, { consumes: "r1.a" }), end("r4", 1));
      expect(await store.unread("w1")).toEqual(["r1"]);
      await commit("written", turn("r1", 2, { consumes: "r1.b" }));
      expect(await store.unread("w1")).toEqual([]);
      expect(await store.unread("nobody")).toEqual([]);
    });
  });

  describe("claim", () => {
    it("takes at most `limit`, each run once, of the machines it is told", async () => {
      const { commit, claim } = await world(make);
      await commit(
        "accepted",
        ...Array.from({ length: 10 }, (_, i) => accept(`r${i}`, { info: { machine: i < 3 ? "old@1" : "agent@1" } })),
      );
      const first = await claim("w2", { limit: 4, dead: ["w1"] });
      const second = await claim("w3", { limit: 4, dead: ["w1"] });
      expect([first.length, second.length]).toEqual([4, 3]);
      expect(new Set([...ids(first), ...ids(second)]).size).toBe(7);
      expect(await claim("w3", { machines: ["none@1"], dead: ["w1"] })).toEqual([]);
      expect(ids(await claim("w3", { machines: ["x@1", "old@1"], dead: ["w1"] }))).toEqual(["r0", "r1", "r2"]);
      expect(await claim("w3", { limit: 0, dead: ["w2"] })).toEqual([]);
    });

    it("says which runs their last owner gave up in order, so that nothing open in them was begun", async () => {
      const { commit, store, claim } = await world(make);
      await commit("accepted", accept("lost"), accept("parked"), accept("stuck"), accept("released", { owner: "w2" }));
      await commit("written", turn("parked", 1, { status: "waiting", asks: [ask(1)] }), turn("stuck", 1, { asks: [call(1, 10)] }));
      await commit("parked", { type: "park", run: "parked", epoch: 1, head: 1 });
      await commit("quarantined", { type: "quarantine", run: "stuck", epoch: 1, reason: "x" });
      await store.message("parked", cancel());
      await store.release("w2");
      const taken = [...(await claim("w3", { dead: ["w1"] })), ...(await claim("w3", { run: "stuck", quarantined: true }))];
      expect(Object.fromEntries(taken.map(({ id, released }) => [id, released]))).toEqual({
        lost: undefined,
        parked: true,
        released: true,
        stuck: undefined,
      });
      expect(await store.get("parked")).not.toHaveProperty("released");
    });

    it("of one run takes only that, and only if it needs an owner", async () => {
      const { commit, store, claim } = await world(make);
      await store.heartbeat("w1", t0 + 1_000);
      await commit("accepted", accept("r1"), accept("r2"));
      expect(await claim("w2", { run: "r1" })).toEqual([]);
      expect(await claim("w2", { run: "nobody" })).toEqual([]);
      expect(ids(await claim("w2", { run: "r1", now: t0 + 2_000 }))).toEqual(["r1"]);
      expect(await claim("w2", { run: "r2", now: t0 + 2_000, machines: ["other@1"] })).toEqual([]);
      expect(await store.get("r2")).toMatchObject({ owner: "w1" });
    });

    it("quarantines a run that was taken twice without a turn since (S09)", async () => {
      const { commit, store, claim, meters } = await world(make);
      await commit("accepted", accept("r1"), accept("good"));
      await commit("written", turn("r1", 1, { asks: [call(1, 10, [meter("m", 100)])] }));
      expect(ids(await claim("w2", { dead: ["w1"] }))).toEqual(["good", "r1"]);
      await commit("written", turn("good", 1, { epoch: 2 }));
      expect(ids(await claim("w3", { dead: ["w2"] }))).toEqual(["good", "r1"]);
      await commit("written", turn("good", 2, { epoch: 3 }));
      expect(ids(await claim("w4", { dead: ["w3"] }))).toEqual(["good"]);
      expect(await store.get("r1")).toMatchObject({ status: "quarantined", owner: null, reason: "taken 2 times without a turn since" });
      // Its holds stay, and nobody gets it again.
      expect(await meters()).toEqual({ m: [100, 0, 10] });
      expect(ids(await claim("w5", { dead: ["w3", "w4"] }))).toEqual(["good"]);
    });

    it("counts only claims since the last turn", async () => {
      const { commit, claim } = await world(make);
      await commit("accepted", accept("r1"));
      for (let n = 1; n <= 5; n++) {
        expect(ids(await claim(`w${n + 1}`, { dead: [`w${n}`] }))).toEqual(["r1"]);
        await commit("written", turn("r1", n, { epoch: n + 1 }));
      }
    });

    it("goes on to other runs when some of its candidates are poison", async () => {
      const { commit, claim, store } = await world(make);
      await commit("accepted", accept("p1"), accept("p2"), accept("p3"));
      await claim("w2", { dead: ["w1"] });
      await claim("w3", { dead: ["w2"] });
      await commit("accepted", accept("r1", { owner: "w3" }), accept("r2", { owner: "w3" }));
      expect(ids(await claim("w4", { dead: ["w3"], limit: 2 }))).toEqual(["r1", "r2"]);
      expect((await store.list({ status: "quarantined", limit: 10 })).rows).toHaveLength(3);
    });
  });

  describe("park", () => {
    it("gives the run up and keeps its open asks", async () => {
      const { commit, store, claim } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { status: "waiting", asks: [ask(1), call(2, 10, [meter("m", 100)])] }));
      expect(await commit("parked", { type: "park", run: "r1", epoch: 1, head: 1 })).toEqual([{ type: "parked", parked: true }]);
      expect(await store.get("r1")).toMatchObject({ owner: null, status: "waiting", heldNano: 10, open: [{ ordinal: 1 }, { ordinal: 2 }] });
      expect(await store.owners()).toEqual([]);
      expect(await claim("w2", { dead: ["w1"], now: t0 + 1e9 })).toEqual([]);
      await commit("fenced", turn("r1", 2), { type: "park", run: "r1", epoch: 1, head: 1 });
    });

    it("is refused when a message waits or the head has moved", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      await commit("written", turn("r1", 1), turn("r2", 1));
      await store.message("r1", cancel());
      expect(
        await commit("parked", { type: "park", run: "r1", epoch: 1, head: 1 }, { type: "park", run: "r2", epoch: 1, head: 0 }),
      ).toEqual([
        { type: "parked", parked: false },
        { type: "parked", parked: false },
      ]);
      expect(await store.get("r1")).toMatchObject({ owner: "w1" });
      await commit("written", turn("r1", 2, { consumes: "n1" }));
      expect(await commit("parked", { type: "park", run: "r1", epoch: 1, head: 2 })).toEqual([{ type: "parked", parked: true }]);
    });

    it("ends by a message", async () => {
      const { commit, store, claim } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { status: "waiting", asks: [ask(1)] }));
      await commit("parked", { type: "park", run: "r1", epoch: 1, head: 1 });
      await store.message("r1", { ...cancel(), kind: "answer", ordinal: 1 });
      expect(await claim("w2")).toMatchObject([{ id: "r1", epoch: 2, owner: "w2", open: [{ ordinal: 1 }] }]);
      expect(await claim("w3")).toEqual([]);
    });

    it("ends when its earliest timer is due", async () => {
      const { commit, store, claim } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      const timer = (ordinal: number, due: number) => ({ ordinal, kind: "sleep", hash: "", due });
      await commit("written", turn("r1", 1, { status: "waiting", asks: [timer(1, t0 + 500), timer(2, t0 + 300), timer(3, t0 + 100)] }));
      await commit("written", turn("r1", 2, { status: "waiting", closes: [close(3)] }));
      await commit("written", turn("r2", 1, { status: "waiting", asks: [ask(1, { due: t0 + 400 })] }));
      expect(await store.nextDue()).toBeNull();
      await commit("parked", { type: "park", run: "r1", epoch: 1, head: 2 }, { type: "park", run: "r2", epoch: 1, head: 1 });
      expect(await store.nextDue()).toBe(t0 + 300);
      expect(await claim("w2", { now: t0 + 299 })).toEqual([]);
      expect(ids(await claim("w2", { now: t0 + 300 }))).toEqual(["r1"]);
      expect(await store.nextDue()).toBe(t0 + 400);
      expect(ids(await claim("w2", { now: t0 + 10_000 }))).toEqual(["r1", "r2"].slice(1));
      expect(await store.nextDue()).toBeNull();
    });

    it("counts no claim: waking and parking again is not poison", async () => {
      const { commit, store, claim } = await world(make);
      await commit("accepted", accept("r1"));
      for (let epoch = 1; epoch <= 5; epoch++) {
        await commit("parked", { type: "park", run: "r1", epoch, head: epoch - 1 });
        await store.message("r1", cancel(`n${epoch}`));
        expect(ids(await claim("w2"))).toEqual(["r1"]);
        await commit("written", turn("r1", epoch, { epoch: epoch + 1, consumes: `n${epoch}` }));
      }
    });
  });

  describe("quarantine", () => {
    it("takes the run out of work with its reason, its holds kept", async () => {
      const { commit, store, claim, meters } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [call(1, 10, [meter("m", 100)])] }));
      await commit("quarantined", { type: "quarantine", run: "r1", epoch: 1, reason: "replay differs at turn 1" });
      expect(await store.get("r1")).toMatchObject({ status: "quarantined", owner: null, reason: "replay differs at turn 1", heldNano: 10 });
      expect(await meters()).toEqual({ m: [100, 0, 10] });
      await commit("fenced", turn("r1", 2), { type: "quarantine", run: "r1", epoch: 1, reason: "again" });
      await store.message("r1", cancel());
      expect(await claim("w2", { dead: ["w1"], now: t0 + 1e9 })).toEqual([]);
      expect(await claim("w2", { run: "r1" })).toEqual([]);
    });

    it("ends by an operator's claim, who may then retry or end the run", async () => {
      const { commit, store, claim, meters } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [call(1, 10, [meter("m", 100)])] }));
      await commit("quarantined", { type: "quarantine", run: "r1", epoch: 1, reason: "x" });
      expect(await claim("op", { run: "r1", quarantined: true })).toMatchObject([{ id: "r1", status: "running", epoch: 2, owner: "op" }]);
      expect(await store.get("r1")).not.toHaveProperty("reason");
      await commit("written", end("r1", 2, { epoch: 2, status: "cancelled", closes: [close(1, 10)] }));
      expect(await meters()).toEqual({ m: [100, 10, 0] });
    });
  });
};
