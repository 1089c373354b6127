/**
 * What the core of an SQL store can be asked, in rows and packed batches: SQLite's core answers at once, Postgres's when its server did.
 * `store-over-calls.ts` makes the store of it that callers see.
 */
import type { Correction, EntryResult, Idempotency, ListQuery, ScoreResult, TurnRow, UsageQuery } from "../store.ts";
import type { Packed, PackedMessage, PackedRecord } from "./packed.ts";
import type { PackedUsage } from "./usage.ts";

/** Each call throws an `EscapementError`, and nothing else. */
export interface Calls {
  commit(batch: Packed): EntryResult[];
  message(run: string, message: PackedMessage, options: MessageOptions): PackedMessageResult;
  keyed(scope: string, key: string, now: number): Keyed | null;
  inbox(run: string): PackedMessage[];
  unread(owner: string): string[];
  heartbeat(owner: string, until: number): void;
  release(owner: string, begun: boolean): void;
  owners(): [owner: string, until: number][];
  claim(owner: string, options: ClaimOptions): Claimed[];
  nextDue(): number | null;
  get(run: string): PackedRecord | null;
  list(query: ListQuery): PackedPage;
  turns(run: string, after: number, limit: number): TurnRow[];
  facts(run: string, after: number, limit: number): PackedFacts[];
  meters(): PackedMeter[];
  setOverride(override: PackedOverride): void;
  /** In the order of their positions. */
  overrides(position: number): [position: number, ...PackedOverride][];
  score(run: string, score: PackedScore): ScoreResult;
  scores(run: string): PackedScore[];
  usage(query: UsageQuery): PackedUsage[];
  purgeMeters(keys: readonly string[]): number;
  putAgent(hash: string, json: string): void;
  getAgent(hash: string): string | null;
  purge(before: number, now: number, limit: number): number;
  /** At most `limit` calls that ended before `before`; how many. */
  purgeCalls(before: number, limit: number): number;
  /** Of runs that go on, and of the meters. */
  reconcile(): Correction[];
  /** Of at most `limit` runs that ended after `after`. */
  reconcileEnded(after: EndedCursor, limit: number): EndedPage;
}

export type MessageOptions = { readonly hash?: string; readonly idempotency?: Idempotency };

export type Keyed = [run: string, bodyHash: string];

export type PackedMessageResult =
  | { readonly type: "stored" | "ended"; readonly record: PackedRecord }
  | { readonly type: "known"; readonly record: PackedRecord; readonly sameBody: boolean }
  | { readonly type: "not_found" }
  | { readonly type: "conflict"; readonly message: string };

export type ClaimOptions = {
  readonly now: number;
  readonly limit: number;
  readonly machines: readonly string[];
  readonly dead?: readonly string[];
  readonly run?: string;
  readonly quarantined?: boolean;
};
export type Claimed = [released: boolean, ...PackedRecord];

/** `next`: where the page after this one begins. */
export type PackedPage = { readonly rows: PackedRecord[]; readonly next: number | null };

/** Facts of one turn, joined: see `factSeparator`. */
export type PackedFacts = [lastSeq: number, facts: string];

export type PackedMeter = [key: string, level: string, limitNano: number, spentNano: number, heldNano: number, counts: string | null];

export type PackedOverride = [
  subject: string,
  limitNano: number | null,
  limitTokens: number | null,
  limitCalls: number | null,
  by: string,
  at: number,
];

export type PackedScore = [name: string, by: string, value: number, comment: string | null, at: number];

export type EndedCursor = readonly [finishedAt: number, position: number];
/** `next`: after which the next page begins; null after the last. */
export type EndedPage = { readonly corrections: Correction[]; readonly next: EndedCursor | null };
