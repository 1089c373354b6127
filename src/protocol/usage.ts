/** `GET /v1/usage`: what calls have cost and how they went, in groups. */
import { z } from "zod";

/** What calls can be grouped by; the last two are windows of time (UTC). */
export const usageGroups = ["feature", "user", "key", "model", "provider", "agent", "prompt", "tier", "hour", "day"] as const;
export type UsageGroup = (typeof usageGroups)[number];

const time = z.iso.datetime({ offset: true });

/** From `from` on, and before `to`. Without `to` until now, without `from` the day before it. `limit`: groups, the dearest first. */
export const usageQuery = z.strictObject({
  by: z.enum(usageGroups),
  from: time.optional(),
  to: time.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(1_000),
});
export type UsageQuery = z.input<typeof usageQuery>;

/** By nearest rank: a value that one of the calls really had. `null` where none has one. */
export type Quantiles = { readonly p50: number; readonly p95: number; readonly p99: number } | null;

export type UsageFigures = {
  readonly calls: number;
  readonly errors: number;
  /** Calls to a further tier, after the one before it had failed. */
  readonly fallbacks: number;
  readonly retries: number;
  /** Answered from a cache, or by a call that another run made at the same time. */
  readonly cached: number;
  /** Charged by an estimate, since the provider did not say. */
  readonly estimated: number;
  readonly input_tokens: number;
  readonly cached_tokens: number;
  readonly output_tokens: number;
  readonly cost_microusd: number;
  /** What cached answers would have cost. */
  readonly saved_microusd: number;
  readonly duration_ms: Quantiles;
  /** Until the first token. */
  readonly ttft_ms: Quantiles;
};

export type UsageReport = {
  readonly by: UsageGroup;
  readonly from: string;
  readonly to: string;
  /** Of all calls, also of groups beyond `limit`. */
  readonly total: UsageFigures;
  /** `group` is `null` for calls without one; of time the window's begin. The dearest first, windows of time in their order. */
  readonly data: readonly (UsageFigures & { readonly group: string | null })[];
  readonly next: null;
};
