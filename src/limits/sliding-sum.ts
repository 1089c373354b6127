/** A sum over the last while, in slices of time: right to one slice, in constant memory. */
export class SlidingSum {
  private readonly sliceMs: number;
  private readonly slices: Float64Array;
  /** Number of the newest slice; all before the oldest are forgotten. */
  private newest = Number.NEGATIVE_INFINITY;

  constructor(sliceMs: number, count: number) {
    this.sliceMs = sliceMs;
    this.slices = new Float64Array(count);
  }

  add(at: number, amount: number): void {
    const slice = this.reach(at);
    if (slice <= this.newest - this.slices.length) return;
    const i = slice % this.slices.length;
    this.slices[i] = (this.slices[i] ?? 0) + amount;
  }

  /** Of the last `count` slices, the one of `now` included, but for the newest `without`. */
  sum(now: number, count = this.slices.length, without = 0): number {
    const slice = this.reach(now);
    let sum = 0;
    for (let i = slice - count + 1; i <= slice - without; i++) sum += this.slices[i % this.slices.length] ?? 0;
    return sum;
  }

  /** Slices that passed without anything are empty. */
  private reach(at: number): number {
    const slice = Math.floor(at / this.sliceMs);
    for (let i = Math.max(this.newest + 1, slice - this.slices.length + 1); i <= slice; i++) this.slices[i % this.slices.length] = 0;
    this.newest = Math.max(this.newest, slice);
    return slice;
  }
}
