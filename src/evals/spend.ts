/**
 * The budget of one eval. A run is granted its worst case, or what is left, before it starts; when nothing is left, nothing starts.
 *
 *  1. `spent + held <= limit`: a run cannot spend more than its grant, which is its own limit.
 *  2. Who waits for a grant waits for runs that go on, and never for ever.
 */
import { EscapementError } from "../protocol/errors.ts";

/** Why an eval ends before its last case. */
export class Stopped extends Error {}

/** What a limit of a run can be. */
const smallest = 0.001;

export class Spend {
  readonly #limit: number;
  #held = 0;
  #waiting: (() => void)[] = [];
  spent = 0;

  constructor(limitMicrousd: number = Number.POSITIVE_INFINITY) {
    this.#limit = limitMicrousd;
  }

  /** At most `wanted` micro-dollars. Rejects with {@link Stopped} when nothing is left. */
  async grant(wanted: number): Promise<number> {
    if (wanted === 0) return 0;
    for (;;) {
      const free = Math.floor((this.#limit - this.spent - this.#held) * 1_000) / 1_000;
      if (free >= wanted || (free >= smallest && this.#held === 0)) {
        const granted = Math.min(wanted, free);
        this.#held += granted;
        return granted;
      }
      if (this.#held === 0) throw new Stopped(this.shortfall());
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Ends a grant with what it cost. */
  settle(granted: number, cost: number): void {
    this.#held -= granted;
    // Sums of fractions come out a little beside zero.
    if (Math.abs(this.#held) < 1e-6) this.#held = 0;
    this.spent += cost;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  shortfall(): string {
    const spent = Math.round(this.spent * 1_000) / 1_000;
    return `the eval's budget of ${this.#limit} micro-dollars does not cover the next run (${spent} spent): raise budget_microusd, or judge fewer cases`;
  }
}

export const isStopped = (error: unknown): error is Stopped => error instanceof Stopped;
export const wordsOf = (error: unknown): string =>
  error instanceof EscapementError ? `${error.message} (${error.code})` : error instanceof Error ? error.message : String(error);
