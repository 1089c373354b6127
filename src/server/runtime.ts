/**
 * What the server needs of the runtime: the only door through which it starts, reads and changes runs.
 * Owned here; `src/runtime` implements it. Every method takes the caller that the edge has established, and answers a run that the
 * caller may not see with `not_found`. All of them reject with an `EscapementError`; anything else is a defect and told as `internal`.
 */
import type { Budget, BudgetChange } from "../protocol/budget.ts";
import type { CacheCounts } from "../protocol/cache-counts.ts";
import type { Caller } from "../protocol/caller.ts";
import type { AnswerBody, RunsQuery, StartBody } from "../protocol/commands.ts";
import type { Decision } from "../protocol/decision.ts";
import type { Fact } from "../protocol/events.ts";
import type { Bounds, Limits } from "../protocol/limits.ts";
import type { RateLimit } from "../protocol/rate-limit.ts";
import type { Run } from "../protocol/run.ts";
import type { EventReader, EventsOptions, RunHandle } from "../protocol/runs.ts";
import type { Score, ScoreBody } from "../protocol/score.ts";
import type { UsageQuery, UsageReport } from "../protocol/usage.ts";

/** An agent as clients see it. Schemas are JSON Schema; `null` where the agent has none. */
export type AgentDescription = {
  readonly name: string;
  readonly description: string;
  readonly input_schema: unknown;
  readonly output_schema: unknown;
  readonly limits: Limits;
  readonly tool_groups: readonly string[];
  /** Names of its tiers, in order of preference. */
  readonly tiers?: readonly string[];
};

/** A page of a list. `next` is the cursor of the following page, `null` at the end. */
export type Page<T> = { readonly data: readonly T[]; readonly next: string | null };

/** Why new runs are refused at the moment. */
export type Health = { readonly ready: boolean; readonly reason?: "draining" | "store" | "storage_full" | "limiter" };

export interface ServerRuntime {
  /** Resolves when the run is durable; `replayed` on the handle says that an earlier start with the same key had made it. */
  start(body: StartBody, options: { caller: Caller; idempotencyKey?: string }): Promise<RunHandle>;
  /** When it resolves, no new call or tool of the run starts. `ended`: the run had ended before and was not changed. */
  cancel(
    run: string,
    options: { caller: Caller; reason?: string; idempotencyKey?: string },
  ): Promise<{ run: Run; ended: boolean; replayed: boolean }>;
  answer(run: string, answer: AnswerBody, options: { caller: Caller; idempotencyKey?: string }): Promise<{ run: Run; replayed: boolean }>;
  /** Rejects with `not_found`, and with `invalid_request` for a cursor that is malformed or from the future. */
  events(run: string, options: EventsOptions & { caller: Caller }): Promise<EventReader>;
  get(run: string, caller: Caller): Promise<Run>;
  list(query: RunsQuery, caller: Caller): Promise<Page<Run>>;
  /** The stored facts after a cursor, in order. */
  facts(run: string, options: { caller: Caller; after?: string; limit?: number }): Promise<Page<Fact>>;
  journal(run: string, options: { caller: Caller; cursor?: string; limit?: number }): Promise<Page<unknown>>;
  /** Every yes and no about a run, with its reason. */
  decisions(run: string, caller: Caller): Promise<Page<Decision>>;
  /** Rejects with `conflict` where a run has as many scores as are kept. */
  score(run: string, score: ScoreBody, caller: Caller): Promise<Score>;
  scores(run: string, caller: Caller): Promise<Page<Score>>;
  session(id: string, caller: Caller): Promise<{ id: string; runs: readonly Run[]; messages: readonly unknown[] }>;
  /** Those above the run, in their present windows. */
  budgets(caller: Caller): Promise<readonly Budget[]>;
  /** How it stands then. Rejects with `forbidden` where the caller may not change it. */
  setBudget(level: string, subject: string, change: BudgetChange, caller: Caller): Promise<Budget>;
  /** Cached answers of the caller's tenant that fit everything that is said; how many went. Needs the scope `admin`. */
  purgeCache(which: { tag?: string; key?: string; agent?: string; version?: string }, caller: Caller): Promise<number>;
  /** Null where nothing is cached. */
  cacheCounts(): CacheCounts | null;
  /** Of the runs that the caller sees; of its whole tenant with the scope `admin`. */
  usage(query: UsageQuery, caller: Caller): Promise<UsageReport>;
  agents(): readonly AgentDescription[];
  /** For drawing. Throws `not_found`. */
  machine(agent: string): unknown;
  /** Worst case of the run that this body would start. Throws as `start` does. */
  estimate(body: StartBody): Bounds;
  /** Worst case of one run of the agent. Throws `not_found`. */
  bounds(agent: string): Bounds | Promise<Bounds>;
  health(): Health;
  /** How the limits of the caller stand, of this user where it named one; undefined where nobody is limited. */
  rateLimits?(caller: Caller, user?: string): Promise<readonly RateLimit[]> | undefined;
}
