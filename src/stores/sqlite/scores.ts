/** Marks on runs. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { PackedScore } from "../sql/calls.ts";
import { maxScores, type ScoreResult } from "../store.ts";
import { type Query, query } from "./schema.ts";

export class Scores {
  readonly #set: StatementSync;
  readonly #run: Query<[position: number]>;
  readonly #of: Query<PackedScore>;

  constructor(db: DatabaseSync) {
    this.#set = db.prepare(
      `insert or replace into scores (run, name, scored_by, value, comment, at) select ?1, ?2, ?3, ?4, ?5, ?6
       where (select count(*) from scores where run = ?1) < ${maxScores}
         or exists (select 1 from scores where run = ?1 and name = ?2 and scored_by = ?3)`,
    );
    this.#run = query(db, "select position from runs where id = ?");
    this.#of = query(
      db,
      `select name, scored_by, value, comment, at from scores where run = (select position from runs where id = ?)
       order by name, scored_by`,
    );
  }

  set(run: string, score: PackedScore): ScoreResult {
    const [position] = this.#run.get(run) ?? [];
    if (position === undefined) return "not_found";
    return this.#set.run(position, ...score).changes === 0 ? "full" : "written";
  }

  of(run: string): PackedScore[] {
    return this.#of.all(run);
  }
}
