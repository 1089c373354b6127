/**
 * The contract of stores: they remember turns, the ledger, the inbox and timers, and know nothing of what a fact means.
 *
 * Invariants every store keeps (its suite checks them):
 *  1. A batch is one transaction; entries in it are carried out in order and succeed or are refused one by one.
 *  2. A turn is written only under the run's current `epoch` and only as `head + 1`; else it is `fenced` and changes nothing. The very same
 *     turn once more, under the same epoch, is answered as when it was written: the answer to a commit may be lost, and it is tried again.
 *  3. `spent + held <= limit` on every meter after every entry; a hold lives exactly as long as its open ask.
 *  4. Facts get `seq` 1, 2, 3, … without gap, in the order of the entries.
 *  5. What cannot be read any more costs its own run: `get`, `inbox` and `turns` of that run reject (`damage.ts`), `list` leaves it out,
 *     `claim` quarantines it, and the others are served.
 *  6. What a resolved promise said is durable (as far as the store's `durability` says).
 *
 * Money is integer nano-dollars (a JavaScript number). An entry with another amount, or that would bring a sum beyond 2^53 - 1, is `broken`.
 */
import type { Json } from "../protocol/json.ts";
import type { Bounds, Limits } from "../protocol/limits.ts";
import type { RunStatus, Waiting } from "../protocol/run.ts";
import type { UsageGroup } from "../protocol/usage.ts";

/** What is fixed when a run is accepted. Written once. */
export type RunInfo = {
  readonly agent: string;
  /** Hash of the agent's definition, see {@link Store.putAgent}. */
  readonly agentHash: string;
  /** `name@revision` of the machine that runs it. */
  readonly machine: string;
  readonly tenant: string;
  readonly user?: string;
  /** Id of the API key that started it, and the plan of its user. */
  readonly key?: string;
  readonly plan?: string;
  readonly session?: string;
  readonly feature?: string;
  readonly input: Json;
  readonly sensitive?: boolean;
  readonly limits: Limits;
  readonly bounds: Bounds;
  readonly metadata?: { readonly [key: string]: Json | undefined };
  readonly webhook?: string;
  readonly forkedFrom?: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
};

/** What a turn changes of the Run that clients see. Replaced as a whole by each turn. */
export type RunProgress = {
  readonly startedAt?: number;
  readonly steps: number;
  readonly calls: number;
  readonly toolCalls: number;
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly estimated: boolean;
  /** What was said before it in its session was: it counts as sensitive itself. */
  readonly sensitive?: boolean;
  /** It has read text from outside, itself or before it in its session. */
  readonly tainted?: boolean;
  readonly waitingFor?: readonly Waiting[];
  /** Only at the end. */
  readonly finishedAt?: number;
  readonly output?: Json;
  readonly error?: Json;
  readonly tier?: string;
  readonly cached?: boolean;
  /** Messages: what was said in the session before this run, where it was made shorter. The next run begins with it. */
  readonly history?: Json;
};

/** What a run has done before its first turn. */
export const noProgress: RunProgress = {
  steps: 0,
  calls: 0,
  toolCalls: 0,
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  estimated: false,
};

/** Work that was asked for and has no outcome yet. */
export type OpenAsk = {
  readonly ordinal: number;
  readonly kind: string;
  /** Hash of the ask's input; answers of approvals are checked against it. */
  readonly hash: string;
  /** The budget refused it: its outcome is `budget_exceeded`, delivered as an input of its own. */
  readonly denied?: string;
  readonly holdNano?: number;
  /** Output tokens that the grant allows (cut to what was left). */
  readonly maxTokens?: number;
  /** Keys of the meters that carry the hold beside the run's own. */
  readonly meters?: readonly string[];
  /** Keys of those that count tokens and calls too, and the tokens that they hold for it. */
  readonly counted?: readonly string[];
  readonly holdTokens?: number;
  /** Absolute due time of a timer row (ms since the epoch). */
  readonly due?: number;
};

