/**
 * The contract of answer caches: what an entry is, and what keeps entries (a backing, shared by processes or not).
 *
 *  1. An entry belongs to one tenant, and its id is a hash in which the tenant is: no tenant finds another's.
 *  2. An entry is fresh until `expiresAt` and kept until `keepUntil`: between the two it may be given when no model answers.
 *  3. A backing that fails or is slow rejects in time; for a lookup that is a miss, for a purge it is the operator's to know.
 */
import type { Json } from "../protocol/json.ts";

export type CacheEntry = {
  readonly id: string;
  readonly tenant: string;
  readonly agent: string;
  /** The author's word for what it was made from: raising it leaves all older entries behind. */
  readonly version: string;
  readonly tags: readonly string[];
  /** The tier and the model that gave it. */
  readonly tier: string;
  readonly model: string;
  readonly text: string;
  readonly value?: Json;
  /** The last question, where it can be compared by meaning. */
  readonly question?: string;
  /** Of a sensitive run: kept on this machine alone, and in entries of its own. */
  readonly sensitive?: boolean;
  /** Nano-dollars that it cost: what each hit saves. Entries of older versions have none. */
  readonly costNano?: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly keepUntil: number;
};

/** Which entries go: those that fit everything that is said. */
export type Purge = {
  /** Of every tenant, where it is not said; then a `tag` is. */
  readonly tenant?: string;
  readonly key?: string;
  readonly tag?: string;
  readonly agent?: string;
  readonly version?: string;
};

export interface CacheBacking {
  /** Entries stay on this machine. */
  readonly local: boolean;
  get(id: string): Promise<CacheEntry | null>;
  /** Only while the mark is still this one: what was begun before a purge is not kept after it. May be written later. */
  put(entry: CacheEntry, mark: string): Promise<void>;
  /** How many went. */
  purge(which: Purge): Promise<number>;
  /** Changes with every purge, whoever made it: by it a process learns that what it has in memory may be gone. */
  mark(): Promise<string>;
  close(): Promise<void>;
}

export const fits = (entry: CacheEntry, { tenant, key, tag, agent, version }: Purge): boolean =>
  (tenant === undefined || entry.tenant === tenant) &&
  (key === undefined || entry.id === key) &&
  (tag === undefined || entry.tags.includes(tag)) &&
  (agent === undefined || entry.agent === agent) &&
  (version === undefined || entry.version === version);
