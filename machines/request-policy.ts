/**
 * What an agent's author may say about its requests: how often, what follows what, what counts as an answer.
 * Plain data: it comes with a machine's input, so that a run is pinned to it.
 */

import type { ContextPolicy } from "./context.ts";

/** Milliseconds. The wait before a retry is `first_ms`, doubled with each attempt, `max_ms` at most; jitter is added by the sleep. */
export type Backoff = {
  readonly first_ms: number;
  readonly max_ms: number;
  /** A provider that asks for a longer wait than this is left for the next tier (FAULTS P02). */
  readonly max_retry_after_ms: number;
};
export const defaultBackoff: Backoff = { first_ms: 250, max_ms: 8_000, max_retry_after_ms: 30_000 };

/** A model that says whether an answer may be given. It is asked once an answer has passed every other check. */
export type Judge = { readonly tier: string; readonly criteria: string };

export type RequestPolicy = {
  /** Of a pattern: the part that these requests are made for, and whether anybody reads their answers but the pattern itself. */
  readonly part?: string | undefined;
  readonly for?: "answer" | "internal" | undefined;
  /** Which tools a call shows is asked for before it. */
  readonly expose?: boolean | undefined;
  /** Further attempts a tier after its first. */
  readonly retries: number;
  /** When a budget refuses a call: end as `exhausted`, ask a person for more, or go on to the next tier, which may be cheaper. */
  readonly onBudget: "stop" | "ask" | "cheaper";
  /** When the answer was cut at the token limit: end as `failed` with what there is, or ask for the rest. */
  readonly onLength?: "fail" | "continue" | undefined;
  /**
   * When a stream broke after text was shown: take it back and answer anew, ask for the rest, or end as `failed` and keep it.
   * A call that was lost with its process is always taken back, since what it showed is not known.
   */
  readonly onCut?: "retract" | "continue" | "keep" | undefined;
  /** Answer of last resort. */
  readonly degraded?: string | undefined;
  /** Answers are looked up first, kept when they are good, and, also when they are old, given when no tier answers. */
  readonly cache?: boolean | undefined;
  readonly judge?: Judge | undefined;
  /** An answer that its model is less sure of than this (0 to 1) is taken back, and the next tier answers; the last tier's stands. */
  readonly escalateBelow?: number | undefined;
  readonly backoff?: Backoff | undefined;
  /** What of a conversation is kept when it grows too long. Without it a call that is refused as too long goes to the next tier as it is. */
  readonly context?: ContextPolicy | undefined;
};

/** The policy that a machine's input carries, for the requests that it makes. */
export function policyOf(input: RequestPolicy): RequestPolicy {
  const { part, for: reader, expose, retries, onBudget, onLength, onCut, degraded, cache, judge, escalateBelow, backoff, context } = input;
  return {
    ...(part !== undefined && { part }),
    ...(reader !== undefined && { for: reader }),
    ...(expose !== undefined && { expose }),
    retries,
    onBudget,
    ...(onLength !== undefined && { onLength }),
    ...(onCut !== undefined && { onCut }),
    ...(degraded !== undefined && { degraded }),
    ...(cache !== undefined && { cache }),
    ...(judge !== undefined && { judge }),
    ...(escalateBelow !== undefined && { escalateBelow }),
    ...(backoff !== undefined && { backoff }),
    ...(context !== undefined && { context }),
  };
}
