/**
 * The contract of vector stores: vectors by id, each in one partition, searched within it.
 *
 *  1. Failing and slow stores reject (`unavailable`) within their limit; what to do then is the caller's.
 *  2. A store is bounded: it may forget what is oldest.
 */
export type VectorItem = {
  readonly id: string;
  /** Only vectors of one partition are compared with one another. */
  readonly partition: string;
  /** Of length 1. */
  readonly vector: Float32Array;
  readonly tags?: readonly string[];
};

export type VectorQuery = { readonly partition: string; readonly vector: Float32Array; readonly limit: number };
/** `score`: 1 is the same, 0 unrelated. */
export type VectorHit = { readonly id: string; readonly score: number };

export interface Vectors {
  /** Data stays on this machine. */
  readonly local: boolean;
  upsert(items: readonly VectorItem[]): Promise<void>;
  /** The nearest first. */
  search(query: VectorQuery): Promise<readonly VectorHit[]>;
  delete(which: { readonly ids: readonly string[] } | { readonly tag: string }): Promise<void>;
  close(): Promise<void>;
}
