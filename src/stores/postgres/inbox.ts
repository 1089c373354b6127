/** Messages to runs: stored before their sender is answered, until a turn consumes them (which the writer does, in that turn's transaction). */
import { hasEnded } from "../../protocol/run.ts";
import type { Keyed, MessageOptions, PackedMessageResult } from "../sql/calls.ts";
import { answerConflict } from "../sql/message.ts";
import type { PackedMessage, PackedRecord } from "../sql/packed.ts";
import type { Database, Sql } from "./database.ts";
import { recordColumns, recordTables } from "./schema.ts";
import { storable } from "./text.ts";

export class Inbox {
  readonly #database: Database;
  readonly #schema: string;

  constructor(database: Database) {
    this.#database = database;
    this.#schema = database.schema;
  }

  /** Runs of an owner for which a message waits that no turn has consumed. */
  async unread(owner: string): Promise<string[]> {
    const rows = await this.#database.query<[run: string]>(
      `select distinct r.id from ${this.#schema}.runs r join ${this.#schema}.inbox m on m.run = r.position where m.n is null and r.owner = $1`,
      [owner],
    );
    return rows.map(([run]) => run);
  }

  async keyed(scope: string, key: string, now: number): Promise<Keyed | null> {
    const rows = await this.#database.query<Keyed>(
      `select run, body_hash from ${this.#schema}.idempotency where scope = $1 and key = $2 and expires_at > $3`,
      [storable(scope), storable(key), now],
    );
    return rows[0] ?? null;
  }

  inbox(run: string): Promise<PackedMessage[]> {
    return this.#database.query<PackedMessage>(
      `select m.nonce, m.kind, m.ordinal, m.value, m.created_at from ${this.#schema}.inbox m
       where m.run = (select position from ${this.#schema}.runs where id = $1) and m.n is null order by m.position`,
      [storable(run)],
    );
  }

  /** The run's row is locked meanwhile: no turn, claim or other message of it comes in between. */
  message(run: string, message: PackedMessage, options: MessageOptions): Promise<PackedMessageResult> {
    return this.#database.transaction("reads", ({ sql }) => this.#message(sql, storable(run), message, options));
  }

  async #message(
    sql: Sql,
    run: string,
    [nonce, kind, ordinal, value, createdAt]: PackedMessage,
    { hash, idempotency }: MessageOptions,
  ): Promise<PackedMessageResult> {
    const scope = storable(idempotency?.scope ?? "");
    const key = storable(idempotency?.key ?? "");
    const [locked, found, known, same] = await Promise.all([
      sql<[position: number]>(`select position from ${this.#schema}.runs where id = $1 for update`, [run]),
      this.#record(sql, run),
      idempotency
        ? sql<[run: string, bodyHash: string, expiresAt: number]>(
            `select run, body_hash, expires_at from ${this.#schema}.idempotency where scope = $1 and key = $2 for update`,
            [scope, key],
          )
        : [],
      sql<[nonce: string, kind: string, ordinal: number | null]>(
        `select m.nonce, m.kind, m.ordinal from ${this.#schema}.inbox m join ${this.#schema}.runs r on r.position = m.run
         where r.id = $1 and (m.nonce = $2 or (m.kind = 'answer' and m.ordinal = $3))`,
        [run, nonce, ordinal],
      ),
    ]);
    const position = locked[0]?.[0];
    if (!found || position === undefined) return { type: "not_found" };
    const used = known[0];
    if (idempotency && used && used[2] > createdAt) {
      const of = used[0] === run ? found : await this.#record(sql, used[0]);
      // The key of another run's message cannot be the same command, even if its body reads the same.
      return { type: "known", record: of ?? found, sameBody: used[0] === run && used[1] === idempotency.bodyHash };
    }
    // Repeated by a sender who lost the answer.
    if (same.some((row) => row[0] === nonce)) return { type: "stored", record: found };
    if (hasEnded(found[1])) return { type: "ended", record: found };
    if (kind === "answer") {
      const problem = answerConflict(found, ordinal, hash, () => same.some((row) => row[1] === "answer" && row[2] === ordinal));
      if (problem !== null) return { type: "conflict", message: problem };
    }
    await Promise.all([
      sql(`insert into ${this.#schema}.inbox (run, nonce, kind, ordinal, value, created_at) values ($1, $2, $3, $4, $5, $6)`, [
        position,
        nonce,
        kind,
        ordinal,
        value,
        createdAt,
      ]),
      // A queued run can only be told to cancel: that need not wait for its session. A quarantined one waits for an operator.
      sql(
        `update ${this.#schema}.runs set wake_at = 0
         where position = $1 and owner is null and finished_at is null and status <> 'quarantined'`,
        [position],
      ),
      // Written by somebody else meanwhile, it is a conflict: the message is looked at again, and knows it then.
      idempotency &&
        sql(
          used
            ? `update ${this.#schema}.idempotency set run = $3, body_hash = $4, expires_at = $5 where scope = $1 and key = $2`
            : `insert into ${this.#schema}.idempotency (scope, key, run, body_hash, expires_at) values ($1, $2, $3, $4, $5)`,
          [scope, key, run, idempotency.bodyHash, idempotency.expiresAt],
        ),
    ]);
    return { type: "stored", record: found };
  }

  async #record(sql: Sql, run: string): Promise<PackedRecord | undefined> {
    return (await sql<PackedRecord>(`select ${recordColumns} from ${recordTables(this.#schema)} where r.id = $1`, [run]))[0];
  }
}
