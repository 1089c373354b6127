/**
 * Who works on a run: leases of owners, and claims of runs that have none. Owns `owners` and the columns epoch, owner, claims and wake_at;
 * the writer gives ownership up (park, quarantine, end), this file hands it out.
 *
 *  1. A claim raises the epoch, so every turn of the owner before it is fenced.
 *  2. A claim counts until the run's next turn (or until it is parked or released); the third one in a row quarantines the run instead.
 *  3. One damaged row costs its own run, never the claim of the others.
 *  4. Of several processes that claim at once, each passes by what another is taking.
 */
import type { Claimed, ClaimOptions } from "../sql/calls.ts";
import { disowned, maxClaims } from "../sql/fence.ts";
import { type PackedRecord, record } from "../sql/packed.ts";
import type { Database, Sql } from "./database.ts";
import { recordColumns, recordTables } from "./schema.ts";
import { storable } from "./text.ts";

/** `released`: its last owner gave it up in order. Not said of a run from quarantine, whose open work may have been begun. */
type Candidate = [position: number, claims: number, released: boolean];

export class Ownership {
  readonly #database: Database;
  readonly #schema: string;

  constructor(database: Database) {
    this.#database = database;
    this.#schema = database.schema;
  }

  async heartbeat(owner: string, until: number): Promise<void> {
    await this.#database.query(
      `insert into ${this.#schema}.owners (owner, until) values ($1, $2) on conflict (owner) do update set until = $2`,
      [owner, Math.ceil(until)],
      "leases",
    );
  }

  async release(owner: string, begun: boolean): Promise<void> {
    const change = begun ? `owner = '${disowned}'` : "owner = null, wake_at = 0";
    await this.#database.transaction("leases", async ({ sql, last }) => {
      last(
        sql(
          `with held as (select position from ${this.#schema}.runs where owner = $1 order by id for update)
           update ${this.#schema}.runs r set ${change}, claims = greatest(claims - 1, 0) from held where r.position = held.position`,
          [owner],
        ),
      );
      last(sql(`delete from ${this.#schema}.owners where owner = $1`, [owner]));
    });
  }

  owners(): Promise<[owner: string, until: number][]> {
    return this.#database.query(
      `select r.owner, coalesce(o.until, 0) from (${this.#owned}) r left join ${this.#schema}.owners o on o.owner = r.owner
       where r.owner <> '${disowned}' order by 1`,
      [],
      "leases",
    );
  }

  async nextDue(): Promise<number | null> {
    const [row] = await this.#database.query<[number | null]>(
      `select min(wake_at) from ${this.#schema}.runs where wake_at is not null and wake_at > 0`,
      [],
      "leases",
    );
    return row?.[0] ?? null;
  }

  /** Owners of no run whose lease ended before `before`. */
  async forgetIdle(before: number): Promise<void> {
    await this.#database.query(`delete from ${this.#schema}.owners where until < $1 and owner not in (${this.#owned})`, [before], "leases");
  }

  claim(owner: string, options: ClaimOptions): Promise<Claimed[]> {
    return this.#database.transaction("leases", async ({ sql }) => {
      const taken: Claimed[] = [];
      // A run is looked at once: one that its owner's lapsed lease brought here may be owned under the same name afterwards.
      const seen: number[] = [];
      for (;;) {
        const candidates = await this.#candidates(sql, options, options.limit - taken.length, seen);
        if (candidates.length === 0) return taken;
        seen.push(...candidates.map(([position]) => position));
        taken.push(...(await this.#take(sql, owner, candidates)));
      }
    });
  }

  get #owned(): string {
    return `select distinct owner from ${this.#schema}.runs where owner is not null`;
  }

  async #candidates(sql: Sql, options: ClaimOptions, limit: number, seen: readonly number[]): Promise<Candidate[]> {
    const { now, machines, dead = [], run } = options;
    if (run !== undefined) return seen.length > 0 || limit <= 0 ? [] : this.#named(sql, run, options);
    if (limit <= 0) return [];
    const lost = await sql<Candidate>(
      `select position, claims, false from ${this.#schema}.runs
       where owner in (select unnest($1::text[]) union ${this.#lapsed("$2")})
         and machine = any($3::text[]) and position <> all($4::bigint[]) order by position limit $5 for update skip locked`,
      [dead, now, machines, seen, limit],
    );
    if (lost.length === limit) return lost;
    const toWake = await sql<Candidate>(
      `select position, claims, true from ${this.#schema}.runs where wake_at is not null and wake_at <= $1
         and machine = any($2::text[]) and position <> all($3::bigint[]) order by wake_at, position limit $4 for update skip locked`,
      [now, machines, seen, limit - lost.length],
    );
    return [...lost, ...toWake];
  }

  #lapsed(now: string): string {
    return `select r.owner from (${this.#owned}) r left join ${this.#schema}.owners o on o.owner = r.owner where coalesce(o.until, 0) < ${now}`;
  }

  async #named(sql: Sql, run: string, { now, machines, dead = [], quarantined }: ClaimOptions): Promise<Candidate[]> {
    type Row = [position: number, claims: number, owner: string | null, wakeAt: number | null, status: string];
    const [row] = await sql<Row>(
      `select position, claims, owner, wake_at, status from ${this.#schema}.runs where id = $1 and machine = any($2::text[]) for update`,
      [storable(run), machines],
    );
    if (!row) return [];
    const [position, claims, owner, wakeAt, status] = row;
    // An operator's retry starts the count again.
    if (quarantined && status === "quarantined") return [[position, 0, false]];
    if (wakeAt !== null && wakeAt <= now) return [[position, claims, owner === null]];
    if (owner === null) return [];
    const lapsed =
      dead.includes(owner) || (await sql(`select 1 from (${this.#lapsed("$1")}) l where l.owner = $2`, [now, owner])).length > 0;
    return lapsed ? [[position, claims, false]] : [];
  }

  async #take(sql: Sql, owner: string, candidates: readonly Candidate[]): Promise<Claimed[]> {
    const poison = candidates.filter(([, claims]) => claims >= maxClaims);
    const sound = candidates.filter(([, claims]) => claims < maxClaims);
    for (const [position, claims] of poison) await this.#quarantine(sql, position, `taken ${claims} times without a turn since`);
    if (sound.length === 0) return [];
    const [, rows] = await Promise.all([
      sql(
        `update ${this.#schema}.runs r set epoch = epoch + 1, owner = $1, claims = c.claims + 1, wake_at = null, reason = null,
           status = case when status in ('queued', 'quarantined') then 'running' else status end
         from unnest($2::bigint[], $3::bigint[]) c(position, claims) where r.position = c.position`,
        [owner, sound.map(([position]) => position), sound.map(([, claims]) => claims)],
      ),
      sql<[position: number, ...PackedRecord]>(
        `select r.position, ${recordColumns} from ${recordTables(this.#schema)} where r.position = any($1::bigint[])`,
        [sound.map(([position]) => position)],
      ),
    ]);
    const found = new Map(rows.map(([position, ...packed]): [number, PackedRecord] => [position, packed]));
    const taken: Claimed[] = [];
    for (const [position, , released] of sound) {
      try {
        const packed = found.get(position);
        if (!packed) throw new Error("its acceptance is missing");
        record(packed);
        taken.push([released, ...packed]);
      } catch (error) {
        await this.#quarantine(sql, position, `damaged row: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return taken;
  }

  async #quarantine(sql: Sql, position: number, reason: string): Promise<void> {
    await sql(`update ${this.#schema}.runs set owner = null, wake_at = null, status = 'quarantined', reason = $2 where position = $1`, [
      position,
      storable(reason),
    ]);
  }
}