export type RunRecord = {
  readonly id: string;
  /** Of a run just claimed: its last owner gave it up in order (parked, released), so what is open was not begun by anybody. */
  readonly released?: boolean;
  readonly info: RunInfo;
  readonly status: RunStatus;
  readonly progress: RunProgress;
  readonly epoch: number;
  readonly owner: string | null;
  /** Number of the last turn written; 0 before the first. */
  readonly head: number;
  /** Seq of the last fact written. */
  readonly seq: number;
  readonly limitNano: number;
  readonly spentNano: number;
  readonly heldNano: number;
  readonly open: readonly OpenAsk[];
  /** Why it is quarantined; only then. */
  readonly reason?: string;
};

/** One budget level above the run. The store makes its row at the first reserve and takes the limit given here from then on. */
export type MeterRef = {
  readonly key: string;
  readonly level: "user" | "key" | "feature" | "system";
  readonly limitNano: number;
  /** A meter counts tokens and calls from the first reserve on that limits one of the two. */
  readonly limitTokens?: number;
  readonly limitCalls?: number;
};

/** A meter as it stands. */
export type MeterState = {
  readonly key: string;
  readonly level: string;
  readonly limitNano: number;
  readonly spentNano: number;
  readonly heldNano: number;
  /** Only of a meter that counts tokens and calls. */
  readonly counts?: Counts;
};

/**
 * A budget's limit that was set while running, over the configuration's: what is left out is the configuration's, and one that sets nothing
 * was taken back.
 */
export type BudgetOverride = {
  /** A meter's key without its window. */
  readonly subject: string;
  readonly limitNano?: number;
  readonly limitTokens?: number;
  readonly limitCalls?: number;
  /** Who set it, and when (ms since the epoch). */
  readonly by: string;
  readonly at: number;
};

/** A mark that somebody gave a run. One author's later mark of a name takes the place of the one before. */
export type ScoreRow = {
  readonly name: string;
  readonly by: string;
  /** A finite number. */
  readonly value: number;
  readonly comment?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
};
/** `full`: the run has {@link maxScores} already. */
export type ScoreResult = "written" | "not_found" | "full";
export const maxScores = 100;

/** What a meter has counted beside money. A call counts when it was granted, however it ends. */
export type Counts = { readonly tokens: Count; readonly calls: Count };
export type Count = { limit: number; spent: number; held: number };

/** Asks the ledger for the worst case of a call: `inputNano + maxTokens * outputNanoPerToken`, on the run and on each meter. */
export type Reserve = {
  readonly inputNano: number;
  /** An upper bound; default 0. */
  readonly inputTokens?: number;
  readonly outputNanoPerToken: number;
  readonly maxTokens: number;
  /** Below this many output tokens the call makes no sense: denied instead of cut. */
  readonly minTokens: number;
  readonly meters: readonly MeterRef[];
};

export type AskEntry = {
  readonly ordinal: number;
  readonly kind: string;
  readonly hash: string;
  readonly reserve?: Reserve;
  readonly due?: number;
  /** Fact to store when the ask is granted, as JSON; with `hold` the field `hold_microusd` of the grant is added to it. */
  readonly started?: { readonly json: string; readonly hold: boolean };
};

/** How a level above the run stood when a call was decided on: used is spent and held, without this call. */
export type LevelState = {
  readonly level: "user" | "key" | "feature" | "system";
  readonly usedNano: number;
  readonly limitNano: number;
  readonly counts?: Counts | undefined;
};

/** `levels`: those above the run, where there are any. Not known when a commit is answered a second time. */
export type Grant =
  | {
      readonly ordinal: number;
      readonly granted: true;
      readonly holdNano: number;
      readonly maxTokens: number;
      readonly levels?: readonly LevelState[];
    }
  | {
      readonly ordinal: number;
      readonly granted: false;
      readonly level: "run" | "user" | "key" | "feature" | "system";
      readonly spentNano: number;
      readonly limitNano: number;
      readonly levels?: readonly LevelState[];
    };

export type Idempotency = { readonly scope: string; readonly key: string; readonly bodyHash: string; readonly expiresAt: number };

export type AcceptEntry = {
  readonly type: "accept";
  readonly run: string;
  readonly info: RunInfo;
  readonly limitNano: number;
  /** Who owns it from the start (epoch 1). A run that must wait for its session is stored without owner (epoch 0). */
  readonly owner: string;
  /** Facts as JSON objects without `run` and `seq`. */
  readonly facts: readonly string[];
  readonly idempotency?: Idempotency;
};

