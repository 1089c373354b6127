/**
 * Hybrid search: {@link candidates} chunks by words (BM25) and as many by meaning (vectors), joined by reciprocal rank fusion, and the
 * best of these by a reranker.
 *
 *  1. Words alone are enough: without an embedder, and when it or the reranker fails, the answer is what is left, and says what it lacks.
 *  2. No question takes longer than the limits of its parts: {@link embedMs} for the embedder, the reranker's own.
 */
import { cosine, type Embedder } from "../embeddings/embedder.ts";
import type { Vectors } from "../vectors/vectors.ts";
import type { KnowledgeFile, StoredChunk } from "./file.ts";
import { fused } from "./fusion.ts";
import { embeddedText } from "./indexer.ts";
import type { Reranker } from "./reranker.ts";
import { termsOf } from "./words.ts";

export const candidates = 20;
const embedMs = 5_000;
/** All vectors of an index are compared with one another. */
export const partition = "knowledge";

export type Found = {
  /** The best first. */
  readonly chunks: readonly StoredChunk[];
  /** What did not work: `the embedder …`. */
  readonly lacks: readonly string[];
};

export type SearchParts = {
  readonly file: KnowledgeFile;
  readonly embedder: Embedder | undefined;
  readonly vectors: Vectors;
  readonly reranker: Reranker | undefined;
};

export async function search(
  question: string,
  limit: number,
  { file, embedder, vectors, reranker }: SearchParts,
  signal: AbortSignal,
): Promise<Found> {
  const lacks: string[] = [];
  const without = (error: unknown): undefined => {
    signal.throwIfAborted();
    lacks.push(error instanceof Error ? error.message : String(error));
  };
  const vector = embedder && (await vectorOf(question, embedder, signal).catch(without));
  const terms = weighed(question, file);
  const rankings = [file.matching([...terms.keys()], candidates)];
  if (vector) rankings.push((await vectors.search({ partition, vector, limit: candidates })).map(({ id }) => Number(id)));
  const chunks = file.chunks(fused(rankings, candidates));
  if (!reranker || chunks.length === 0) return { chunks: chunks.slice(0, limit), lacks };
  const coverage = covered(chunks, terms, file);
  const scores = await reranker
    .rerank(
      question,
      chunks.map((chunk) => ({
        text: embeddedText(chunk),
        coverage: coverage.get(chunk.id) ?? 0,
        ...(vector && chunk.vector && { similarity: Math.max(0, cosine(vector, chunk.vector)) }),
      })),
      signal,
    )
    .catch(without);
  if (!scores) return { chunks: chunks.slice(0, limit), lacks };
  const best = [...chunks.entries()].toSorted(([a], [b]) => (scores[b] as number) - (scores[a] as number) || a - b);
  return { chunks: best.slice(0, limit).map(([, chunk]) => chunk), lacks };
}

async function vectorOf(question: string, embedder: Embedder, signal: AbortSignal): Promise<Float32Array | undefined> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(embedMs)]);
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(new Error(`the embedder ${embedder.name} gave no vector within ${embedMs} ms`));
  late.addEventListener("abort", leave, { once: true });
  try {
    return (await Promise.race([embedder.embed([question]), promise])).vectors[0];
  } finally {
    late.removeEventListener("abort", leave);
  }
}

/** The question's words with their weight: the rarer the more, as in BM25. Words that most chunks have say nothing where others do. */
function weighed(question: string, file: KnowledgeFile): Map<string, number> {
  const chunks = file.size();
  const weights = new Map<string, number>();
  for (const term of termsOf(question)) {
    const n = file.frequency(term);
    if (n > 0) weights.set(term, Math.log(1 + (chunks - n + 0.5) / (n + 0.5)));
  }
  const rare = new Map([...weights].filter(([, weight]) => weight > Math.LN2));
  return rare.size > 0 ? rare : weights;
}

/** Of each chunk, which part of the weights its words have. */
function covered(chunks: readonly StoredChunk[], terms: ReadonlyMap<string, number>, file: KnowledgeFile): Map<number, number> {
  const ids = chunks.map(({ id }) => id);
  const total = [...terms.values()].reduce((sum, weight) => sum + weight, 0);
  const parts = new Map<number, number>();
  for (const [term, weight] of terms) for (const id of file.having(term, ids)) parts.set(id, (parts.get(id) ?? 0) + weight / total);
  return parts;
}
