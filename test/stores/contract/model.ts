/** Random histories, told to the store and to a plain model of the contract: both must answer the same, and the invariants hold after each step. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Entry, EntryResult, Store } from "../../../src/stores/store.ts";
import { accept, call, called, close, fact, meter, progress, t0, turn, withoutLevels } from "./entries.ts";
import { PlainStore } from "./plain-store.ts";
import type { MakePlace } from "./world.ts";

const owners = ["w1", "w2", "w3"];
const limits = { day: 1_000, key: 2_000, system: 2_500 };
const pick = <T>(from: readonly T[], n: number): T | undefined => from[n % Math.max(1, from.length)];

/** A step as numbers; what they mean depends on the state that they meet, so that most steps are possible ones. */
type Seeds = { readonly a: number; readonly b: number; readonly c: number; readonly d: number };
const seeds = fc.record({ a: fc.nat(9_999), b: fc.nat(9_999), c: fc.nat(9_999), d: fc.nat(9_999) });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant("commit" as const), entries: fc.array(seeds, { minLength: 1, maxLength: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom("message", "claim", "heartbeat", "release"), seeds }) },
);

function entry(model: PlainStore, { a, b, c, d }: Seeds, pending: number): Entry {
  const all = [...model.runs.values()];
  const run = pick(all, a);
  if (!run || a % 7 === 0)
    return accept(`r${all.length + pending}.${a}.${b}`, {
      limitNano: 300 + (b % 5) * 200,
      owner: pick(owners, c)!,
      facts: Array.from({ length: d % 3 }, () => fact("run.accepted")),
      info: c % 3 === 0 ? { session: `s${d % 3}` } : {},
    });
  const { record } = run;
  // Now and then a zombie, a gap or a repetition.
  const epoch = record.epoch - (b % 11 === 0 ? 1 : 0);
  const n = record.head + 1 + (b % 13 === 0 ? (c % 3) - 1 : 0);
  const written = pick(run.written, d)?.entry;
  if (written && b % 13 === 1) return written;
  if (d % 10 === 0) return { type: "park", run: record.id, epoch, head: n - 1 };
  if (d % 97 === 0) return { type: "quarantine", run: record.id, epoch, reason: `because of ${d}` };
  const ends = c % 8 === 0;
  const closing = ends ? record.open : record.open.filter((_, i) => (c >> i) % 2 === 1);
  const closes = closing.map(({ ordinal, holdNano = 0 }, i) => close(ordinal, Math.floor((holdNano * ((d + i) % 5)) / 4)));
  if (d % 53 === 0) closes.push(close(9_999));
  const first = record.head * 10;
  const asks = ends ? [] : Array.from({ length: b % 3 }, (_, i) => asked(first + i, a + b * i + c, i + d));
  const message = run.inbox.find(({ consumed }) => !consumed);
  return turn(record.id, n, {
    epoch,
    facts: Array.from({ length: a % 4 }, (_, i) => fact(`f${i}`)),
    asks,
    closes,
    calls: closes.map(({ ordinal, costNano }) => called(ordinal, costNano)),
    status: ends ? "done" : c % 5 === 0 ? "waiting" : "running",
    progress: { ...progress, steps: record.head },
    ...(message && a % 2 === 0 ? { consumes: message.nonce } : {}),
    ...(a % 17 === 0 ? { raiseNano: 100 } : {}),
  });
}

function asked(ordinal: number, a: number, b: number) {
  if (a % 5 === 0) return { ordinal, kind: "ask", hash: `h${a}` };
  if (a % 5 === 1) return { ordinal, kind: "sleep", hash: "", due: t0 + 1 + (b % 500) };
  const meters = Object.entries(limits)
    .filter((_, i) => (a >> i) % 2 === 1)
    .map(([key, limit]) => meter(key, limit));
  const started = { json: fact("call.started"), hold: b % 2 === 0 };
  return { ...call(ordinal, 50 + (b % 8) * 40, meters, { minTokens: 20 }), ...(a % 3 === 0 ? {} : { started }) };
}

const told = (results: readonly EntryResult[]) => withoutLevels(results).map((r) => (r.type === "broken" ? { type: r.type } : r));
const byId = <T extends { readonly id: string }>(rows: readonly T[]): T[] => [...rows].sort((x, y) => (x.id < y.id ? -1 : 1));

