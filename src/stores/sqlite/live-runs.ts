/**
 * The runs that turns are being written to, as they stand after the last one: read once, then remembered between transactions. Owns that
 * memory; the writer changes the rows in it.
 *
 *  1. What is remembered is true inside the writer's transaction: it calls {@link LiveRuns.forget} when another process has written, when
 *     runs have changed hands, or when its own transaction was rolled back.
 */
import type { DatabaseSync } from "node:sqlite";
import type { RunStatus } from "../../protocol/run.ts";
import type { RunState } from "../sql/turn.ts";
import type { OpenAsk } from "../store.ts";
import { type Query, query } from "./schema.ts";

export type RunRow = RunState & { readonly position: number };

type Columns = [
  position: number,
  epoch: number,
  owner: string | null,
  createdAt: number,
  hasSession: number,
  claims: number,
  status: RunStatus,
  head: number,
  seq: number,
  limitNano: number,
  spentNano: number,
  heldNano: number,
  open: string,
];

/** Runs in memory at most (about 600 bytes each). */
const remembered = 10_000;

export class LiveRuns {
  readonly #rows = new Map<string, RunRow>();
  readonly #select: Query<Columns>;

  constructor(db: DatabaseSync) {
    this.#select = query(
      db,
      `select r.position, r.epoch, r.owner, r.created_at, r.session is not null, r.claims, r.status,
         t.n, t.seq, t.limit_nano, t.spent_nano, t.held_nano, t.open
       from runs r join turns t on t.run = r.position where r.id = ? order by t.n desc limit 1`,
    );
  }

  find(run: string): RunRow | undefined {
    const known = this.#rows.get(run);
    if (known) return known;
    const columns = this.#select.get(run);
    if (!columns) return undefined;
    const [position, epoch, owner, createdAt, hasSession, claims, status, head, seq, limitNano, spentNano, heldNano, open] = columns;
    const row: RunRow = {
      level: "run",
      position,
      epoch,
      owner,
      createdAt,
      hasSession: hasSession === 1,
      claims,
      status,
      head,
      seq,
      limitNano,
      spentNano,
      heldNano,
      // Written by the writer as JSON of this type.
      open: JSON.parse(open) as OpenAsk[],
    };
    if (owner !== null) this.remember(run, row);
    return row;
  }

  remember(run: string, row: RunRow): void {
    if (this.#rows.size >= remembered) this.#rows.clear();
    this.#rows.set(run, row);
  }

  /** The run has no owner any more. */
  drop(run: string): void {
    this.#rows.delete(run);
  }

  forget(): void {
    this.#rows.clear();
  }
}
