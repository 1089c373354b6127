/** Messages to runs: stored before their sender is answered, until a turn consumes them (which the writer does, in that turn's transaction). */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { hasEnded } from "../../protocol/run.ts";
import type { Keyed, MessageOptions, PackedMessageResult } from "../sql/calls.ts";
import { answerConflict } from "../sql/message.ts";
import type { PackedMessage, PackedRecord } from "../sql/packed.ts";
import { type Query, query, recordColumns, recordTables } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

export class Inbox {
  readonly #transaction: Transaction;
  readonly #record: Query<PackedRecord>;
  readonly #position: Query<[position: number]>;
  readonly #waiting: Query<PackedMessage>;
  readonly #unread: Query<[run: string]>;
  readonly #nonce: Query<[1]>;
  readonly #answer: Query<[1]>;
  readonly #insert: StatementSync;
  readonly #wake: StatementSync;
  readonly #key: Query<[run: string, bodyHash: string, expiresAt: number]>;
  readonly #insertKey: StatementSync;

  constructor(db: DatabaseSync, transaction: Transaction) {
    this.#transaction = transaction;
    this.#record = query(db, `select ${recordColumns} from ${recordTables} where r.id = ?`);
    this.#position = query(db, "select position from runs where id = ?");
    this.#waiting = query(
      db,
      `select m.nonce, m.kind, m.ordinal, m.value, m.created_at from inbox m
       where m.run = (select position from runs where id = ?) and m.n is null order by m.position`,
    );
    this.#unread = query(db, "select distinct r.id from inbox m join runs r on r.position = m.run where m.n is null and r.owner = ?");
    this.#nonce = query(db, "select 1 from inbox where run = ? and nonce = ?");
    this.#answer = query(db, "select 1 from inbox where run = ? and ordinal = ? and kind = 'answer'");
    this.#insert = db.prepare("insert into inbox (run, nonce, kind, ordinal, value, created_at) values (?, ?, ?, ?, ?, ?)");
    // A queued run can only be told to cancel: that need not wait for its session. A quarantined one waits for an operator.
    this.#wake = db.prepare(
      "update runs set wake_at = 0 where position = ? and owner is null and finished_at is null and status <> 'quarantined'",
    );
    this.#key = query(db, "select run, body_hash, expires_at from idempotency where scope = ? and key = ?");
    this.#insertKey = db.prepare("insert or replace into idempotency (scope, key, run, body_hash, expires_at) values (?, ?, ?, ?, ?)");
  }

  /** Runs of an owner for which a message waits that no turn has consumed. */
  unread(owner: string): string[] {
    return this.#unread.all(owner).map(([run]) => run);
  }

  keyed(scope: string, key: string, now: number): Keyed | null {
    const known = this.#key.get(scope, key);
    return known && known[2] > now ? [known[0], known[1]] : null;
  }

  inbox(run: string): PackedMessage[] {
    return this.#waiting.all(run);
  }

  message(run: string, message: PackedMessage, options: MessageOptions): PackedMessageResult {
    return this.#transaction.run(() => this.#message(run, message, options));
  }

  #message(run: string, [nonce, kind, ordinal, value, createdAt]: PackedMessage, options: MessageOptions): PackedMessageResult {
    const { hash, idempotency } = options;
    const record = this.#record.get(run);
    const position = this.#position.get(run)?.[0];
    if (!record || position === undefined) return { type: "not_found" };
    if (idempotency) {
      const known = this.#key.get(idempotency.scope, idempotency.key);
      if (known && known[2] > createdAt) {
        const of = known[0] === run ? record : this.#record.get(known[0]);
        // The key of another run's message cannot be the same command, even if its body reads the same.
        return { type: "known", record: of ?? record, sameBody: known[0] === run && known[1] === idempotency.bodyHash };
      }
    }
    // Repeated by a sender who lost the answer.
    if (this.#nonce.get(position, nonce)) return { type: "stored", record };
    if (hasEnded(record[1])) return { type: "ended", record };
    if (kind === "answer") {
      const problem = answerConflict(record, ordinal, hash, () => this.#answer.get(position, ordinal) !== undefined);
      if (problem !== null) return { type: "conflict", message: problem };
    }
    this.#insert.run(position, nonce, kind, ordinal, value, createdAt);
    this.#wake.run(position);
    if (idempotency) this.#insertKey.run(idempotency.scope, idempotency.key, run, idempotency.bodyHash, idempotency.expiresAt);
    return { type: "stored", record };
  }
}
