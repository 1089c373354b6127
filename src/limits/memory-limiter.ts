/**
 * A limiter in this process: the whole one where there is one process, and the local part of the one on Redis.
 * When as many keys as it may keep are in use, a new one is refused: dropping one in use would lift its limit.
 */
import type { Limiter, Settlement, Standing, Taking, Window } from "./limiter.ts";
import { heldMs, SlidingCount } from "./sliding-count.ts";

export class MemoryLimiter implements Limiter {
  private readonly counts = new Map<string, SlidingCount>();
  private readonly clock: () => number;
  private readonly maxKeys: number;

  /** `clock`: monotonic milliseconds. */
  constructor(clock: () => number = () => performance.now(), maxKeys = 100_000) {
    this.clock = clock;
    this.maxKeys = maxKeys;
  }

  get size(): number {
    return this.counts.size;
  }

  async take(windows: readonly Window[]): Promise<Taking> {
    return this.takeNow(windows);
  }

  async settle(settlement: Settlement): Promise<void> {
    this.settleNow(settlement);
  }

  async close(): Promise<void> {
    this.counts.clear();
  }

  takeNow(windows: readonly Window[]): Taking {
    const at = this.clock();
    const counts = windows.map((window) => this.count(window, at));
    let worst = -1;
    let retryAfterMs = 0;
    windows.forEach((window, i) => {
      const waitMs = waitFor(window, counts[i], at);
      if (waitMs <= retryAfterMs) return;
      worst = i;
      retryAfterMs = waitMs;
    });
    if (worst === -1) this.add(windows, at);
    const standings = windows.map((window) => this.standing(window, at));
    return worst === -1 ? { admitted: true, standings, at } : { admitted: false, standings, at, window: worst, retryAfterMs };
  }

  settleNow({ key, windowMs, taken, change }: Settlement): void {
    this.count({ key, windowMs, amount: Math.max(0, change) }, this.clock())?.add(taken.at, change);
  }

  /** Counts what another limiter has admitted. */
  add(windows: readonly Window[], at = this.clock()): void {
    for (const window of windows) if (window.amount > 0) this.count(window, at)?.add(at, window.amount);
  }

  /** What a key has taken within its window, without the slice that is about to leave it: another clock may have dropped that already. */
  used({ key }: Pick<Window, "key">): number {
    const count = this.counts.get(key);
    if (!count) return 0;
    count.move(this.clock());
    return count.sum - count.oldest;
  }

  private standing({ key, limit }: Window, now: number): Standing {
    const count = this.counts.get(key);
    return { remaining: Math.max(0, limit - (count?.sum ?? 0)), resetMs: count?.resetMs(now) ?? 0 };
  }

  /** Undefined when there is no room for another key. Looking at a key that is not there makes none. */
  private count({ key, windowMs, amount }: Omit<Window, "limit">, now: number): SlidingCount | undefined {
    let count = this.counts.get(key);
    if (count) {
      // The keys stay in the order of their last use, so that those that are over are found at the front.
      this.counts.delete(key);
    } else {
      this.dropOver(now);
      if (this.counts.size >= this.maxKeys) return undefined;
      count = new SlidingCount(windowMs);
    }
    count.move(now);
    if (amount > 0 || count.until > now) this.counts.set(key, count);
    return count;
  }

  private dropOver(now: number): void {
    let looked = 0;
    for (const [key, { until }] of this.counts) {
      if (until > now || ++looked > 2) return;
      this.counts.delete(key);
    }
  }
}

/** 0 when it fits. */
function waitFor({ limit, windowMs, amount }: Window, count: SlidingCount | undefined, now: number): number {
  const wanted = Math.max(1, amount);
  if (!count || wanted > limit) return Math.ceil(heldMs(windowMs));
  const over = count.sum + wanted - limit;
  return over > 0 ? count.freeIn(over, now) : 0;
}