export type Close = { readonly ordinal: number; readonly costNano: number /** In and out; default 0. */; readonly tokens?: number };

/** A call that has ended, as usage counts it: written with the turn that settles it. What is not known of it is left out. */
export type CallRow = {
  /** Of its ask; of the second call of a hedged one -1 less that of its ask, so that both are there. */
  readonly ordinal: number;
  /** Milliseconds since the epoch. */
  readonly endedAt: number;
  readonly purpose?: "answer" | "internal";
  readonly provider?: string;
  /** That answered. */
  readonly model?: string;
  readonly tier?: string;
  /** Version of its prompt. */
  readonly prompt?: string;
  readonly attempt: number;
  readonly retry: boolean;
  readonly fellBack: boolean;
  readonly cached: boolean;
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly costNano: number;
  /** What a cached answer would have cost. */
  readonly savedNano: number;
  readonly estimated: boolean;
  readonly finish: string;
  /** Code of its error. */
  readonly error?: string;
  readonly ttftMs?: number;
  readonly durationMs?: number;
};

export type TurnEntry = {
  readonly type: "turn";
  readonly run: string;
  readonly epoch: number;
  readonly n: number;
  /** Milliseconds since `info.createdAt`: the two together are the time of the facts that the store adds. */
  readonly at: number;
  /** The record's body as JSON: input, asks, stops. The store does not read it. */
  readonly body: string;
  readonly hash: string;
  readonly facts: readonly string[];
  readonly asks: readonly AskEntry[];
  /** Asks that ended or were stopped in this turn, with what they cost and used (0 for work without money). */
  readonly closes: readonly Close[];
  /** Of the closed asks, those that were calls. Each is counted once, with its turn. */
  readonly calls?: readonly CallRow[];
  /** Inbox row that this turn's input was. */
  readonly consumes?: string;
  /** Raises the run's own limit (top-up). */
  readonly raiseNano?: number;
  readonly status: RunStatus;
  readonly progress: RunProgress;
};

/** Leaves memory: the run keeps its open asks and gives up its owner, unless a message waits in its inbox or its head moved. */
export type ParkEntry = { readonly type: "park"; readonly run: string; readonly epoch: number; readonly head: number };

/** Takes a run out of work for an operator; its holds stay. Fenced like a turn. */
export type QuarantineEntry = { readonly type: "quarantine"; readonly run: string; readonly epoch: number; readonly reason: string };

export type Entry = AcceptEntry | TurnEntry | ParkEntry | QuarantineEntry;

export type EntryResult =
  | { readonly type: "accepted"; readonly status: "running" | "queued"; readonly epoch: number }
  /** The key was used before: by which run; `sameBody` decides between join and mismatch. */
  | { readonly type: "known"; readonly run: string; readonly sameBody: boolean }
  /** `firstSeq` of this turn's facts: the entry's own, then one for each ask in order (started, or `limit.hit` when denied). */
  | { readonly type: "written"; readonly firstSeq: number; readonly grants: readonly Grant[]; readonly wakes?: string }
  | { readonly type: "parked"; readonly parked: boolean }
  | { readonly type: "quarantined" }
  | { readonly type: "fenced" }
  /** Only this entry failed, by a defect; nothing of it was written. */
  | { readonly type: "broken"; readonly message: string };

export type InboxMessage = {
  readonly nonce: string;
  readonly kind: "cancel" | "answer";
  readonly ordinal?: number;
  readonly value: Json;
  readonly createdAt: number;
};

export type MessageResult =
  | { readonly type: "stored"; readonly record: RunRecord }
  | { readonly type: "ended"; readonly record: RunRecord }
  | { readonly type: "known"; readonly record: RunRecord; readonly sameBody: boolean }
  | { readonly type: "not_found" }
  /** No open ask under that ordinal, answered already, or its hash differs from `hash`. */
  | { readonly type: "conflict"; readonly message: string };

export type TurnRow = { readonly n: number; readonly at: number; readonly body: string; readonly hash: string };
/** `json` is the fact without `run` and `seq`. */
export type FactRow = { readonly seq: number; readonly json: string };

/** A hold that was told wrong, of a run or of a meter (by its key), and what it was set to. */
export type Correction = {
  readonly of: "run" | "meter";
  readonly id: string;
  readonly unit: "nano" | "tokens" | "calls";
  readonly was: number;
  readonly is: number;
};

