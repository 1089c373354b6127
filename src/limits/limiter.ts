/**
 * The contract of limiters: how much of something a key may take within a sliding window of time.
 *
 *  1. A take is one atomic step over all its windows: either each of them has room and all are counted, or nothing is.
 *  2. Within any stretch of `windowMs` no more than `limit` is admitted for a key. A window is counted in slices ({@link slices}), each
 *     as a whole, so what was taken is held against the key for `windowMs` and at most one slice longer, never shorter.
 *  3. Every key is forgotten by itself after its window; how many are kept is bounded.
 *  4. It holds no money. What it forgets, the ledger still knows.
 */

/** Slices of a window: a finer count costs more memory a key, a coarser one holds longer. */
export const slices = 20;

export type Window = {
  readonly key: string;
  /** Most that `windowMs` may hold; 0 admits nothing. */
  readonly limit: number;
  readonly windowMs: number;
  /** A whole number. 0 only looks: refused when nothing is left. More than `limit` never fits. */
  readonly amount: number;
};

/** How a window stands: what is left, and when all of it is there again if nothing more is taken. */
export type Standing = { readonly remaining: number; readonly resetMs: number };

/** Where a take is counted: for {@link Limiter.settle}. */
export type Taken = {
  /** In ms of the limiter's clock. */
  readonly at: number;
  /** Only in this process, of a limiter that shares its counts otherwise. */
  readonly isLocal?: boolean;
};

export type Taking = {
  /** One a window, in order: after the take, or as it was found when refused. */
  readonly standings: readonly Standing[];
} & Taken &
  (
    | { readonly admitted: true }
    /** `window`: the index of the one that has to be waited for longest. */
    | { readonly admitted: false; readonly window: number; readonly retryAfterMs: number }
  );

export type Settlement = Pick<Window, "key" | "windowMs"> & {
  readonly taken: Taken;
  /** What was used less what was taken. */
  readonly change: number;
};

export interface Limiter {
  /** Rejects with `unavailable` (`details.reason: "limiter"`) when it cannot say: then nothing may be admitted. */
  take(windows: readonly Window[]): Promise<Taking>;
  /** Corrects what was taken by an estimate. What was taken too little and has left its window since counts now. Never rejects. */
  settle(settlement: Settlement): Promise<void>;
  close(): Promise<void>;
}
