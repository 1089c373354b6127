/** The Postgres store as one object over one database. Joins the parts; the store that callers see is `sql/store-over-calls.ts`. */

import type { Calls, PackedOverride, PackedScore } from "../sql/calls.ts";
import type { TurnRow } from "../store.ts";
import { Database } from "./database.ts";
import { storeError, storeGone } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import type { PostgresOptions } from "./options.ts";
import { Overrides } from "./overrides.ts";
import { Ownership } from "./ownership.ts";
import { Reads } from "./reads.ts";
import { Reconciler } from "./reconciler.ts";
import { Scores } from "./scores.ts";
import { UsageReads } from "./usage.ts";
import { Writer } from "./writer.ts";

/** The calls of a core whose answers come later. */
type Awaited<Of> = { readonly [M in keyof Of]: Of[M] extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never };

export class PostgresCore implements Awaited<Calls> {
  readonly #database: Database;
  readonly #writer: Writer;
  readonly #inbox: Inbox;
  readonly #ownership: Ownership;
  readonly #reads: Reads;
  readonly #usage: UsageReads;
  readonly #overrides: Overrides;
  readonly #scores: Scores;
  readonly #reconciler: Reconciler;

  constructor(url: string, options: PostgresOptions = {}) {
    this.#database = new Database(url, options);
    this.#writer = new Writer(this.#database);
    this.#inbox = new Inbox(this.#database);
    this.#ownership = new Ownership(this.#database);
    this.#reads = new Reads(this.#database);
    this.#usage = new UsageReads(this.#database);
    this.#overrides = new Overrides(this.#database);
    this.#scores = new Scores(this.#database);
    this.#reconciler = new Reconciler(this.#database);
  }

  readonly commit = this.#told("commit", (packed: Parameters<Calls["commit"]>[0]) => this.#writer.commit(packed));
  readonly message = this.#told("message", (...args: Parameters<Calls["message"]>) => this.#inbox.message(...args));
  readonly keyed = this.#told("keyed", (...args: Parameters<Calls["keyed"]>) => this.#inbox.keyed(...args));
  readonly inbox = this.#told("inbox", (run: string) => this.#inbox.inbox(run));
  readonly unread = this.#told("unread", (owner: string) => this.#inbox.unread(owner));
  readonly heartbeat = this.#told("heartbeat", (owner: string, until: number) => this.#ownership.heartbeat(owner, until));
  readonly release = this.#told("release", (owner: string, begun: boolean) => this.#ownership.release(owner, begun));
  readonly owners = this.#told("owners", () => this.#ownership.owners());
  readonly claim = this.#told("claim", (...args: Parameters<Calls["claim"]>) => this.#ownership.claim(...args));
  readonly nextDue = this.#told("nextDue", () => this.#ownership.nextDue());
  readonly get = this.#told("get", (run: string) => this.#reads.get(run));
  readonly list = this.#told("list", (...args: Parameters<Calls["list"]>) => this.#reads.list(...args));
  readonly turns = this.#told(
    "turns",
    (run: string, after: number, limit: number): Promise<TurnRow[]> => this.#reads.turns(run, after, limit),
  );
  readonly facts = this.#told("facts", (run: string, after: number, limit: number) => this.#reads.facts(run, after, limit));
  readonly meters = this.#told("meters", () => this.#reads.meters());
  readonly setOverride = this.#told("setOverride", (override: PackedOverride) => this.#overrides.set(override));
  readonly overrides = this.#told("overrides", (position: number) => this.#overrides.after(position));
  readonly score = this.#told("score", (run: string, score: PackedScore) => this.#scores.set(run, score));
  readonly scores = this.#told("scores", (run: string) => this.#scores.of(run));
  readonly usage = this.#told("usage", (...args: Parameters<Calls["usage"]>) => this.#usage.usage(...args));
  readonly purgeMeters = this.#told("purgeMeters", (keys: readonly string[]) => this.#writer.purgeMeters(keys));
  readonly putAgent = this.#told("putAgent", (hash: string, json: string) => this.#reads.putAgent(hash, json));
  readonly getAgent = this.#told("getAgent", (hash: string) => this.#reads.getAgent(hash));
  readonly purge = this.#told("purge", async (before: number, now: number, limit: number) => {
    const purged = await this.#reads.purge(before, now, limit);
    await this.#ownership.forgetIdle(before);
    return purged;
  });
  readonly purgeCalls = this.#told("purge", (before: number, limit: number) => this.#usage.purgeCalls(before, limit));
  readonly reconcile = this.#told("reconcile", () => this.#reconciler.reconcile());
  readonly reconcileEnded = this.#told("reconcile", (...args: Parameters<Calls["reconcileEnded"]>) =>
    this.#reconciler.reconcileEnded(...args),
  );

  /** What was asked before is done before; nothing is taken any more. */
  close(): Promise<void> {
    this.#closing ??= this.#writer.idle().then(() => this.#database.close());
    return this.#closing;
  }

  #closing: Promise<void> | undefined;

  /** The same call, that rejects with an `EscapementError` and nothing else. */
  #told<A extends readonly unknown[], R>(doing: string, call: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
    return async (...args) => {
      try {
        if (this.#closing) throw storeGone("the store is closed");
        return await call(...args);
      } catch (error) {
        throw storeError(error, doing);
      }
    };
  }
}
