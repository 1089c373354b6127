/**
 * How much of one limit of a provider is used: a limit that is configured, by what we sent; or one that its response headers told, by what
 * they said and what we sent since.
 *
 *  1. Calls are let through up to {@link ceiling} of a limit; beyond it they wait. The last tenth is for what is not seen here: other
 *     processes with the same key, calls whose answer has not come.
 *  2. A call that is larger than the ceiling passes alone, into an empty window.
 */
import { SlidingCount } from "./sliding-count.ts";

export const ceiling = 0.9;
export const warning = 0.8;
/** Below this share the next warning is due again. */
const rearmed = 0.7;

/** A limit with what is used of it. */
export abstract class ProviderWindow {
  private warned = false;
  abstract readonly limit: number;
  abstract used(now: number): number;
  abstract send(amount: number, now: number): void;
  /** When `amount` less will be used, in ms. */
  protected abstract freeIn(amount: number, now: number): number;

  /** How long a call of `amount` must wait; 0: it fits. */
  waitMs(amount: number, now: number): number {
    const most = Math.max(1, Math.floor(ceiling * this.limit));
    const over = this.used(now) + Math.min(amount, most) - most;
    return over > 0 ? this.freeIn(over, now) : 0;
  }

  /** Whether the warning is due: once, when the share is reached. */
  isWarning(now: number): boolean {
    const share = this.used(now) / this.limit;
    if (share < rearmed) this.warned = false;
    if (share < warning || this.warned) return false;
    this.warned = true;
    return true;
  }
}

export class ConfiguredWindow extends ProviderWindow {
  readonly limit: number;
  private readonly count: SlidingCount;

  constructor(limit: number, windowMs: number) {
    super();
    this.limit = limit;
    this.count = new SlidingCount(windowMs);
  }

  used(now: number): number {
    this.count.move(now);
    return this.count.sum;
  }

  send(amount: number, now: number): void {
    this.settle(now, amount, now);
  }

  /** Corrects what was sent at `at`. */
  settle(at: number, change: number, now: number): void {
    this.count.move(now);
    this.count.add(at, change);
  }

  protected freeIn(amount: number, now: number): number {
    return this.count.freeIn(amount, now);
  }
}

/**
 * Providers refill steadily and say when all will be there again, so what is used shrinks in a straight line until then. An answer tells
 * how things stood when its call was sent; what was sent after it is added.
 */
export class ToldWindow extends ProviderWindow {
  limit = 0;
  private remaining = 0;
  private at = 0;
  private resetAt = 0;
  /** All that was ever sent, and how much of it is in what was told. */
  private sent = 0;
  private mark = 0;

  /** To be given back with the answer. */
  get position(): number {
    return this.sent;
  }

  /** Of answers that overtook each other the one that was asked for last holds. */
  told(said: { readonly limit: number; readonly remaining: number; readonly resetMs: number }, sentAt: number, position: number): void {
    if (this.limit > 0 && position < this.mark) return;
    this.limit = said.limit;
    this.remaining = Math.min(said.limit, said.remaining);
    this.at = sentAt;
    this.resetAt = sentAt + said.resetMs;
    this.mark = position;
  }

  used(now: number): number {
    if (now >= this.resetAt) return 0;
    const left = (this.resetAt - now) / (this.resetAt - this.at);
    return (this.limit - this.remaining) * Math.min(1, left) + this.sent - this.mark;
  }

  send(amount: number): void {
    this.sent += amount;
  }

  protected freeIn(amount: number, now: number): number {
    const rest = this.resetAt - now;
    const rate = (this.limit - this.remaining) / (this.resetAt - this.at);
    return Math.max(1, Math.ceil(rate > 0 ? Math.min(rest, amount / rate) : rest));
  }
}
