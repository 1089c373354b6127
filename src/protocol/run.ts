/** The Run as clients see it. */
import type { ErrorBody } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Bounds, Limits } from "./limits.ts";

export const endStatuses = ["done", "degraded", "exhausted", "refused", "cancelled", "failed"] as const;
export const runStatuses = ["queued", "running", "waiting", "quarantined", ...endStatuses] as const;
export type EndStatus = (typeof endStatuses)[number];
export type RunStatus = (typeof runStatuses)[number];
export const hasEnded = (status: RunStatus): status is EndStatus => (endStatuses as readonly string[]).includes(status);

/** Tokens as the provider counted them; `estimated` when any of it is our count instead. Cached tokens are part of the input tokens. */
export type Usage = {
  readonly input_tokens: number;
  readonly cached_tokens: number;
  readonly output_tokens: number;
  readonly estimated: boolean;
};

export type InputKind = "approval" | "question" | "review" | "budget" | "confirm" | "tool";

/** A question to a person that is open; the event `input.requested` has all of it. */
export type Waiting = { readonly id: string; readonly kind: InputKind; readonly message?: string };

export type Run = {
  readonly id: string;
  readonly agent: string;
  readonly status: RunStatus;
  readonly session?: string;
  readonly feature?: string;
  readonly user?: string;
  readonly created_at: string;
  readonly started_at?: string;
  readonly finished_at?: string;
  /** The text of the last answer call, or the object that the agent's schema asks for. */
  readonly output: Json;
  readonly error?: ErrorBody;
  readonly tier?: string;
  readonly cached?: boolean;
  readonly usage: Usage;
  readonly cost_microusd: number;
  readonly steps: number;
  readonly calls: number;
  readonly tool_calls: number;
  readonly limits: Limits;
  readonly held_microusd: number;
  readonly bounds: Bounds;
  readonly waiting_for?: readonly Waiting[];
  readonly forked_from?: string;
  readonly metadata?: { readonly [key: string]: Json | undefined };
};
