/**
 * The meters above runs: read once, decided on in memory, written once a batch. Owns their rows; a run's own meter is in its turns.
 *
 *  1. What is remembered is true inside the writer's transaction: it calls {@link Ledger.forget} when another process has written, or when
 *     its own transaction was rolled back.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Level } from "../../money/budget.ts";
import { limit, type Meter, type Meters, newMeter } from "../sql/meter.ts";
import type { Counts, MeterRef } from "../store.ts";
import { type Query, query } from "./schema.ts";

/** Meters in memory at most (200 bytes each). */
const remembered = 10_000;

type MeterRow = [level: Level["level"], limitNano: number, spentNano: number, heldNano: number, counts: string | null];

export class Ledger implements Meters {
  readonly #meters = new Map<string, Meter>();
  readonly #select: Query<MeterRow>;
  readonly #upsert: StatementSync;
  readonly #delete: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = query(db, "select level, limit_nano, spent_nano, held_nano, counts from meters where key = ?");
    this.#delete = db.prepare("delete from meters where key = ? and held_nano = 0");
    this.#upsert = db.prepare(
      `insert into meters (key, level, limit_nano, spent_nano, held_nano, counts) values (?1, ?2, ?3, ?4, ?5, ?6)
       on conflict (key) do update set limit_nano = ?3, spent_nano = ?4, held_nano = ?5, counts = ?6`,
    );
  }

  at(ref: MeterRef): Meter {
    const found = this.find(ref.key);
    if (found) {
      limit(found, ref);
      return found;
    }
    const made = newMeter(ref);
    this.#meters.set(ref.key, made);
    return made;
  }

  find(key: string): Meter | undefined {
    const known = this.#meters.get(key);
    if (known) return known;
    const row = this.#select.get(key);
    if (!row) return undefined;
    const [level, limitNano, spentNano, heldNano, json] = row;
    // Written by `flush` from this type.
    const counts = json === null ? undefined : (JSON.parse(json) as Counts);
    const meter: Meter = { key, level, limitNano, spentNano, heldNano, counts, changed: false };
    this.#meters.set(key, meter);
    return meter;
  }

  /** Deletes those of the meters that carry no hold; how many. */
  purge(keys: readonly string[]): number {
    let purged = 0;
    for (const key of keys) {
      purged += Number(this.#delete.run(key).changes);
      this.#meters.delete(key);
    }
    return purged;
  }

  /** Writes what changed; call it before the transaction (or the part of it) ends. */
  flush(): void {
    for (const meter of this.#meters.values()) {
      if (!meter.changed) continue;
      this.#upsert.run(
        meter.key,
        meter.level,
        meter.limitNano,
        meter.spentNano,
        meter.heldNano,
        meter.counts ? JSON.stringify(meter.counts) : null,
      );
      meter.changed = false;
    }
    if (this.#meters.size > remembered) this.forget();
  }

  forget(): void {
    this.#meters.clear();
  }
}
