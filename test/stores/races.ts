/**
 * Owners of runs that reserve, settle, stop, top up, crash and are taken over while hours and days go by, in every order that fast-check's
 * scheduler finds. After each step, on every meter and run: spent + held <= limit, what is held is held by an open ask, what was settled is
 * what was spent; at the end nothing is held.
 *
 * A step is one call of the store. What an owner decides on it knows from its own last step, so whoever was taken over meanwhile acts as a
 * zombie: its entries must be fenced.
 */
import fc from "fast-check";
import { expect } from "vitest";
import { metersOf } from "../../src/money/budgets.ts";
import type { OpenAsk, Reserve, Store, TurnEntry } from "../../src/stores/store.ts";
import { accept, call, end, t0, turn } from "./contract/entries.ts";

const hourMs = 3_600_000;
/** Tight enough that half of the calls are denied by one level or another. */
const budgets = {
  user: { nano: 900, calls: 12 },
  feature: { digest: { nano: 700, tokens: 1_500 } },
  system: { nano: 1_000, calls: 14, tokens: 2_000 },
};
const runLimit = 600;

type Action =
  | { readonly do: "reserve"; readonly hold: number; readonly least: number }
  /** Of the open calls, with this part of the hold as its cost. */
  | { readonly do: "settle"; readonly which: number; readonly part: number }
  /** All that is open is stopped, and something else asked. */
  | { readonly do: "stop"; readonly part: number; readonly hold: number }
  | { readonly do: "topUp"; readonly nano: number }
  /** The answer to the last commit is lost: it is made again. */
  | { readonly do: "repeat" }
  /** The process dies, or seems to: another takes over, and this one goes on as if nothing had happened. */
  | { readonly do: "crash" }
  | { readonly do: "wait"; readonly ms: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("reserve" as const),
      hold: fc.integer({ min: 1, max: 300 }),
      least: fc.integer({ min: 1, max: 300 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("settle" as const), which: fc.nat(9), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("stop" as const),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
      hold: fc.integer({ min: 1, max: 300 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("topUp" as const), nano: fc.integer({ min: 1, max: 500 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("repeat" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(hourMs, 2 * hourMs, 13 * hourMs) }) },
);

/** What one owner knows of its run. */
type Known = { readonly owner: string; readonly epoch: number; head: number; open: readonly OpenAsk[]; last?: TurnEntry; gone: boolean };

class Races {
  readonly #store: Store;
  readonly #scheduler: fc.Scheduler;
  #now = t0;
  #owners = 0;

  constructor(store: Store, scheduler: fc.Scheduler) {
    this.#store = store;
    this.#scheduler = scheduler;
  }

  /** Each list is the life of one run, step by step. */
  async play(lives: readonly (readonly Action[])[]): Promise<void> {
    const names = lives.map((_, i) => `r${i}`);
    await this.#store.commit(
      names.map((run) =>
        accept(run, { owner: `${run}.0`, limitNano: runLimit, info: { user: `u${this.#owners++ % 2}`, feature: "digest" } }),
      ),
    );
    for (const [i, life] of lives.entries()) {
      const run = names[i] as string;
      this.#live(run, { owner: `${run}.0`, epoch: 1, head: 0, open: [], gone: false }, life);
    }
    await this.#scheduler.waitAll();
    // Whoever is left settles and ends.
    for (const run of names) await this.#end(run);
    await this.#check(names);
    for (const { heldNano, counts } of await this.#store.meters())
      expect([heldNano, counts?.calls.held ?? 0, counts?.tokens.held ?? 0]).toEqual([0, 0, 0]);
    expect(await this.#store.reconcile()).toEqual([]);
  }

  #live(run: string, known: Known, life: readonly Action[]): void {
    void this.#scheduler.scheduleSequence(
      life.map((act, i) => ({
        label: `${known.owner}: ${act.do}`,
        builder: async () => {
          await this.#act(run, known, act, life.slice(i + 1));
          await this.#check([run]);
        },
      })),
    );
  }

  async #act(run: string, known: Known, act: Action, rest: readonly Action[]): Promise<void> {
    switch (act.do) {
      case "wait":
        this.#now += act.ms;
        return;
      case "crash":
        return this.#takeOver(run, known, rest);
      case "repeat":
        if (known.last) await this.#commit(run, known, known.last, true);
        return;
      case "reserve":
        return this.#turn(run, known, { asks: [this.#call(known, act.hold, Math.min(act.least, act.hold))] });
      case "settle": {
        const ask = known.open[act.which % Math.max(1, known.open.length)];
        return this.#turn(run, known, { closes: ask ? [settled(ask, act.part)] : [] });
      }
      case "stop": {
        const closes = known.open.map((ask) => settled(ask, act.part));
        return this.#turn(run, known, { closes, asks: [this.#call(known, act.hold, 1)] });
      }
      case "topUp":
        return this.#turn(run, known, { raiseNano: act.nano });
    }
  }

  /** A call now: on the meters of this hour and this day. */
  #call({ head, epoch }: Known, hold: number, least: number) {
    const ask = call(head * 10 + epoch * 100_000, hold, [], { minTokens: least });
    const meters = metersOf(budgets, { tenant: "acme", user: `u${this.#owners % 2}`, feature: "digest" }, this.#now);
    return { ...ask, reserve: { ...(ask.reserve as Reserve), inputTokens: 3, meters } };
  }

  async #turn(run: string, known: Known, more: Partial<TurnEntry>): Promise<void> {
    const entry = turn(run, known.head + 1, {
      epoch: known.epoch,
      at: this.#now - t0 + known.head,
      hash: `${known.owner} ${known.head}`,
      ...more,
    });
    await this.#commit(run, known, entry, false);
  }

  async #commit(run: string, known: Known, entry: TurnEntry, isRepeat: boolean): Promise<void> {
    const [result] = await this.#store.commit([entry]);
    expect(result?.type).toBe(known.gone ? "fenced" : "written");
    if (known.gone || isRepeat) return;
    known.last = entry;
    known.head = entry.n;
    known.open = (await this.#store.get(run))?.open ?? [];
  }

  async #takeOver(run: string, known: Known, rest: readonly Action[]): Promise<void> {
    const owner = `${run}.${++this.#owners}`;
    const [record] = await this.#store.claim(owner, { now: 0, limit: 1, machines: ["agent@1"], dead: [known.owner], run });
    // A zombie's process is not taken over once more.
    if (!record) {
      expect(known.gone || (await this.#store.get(run))?.status === "quarantined").toBe(true);
      known.gone = true;
      return;
    }
    known.gone = true;
    this.#live(run, { owner, epoch: record.epoch, head: record.head, open: record.open, gone: false }, rest);
  }

  async #end(run: string): Promise<void> {
    const before = await this.#store.get(run);
    const owner = `${run}.end`;
    const [record] = await this.#store.claim(owner, {
      now: this.#now,
      limit: 1,
      machines: ["agent@1"],
      dead: [before?.owner ?? ""],
      run,
      quarantined: true,
    });
    if (!record) {
      // Taken too often: an operator takes it out.
      expect((await this.#store.get(run))?.status).toBe("quarantined");
      return this.#end(run);
    }
    const closes = record.open.map((ask) => settled(ask, 0.5));
    expect(await this.#store.commit([end(run, record.head + 1, { epoch: record.epoch, closes })])).toMatchObject([{ type: "written" }]);
  }

  async #check(_: readonly string[]): Promise<void> {
    const { rows } = await this.#store.list({ limit: 100 });
    const meters = await this.#store.meters();
    const held = new Map<string, [nano: number, tokens: number, calls: number]>();
    for (const run of rows) {
      expect(run.spentNano + run.heldNano).toBeLessThanOrEqual(run.limitNano);
      expect(run.heldNano).toBe(run.open.reduce((sum, { holdNano = 0 }) => sum + holdNano, 0));
      for (const { meters: keys = [], counted = [], holdNano = 0, holdTokens = 0 } of run.open)
        for (const key of keys) {
          const of = held.get(key) ?? [0, 0, 0];
          const counts = counted.includes(key);
          held.set(key, [of[0] + holdNano, of[1] + (counts ? holdTokens : 0), of[2] + (counts ? 1 : 0)]);
        }
    }
    for (const { key, limitNano, spentNano, heldNano, counts } of meters) {
      expect(spentNano + heldNano, key).toBeLessThanOrEqual(limitNano);
      for (const count of counts ? [counts.tokens, counts.calls] : [])
        expect(count.spent + count.held, key).toBeLessThanOrEqual(count.limit);
      const counted = counts ? [counts.tokens.held, counts.calls.held] : [0, 0];
      expect([heldNano, ...counted], key).toEqual(held.get(key) ?? [0, 0, 0]);
    }
    // Each call is on one meter of each level: what runs have spent is what each level has.
    const spent = rows.reduce((sum, { spentNano }) => sum + spentNano, 0);
    for (const level of ["user", "feature", "system"])
      expect(
        meters.filter((meter) => meter.level === level).reduce((sum, { spentNano }) => sum + spentNano, 0),
        level,
      ).toBe(spent);
  }
}

const settled = ({ ordinal, holdNano = 0, holdTokens = 0 }: OpenAsk, part: number) => ({
  ordinal,
  costNano: Math.floor(holdNano * part),
  tokens: Math.floor(holdTokens * part),
});

/** Plays so many random races, each on a store of its own. */
export async function race(make: () => Promise<Store> | Store, races: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.array(action, { minLength: 4, maxLength: 14 }), { minLength: 2, maxLength: 4 }),
      async (scheduler, lives) => {
        const store = await make();
        try {
          await new Races(store, scheduler).play(lives);
        } finally {
          await store.close();
        }
      },
    ),
    { numRuns: races },
  );
}
