/** Rate limits and queues from a configuration. Owns the plans `free` and `pro` and which plan holds where none is named. */
import type { LaneLimits, LaneSettings } from "../limits/provider-lane.ts";
import type { Plan, RateLimitSettings } from "../limits/rate-limits.ts";
import type { OnRedisFailure } from "../limits/redis-limiter.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { CheckedConfig, PlanSettings } from "./schema.ts";

export type ConfiguredRateLimits = RateLimitSettings & { readonly onRedisFailure: OnRedisFailure };

const defaultPlans: { readonly [name: string]: PlanSettings } = {
  free: { requests_per_minute: 10 },
  pro: { requests_per_minute: 60 },
};

/** Undefined: nobody is limited. Throws `invalid_request` for a default plan that is none. */
export function rateLimitsOf({ rate_limits: settings }: CheckedConfig): ConfiguredRateLimits | undefined {
  if (!settings) return undefined;
  const all = { ...defaultPlans, ...settings.plans };
  const defaultPlan = settings.default_plan ?? "free";
  if (!Object.hasOwn(all, defaultPlan)) {
    throw new EscapementError(
      "invalid_request",
      `rate_limits.default_plan: there is no plan "${defaultPlan}"; there are ${Object.keys(all).join(", ")}`,
      { details: { path: "rate_limits.default_plan" } },
    );
  }
  const plans = Object.fromEntries(Object.entries(all).map(([name, plan]) => [name, planOf(name, plan)]));
  return { plans, defaultPlan, onRedisFailure: settings.on_redis_failure ?? "closed" };
}

function planOf(name: string, { requests_per_minute, tokens_per_minute, per_key, paid }: PlanSettings): Plan {
  return {
    isPaid: paid ?? name !== "free",
    ...(requests_per_minute !== undefined && { requests: requests_per_minute }),
    ...(tokens_per_minute !== undefined && { tokens: tokens_per_minute }),
    ...(per_key?.requests_per_minute !== undefined && { keyRequests: per_key.requests_per_minute }),
    ...(per_key?.tokens_per_minute !== undefined && { keyTokens: per_key.tokens_per_minute }),
  };
}

export function providerLimitsOf({ providers = {} }: CheckedConfig): { readonly [provider: string]: LaneLimits } {
  const limits: { [provider: string]: LaneLimits } = {};
  for (const [name, settings] of Object.entries(providers)) {
    if (!("limits" in settings) || !settings.limits) continue;
    const { requests_per_minute, tokens_per_minute, concurrent } = settings.limits;
    limits[name] = {
      ...(requests_per_minute !== undefined && { requestsPerMinute: requests_per_minute }),
      ...(tokens_per_minute !== undefined && { tokensPerMinute: tokens_per_minute }),
      ...(concurrent !== undefined && { concurrent }),
    };
  }
  return limits;
}

export const queueOf = ({ queue = {} }: CheckedConfig): Partial<LaneSettings> => ({
  ...(queue.length !== undefined && { length: queue.length }),
  ...(queue.wait_ms !== undefined && { waitMs: queue.wait_ms }),
  ...(queue.aging_ms !== undefined && { agingMs: queue.aging_ms }),
});
