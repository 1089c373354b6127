/** Finds turns that were written before, so that whoever commits one again is answered as then: see `sql/repeat.ts`. */
import type { DatabaseSync } from "node:sqlite";
import type { PackedTurn } from "../sql/packed.ts";
import { answerAgain, type WrittenTurn } from "../sql/repeat.ts";
import type { EntryResult } from "../store.ts";
import type { Ledger } from "./ledger.ts";
import type { RunRow } from "./live-runs.ts";
import { type Query, query } from "./schema.ts";

export class Repeats {
  readonly #written: Query<WrittenTurn>;
  readonly #ledger: Ledger;

  constructor(db: DatabaseSync, ledger: Ledger) {
    this.#ledger = ledger;
    this.#written = query(
      db,
      `select t.at, t.hash, t.body, t.progress, t.facts, t.open, t.limit_nano, t.spent_nano, b.seq
       from turns t join turns b on b.run = t.run and b.n = t.n - 1 where t.run = ? and t.n = ?`,
    );
  }

  /** What this very turn was answered when it was written, without `wakes`; null when it was not. */
  answer(row: RunRow, entry: PackedTurn): (EntryResult & { type: "written" }) | null {
    if (row.epoch !== entry.epoch || entry.n > row.head) return null;
    const written = this.#written.get(row.position, entry.n);
    return written ? answerAgain(written, entry, this.#ledger) : null;
  }
}
