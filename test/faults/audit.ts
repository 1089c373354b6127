/**
 * O2, at all instants: a store that looks at its own meters after every transaction. What is spent and held of a run and of every budget
 * above it must never be more than its limit.
 */
import type { Store } from "../../src/stores/store.ts";

export type Audit = {
  /** How often it looked. */
  looks: number;
  /** The most that was ever over a limit, with the meter: nothing, where all is well. */
  readonly over: string[];
};

export function audited(store: Store): { store: Store; audit: Audit } {
  const audit: Audit = { looks: 0, over: [] };
  const look = async (runs: readonly string[]): Promise<void> => {
    audit.looks++;
    for (const { key, spentNano, heldNano, limitNano } of await store.meters())
      if (spentNano + heldNano > limitNano) audit.over.push(`${key}: ${spentNano} + ${heldNano} > ${limitNano}`);
    for (const run of new Set(runs)) {
      const record = await store.get(run);
      if (record && record.spentNano + record.heldNano > record.limitNano)
        audit.over.push(`run ${run}: ${record.spentNano} + ${record.heldNano} > ${record.limitNano}`);
    }
  };
  const commit: Store["commit"] = async (batch) => {
    const results = await store.commit(batch);
    await look(batch.map(({ run }) => run));
    return results;
  };
  const watched = new Proxy(store, {
    get(target, name) {
      if (name === "commit") return commit;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { store: watched, audit };
}
