/**
 * The SQLite store as one synchronous object over one connection. Owns the connection and joins the parts; it speaks packed rows
 * (see `sql/packed.ts`), so that it can live in this thread or in another one. The store that callers see is `sql/store-over-calls.ts`.
 */
import type { DatabaseSync } from "node:sqlite";
import type {
  Calls,
  Claimed,
  ClaimOptions,
  EndedCursor,
  EndedPage,
  Keyed,
  MessageOptions,
  PackedFacts,
  PackedMessageResult,
  PackedMeter,
  PackedOverride,
  PackedPage,
  PackedScore,
} from "../sql/calls.ts";
import { type FencedEntry, isCurrent } from "../sql/fence.ts";
import type { Packed, PackedMessage, PackedRecord } from "../sql/packed.ts";
import type { PackedUsage } from "../sql/usage.ts";
import type { Correction, EntryResult, ListQuery, ScoreResult, TurnRow, UsageQuery } from "../store.ts";
import { storeError, storeGone } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import type { RunRow } from "./live-runs.ts";
import { Overrides } from "./overrides.ts";
import { Ownership } from "./ownership.ts";
import { Reads } from "./reads.ts";
import { Reconciler } from "./reconciler.ts";
import { open, type SqliteOptions } from "./schema.ts";
import { Scores } from "./scores.ts";
import { Transaction } from "./transaction.ts";
import { UsageReads } from "./usage.ts";
import { Writer } from "./writer.ts";

export class SqliteCore implements Calls {
  readonly #db: DatabaseSync;
  readonly #transaction: Transaction;
  readonly #writer: Writer;
  readonly #inbox: Inbox;
  readonly #ownership: Ownership;
  readonly #reads: Reads;
  readonly #usage: UsageReads;
  readonly #overrides: Overrides;
  readonly #scores: Scores;
  readonly #reconciler: Reconciler;
  #closed = false;

  /** `path` is a file, made with its folder when missing, or `:memory:`. */
  constructor(path: string, options: SqliteOptions = {}) {
    this.#db = open(path, options);
    const transaction = new Transaction(this.#db);
    this.#transaction = transaction;
    this.#writer = new Writer(this.#db, transaction, (row, entry) => this.isCurrent(row, entry));
    this.#inbox = new Inbox(this.#db, transaction);
    this.#ownership = new Ownership(this.#db, transaction, () => this.#writer.forget());
    this.#reads = new Reads(this.#db, transaction);
    this.#usage = new UsageReads(this.#db);
    this.#overrides = new Overrides(this.#db);
    this.#scores = new Scores(this.#db);
    this.#reconciler = new Reconciler(this.#db, transaction, () => this.#writer.forget());
  }

  /** The fence; a method, so that a test can take it away. */
  isCurrent(row: RunRow, entry: FencedEntry): boolean {
    return isCurrent(row, entry);
  }

  /** What the calls in `work` write is one transaction. Throws when it could not be written; then nothing of them was. */
  together<T>(work: () => T): T {
    try {
      return this.#do("commit", () => this.#transaction.run(work));
    } catch (error) {
      this.#writer.forget();
      throw error;
    }
  }

  commit(batch: Packed): EntryResult[] {
    return this.#do("commit", () => this.#writer.commit(batch));
  }
  message(run: string, message: PackedMessage, options: MessageOptions): PackedMessageResult {
    return this.#do("message", () => this.#inbox.message(run, message, options));
  }
  keyed(scope: string, key: string, now: number): Keyed | null {
    return this.#do("keyed", () => this.#inbox.keyed(scope, key, now));
  }
  inbox(run: string): PackedMessage[] {
    return this.#do("inbox", () => this.#inbox.inbox(run));
  }
  unread(owner: string): string[] {
    return this.#do("unread", () => this.#inbox.unread(owner));
  }
  heartbeat(owner: string, until: number): void {
    this.#do("heartbeat", () => this.#ownership.heartbeat(owner, until));
  }
  release(owner: string, begun: boolean): void {
    this.#do("release", () => this.#ownership.release(owner, begun));
  }
  owners(): [owner: string, until: number][] {
    return this.#do("owners", () => this.#ownership.owners());
  }
  claim(owner: string, options: ClaimOptions): Claimed[] {
    return this.#do("claim", () => this.#ownership.claim(owner, options));
  }
  nextDue(): number | null {
    return this.#do("nextDue", () => this.#ownership.nextDue());
  }
  get(run: string): PackedRecord | null {
    return this.#do("get", () => this.#reads.get(run));
  }
  list(query: ListQuery): PackedPage {
    return this.#do("list", () => this.#reads.list(query));
  }
  turns(run: string, after: number, limit: number): TurnRow[] {
    return this.#do("turns", () => this.#reads.turns(run, after, limit));
  }
  facts(run: string, after: number, limit: number): PackedFacts[] {
    return this.#do("facts", () => this.#reads.facts(run, after, limit));
  }
  meters(): PackedMeter[] {
    return this.#do("meters", () => this.#reads.meters());
  }
  setOverride(override: PackedOverride): void {
    this.#do("setOverride", () => this.#overrides.set(override));
  }
  overrides(position: number): [position: number, ...PackedOverride][] {
    return this.#do("overrides", () => this.#overrides.after(position));
  }
  score(run: string, score: PackedScore): ScoreResult {
    return this.#do("score", () => this.#scores.set(run, score));
  }
  scores(run: string): PackedScore[] {
    return this.#do("scores", () => this.#scores.of(run));
  }
  usage(query: UsageQuery): PackedUsage[] {
    return this.#do("usage", () => this.#usage.usage(query));
  }
  purgeMeters(keys: readonly string[]): number {
    return this.#do("purgeMeters", () => this.#writer.purgeMeters(keys));
  }
  putAgent(hash: string, json: string): void {
    this.#do("putAgent", () => this.#reads.putAgent(hash, json));
  }
  getAgent(hash: string): string | null {
    return this.#do("getAgent", () => this.#reads.getAgent(hash));
  }
  purge(before: number, now: number, limit: number): number {
    return this.#do("purge", () => {
      const purged = this.#reads.purge(before, now, limit);
      this.#ownership.forgetIdle(before);
      return purged;
    });
  }
  purgeCalls(before: number, limit: number): number {
    return this.#do("purge", () => this.#reads.purgeCalls(before, limit));
  }

  reconcile(): Correction[] {
    return this.#do("reconcile", () => this.#reconciler.reconcile());
  }
  reconcileEnded(after: EndedCursor, limit: number): EndedPage {
    return this.#do("reconcile", () => this.#reconciler.reconcileEnded(after, limit));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#db.close();
  }

  #do<T>(doing: string, work: () => T): T {
    if (this.#closed) throw storeGone("the store is closed");
    try {
      return work();
    } catch (error) {
      throw storeError(error, `store: ${doing}`);
    }
  }
}
