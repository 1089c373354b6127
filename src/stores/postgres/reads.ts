/** What the store tells about runs, turns, facts and money; agents' definitions; and the deletion of what is old. */
import type { PackedFacts, PackedMeter, PackedPage } from "../sql/calls.ts";
import type { PackedRecord } from "../sql/packed.ts";
import type { ListQuery, TurnRow } from "../store.ts";
import type { Database } from "./database.ts";
import { recordColumns, recordTables } from "./schema.ts";
import { storable } from "./text.ts";

/** Columns of `runs` that a list can be filtered by. */
const filters = ["tenant", "user", "status", "agent", "session", "feature"] as const;

/** Turns read at once while looking for facts. */
const factsPage = 64;

export class Reads {
  readonly #database: Database;
  readonly #schema: string;
  readonly #record: string;

  constructor(database: Database) {
    this.#database = database;
    this.#schema = database.schema;
    this.#record = `select ${recordColumns} from ${recordTables(database.schema)}`;
  }

  async get(run: string): Promise<PackedRecord | null> {
    return (await this.#database.query<PackedRecord>(`${this.#record} where r.id = $1`, [storable(run)]))[0] ?? null;
  }

  async list(asked: ListQuery): Promise<PackedPage> {
    // One more than asked for says whether there is a next page.
    const values: (string | number)[] = [asked.before ?? Number.MAX_SAFE_INTEGER, asked.limit + 1];
    const conditions = ["r.position < $1"];
    for (const filter of filters) {
      const value = asked[filter];
      if (value === null) conditions.push(`r."${filter}" is null`);
      else if (value !== undefined) conditions.push(`r."${filter}" = $${values.push(storable(value))}`);
    }
    const found = await this.#database.query<[position: number, ...PackedRecord]>(
      `select r.position, ${recordColumns} from ${recordTables(this.#schema)}
       where ${conditions.join(" and ")} order by r.position desc limit $2`,
      values,
    );
    const page = found.slice(0, asked.limit);
    const rows = page.map(([, ...packed]): PackedRecord => packed);
    return { rows, next: found.length > page.length ? (page.at(-1)?.[0] ?? null) : null };
  }

  async turns(run: string, after: number, limit: number): Promise<TurnRow[]> {
    const rows = await this.#database.query<[n: number, at: number, body: string, hash: string]>(
      `select n, at, body, hash from ${this.#schema}.turns
       where run = (select position from ${this.#schema}.runs where id = $1) and n > greatest($2::bigint, 0) order by n limit $3`,
      [storable(run), after, limit],
    );
    return rows.map(([n, at, body, hash]) => ({ n, at, body, hash }));
  }

  /** Whole turns that together hold the facts after `after`, up to `limit` facts; the first and the last may hold others too. */
  async facts(run: string, after: number, limit: number): Promise<PackedFacts[]> {
    if (limit <= 0) return [];
    const found: PackedFacts[] = [];
    // The turn that holds the first of them: `seq` grows with n, so it is found by halving. A row that is missing (damage) is passed by.
    let rows = await this.#database.query<[position: number, n: number, lastSeq: number, facts: string]>(
      `with recursive head as (
         select run, n, seq from ${this.#schema}.turns
         where run = (select position from ${this.#schema}.runs where id = $1) order by n desc limit 1),
       halves(low, high) as (
         select 0::bigint, n from head where seq > $2::bigint
         union all
         select case when m.seq > $2 then low else (low + high) / 2 + 1 end, case when m.seq > $2 then (low + high) / 2 else high end
         from halves, head cross join lateral (
           select coalesce((select seq from ${this.#schema}.turns t where t.run = head.run and t.n = (low + high) / 2), 0) as seq) m
         where low < high)
       select t.run, t.n, t.seq, t.facts from ${this.#schema}.turns t
       where t.run = (select run from head) and t.n >= (select low from halves where low = high) order by t.n limit $3`,
      [storable(run), after, factsPage],
    );
    for (;;) {
      for (const [, , lastSeq, facts] of rows) {
        found.push([lastSeq, facts]);
        if (lastSeq >= after + limit) return found;
      }
      const last = rows.at(-1);
      if (!last || rows.length < factsPage) return found;
      rows = await this.#database.query(
        `select run, n, seq, facts from ${this.#schema}.turns where run = $1 and n > $2 order by n limit $3`,
        [last[0], last[1], factsPage],
      );
    }
  }

  meters(): Promise<PackedMeter[]> {
    return this.#database.query<PackedMeter>(
      `select key, level, limit_nano, spent_nano, held_nano, counts from ${this.#schema}.meters order by key`,
    );
  }

  async putAgent(hash: string, json: string): Promise<void> {
    await this.#database.query(`insert into ${this.#schema}.agents (hash, json) values ($1, $2) on conflict (hash) do nothing`, [
      hash,
      json,
    ]);
  }

  async getAgent(hash: string): Promise<string | null> {
    return (await this.#database.query<[string]>(`select json from ${this.#schema}.agents where hash = $1`, [hash]))[0]?.[0] ?? null;
  }

  /** At most `limit` runs in one transaction. How many were deleted; fewer than `limit`: that was all. */
  async purge(before: number, now: number, limit: number): Promise<number> {
    return this.#database.transaction("reads", async ({ sql }) => {
      const old = await sql<[position: number]>(
        `select position from ${this.#schema}.runs where finished_at is not null and finished_at < $1 order by finished_at limit $2
         for update skip locked`,
        [before, limit],
      );
      const positions = old.map(([position]) => position);
      const rows = ["turns where run", "inbox where run", "scores where run", "runs where position"];
      if (old.length > 0) await Promise.all(rows.map((of) => sql(`delete from ${this.#schema}.${of} = any($1::bigint[])`, [positions])));
      if (old.length < limit) await sql(`delete from ${this.#schema}.idempotency where expires_at <= $1`, [now]);
      return old.length;
    });
  }
}
