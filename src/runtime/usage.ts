/** `GET /v1/usage` as the runtime answers it: whose calls a caller sees, and the store's sums in the protocol's words. */

import type { Caller } from "../protocol/caller.ts";
import { EscapementError } from "../protocol/errors.ts";
import { type Quantiles, type UsageFigures, type UsageQuery, type UsageReport, usageQuery } from "../protocol/usage.ts";
import type { Store, Usage } from "../stores/store.ts";
import { visibleTo } from "./visibility.ts";

const dayMs = 24 * 3_600_000;

/** `now` in ms since the epoch. An operator sees all of its tenant; others see what they see of runs. */
export async function usageReport(store: Store, query: UsageQuery, caller: Caller, now: number): Promise<UsageReport> {
  const { by, limit, ...times } = usageQuery.parse(query);
  // Calls that end in this very millisecond are there.
  const to = times.to === undefined ? now + 1 : Date.parse(times.to);
  const from = times.from === undefined ? to - dayMs : Date.parse(times.from);
  if (from >= to)
    throw new EscapementError("invalid_request", `from (${iso(from)}) must be before to (${iso(to)})`, { details: { path: "from" } });
  const whose = caller.scopes.includes("admin") ? { tenant: caller.tenant } : visibleTo(caller);
  const { total, groups } = await store.usage({ ...whose, by, from, to, limit });
  return {
    by,
    from: iso(from),
    to: iso(to),
    total: figures(total),
    data: groups.map(({ group, ...usage }) => ({ group: typeof group === "number" ? iso(group) : group, ...figures(usage) })),
    next: null,
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();

const figures = (usage: Usage): UsageFigures => ({
  calls: usage.calls,
  errors: usage.errors,
  fallbacks: usage.fallbacks,
  retries: usage.retries,
  cached: usage.cached,
  estimated: usage.estimated,
  input_tokens: usage.inputTokens,
  cached_tokens: usage.cachedTokens,
  output_tokens: usage.outputTokens,
  cost_microusd: usage.costNano / 1_000,
  saved_microusd: usage.savedNano / 1_000,
  duration_ms: quantiles(usage.durationMs),
  ttft_ms: quantiles(usage.ttftMs),
});

function quantiles(values: readonly number[] | null): Quantiles {
  if (values === null) return null;
  const [p50 = 0, p95 = 0, p99 = 0] = values;
  return { p50, p95, p99 };
}
