/**
 * Calls that wait for a provider, in their order: paid before free, real-time before batch, then whose tenant has less under way,
 * short before long, first in first out.
 *
 *  1. It holds at most `length` calls. One more pushes out the last in the order, which may be itself.
 *  2. Nobody starves: who has waited for `agingMs` goes before all who have not, first in first out. So from then on at most those
 *     that are in the queue at that moment go first, and of them only the older.
 */
export type Rank = {
  readonly isPaid: boolean;
  readonly isBatch: boolean;
  readonly tenant: string;
};

export type Waiting = Rank & {
  /** Input and output, as reserved. */
  readonly tokens: number;
  /** When it came, in ms and in order. */
  readonly at: number;
  readonly seq: number;
};

/** 0 (first) to 3. */
export const classOf = ({ isPaid, isBatch }: Pick<Rank, "isPaid" | "isBatch">): number => (isPaid ? 0 : 2) + (isBatch ? 1 : 0);

/** Calls of about the same length count as equal, so that their order of arrival holds. */
const sizeOf = (tokens: number): number => Math.floor(Math.log2(Math.max(1, tokens)));

export class CallQueue<T extends Waiting> {
  private readonly calls: T[] = [];
  private readonly length: number;
  private readonly agingMs: number;
  private readonly loadOf: (tenant: string) => number;

  /** `loadOf`: how many calls a tenant has under way or waiting. */
  constructor(length: number, agingMs: number, loadOf: (tenant: string) => number) {
    this.length = length;
    this.agingMs = agingMs;
    this.loadOf = loadOf;
  }

  get size(): number {
    return this.calls.length;
  }

  /** What has no place: the last in the order. */
  add(call: T, now: number): T | undefined {
    this.calls.push(call);
    if (this.calls.length <= this.length) return undefined;
    const last = this.calls.reduce((worst, one) => (this.isBefore(worst, one, now) ? one : worst));
    this.remove(last);
    return last;
  }

  /** The next one of those that `may` go. It stays in the queue. */
  next(now: number, may: (call: T) => boolean): T | undefined {
    let best: T | undefined;
    for (const call of this.calls) if (may(call) && (!best || this.isBefore(call, best, now))) best = call;
    return best;
  }

  /** False when it was not in it any more. */
  remove(call: T): boolean {
    const index = this.calls.indexOf(call);
    if (index !== -1) this.calls.splice(index, 1);
    return index !== -1;
  }

  private isBefore(a: T, b: T, now: number): boolean {
    const [oldA, oldB] = [now - a.at >= this.agingMs, now - b.at >= this.agingMs];
    if (oldA !== oldB) return oldA;
    if (oldA) return a.seq < b.seq;
    const order =
      classOf(a) - classOf(b) || this.loadOf(a.tenant) - this.loadOf(b.tenant) || sizeOf(a.tokens) - sizeOf(b.tokens) || a.seq - b.seq;
    return order < 0;
  }
}