/** As an operator is told it. */
export function correctionWords({ of, id, unit, was, is }: Correction): string {
  const say = (held: number): string => (unit === "nano" ? `${held / 1_000} micro-dollars` : `${held} ${unit}`);
  return `the ${of} ${id} held ${say(was)}, and its open calls hold ${say(is)}: corrected`;
}

export type ListQuery = {
  readonly tenant?: string;
  /** Null: only runs without a user. */
  readonly user?: string | null;
  readonly status?: RunStatus;
  readonly agent?: string;
  readonly session?: string;
  readonly feature?: string;
  readonly limit: number;
  /** Rows before this position (newest first). */
  readonly before?: number;
};

/** Calls of one tenant that ended at `from` or later and before `to` (ms since the epoch). `limit`: groups, those that cost most. */
export type UsageQuery = {
  readonly tenant: string;
  /** Null: only calls of runs without a user. */
  readonly user?: string | null;
  readonly by: UsageGroup;
  readonly from: number;
  readonly to: number;
  readonly limit: number;
};

export type Usage = {
  readonly calls: number;
  readonly errors: number;
  readonly fallbacks: number;
  readonly retries: number;
  readonly cached: number;
  readonly estimated: number;
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly costNano: number;
  readonly savedNano: number;
  /** 50th, 95th and 99th percentile by nearest rank; null where no call has one. */
  readonly durationMs: readonly number[] | null;
  readonly ttftMs: readonly number[] | null;
};
/** The name of the group; of time its begin in ms since the epoch; null for calls that have none. */
export type GroupUsage = Usage & { readonly group: string | number | null };

export interface Store {
  /** One transaction; one result an entry, in order. Rejects when nothing was written (store down, disk full): may be repeated. */
  commit(batch: readonly Entry[]): Promise<readonly EntryResult[]>;

  /** Stores a message durably before its sender is answered. For `answer`, `ordinal` must name an open `ask` without an earlier answer. */
  message(
    run: string,
    message: InboxMessage,
    options?: { readonly hash?: string; readonly idempotency?: Idempotency },
  ): Promise<MessageResult>;
  /** The run that a command under this key was for, and whether it had the same body; null for a key that is free at `now`. */
  keyed(idempotency: Idempotency, now: number): Promise<{ readonly run: string; readonly sameBody: boolean } | null>;
  /** Messages no turn has consumed, oldest first. */
  inbox(run: string): Promise<readonly InboxMessage[]>;
  /** Runs that `owner` has and for which a message waits: another process may have taken it, and its hint may be lost. */
  unread(owner: string): Promise<readonly string[]>;

  /** Says that `owner` lives until `until` (ms since the epoch). */
  heartbeat(owner: string, until: number): Promise<void>;
  /**
   * Gives up all runs of `owner` without counting a claim against them. With `begun`, some of what is open in them may have been begun
   * (the lease was lost); without it, nothing was: a graceful end.
   */
  release(owner: string, options?: { readonly begun?: boolean }): Promise<void>;
  /** Names of owners that still hold unfinished runs, with the end of their lease. */
  owners(): Promise<readonly { readonly owner: string; readonly until: number }[]>;
  /**
   * Takes over runs that need an owner: of owners whose lease ended before `now` or that are named in `dead`, queued runs whose session
   * is free or that were told to cancel, and parked runs with a due timer or a message. Each gets `epoch + 1`. Only runs of `machines` (`name@revision`).
   * A run taken `maxClaims` (2) times without a turn since is set `quarantined` instead and not returned.
   */
  claim(
    owner: string,
    options: {
      readonly now: number;
      readonly limit: number;
      readonly machines: readonly string[];
      readonly dead?: readonly string[];
      /** Only this run, if it needs an owner. */
      readonly run?: string;
      /** With `run`: takes it also out of quarantine, for an operator who retries or ends it. */
      readonly quarantined?: boolean;
    },
  ): Promise<readonly RunRecord[]>;
  /** The earliest due time of a parked run's timer. */
  nextDue(): Promise<number | null>;

