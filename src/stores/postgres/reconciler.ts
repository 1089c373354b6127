/**
 * Compares what runs and meters say they hold with what open asks hold, and corrects it, while turns are written.
 *
 *  1. Both sides are read by one statement, so they are of one instant; one reconciler at a time does so.
 *  2. A meter is changed by the difference, a run after it was read again, each under its lock: what others have written since stays.
 */
import type { EndedCursor, EndedPage, PackedMeter } from "../sql/calls.ts";
import { byMeter, corrected, differences, type HoldingRun } from "../sql/reconcile.ts";
import type { Correction } from "../store.ts";
import type { Database, Sql } from "./database.ts";
import { lastTurn } from "./schema.ts";
import { lockOf } from "./text.ts";

type Row = [run: string | null, heldNano: number, open: string, ...PackedMeter];

export class Reconciler {
  readonly #database: Database;
  readonly #schema: string;

  constructor(database: Database) {
    this.#database = database;
    this.#schema = database.schema;
  }

  reconcile(): Promise<Correction[]> {
    return this.#database.transaction("reads", async ({ sql }) => {
      await sql("select pg_advisory_xact_lock($1)", [lockOf("reconcile", this.#schema)]);
      const rows = await sql<Row>(
        `select r.id, t.held_nano, t.open, null, null, null::bigint, null::bigint, null::bigint, null
         from ${this.#schema}.runs r ${lastTurn(this.#schema)} where r.finished_at is null and (t.held_nano <> 0 or t.open <> '[]')
         union all select null, null, null, key, level, limit_nano, spent_nano, held_nano, counts from ${this.#schema}.meters`,
      );
      const runs = rows.flatMap(([id, held, open]): HoldingRun[] => (id === null ? [] : [[id, held, open]]));
      const meters = rows.flatMap(([id, , , ...meter]): PackedMeter[] => (id === null ? [meter] : []));
      const found = differences(runs, meters);
      const ids = found.flatMap(({ of, id }) => (of === "run" ? [id] : [])).sort();
      const corrections = await this.#correctRuns(sql, ids);
      for (const [key, of] of byMeter(found)) {
        await this.#correctMeter(sql, key, of);
        corrections.push(...of);
      }
      return corrections;
    });
  }

  async #correctRuns(sql: Sql, ids: readonly string[]): Promise<Correction[]> {
    if (ids.length === 0) return [];
    const [, rows] = await Promise.all([
      sql(`select 1 from ${this.#schema}.runs where id = any($1::text[]) order by id for update`, [ids]),
      sql<HoldingRun>(
        `select r.id, t.held_nano, t.open from ${this.#schema}.runs r ${lastTurn(this.#schema)}
         where r.id = any($1::text[]) and r.finished_at is null`,
        [ids],
      ),
    ]);
    const corrections = differences(rows, []).filter(({ of }) => of === "run");
    for (const { id, is } of corrections) await this.#setRun(sql, id, is);
    return corrections;
  }

  async #correctMeter(sql: Sql, key: string, of: readonly Correction[]): Promise<void> {
    const [row] = await sql<PackedMeter>(
      `select key, level, limit_nano, spent_nano, held_nano, counts from ${this.#schema}.meters where key = $1 for update`,
      [key],
    );
    await sql(
      `insert into ${this.#schema}.meters (key, level, limit_nano, spent_nano, held_nano, counts) values ($1, $2, $3, $4, $5, $6)
       on conflict (key) do update set level = $2, limit_nano = $3, spent_nano = $4, held_nano = $5, counts = $6`,
      corrected(key, row, of) as unknown[],
    );
  }

  async #setRun(sql: Sql, id: string, heldNano: number): Promise<void> {
    await sql(
      `update ${this.#schema}.turns t set held_nano = $2 from ${this.#schema}.runs r
       where r.id = $1 and t.run = r.position and t.n = (select max(n) from ${this.#schema}.turns where run = r.position)`,
      [id, heldNano],
    );
  }

  /** A run that has ended has nothing open, so it holds nothing. */
  reconcileEnded([finishedAt, position]: EndedCursor, limit: number): Promise<EndedPage> {
    return this.#database.transaction("reads", async ({ sql }) => {
      const rows = await sql<[finishedAt: number, position: number, id: string, heldNano: number]>(
        `select r.finished_at, r.position, r.id, t.held_nano from ${this.#schema}.runs r ${lastTurn(this.#schema)}
         where r.finished_at is not null and (r.finished_at, r.position) > ($1::bigint, $2::bigint)
         order by r.finished_at, r.position limit $3`,
        [finishedAt, position, limit],
      );
      const corrections = rows.flatMap(([, , id, was]): Correction[] => (was === 0 ? [] : [{ of: "run", id, unit: "nano", was, is: 0 }]));
      for (const { id } of corrections) await this.#setRun(sql, id, 0);
      const last = rows.at(-1);
      return { corrections, next: last && rows.length === limit ? [last[0], last[1]] : null };
    });
  }
}
