/** Limits of budgets that were set while running. */
import type { PackedOverride } from "../sql/calls.ts";
import type { Database } from "./database.ts";
import { lockOf, restored, storable } from "./text.ts";

const columns = "subject, limit_nano, limit_tokens, limit_calls, changed_by, changed_at";

export class Overrides {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** One after another, so that positions are seen in their order: a reader who goes on from one misses none. */
  async set([subject, nano, tokens, calls, by, at]: PackedOverride): Promise<void> {
    const { schema } = this.#database;
    await this.#database.transaction("leases", async ({ sql }) => {
      await sql("select pg_advisory_xact_lock($1)", [lockOf("overrides", schema)]);
      await sql(
        `insert into ${schema}.overrides (${columns}) values ($1, $2, $3, $4, $5, $6)
         on conflict (subject) do update set position = default, limit_nano = $2, limit_tokens = $3, limit_calls = $4,
           changed_by = $5, changed_at = $6`,
        [storable(subject), nano, tokens, calls, storable(by), at],
      );
    });
  }

  async after(position: number): Promise<[position: number, ...PackedOverride][]> {
    const rows = await this.#database.query<[position: number, ...PackedOverride]>(
      `select position, ${columns} from ${this.#database.schema}.overrides where position > $1 order by position`,
      [position],
    );
    return rows.map(([at, subject, nano, tokens, calls, by, changed]) => [
      at,
      restored(subject),
      nano,
      tokens,
      calls,
      restored(by),
      changed,
    ]);
  }
}
