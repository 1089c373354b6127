/** What the store tells about runs, turns, facts and money; agents' definitions; and the deletion of what is old. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { PackedFacts, PackedMeter, PackedPage } from "../sql/calls.ts";
import type { PackedRecord } from "../sql/packed.ts";
import { tenantsSql } from "../sql/usage.ts";
import type { ListQuery, TurnRow } from "../store.ts";
import { isStoreFailure } from "./errors.ts";
import { type Query, query, recordColumns, recordTables } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

/** Columns of `runs` that a list can be filtered by. */
const filters = ["tenant", "user", "status", "agent", "session", "feature"] as const;

/** Turns read at once while looking for facts. */
const factsPage = 64;

type Listed = [position: number, ...PackedRecord];

export class Reads {
  readonly #db: DatabaseSync;
  readonly #transaction: Transaction;
  readonly #record: Query<PackedRecord>;
  readonly #recordAt: Query<PackedRecord>;
  /** Statements for each set of filters that was asked for (96 at most). */
  readonly #lists = new Map<string, { readonly rows: Query<Listed>; readonly positions: Query<[position: number]> }>();
  readonly #turns: Query<[n: number, at: number, body: string, hash: string]>;
  readonly #head: Query<[position: number, head: number, seq: number]>;
  readonly #seq: Query<[number]>;
  readonly #facts: Query<[n: number, lastSeq: number, facts: string]>;
  readonly #meters: Query<PackedMeter>;
  readonly #putAgent: StatementSync;
  readonly #getAgent: Query<[string]>;
  readonly #old: Query<[position: number]>;
  readonly #deletes: readonly StatementSync[];
  readonly #deleteKeys: StatementSync;
  readonly #deleteCalls: StatementSync;

  constructor(db: DatabaseSync, transaction: Transaction) {
    this.#db = db;
    this.#transaction = transaction;
    this.#record = query(db, `select ${recordColumns} from ${recordTables} where r.id = ?`);
    this.#recordAt = query(db, `select ${recordColumns} from ${recordTables} where r.position = ?`);
    this.#turns = query(
      db,
      "select n, at, body, hash from turns where run = (select position from runs where id = ?) and n > max(?, 0) order by n limit ?",
    );
    this.#head = query(db, "select run, n, seq from turns where run = (select position from runs where id = ?) order by n desc limit 1");
    this.#seq = query(db, "select seq from turns where run = ? and n = ?");
    this.#facts = query(db, "select n, seq, facts from turns where run = ? and n >= ? order by n limit ?");
    this.#meters = query(db, "select key, level, limit_nano, spent_nano, held_nano, counts from meters order by key");
    this.#putAgent = db.prepare("insert into agents (hash, json) values (?, ?) on conflict (hash) do nothing");
    this.#getAgent = query(db, "select json from agents where hash = ?");
    this.#old = query(db, "select position from runs where finished_at is not null and finished_at < ? order by finished_at limit ?");
    this.#deletes = ["turns where run", "inbox where run", "scores where run", "runs where position"].map((rows) =>
      db.prepare(`delete from ${rows} = ?`),
    );
    this.#deleteKeys = db.prepare("delete from idempotency where expires_at <= ?");
    this.#deleteCalls = db.prepare(
      `delete from calls where (tenant, at, run, ordinal) in (
         ${tenantsSql("calls")} select tenant, at, run, ordinal from tenants join calls using (tenant) where at < ? limit ?)`,
    );
  }

  get(run: string): PackedRecord | null {
    return this.#record.get(run) ?? null;
  }

  list(asked: ListQuery): PackedPage {
    const used = filters.filter((filter) => asked[filter] !== undefined);
    const values: SQLInputValue[] = used.flatMap((filter) => asked[filter] ?? []);
    // With `is ?` for both, no partial index would be used.
    const shape = used.map((filter) => `r.${filter} ${asked[filter] === null ? "is null" : "= ?"}`).join(" and ");
    let list = this.#lists.get(shape);
    if (!list) {
      const conditions = shape === "" ? "r.position < ?" : `${shape} and r.position < ?`;
      const of = (columns: string): string => `select ${columns} from ${recordTables} where ${conditions} order by r.position desc limit ?`;
      list = { rows: query(this.#db, of(`r.position, ${recordColumns}`)), positions: query(this.#db, of("r.position")) };
      this.#lists.set(shape, list);
    }
    // One more than asked for says whether there is a next page.
    values.push(asked.before ?? Number.MAX_SAFE_INTEGER, asked.limit + 1);
    let found: (Listed | [position: number])[];
    try {
      found = list.rows.all(...values);
    } catch (error) {
      if (isStoreFailure(error)) throw error;
      // One row that cannot be read must not hide the others.
      found = list.positions.all(...values).map(([position]) => this.#listed(position));
    }
    const page = found.slice(0, asked.limit);
    const rows = page.flatMap(([, ...packed]) => (packed.length > 0 ? [packed as unknown as PackedRecord] : []));
    return { rows, next: found.length > page.length ? (page.at(-1)?.[0] ?? null) : null };
  }

  #listed(position: number): Listed | [position: number] {
    try {
      return [position, ...(this.#recordAt.get(position) as PackedRecord)];
    } catch (error) {
      if (isStoreFailure(error)) throw error;
      return [position];
    }
  }

  turns(run: string, after: number, limit: number): TurnRow[] {
    return this.#turns.all(run, after, limit).map(([n, at, body, hash]) => ({ n, at, body, hash }));
  }

  /** Whole turns that together hold the facts after `after`, up to `limit` facts; the first and the last may hold others too. */
  facts(run: string, after: number, limit: number): PackedFacts[] {
    const last = this.#head.get(run);
    if (!last || last[2] <= after || limit <= 0) return [];
    const [position, head] = last;
    const found: PackedFacts[] = [];
    let from = this.#turnOfFact(position, head, after + 1);
    for (;;) {
      const rows = this.#facts.all(position, from, factsPage);
      for (const [n, lastSeq, facts] of rows) {
        found.push([lastSeq, facts]);
        if (lastSeq >= after + limit) return found;
        from = n + 1;
      }
      if (rows.length < factsPage) return found;
    }
  }

  /** The turn that holds the fact `seq`: `seq` grows with n, so it is found by halving. */
  #turnOfFact(position: number, head: number, seq: number): number {
    let low = 0;
    let high = head;
    while (low < high) {
      const middle = (low + high) >> 1;
      // A row that is missing (damage) is passed by.
      const lastSeq = this.#seq.get(position, middle)?.[0] ?? 0;
      if (lastSeq >= seq) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  meters(): PackedMeter[] {
    return this.#meters.all();
  }

  putAgent(hash: string, json: string): void {
    this.#putAgent.run(hash, json);
  }

  getAgent(hash: string): string | null {
    return this.#getAgent.get(hash)?.[0] ?? null;
  }

  /** At most `limit` in one transaction. How many were deleted. */
  purgeCalls(before: number, limit: number): number {
    return this.#transaction.run(() => Number(this.#deleteCalls.run(before, limit).changes));
  }

  /** At most `limit` runs in one transaction, so that turns wait for milliseconds only. How many were deleted; fewer than `limit`: that was all. */
  purge(before: number, now: number, limit: number): number {
    return this.#transaction.run(() => {
      const old = this.#old.all(before, limit);
      for (const [position] of old) for (const statement of this.#deletes) statement.run(position);
      if (old.length < limit) this.#deleteKeys.run(now);
      return old.length;
    });
  }
}
