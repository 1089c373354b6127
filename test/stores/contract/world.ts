/** A store and what tests ask of it. Every test makes its own, so that nothing is shared. */
import { expect, onTestFinished } from "vitest";
import type { Entry, EntryResult, Store } from "../../../src/stores/store.ts";
import { t0 } from "./entries.ts";

/** Opens the store of one place. Where data is shared, each call opens the same data once more. */
export type Open = () => Promise<Store> | Store;
/** Makes a place that no test has used. */
export type MakePlace = () => Promise<Open> | Open;

export class World {
  readonly store: Store;
  readonly open: Open;
  constructor(store: Store, open: Open) {
    this.store = store;
    this.open = open;
  }

  /** Commits, and expects one result of this type for each entry. */
  commit = async (type: EntryResult["type"], ...entries: Entry[]): Promise<readonly EntryResult[]> => {
    const results = await this.store.commit(entries);
    expect(results.map((result) => (result.type === "broken" ? `broken: ${result.message}` : result.type))).toEqual(
      entries.map(() => type),
    );
    return results;
  };

  facts = async (run: string): Promise<[seq: number, type: unknown][]> =>
    (await this.store.facts(run, 0, 1_000)).map(({ seq, json }) => [seq, (JSON.parse(json) as { type?: unknown }).type]);

  meters = async (): Promise<{ [key: string]: [limit: number, spent: number, held: number] }> =>
    Object.fromEntries((await this.store.meters()).map((m) => [m.key, [m.limitNano, m.spentNano, m.heldNano]]));

  claim = (owner: string, more: Partial<Parameters<Store["claim"]>[1]> = {}) =>
    this.store.claim(owner, { now: t0, limit: 100, machines: ["agent@1"], ...more });
}

/** A fresh world, closed at the test's end. Its methods can be taken apart: `const { store, commit } = await world(make)`. */
export async function world(make: MakePlace): Promise<World> {
  const open = await make();
  const store = await open();
  onTestFinished(() => store.close());
  // Workers of the tests live, unless a test says otherwise: an owner without a lease is one whose lease has ended.
  await Promise.all(["w1", "w2", "w3", "w4"].map((owner) => store.heartbeat(owner, t0 + 60_000)));
  return new World(store, open);
}
