/**
 * A folder that can be searched. Owns when it is indexed, what is kept in memory for searching, and closing all of it; the index itself is
 * `file.ts`, making it `indexer.ts`, asking it `search.ts`.
 *
 *  1. Nothing is opened before the first `reindex` or `search`.
 *  2. One indexing at a time: who asks meanwhile is given the one under way.
 *  3. What changed is purged from the answer cache before `reindex` resolves. A purge that fails is kept in the file, and made by the next
 *     indexing of any process.
 *  4. Vectors in memory are those of the file as it was a second ago, whoever wrote it.
 */
import type { Embedder } from "../embeddings/embedder.ts";
import { EscapementError } from "../protocol/errors.ts";
import { memoryVectors } from "../vectors/memory.ts";
import type { Vectors } from "../vectors/vectors.ts";
import { type ChunkOptions, defaultChunk } from "./chunks.ts";
import { KnowledgeFile } from "./file.ts";
import { type IndexReport, index, maxChunks } from "./indexer.ts";
import type { Reranker } from "./reranker.ts";
import { type Found, partition, search } from "./search.ts";

export type KnowledgeOptions = {
  readonly folder: string;
  readonly name: string;
  /** A SQLite file, or `:memory:`. */
  readonly file: string;
  /** Without one, words alone are searched. Made when it is needed; closed with this. */
  readonly embedder: (() => Promise<Embedder>) | undefined;
  /** Without one, the order is that of rank fusion. */
  readonly reranker: (() => Promise<Reranker>) | undefined;
  readonly chunk?: Partial<ChunkOptions> | undefined;
};

/** Forgets cached answers with this tag; of every tenant, since documents belong to none. */
export type Purge = (tag: string) => Promise<unknown>;

type Opened = { readonly file: KnowledgeFile; readonly embedder: Embedder | undefined; readonly reranker: Reranker | undefined };

const believedMs = 1_000;

export class Knowledge {
  readonly folder: string;
  readonly name: string;
  readonly #options: KnowledgeOptions;
  readonly #chunk: ChunkOptions;
  readonly #closing = new AbortController();
  #opening: Promise<Opened> | undefined;
  #indexing: Promise<IndexReport> | undefined;
  #indexed = 0;
  #vectors: { readonly vectors: Vectors; readonly state: string; readonly at: number } | undefined;

  /** Throws `invalid_request` for chunks that cannot be. */
  constructor(options: KnowledgeOptions) {
    this.folder = options.folder;
    this.name = options.name;
    this.#options = options;
    this.#chunk = { ...defaultChunk, ...options.chunk };
    const { tokens, overlap } = this.#chunk;
    if (!Number.isInteger(tokens) || tokens < 32 || tokens > 4_096 || !(overlap >= 0 && overlap <= 0.5))
      throw new EscapementError("invalid_request", "a chunk has 32 to 4,096 tokens, and an overlap of 0 to 0.5 of them");
  }

  /** The tag of answers that any document of it has a part in. */
  get tag(): string {
    return `knowledge:${this.name}`;
  }

  /** Rejects with `invalid_request` when the folder is not there, `unavailable` when the index cannot be kept or answers not be purged. */
  reindex(purge?: Purge, onProgress?: (done: number, total: number) => void): Promise<IndexReport> {
    this.#indexing ??= this.#index(purge, onProgress).finally(() => {
      this.#indexing = undefined;
    });
    return this.#indexing;
  }

  async #index(purge: Purge | undefined, onProgress?: (done: number, total: number) => void): Promise<IndexReport> {
    const { file, embedder } = await this.#open();
    const { folder, tag } = this;
    const { signal } = this.#closing;
    try {
      return await index({ folder, file, embedder, chunk: this.#chunk, tag, signal, onProgress });
    } finally {
      this.#indexed++;
      for (const waiting of purge && !signal.aborted ? file.purges() : []) {
        await purge?.(waiting);
        file.purged(waiting);
      }
    }
  }

  /** While the first indexing is under way it waits for it. Rejects with the signal's reason. */
  async search(question: string, limit: number, signal: AbortSignal): Promise<Found> {
    const { file, embedder, reranker } = await this.#open();
    if (this.#indexing && file.size() === 0)
      await until(
        this.#indexing.catch(() => {}),
        signal,
      );
    signal.throwIfAborted();
    const vectors = await this.#current(file, embedder);
    return search(question, limit, { file, embedder, vectors, reranker }, signal);
  }

  async close(): Promise<void> {
    this.#closing.abort(new EscapementError("unavailable", `the index ${this.name} is closed`));
    await this.#indexing?.catch(() => {});
    const opened = await this.#opening?.catch(() => undefined);
    opened?.file.close();
    await Promise.all([opened?.embedder?.close(), this.#vectors?.vectors.close()]);
  }

  #open(): Promise<Opened> {
    this.#closing.signal.throwIfAborted();
    const { file, embedder, reranker } = this.#options;
    this.#opening ??= Promise.all([embedder?.(), reranker?.()]).then(([embedder, reranker]) => ({
      file: new KnowledgeFile(file),
      embedder,
      reranker,
    }));
    return this.#opening;
  }

  async #current(file: KnowledgeFile, embedder: Embedder | undefined): Promise<Vectors> {
    const held = this.#vectors;
    const now = performance.now();
    if (held && now - held.at < believedMs) return held.vectors;
    const state = `${this.#indexed} ${file.version()}`;
    if (held?.state === state) {
      this.#vectors = { ...held, at: now };
      return held.vectors;
    }
    const vectors = memoryVectors({ maxVectors: maxChunks });
    if (embedder) await vectors.upsert(file.vectors().map(({ id, vector }) => ({ id: String(id), partition, vector })));
    this.#vectors = { vectors, state, at: now };
    return vectors;
  }
}

/** The promise, or the signal's reason. */
async function until(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise: left, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  try {
    await Promise.race([promise, left]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
