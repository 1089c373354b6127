/**
 * The retry budget: retries to one provider are at most 10 % of its calls in a sliding 60 s, and at least 10 are allowed
 * (FEATURES A6). It keeps retries from multiplying an outage. Falling back to another tier is no retry.
 */
export type RetryBudgetSettings = { readonly windowMs: number; readonly share: number; readonly floor: number };
const defaults: RetryBudgetSettings = { windowMs: 60_000, share: 0.1, floor: 10 };
const slices = 12;

export class RetryBudget {
  private readonly providers = new Map<string, { slice: number; calls: number[]; retries: number[] }>();
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
    const now = Math.floor((this.clock() * slices) / windowMs);
    let window = this.providers.get(provider);
    if (!window) {
      window = { slice: now, calls: Array<number>(slices).fill(0), retries: Array<number>(slices).fill(0) };
      this.providers.set(provider, window);
    }
    for (let i = Math.max(window.slice + 1, now - slices + 1); i <= now; i++) {
      window.calls[i % slices] = 0;
      window.retries[i % slices] = 0;
    }
    window.slice = now;
    const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
    // This one counted: the share holds after it, too.
    if (isRetry && sum(window.retries) + 1 > Math.max(floor, share * (sum(window.calls) + 1))) return false;
    window.calls[now % slices] = (window.calls[now % slices] ?? 0) + 1;
    if (isRetry) window.retries[now % slices] = (window.retries[now % slices] ?? 0) + 1;
    return true;
  }
}
