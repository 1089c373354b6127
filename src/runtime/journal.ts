/**
 * The writer: collects what all runs of the process want to remember and commits it in batches, one transaction each.
 *
 *  1. Entries are written in the order they were submitted; so are their results told. One batch is in flight at a time.
 *  2. While a batch is on its way the next one grows; an idle writer commits at the end of the current tick. At most
 *     `maxBatch` entries go into one transaction.
 *  3. A commit that fails stays at the head and is tried again: nothing of it has left the process. Owners stop taking
 *     input when too much is uncommitted; {@link Journal.stalledMs} tells health.
 */
import type { EscapementError } from "../protocol/errors.ts";
import type { Entry, EntryResult, Store } from "../stores/store.ts";
import type { Scheduler } from "./scheduler.ts";

type Waiting = { readonly entry: Entry; readonly done: (result: EntryResult) => void };

const retryMs = 50;

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

  submit(entry: Entry, done: (result: EntryResult) => void): void {
    this.waiting.push({ entry, done });
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
        this.scheduler.after(retryMs, () => (this.stopped ? this.flush() : this.commit(batch)));
      },
    );
  }
}
