/**
 * The meters above runs: read once, decided on in memory, written once a batch. Owns their rows; what a call may cost is decided by
 * `src/money/budget.ts`, and a run's own meter is in its turns.
 *
 *  1. A meter never grants beyond its limit. `spent + held` exceeds it only when the limit was lowered afterwards or a call cost more
 *     than its hold: both are told as they are, and nothing more is granted.
 *  2. What is remembered is true inside the writer's transaction: it calls {@link Ledger.forget} when another process has written, or when
 *     its own transaction was rolled back.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Level } from "../../money/budget.ts";
import type { Count, Counts, MeterRef, OpenAsk } from "../store.ts";
import { amount } from "./amount.ts";
import { type Query, query } from "./schema.ts";

export type Meter = {
  readonly key: string;
  readonly level: Level["level"];
  limitNano: number;
  spentNano: number;
  heldNano: number;
  counts: Counts | undefined;
  /** Differs from its row. */
  changed: boolean;
};

/** Meters in memory at most (200 bytes each). */
const remembered = 10_000;

type MeterRow = [level: Level["level"], limitNano: number, spentNano: number, heldNano: number, counts: string | null];

export class Ledger {
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

  /** The meter that a reserve names; from now on with the limit given there. */
  at(ref: MeterRef): Meter {
    const found = this.find(ref.key);
    if (found) {
      if (found.limitNano !== ref.limitNano) {
        found.limitNano = amount("limitNano", ref.limitNano, ref.key);
        found.changed = true;
      }
      limitCounts(found, ref);
      return found;
    }
    const limitNano = amount("limitNano", ref.limitNano, ref.key);
    const made: Meter = { key: ref.key, level: ref.level, limitNano, spentNano: 0, heldNano: 0, counts: undefined, changed: true };
    limitCounts(made, ref);
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

/** Takes the limits of a reserve; a meter that counts and is limited no longer goes on counting. */
function limitCounts(meter: Meter, { key, limitTokens, limitCalls }: MeterRef): void {
  const isLimited = limitTokens !== undefined || limitCalls !== undefined;
  if (!meter.counts) {
    if (!isLimited) return;
    meter.counts = { tokens: { limit: 0, spent: 0, held: 0 }, calls: { limit: 0, spent: 0, held: 0 } };
  }
  const limit = (count: Count, name: string, to = Number.MAX_SAFE_INTEGER): void => {
    if (count.limit === to) return;
    count.limit = amount(name, to, key);
    meter.changed = true;
  };
  limit(meter.counts.tokens, "limitTokens", limitTokens);
  limit(meter.counts.calls, "limitCalls", limitCalls);
}

/** A granted call, held on a meter that counts. */
export function holdCounts({ tokens, calls }: Counts, holdTokens: number, key: string): void {
  tokens.held = amount("held tokens", tokens.held + holdTokens, key);
  calls.held += 1;
}

/** The same call, settled: it was one, and used so many tokens. */
export function settleCounts({ tokens, calls }: Counts, { holdTokens = 0 }: OpenAsk, used: number, key: string): void {
  tokens.held = amount("held tokens", tokens.held - holdTokens, key);
  tokens.spent = amount("spent tokens", tokens.spent + used, key);
  calls.held -= 1;
  calls.spent += 1;
}
