/** What was counted within a sliding window, in slices (`limiter.ts`, 2). Time is given, in ms of any clock that does not go back far. */
import { slices } from "./limiter.ts";

/** Slices that can hold something of a window: its own and the one that is only half over. */
const kept = slices + 1;

/** For how long at most something is held against a window. */
export const heldMs = (windowMs: number): number => windowMs * (kept / slices);

export class SlidingCount {
  private readonly parts = new Float64Array(kept);
  private readonly sliceMs: number;
  private newest = 0;
  /** Nothing of it is left from then on. */
  until = 0;

  constructor(windowMs: number) {
    this.sliceMs = windowMs / slices;
  }

  get sum(): number {
    let sum = 0;
    for (const part of this.parts) sum += part;
    return sum;
  }

  /** What will leave with the next slice. */
  get oldest(): number {
    return this.parts[(this.newest + 1) % kept] ?? 0;
  }

  /** Drops what has left the window. */
  move(now: number): void {
    const slice = Math.floor(now / this.sliceMs);
    for (let i = Math.max(this.newest + 1, slice - slices); i <= slice; i++) this.parts[i % kept] = 0;
    this.newest = Math.max(this.newest, slice);
  }

  /** What has left the window is not given back; what is added to it counts now. */
  add(at: number, change: number): void {
    const slice = Math.floor(at / this.sliceMs);
    const isIn = slice > this.newest - kept && slice <= this.newest;
    if (!isIn && change < 0) return;
    const i = (isIn ? slice : this.newest) % kept;
    this.parts[i] = Math.max(0, (this.parts[i] ?? 0) + change);
    this.until = Math.max(this.until, (this.newest + kept) * this.sliceMs);
  }

  /** When `amount` of it will have left, in ms from now. */
  freeIn(amount: number, now: number): number {
    let left = amount;
    for (let slice = this.newest - slices; slice <= this.newest; slice++) {
      left -= this.parts[slice % kept] ?? 0;
      if (left <= 0) return Math.max(1, Math.ceil((slice + kept) * this.sliceMs - now));
    }
    return 0;
  }

  /** When all of it will have left, in ms from now. */
  resetMs(now: number): number {
    for (let slice = this.newest; slice >= this.newest - slices; slice--)
      if ((this.parts[slice % kept] ?? 0) > 0) return Math.ceil((slice + kept) * this.sliceMs - now);
    return 0;
  }
}
