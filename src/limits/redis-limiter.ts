/**
 * The limiter on Redis: limits that several processes share, and what holds while Redis does not.
 *
 *  1. Redis says, as long as it answers in time and its counts can be trusted.
 *  2. Else limits fail closed (`unavailable`), or each process admits a stated share of each limit by its own count, which has also counted
 *     what Redis had admitted through this process before.
 *  3. A breaker stands in front of Redis: while it is open nothing is sent, one probe finds out when Redis is back, and all goes on by itself.
 *  4. A key that Redis lost is mended by what this process knows that it has admitted.
 */
import { EscapementError } from "../protocol/errors.ts";
import { Health } from "./health.ts";
import type { Limiter, Settlement, Taking, Window } from "./limiter.ts";
import { MemoryLimiter } from "./memory-limiter.ts";
import { type RedisSettings, RedisWindows } from "./redis-windows.ts";

/** `share`: of each limit, in each process. */
export type OnRedisFailure = "closed" | { readonly share: number };

export type RedisLimiterSettings = RedisSettings & {
  readonly onFailure: OnRedisFailure;
  /** Told when limits stop and start to be Redis's. */
  readonly onChange?: (isShared: boolean, reason?: string) => void;
};

const breaker = { windowMs: 2_000, minCalls: 3, cooldownMs: 500 };
const redis = "redis";
/** So many failures in a row are told also where they are too rare to open the breaker; one that stands alone is not. */
const toldAfter = 3;

export class RedisLimiter implements Limiter {
  private readonly windows: RedisWindows;
  /** By Redis's clock as far as it is known, so that both count the same things in the same slices. */
  private readonly local = new MemoryLimiter(() => performance.now() + this.clockDifference);
  private clockDifference = Date.now() - performance.now();
  private readonly health: Health;
  private readonly settings: RedisLimiterSettings;
  private shared = true;
  private failures = 0;
  private doubtUntil = 0;

  private constructor(settings: RedisLimiterSettings) {
    this.settings = settings;
    this.windows = new RedisWindows(settings);
    this.health = new Health(() => performance.now(), breaker);
  }

  /** Waits for the connection, but not longer than `connectMs` (1,000): a process starts without Redis too. */
  static async open(settings: RedisLimiterSettings, connectMs = 1_000): Promise<RedisLimiter> {
    const limiter = new RedisLimiter(settings);
    await limiter.windows.connect(connectMs);
    return limiter;
  }

  /** Takes are Redis's to decide. */
  get isShared(): boolean {
    return this.shared;
  }

  async take(windows: readonly Window[]): Promise<Taking> {
    const taken = await this.ask(windows);
    if (taken) {
      if (taken.admitted) this.local.add(windows, taken.at);
      return taken;
    }
    const { onFailure } = this.settings;
    if (onFailure === "closed")
      throw new EscapementError("unavailable", "rate limits cannot be counted at the moment, so nothing is admitted; try again", {
        retry_after_ms: Math.max(1_000, Math.ceil(this.doubtUntil - performance.now())),
        details: { reason: "limiter" },
      });
    const ofShare = windows.map((window) => ({ ...window, limit: shareOf(window.limit, onFailure.share) }));
    return { ...this.local.takeNow(ofShare), isLocal: true };
  }

  async settle(settlement: Settlement): Promise<void> {
    this.local.settleNow(settlement);
    if (!settlement.taken.isLocal && this.health.state(redis) === "closed") await this.windows.settle(settlement).catch(() => {});
  }

  async close(): Promise<void> {
    await this.windows.close();
  }

  /** Undefined when Redis cannot say. */
  private async ask(windows: readonly Window[]): Promise<Taking | undefined> {
    if (this.health.ask(redis) === "no") return undefined;
    try {
      const own = windows.map((window) => this.local.used(window));
      const taken = await this.windows.take(windows, own);
      this.health.report(redis, "ok");
      if ("doubtMs" in taken) {
        this.doubtUntil = performance.now() + taken.doubtMs;
        this.tell(false, "it has lost its data, and until a window has passed its counts are wrong");
        return undefined;
      }
      this.clockDifference = taken.at - performance.now();
      this.failures = 0;
      this.tell(true);
      return taken;
    } catch (error) {
      this.health.report(redis, "failed");
      const isDown = ++this.failures >= toldAfter || this.health.state(redis) !== "closed";
      if (isDown) this.tell(false, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  private tell(isShared: boolean, reason?: string): void {
    if (isShared === this.shared) return;
    this.shared = isShared;
    this.settings.onChange?.(isShared, reason);
  }
}

/** At least 1, where anything was allowed at all. */
const shareOf = (limit: number, share: number): number => (limit === 0 ? 0 : Math.max(1, Math.floor(limit * share)));
