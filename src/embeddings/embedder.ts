/**
 * The contract of embedders: texts become vectors of length 1, so that the dot product of two says how alike they are.
 *
 *  1. `embed` rejects with an `EscapementError` (`timeout`, `overloaded`, `unavailable`, …) and never waits longer than its limit.
 *  2. A threshold belongs to its embedder: 0.95 of one model is not 0.95 of another.
 */
export type Embedded = {
  /** In the order of the texts. */
  readonly vectors: readonly Float32Array[];
  /** As the service counts them; 0 where nothing is counted. */
  readonly tokens: number;
  readonly costNano: number;
};

export interface Embedder {
  /** Service and model: vectors of one name can be compared, others not. */
  readonly name: string;
  readonly dimensions: number;
  /** From this on two questions are alike, where an agent does not say. */
  readonly threshold: number;
  /** Texts stay on this machine: may be given those of sensitive runs. */
  readonly local: boolean;
  embed(texts: readonly string[]): Promise<Embedded>;
  close(): Promise<void>;
}

export function normalised(values: ArrayLike<number>): Float32Array {
  const vector = Float32Array.from(values);
  let sum = 0;
  for (const value of vector) sum += value * value;
  const length = Math.sqrt(sum);
  if (length > 0) for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] as number) / length;
  return vector;
}

/** Of two vectors of length 1: 1 is the same, 0 unrelated. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
