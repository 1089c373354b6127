/**
 * The writer: collects what all runs of the process want to remember and commits it in batches, one transaction each.
 *
 *  1. Entries are written in the order they were submitted; so are their results told. One batch is in flight at a time.
 *  2. While a batch is on its way the next one grows; an idle writer commits at the end of the current tick. At most
 *     `maxBatch` entries go into one transaction.
 *  3. A commit that fails stays at the head and is tried again: nothing of it has left the process. Owners stop taking
 *     input when too much is uncommitted; {@link Journal.stalledMs} tells health.
 *  4. A run that could not be stored for {@link acceptMs} is given up with all its entries, once a failed commit says that none is
 *     written: who starts it is told, and starts it again.
 */
import type { EscapementError } from "../protocol/errors.ts";
import type { Entry, EntryResult, Store } from "../stores/store.ts";
import type { Scheduler } from "./scheduler.ts";

/** `given_up`: it is not in the store and never will be. */
export type Written = EntryResult | { readonly type: "given_up"; readonly error: EscapementError };
type Waiting = { readonly entry: Entry; readonly at: number; readonly done: (result: Written) => void };

const retryMs = 50;
const acceptMs = 5_000;

export class Journal {
  private readonly store: Store;
  private readonly scheduler: Scheduler;
  private readonly maxBatch: number;
  private waiting: Waiting[] = [];
  private busy = false;
  private failingSince: number | null = null;
  private lastError: EscapementError | null = null;
  private stopped = false;

  constructor(store: Store, scheduler: Scheduler, maxBatch = 256) {
    this.store = store;
    this.scheduler = scheduler;
    this.maxBatch = maxBatch;
  }

  submit(entry: Entry, done: (result: Written) => void): void {
    this.waiting.push({ entry, at: entry.type === "accept" ? this.scheduler.monotonic() : 0, done });
    if (!this.busy) {
      this.busy = true;
      this.scheduler.defer(() => this.flush());
    }
  }

  /** How long commits have been failing, and why; null while they succeed. */
  stalledMs(): { readonly ms: number; readonly error: EscapementError | null } | null {
    return this.failingSince === null ? null : { ms: this.scheduler.monotonic() - this.failingSince, error: this.lastError };
  }

  /** Everything submitted so far is committed. */
  get isIdle(): boolean {
    return !this.busy;
  }

  /** What waits is dropped: its runs are no longer ours. */
  stop(): void {
    this.stopped = true;
    this.waiting = [];
  }

  private flush(): void {
    if (this.stopped || this.waiting.length === 0) {
      this.busy = false;
      // What failed was given up: whether the store takes writes again is for the lease to find out.
      this.failingSince = null;
      return;
    }
    const batch = this.waiting.length <= this.maxBatch ? this.waiting : this.waiting.slice(0, this.maxBatch);
    this.waiting = batch === this.waiting ? [] : this.waiting.slice(this.maxBatch);
    this.commit(batch);
  }

  private commit(batch: readonly Waiting[]): void {
    this.store.commit(batch.map(({ entry }) => entry)).then(
      (results) => {
        this.failingSince = null;
        this.lastError = null;
        for (let i = 0; i < batch.length; i++) (batch[i] as Waiting).done(results[i] as EntryResult);
        this.flush();
      },
      (error: EscapementError) => {
        this.failingSince ??= this.scheduler.monotonic();
        this.lastError = error;
        const left = this.stopped ? [] : this.giveUp(batch, error);
        this.scheduler.after(retryMs, () => (this.stopped || left.length === 0 ? this.flush() : this.commit(left)));
      },
    );
  }

  /** What of a batch that failed is tried again. */
  private giveUp(batch: readonly Waiting[], error: EscapementError): readonly Waiting[] {
    const before = this.scheduler.monotonic() - acceptMs;
    const isLate = ({ entry, at }: Waiting): boolean => entry.type === "accept" && at <= before;
    const late = new Set([...batch, ...this.waiting].filter(isLate).map(({ entry }) => entry.run));
    if (late.size === 0) return batch;
    const all = [batch, this.waiting] as const;
    const [left, waiting] = all.map((some) => some.filter(({ entry }) => !late.has(entry.run))) as [Waiting[], Waiting[]];
    this.waiting = waiting;
    for (const { entry, done } of all.flat()) if (late.has(entry.run)) done({ type: "given_up", error });
    return left;
  }
}