  get(run: string): Promise<RunRecord | null>;
  list(query: ListQuery): Promise<{ readonly rows: readonly RunRecord[]; readonly next: number | null }>;
  /** Turns with n > `after`. */
  turns(run: string, after: number, limit: number): Promise<readonly TurnRow[]>;
  /** Facts with seq > `after`. */
  facts(run: string, after: number, limit: number): Promise<readonly FactRow[]>;
  meters(): Promise<readonly MeterState[]>;
  /**
   * Sums over calls, of one instant: in all, and in groups (time in its order, else the dearest first). Rejects with `invalid_request` when
   * the tenant has more than 250,000 calls in that time.
   */
  usage(query: UsageQuery): Promise<{ readonly total: Usage; readonly groups: readonly GroupUsage[] }>;
  /** Keeps the override in the place of the one before of its subject. */
  setOverride(override: BudgetOverride): Promise<void>;
  /** Those that were set after `position` (0: all), and the position to go on from: whoever does misses none. */
  overrides(position: number): Promise<{ readonly rows: readonly BudgetOverride[]; readonly position: number }>;

  /** Keeps the mark on a run, whatever the run's status; it goes with the run. */
  score(run: string, score: ScoreRow): Promise<ScoreResult>;
  /** By name, then author. */
  scores(run: string): Promise<readonly ScoreRow[]>;

  /** Deletes these meters, but for those that carry a hold. How many were deleted. */
  purgeMeters(keys: readonly string[]): Promise<number>;

  putAgent(hash: string, json: string): Promise<void>;
  getAgent(hash: string): Promise<string | null>;
  /** Deletes runs that ended before `before`, with all their rows, calls that did, and expired idempotency keys. How many runs. */
  purge(before: number, now: number): Promise<number>;
  /**
   * Compares what runs and meters hold (money, tokens, calls) with what open asks hold, and corrects what differs: never below what is
   * really held, and nothing is ended. Of runs that have ended, only those that did since `endedSince` (0) are looked at. On a healthy
   * store it changes nothing.
   */
  reconcile(endedSince?: number): Promise<readonly Correction[]>;
  close(): Promise<void>;
}

/**
 * The facts that granting or denying asks adds to a turn, in order, as JSON without `run` and `seq`. The same code for writer and reader.
 * What is stored also has `ledger`, how the levels above the run stood: for the decision log, and no part of the event.
 */
export function grantFacts(asks: readonly AskEntry[], grants: readonly Grant[], atIso: string, isStored = false): string[] {
  const facts: string[] = [];
  for (let i = 0; i < asks.length; i++) {
    const ask = asks[i] as AskEntry;
    const grant = grants[i] as Grant;
    const ledger = isStored && grant.levels ? `,"ledger":${JSON.stringify(grant.levels.map(ledgerEntry))}` : "";
    if (!grant.granted) {
      const numbers = grant.level === "run" ? `,"value":${grant.spentNano / 1000},"limit":${grant.limitNano / 1000}` : "";
      facts.push(`{"type":"limit.hit","at":"${atIso}","actor":"run","which":"budget.${grant.level}"${numbers}${ledger}}`);
    } else if (ask.started) {
      facts.push(
        ask.started.hold ? `${ask.started.json.slice(0, -1)},"hold_microusd":${grant.holdNano / 1000}${ledger}}` : ask.started.json,
      );
    }
  }
  return facts;
}

/** A level as a stored fact tells it. Counts are `[used, limit]`. */
export type LedgerEntry = {
  readonly level: string;
  readonly used_microusd: number;
  readonly limit_microusd?: number;
  readonly tokens?: readonly [used: number, limit: number];
  readonly calls?: readonly [used: number, limit: number];
};

export const ledgerEntry = ({ level, usedNano, limitNano, counts }: LevelState): LedgerEntry => ({
  level,
  used_microusd: usedNano / 1000,
  ...(limitNano < Number.MAX_SAFE_INTEGER && { limit_microusd: limitNano / 1000 }),
  ...(counts &&
    counts.tokens.limit < Number.MAX_SAFE_INTEGER && { tokens: [counts.tokens.spent + counts.tokens.held, counts.tokens.limit] }),
  ...(counts && counts.calls.limit < Number.MAX_SAFE_INTEGER && { calls: [counts.calls.spent + counts.calls.held, counts.calls.limit] }),
});
