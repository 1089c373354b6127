/** Limits of budgets that were set while running. Each change gets a new position, so that a reader who goes on from one misses none. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { PackedOverride } from "../sql/calls.ts";
import { type Query, query } from "./schema.ts";

export class Overrides {
  readonly #set: StatementSync;
  readonly #after: Query<[position: number, ...PackedOverride]>;

  constructor(db: DatabaseSync) {
    const columns = "subject, limit_nano, limit_tokens, limit_calls, changed_by, changed_at";
    this.#set = db.prepare(`insert or replace into overrides (${columns}) values (?, ?, ?, ?, ?, ?)`);
    this.#after = query(db, `select position, ${columns} from overrides where position > ? order by position`);
  }

  set(override: PackedOverride): void {
    this.#set.run(...override);
  }

  after(position: number): [position: number, ...PackedOverride][] {
    return this.#after.all(position);
  }
}
