/**
 * The exact cache: entries by id, in memory, in front of a backing that other processes may share.
 *
 *  1. What is in memory is believed for {@link believedMs} after the backing's mark was last seen unchanged. So a purge by another process
 *     reaches this one within that time; while the backing does not answer, nothing in memory is older news than that.
 *  2. What was read or made before a purge is not put after it.
 *  3. Entries of sensitive runs go to a backing on this machine, and stay in memory where there is none.
 *  4. A failing backing is a miss, never an error, except for a purge.
 */
import { LRUCache } from "lru-cache";
import { type CacheBacking, type CacheEntry, fits, type Purge } from "./cache.ts";

export type ExactOptions = {
  /** Without one, entries are in memory alone. */
  readonly backing?: CacheBacking | undefined;
  /** Entries in memory; 10,000. */
  readonly maxEntries?: number | undefined;
  /** Bytes of entries in memory; 64 MiB. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
};

const believedMs = 1_000;
/** A longer answer is not kept. */
export const maxEntryBytes = 1024 * 1024;

export class ExactCache {
  readonly #backing: CacheBacking | undefined;
  readonly #memory: LRUCache<string, CacheEntry>;
  readonly #now: () => number;
  readonly #clock: () => number;
  /** As last seen; what is in memory was put under it. */
  #mark: string;
  #seenAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<boolean> | undefined;
  #purges = 0;

  constructor({ backing, maxEntries = 10_000, maxBytes = 64 * 1024 * 1024, now, clock }: ExactOptions) {
    this.#backing = backing;
    this.#memory = new LRUCache({ max: maxEntries, maxSize: maxBytes, maxEntrySize: maxEntryBytes, sizeCalculation: bytesOf });
    this.#now = now;
    this.#clock = clock;
    this.#mark = backing ? "unseen" : "0";
  }

  /** An entry in memory that is believed and still kept. */
  peek(id: string): CacheEntry | null {
    if (this.#backing && this.#clock() - this.#seenAt >= believedMs) return null;
    const known = this.#memory.get(id);
    return known ? this.#kept(known) : null;
  }

  /** An entry that is still kept: whether it is fresh is the caller's to see. */
  async get(id: string): Promise<CacheEntry | null> {
    if (this.#backing && this.#clock() - this.#seenAt >= believedMs && !(await this.#look(this.#backing))) return null;
    const known = this.peek(id);
    if (known || !this.#backing) return known;
    const mark = this.#mark;
    const entry = await this.#backing.get(id).catch(() => null);
    if (!entry || !this.#kept(entry)) return null;
    if (mark === this.#mark) this.#memory.set(id, entry);
    return mark === this.#mark ? entry : null;
  }

  /** Under which mark something is begun that will be {@link put}. */
  get mark(): string {
    return this.#mark;
  }

  /** Keeps an entry, unless a purge came since `mark`. In memory it is there at once; the promise is the backing's. */
  async put(entry: CacheEntry, mark = this.#mark): Promise<void> {
    if (mark !== this.#mark || bytesOf(entry) > maxEntryBytes) return;
    this.#memory.set(entry.id, entry);
    if (!this.#backing || (entry.sensitive && !this.#backing.local)) return;
    await this.#backing.put(entry, mark).catch(() => {});
  }

  /** How many went; of those in memory alone where there is no backing. Rejects when the backing could not be purged. */
  async purge(which: Purge): Promise<number> {
    let gone = 0;
    for (const [id, entry] of [...this.#memory]) {
      if (!fits(entry, which)) continue;
      this.#memory.delete(id);
      // What the backing has as well is counted there.
      if (!this.#backing || (entry.sensitive && !this.#backing.local)) gone++;
    }
    if (!this.#backing) {
      this.#mark = String(++this.#purges);
      return gone;
    }
    gone += await this.#backing.purge(which);
    await this.#look(this.#backing);
    return gone;
  }

  async close(): Promise<void> {
    this.#memory.clear();
    await this.#backing?.close();
  }

  /** Asks the backing for its mark; with another one all in memory is forgotten. False: it did not say. */
  #look(backing: CacheBacking): Promise<boolean> {
    this.#looking ??= this.#see(backing).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #see(backing: CacheBacking): Promise<boolean> {
    const from = this.#clock();
    try {
      const mark = await backing.mark();
      if (mark !== this.#mark) this.#memory.clear();
      this.#mark = mark;
      this.#seenAt = from;
      return true;
    } catch {
      return false;
    }
  }

  #kept(entry: CacheEntry): CacheEntry | null {
    return entry.keepUntil > this.#now() ? entry : null;
  }
}

/** In memory a character takes two bytes at most; the rest of an entry is small. */
function bytesOf({ text, value, question = "", tags }: CacheEntry): number {
  return 500 + 2 * (text.length + question.length + tags.join("").length) + (value === undefined ? 0 : 2 * JSON.stringify(value).length);
}
