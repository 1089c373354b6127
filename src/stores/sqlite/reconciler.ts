/** Compares what runs and meters say they hold with what open asks hold, and corrects it: one transaction, so that both are of one instant. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { EndedCursor, EndedPage, PackedMeter } from "../sql/calls.ts";
import { byMeter, corrected, differences, type HoldingRun } from "../sql/reconcile.ts";
import type { Correction } from "../store.ts";
import { type Query, query } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

const lastTurn = "join turns t on t.rowid = (select rowid from turns where run = r.position order by n desc limit 1)";
const meterColumns = "key, level, limit_nano, spent_nano, held_nano, counts";

export class Reconciler {
  readonly #transaction: Transaction;
  readonly #changed: () => void;
  readonly #holding: Query<HoldingRun>;
  readonly #meters: Query<PackedMeter>;
  readonly #meter: Query<PackedMeter>;
  readonly #ended: Query<[finishedAt: number, position: number, id: string, heldNano: number]>;
  readonly #setRun: StatementSync;
  readonly #setMeter: StatementSync;

  /** `changed` is called before rows change: what the writer remembers of them is no longer true. */
  constructor(db: DatabaseSync, transaction: Transaction, changed: () => void) {
    this.#transaction = transaction;
    this.#changed = changed;
    this.#holding = query(
      db,
      `select r.id, t.held_nano, t.open from runs r ${lastTurn} where r.finished_at is null and (t.held_nano <> 0 or t.open <> '[]')`,
    );
    this.#meters = query(db, `select ${meterColumns} from meters`);
    this.#meter = query(db, `select ${meterColumns} from meters where key = ?`);
    this.#ended = query(
      db,
      `select r.finished_at, r.position, r.id, t.held_nano from runs r ${lastTurn}
       where r.finished_at is not null and (r.finished_at, r.position) > (?, ?) order by r.finished_at, r.position limit ?`,
    );
    this.#setRun = db.prepare(
      `update turns set held_nano = ?2
       where rowid = (select rowid from turns where run = (select position from runs where id = ?1) order by n desc limit 1)`,
    );
    this.#setMeter = db.prepare(`insert or replace into meters (${meterColumns}) values (?, ?, ?, ?, ?, ?)`);
  }

  reconcile(): Correction[] {
    return this.#transaction.run(() => {
      const corrections = differences(this.#holding.all(), this.#meters.all());
      if (corrections.length > 0) this.#changed();
      for (const { of, id, is } of corrections) if (of === "run") this.#setRun.run(id, is);
      for (const [key, of] of byMeter(corrections)) this.#setMeter.run(...corrected(key, this.#meter.get(key), of));
      return corrections;
    });
  }

  /** A run that has ended has nothing open, so it holds nothing. */
  reconcileEnded([finishedAt, position]: EndedCursor, limit: number): EndedPage {
    return this.#transaction.run(() => {
      const rows = this.#ended.all(finishedAt, position, limit);
      const corrections = rows.flatMap(([, , id, was]): Correction[] => (was === 0 ? [] : [{ of: "run", id, unit: "nano", was, is: 0 }]));
      for (const { id } of corrections) this.#setRun.run(id, 0);
      const last = rows.at(-1);
      return { corrections, next: last && rows.length === limit ? [last[0], last[1]] : null };
    });
  }
}
