/**
 * Turns that are committed again: their first commit was written and its answer lost (the store's thread died, the writer tried again).
 * Whoever asks again must hear what was decided then: told that it is fenced, it would drop a run that is its own, with its paid calls.
 *
 *  1. Only the same turn is answered: number, content, and the run's present epoch. Another one under that number is a zombie's.
 *  2. Grants are read from the open asks that the turn left; nothing is decided again.
 */
import type { DatabaseSync } from "node:sqlite";
import type { AskEntry, EntryResult, Grant, OpenAsk } from "../store.ts";
import type { Ledger } from "./ledger.ts";
import type { RunRow } from "./live-runs.ts";
import type { PackedTurn } from "./packed.ts";
import { type Query, query } from "./schema.ts";

type WrittenTurn = [
  at: number,
  hash: string,
  body: string,
  progress: string,
  facts: string,
  open: string,
  limitNano: number,
  spentNano: number,
  seqBefore: number,
];
type Money = { readonly limitNano: number; readonly spentNano: number };

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
    if (!written) return null;
    const [at, hash, body, progress, facts, open, limitNano, spentNano, seqBefore] = written;
    const same = at === entry.at && hash === entry.hash && body === entry.body && progress === entry.progress;
    if (!same || !facts.startsWith(`[${entry.facts}`)) return null;
    // Written by the writer as JSON of this type.
    const opened = JSON.parse(open) as OpenAsk[];
    const grants: Grant[] = [];
    for (const ask of entry.asks) {
      const found = opened.find(({ ordinal, hash }) => ordinal === ask.ordinal && hash === ask.hash);
      if (!found) return null;
      grants.push(this.#grant(ask, found, { limitNano, spentNano }));
    }
    return { type: "written", firstSeq: seqBefore + 1, grants };
  }

  #grant({ ordinal, reserve }: AskEntry, { denied, holdNano = 0, maxTokens = 0 }: OpenAsk, run: Money): Grant {
    if (denied === undefined) return { ordinal, granted: true, holdNano, maxTokens };
    // Written from the grant's own level.
    const level = denied as (Grant & { granted: false })["level"];
    const { limitNano, spentNano } = level === "run" ? run : this.#meter(reserve?.meters.find((meter) => meter.level === level)?.key);
    return { ordinal, granted: false, level, spentNano, limitNano };
  }

  /** As it stands now: what it was then is not written down, and is told to nobody. */
  #meter(key: string | undefined): Money {
    return (key !== undefined && this.#ledger.find(key)) || { limitNano: 0, spentNano: 0 };
  }
}
