/** How long to wait before trying again: exponential with full jitter, so that clients which fell together do not come back together. */
export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempt = 0;

  constructor(baseMs: number, maxMs: number, random: () => number = Math.random) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** Anything from 0 to `baseMs` doubled with every attempt, at most `maxMs`. */
  next(): number {
    const most = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#attempt, 30));
    this.#attempt++;
    return this.#random() * most;
  }

  reset(): void {
    this.#attempt = 0;
  }
}
