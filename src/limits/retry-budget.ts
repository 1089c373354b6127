/**
 * The retry budget: retries to one provider are at most 10 % of its calls in a sliding 60 s, and at least 10 are allowed
 * (FEATURES A6). It keeps retries from multiplying an outage. Falling back to another tier is no retry.
 */
import { SlidingSum } from "./sliding-sum.ts";

export type RetryBudgetSettings = { readonly windowMs: number; readonly share: number; readonly floor: number };
const defaults: RetryBudgetSettings = { windowMs: 60_000, share: 0.1, floor: 10 };
const slices = 12;

export class RetryBudget {
  private readonly providers = new Map<string, { readonly calls: SlidingSum; readonly retries: SlidingSum }>();
  private readonly clock: () => number;
  private readonly settings: RetryBudgetSettings;

  /** `clock`: monotonic milliseconds. */
  constructor(clock: () => number, settings: Partial<RetryBudgetSettings> = {}) {
    this.clock = clock;
    this.settings = { ...defaults, ...settings };
  }

  /** Counts a call; for a retry, says whether the budget allows it (and counts it only then). */
  take(provider: string, isRetry: boolean): boolean {
    const { windowMs, share, floor } = this.settings;
    const now = this.clock();
    let window = this.providers.get(provider);
    if (!window) {
      window = { calls: new SlidingSum(windowMs / slices, slices), retries: new SlidingSum(windowMs / slices, slices) };
      this.providers.set(provider, window);
    }
    const { calls, retries } = window;
    // This one counted: the share holds after it, too.
    if (isRetry && retries.sum(now) + 1 > Math.max(floor, share * (calls.sum(now) + 1))) return false;
    calls.add(now, 1);
    if (isRetry) retries.add(now, 1);
    return true;
  }
}
