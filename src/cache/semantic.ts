/**
 * The semantic cache: finds an entry whose last question means the same, where all the rest of the conversation is equal.
 *
 *  1. An embedder proposes, by its threshold; the second gate (`gate.ts`) decides.
 *  2. It keeps no answers: the exact cache does, so what was purged there is found no more.
 *  3. Texts of sensitive runs, and of agents whose models get placeholders for personal data, go to an embedder and vectors on this
 *     machine alone; where they are elsewhere, nothing is found.
 *  4. An embedder or vector store that fails is a miss; after {@link maxFailures} in a row it is left alone for {@link pauseMs}.
 */
import { LRUCache } from "lru-cache";
import type { Embedder } from "../embeddings/embedder.ts";
import type { Vectors } from "../vectors/vectors.ts";
import type { CacheEntry } from "./cache.ts";
import type { ExactCache } from "./exact.ts";
import { difference } from "./gate.ts";
import type { AnswerKey } from "./key.ts";

export type SemanticOptions = {
  readonly embedder: Embedder;
  readonly vectors: Vectors;
  readonly exact: ExactCache;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
};

export type SemanticHit = { readonly entry: CacheEntry; readonly score: number };

/** Proposals of the embedder that the gate looks at. */
const maxProposals = 5;
const maxFailures = 3;
const pauseMs = 10_000;

export class SemanticCache {
  readonly embedder: Embedder;
  readonly #vectors: Vectors;
  readonly #exact: ExactCache;
  readonly #clock: () => number;
  /** A question is embedded when it is looked up, and kept for when its answer comes. */
  readonly #known = new LRUCache<string, Float32Array>({ max: 1_000 });
  #failures = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** What the embedder has cost: no run is charged for it. */
  readonly spent = { tokens: 0, costNano: 0, failures: 0 };

  constructor({ embedder, vectors, exact, clock }: SemanticOptions) {
    this.embedder = embedder;
    this.#vectors = vectors;
    this.#exact = exact;
    this.#clock = clock;
  }

  /** The best entry that `isUsable` (fresh, or old enough allowed). */
  find(
    key: AnswerKey,
    isPrivate: boolean,
    threshold: number | undefined,
    isUsable: (entry: CacheEntry) => boolean,
  ): Promise<SemanticHit | null> {
    const { question, frame } = key;
    if (question === undefined || !this.#mayBeTold(isPrivate)) return Promise.resolve(null);
    return this.#guarded(async () => {
      const proposals = await this.#vectors.search({ partition: frame, vector: await this.#vectorOf(question), limit: maxProposals });
      const gone: string[] = [];
      for (const { id, score } of proposals) {
        if (score < (threshold ?? this.embedder.threshold)) break;
        const entry = await this.#exact.get(id);
        if (!entry) gone.push(id);
        else if (isUsable(entry) && entry.question !== undefined && difference(question, entry.question) === null) return { entry, score };
      }
      if (gone.length > 0) await this.#vectors.delete({ ids: gone });
      return null;
    });
  }

  async keep(key: AnswerKey, { id, tags }: CacheEntry, isPrivate: boolean): Promise<void> {
    const { question, frame } = key;
    if (question === undefined || !this.#mayBeTold(isPrivate)) return;
    await this.#guarded(async () => {
      await this.#vectors.upsert([{ id, partition: frame, vector: await this.#vectorOf(question), tags }]);
      return null;
    });
  }

  /** Of texts that are no questions: answers that are compared. */
  async vectors(texts: readonly string[]): Promise<readonly Float32Array[]> {
    const { vectors, tokens, costNano } = await this.embedder.embed(texts);
    this.spent.tokens += tokens;
    this.spent.costNano += costNano;
    return vectors;
  }

  async close(): Promise<void> {
    await Promise.all([this.embedder.close(), this.#vectors.close()]);
  }

  #mayBeTold(isPrivate: boolean): boolean {
    return !isPrivate || (this.embedder.local && this.#vectors.local);
  }

  async #vectorOf(question: string): Promise<Float32Array> {
    const known = this.#known.get(question);
    if (known) return known;
    const [vector] = await this.vectors([question]);
    this.#known.set(question, vector as Float32Array);
    return vector as Float32Array;
  }

  async #guarded<T>(body: () => Promise<T | null>): Promise<T | null> {
    if (this.#clock() < this.#pausedUntil) return null;
    try {
      const result = await body();
      this.#failures = 0;
      return result;
    } catch {
      this.spent.failures++;
      if (++this.#failures >= maxFailures) {
        this.#pausedUntil = this.#clock() + pauseMs;
        this.#failures = 0;
      }
      return null;
    }
  }
}
