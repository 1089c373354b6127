/** Messages, their keys, and what a turn consumes. */
import { describe, expect, it } from "vitest";
import type { InboxMessage } from "../../../src/stores/store.ts";
import { accept, ask, call, close, end, t0, turn } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

const cancel = (nonce: string, more: Partial<InboxMessage> = {}): InboxMessage => ({
  nonce,
  kind: "cancel",
  value: { reason: "enough" },
  createdAt: t0,
  ...more,
});
const answer = (nonce: string, ordinal: number, more: Partial<InboxMessage> = {}): InboxMessage => ({
  nonce,
  kind: "answer",
  ordinal,
  value: { approve: true },
  createdAt: t0,
  ...more,
});

export const inboxContract = (make: MakePlace): void => {
  describe("inbox", () => {
    it("keeps messages in order until a turn consumes them", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      await commit("written", turn("r1", 1, { asks: [ask(1)], status: "waiting" }));
      expect(await store.message("r1", answer("b", 1))).toEqual({ type: "stored", record: await store.get("r1") });
      expect(await store.message("r1", cancel("a"))).toMatchObject({ type: "stored" });
      expect(await store.inbox("r1")).toEqual([answer("b", 1), cancel("a")]);
      expect(await store.inbox("r2")).toEqual([]);
      await commit("written", turn("r1", 2, { consumes: "b", closes: [close(1)] }));
      expect(await store.inbox("r1")).toEqual([cancel("a")]);
      await commit("written", end("r1", 3, { consumes: "a", status: "cancelled" }));
      expect(await store.inbox("r1")).toEqual([]);
    });

    it("lets a message be consumed once, by its own run", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      await store.message("r1", cancel("a"));
      expect((await store.commit([turn("r2", 1, { consumes: "a" })]))[0]).toMatchObject({ type: "broken" });
      await commit("written", turn("r1", 1, { consumes: "a" }));
      expect((await store.commit([turn("r1", 2, { consumes: "a" })]))[0]).toMatchObject({ type: "broken" });
      expect(await store.get("r1")).toMatchObject({ head: 1 });
    });

    it("stores a repeated message once", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [ask(1)] }));
      for (let i = 0; i < 2; i++) expect(await store.message("r1", answer("a", 1))).toMatchObject({ type: "stored" });
      expect(await store.inbox("r1")).toHaveLength(1);
    });

    it("knows no message to a run that does not exist", async () => {
      const { store } = await world(make);
      expect(await store.message("nobody", cancel("a"))).toEqual({ type: "not_found" });
    });

    it("says that a run has ended", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", end("r1", 1));
      expect(await store.message("r1", cancel("a"))).toEqual({ type: "ended", record: await store.get("r1") });
      expect(await store.message("r1", answer("b", 1))).toMatchObject({ type: "ended" });
      expect(await store.inbox("r1")).toEqual([]);
    });

    it("brings up a queued run that was told to cancel, though its session is busy", async () => {
      const { commit, store, claim } = await world(make);
      const session = { info: { session: "s" } };
      await commit("accepted", accept("r1", session), accept("r2", session));
      expect(await store.message("r2", cancel("a"))).toMatchObject({ type: "stored", record: { status: "queued" } });
      expect(await claim("w2")).toMatchObject([{ id: "r2", status: "running", head: 0 }]);
      expect(await store.inbox("r2")).toHaveLength(1);
    });
  });

  describe("answer", () => {
    it("must name an open ask of a person", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1", { limitNano: 5 }));
      await commit("written", turn("r1", 1, { asks: [ask(1), call(2, 5), ask(3)] }));
      await commit("written", turn("r1", 2, { closes: [close(3)] }));
      for (const ordinal of [2, 3, 4]) expect(await store.message("r1", answer("x", ordinal))).toMatchObject({ type: "conflict" });
      const { ordinal: _, ...unnamed } = answer("x", 1);
      expect(await store.message("r1", unnamed)).toMatchObject({ type: "conflict" });
      expect(await store.inbox("r1")).toEqual([]);
      expect(await store.message("r1", answer("x", 1))).toMatchObject({ type: "stored" });
    });

    it("is given once, even after it was consumed", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [ask(1), ask(2)] }));
      await store.message("r1", answer("a", 1));
      expect(await store.message("r1", answer("b", 1))).toMatchObject({ type: "conflict", message: expect.stringContaining("already") });
      await commit("written", turn("r1", 2, { consumes: "a" }));
      expect(await store.message("r1", answer("b", 1))).toMatchObject({ type: "conflict" });
      expect(await store.message("r1", answer("c", 2))).toMatchObject({ type: "stored" });
    });

    it("must be about what is asked now, when it says what it is about", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [ask(1)] }));
      expect(await store.message("r1", answer("a", 1), { hash: "other" })).toMatchObject({ type: "conflict" });
      expect(await store.message("r1", answer("a", 1), { hash: "input-1" })).toMatchObject({ type: "stored" });
    });

    it("of two at once, one is stored", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await commit("written", turn("r1", 1, { asks: [ask(1)] }));
      const results = await Promise.all(["a", "b", "c"].map((nonce) => store.message("r1", answer(nonce, 1))));
      expect(results.map(({ type }) => type).sort()).toEqual(["conflict", "conflict", "stored"]);
    });
  });

  describe("a message's key", () => {
    const key = (more: object = {}) => ({ idempotency: { scope: "u1:/cancel", key: "k", bodyHash: "b", expiresAt: t0 + 1_000, ...more } });

    it("gives the first message's run again, with its present state", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      await store.message("r1", cancel("a"), key());
      await commit("written", end("r1", 1, { consumes: "a", status: "cancelled" }));
      expect(await store.message("r1", cancel("b"), key())).toEqual({ type: "known", record: await store.get("r1"), sameBody: true });
      expect(await store.message("r1", cancel("c"), key({ bodyHash: "c" }))).toMatchObject({ type: "known", sameBody: false });
      expect(await store.inbox("r1")).toEqual([]);
    });

    it("is another body when it names another run", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"), accept("r2"));
      await store.message("r1", cancel("a"), key());
      expect(await store.message("r2", cancel("b"), key())).toMatchObject({ type: "known", record: { id: "r1" }, sameBody: false });
      expect(await store.inbox("r2")).toEqual([]);
    });

    it("expires, and is not kept by a message that was refused", async () => {
      const { commit, store } = await world(make);
      await commit("accepted", accept("r1"));
      expect(await store.message("r1", answer("a", 1), key())).toMatchObject({ type: "conflict" });
      expect(await store.message("r1", cancel("b"), key())).toMatchObject({ type: "stored" });
      expect(await store.message("r1", cancel("c", { createdAt: t0 + 999 }), key())).toMatchObject({ type: "known" });
      expect(await store.message("r1", cancel("d", { createdAt: t0 + 1_000 }), key({ expiresAt: t0 + 5_000 }))).toMatchObject({
        type: "stored",
      });
    });
  });
};
