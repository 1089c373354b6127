/** Marks on runs. */
import type { PackedScore } from "../sql/calls.ts";
import { maxScores, type ScoreResult } from "../store.ts";
import type { Database } from "./database.ts";
import { restored, storable, storableOrNull } from "./text.ts";

export class Scores {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  set(run: string, [name, by, value, comment, at]: PackedScore): Promise<ScoreResult> {
    const { schema } = this.#database;
    return this.#database.transaction("reads", async ({ sql }) => {
      // So that it is not deleted meanwhile, and two marks at once are counted one after the other.
      const [found] = await sql<[position: number]>(`select position from ${schema}.runs where id = $1 for update`, [storable(run)]);
      if (!found) return "not_found";
      const written = await sql(
        `insert into ${schema}.scores (run, name, scored_by, value, comment, at) select $1, $2, $3, $4, $5, $6
         where (select count(*) from ${schema}.scores where run = $1) < ${maxScores}
           or exists (select 1 from ${schema}.scores where run = $1 and name = $2 and scored_by = $3)
         on conflict (run, name, scored_by) do update set value = $4, comment = $5, at = $6 returning 1`,
        [found[0], storable(name), storable(by), value, storableOrNull(comment), at],
      );
      return written.length === 0 ? "full" : "written";
    });
  }

  async of(run: string): Promise<PackedScore[]> {
    const { schema } = this.#database;
    const rows = await this.#database.query<PackedScore>(
      `select name, scored_by, value, comment, at from ${schema}.scores
       where run = (select position from ${schema}.runs where id = $1) order by name, scored_by`,
      [storable(run)],
    );
    return rows.map(([name, by, value, comment, at]) => [restored(name), restored(by), value, comment && restored(comment), at]);
  }
}