async function takeStep(
  store: Store,
  model: PlainStore,
  now: number,
  taken: typeof step extends fc.Arbitrary<infer S> ? S : never,
): Promise<void> {
  if (taken.op === "commit") {
    // Made against a copy that goes along, so that a batch may hold several turns of one run.
    const ahead = Object.assign(new PlainStore(), structuredClone({ runs: model.runs, meters: model.meters, leases: model.leases }));
    const batch = taken.entries.map((some, i) => {
      const made = entry(ahead, some, i);
      ahead.commit([made]);
      return made;
    });
    expect(told(await store.commit(batch))).toEqual(told(model.commit(batch)));
    return;
  }
  const { a, b, c, d } = taken.seeds;
  const owner = pick(owners, a)!;
  if (taken.op === "heartbeat") {
    await store.heartbeat(owner, now + (b % 100));
    model.heartbeat(owner, now + (b % 100));
  } else if (taken.op === "release") {
    await store.release(owner);
    model.release(owner);
  } else if (taken.op === "claim") {
    const dead = b % 3 === 0 ? [pick(owners, c)!] : [];
    const rows = await store.claim(owner, { now, limit: 1_000, machines: ["agent@1"], dead });
    expect(byId(rows)).toEqual(byId(model.claim(owner, now, dead)));
  } else {
    const run = pick([...model.runs.keys()], a) ?? "nobody";
    const ordinal = pick(model.runs.get(run)?.record.open ?? [], c)?.ordinal ?? d;
    const message = {
      nonce: `n${d % 20}`,
      value: { d },
      createdAt: now,
      ...(b % 2 === 0 ? { kind: "cancel" as const } : { kind: "answer" as const, ordinal }),
    };
    const [was, mustBe] = [await store.message(run, message), model.message(run, message)];
    expect(was.type === "conflict" ? was.type : was).toEqual(mustBe.type === "conflict" ? mustBe.type : mustBe);
  }
}

/** Invariants 3 and 4, that nothing is lost between runs and meters, and that each call is counted once. */
async function checkInvariants(store: Store): Promise<void> {
  const { rows } = await store.list({ limit: 1_000 });
  const heldOn = new Map<string, number>();
  const usage = await store.usage({ tenant: "acme", by: "agent", from: 0, to: t0 * 2, limit: 10 });
  expect(usage.total.costNano).toBe(rows.reduce((sum, { spentNano }) => sum + spentNano, 0));
  for (const run of rows) {
    expect(run.spentNano + run.heldNano).toBeLessThanOrEqual(run.limitNano);
    expect(run.heldNano).toBe(run.open.reduce((sum, { holdNano = 0 }) => sum + holdNano, 0));
    for (const { meters = [], holdNano = 0 } of run.open) for (const key of meters) heldOn.set(key, (heldOn.get(key) ?? 0) + holdNano);
    expect((await store.facts(run.id, 0, 10_000)).map(({ seq }) => seq)).toEqual(Array.from({ length: run.seq }, (_, i) => i + 1));
    expect((await store.turns(run.id, 0, 10_000)).map(({ n }) => n)).toEqual(Array.from({ length: run.head }, (_, i) => i + 1));
  }
  for (const { key, limitNano, spentNano, heldNano } of await store.meters()) {
    expect(heldNano).toBe(heldOn.get(key) ?? 0);
    expect(spentNano).toBeGreaterThanOrEqual(0);
    expect(spentNano + heldNano).toBeLessThanOrEqual(limitNano);
  }
  // What is healthy is left as it is.
  expect(await store.reconcile()).toEqual([]);
}

async function checkState(store: Store, model: PlainStore): Promise<void> {
  const { rows } = await store.list({ limit: 1_000 });
  expect([...rows].reverse()).toEqual([...model.runs.values()].map(({ record }) => record));
  for (const { record, facts, inbox } of model.runs.values()) {
    expect((await store.facts(record.id, 0, 10_000)).map(({ json }) => json)).toEqual(facts);
    expect(await store.inbox(record.id)).toEqual(inbox.filter(({ consumed }) => !consumed).map(({ consumed: _, ...message }) => message));
  }
  const meters = Object.fromEntries((await store.meters()).map(({ key, level: _, ...money }) => [key, money]));
  expect(meters).toEqual(Object.fromEntries([...model.meters].map(([key, { level: _, ...money }]) => [key, money])));
  expect(await store.nextDue()).toBe(model.nextDue());
}

/** Tells one random history to a fresh store. Throws where it differs from the model or breaks an invariant. */
export async function compareWithModel(make: MakePlace, histories: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const store = await (await make())();
      const model = new PlainStore();
      try {
        for (const [i, taken] of steps.entries()) {
          await takeStep(store, model, t0 + i * 10, taken);
          if (i % 10 === 9) await checkInvariants(store);
        }
        await checkInvariants(store);
        await checkState(store, model);
      } finally {
        await store.close();
      }
    }),
    { numRuns: histories },
  );
}

export const modelContract = (make: MakePlace, histories: number): void => {
  describe("random histories", () => {
    it("are answered as the plain model answers them, and keep the invariants", () => compareWithModel(make, histories), 60_000);
  });
};
