/** The contract of rerankers: which of a few candidates answer a question best. */
export type Candidate = {
  /** Title, headings and text. */
  readonly text: string;
  /** Of its vector and the question's, 0 to 1; absent without an embedder. */
  readonly similarity?: number;
  /** Which part of the question's words it has, rare ones counting more; 0 to 1. */
  readonly coverage: number;
};

export interface Reranker {
  readonly name: string;
  /** Texts stay on this machine. */
  readonly local: boolean;
  /** A score for each candidate, in their order: higher is better. Rejects with an `EscapementError` within its limit. */
  rerank(question: string, candidates: readonly Candidate[], signal: AbortSignal): Promise<readonly number[]>;
}

/**
 * The local one, which is no model: three quarters the similarity of the vectors, one quarter the part of the question's words that a
 * passage has. It sees no order and no meaning beyond the embedder's. The parts were chosen among four on our own list of questions
 * (`npm run retrieval`), so they are a guess for yours. Without an embedder it is the words alone.
 */
export const localReranker: Reranker = {
  name: "local",
  local: true,
  rerank: async (_, candidates) =>
    candidates.map(({ similarity, coverage }) => (similarity === undefined ? coverage : 0.75 * similarity + 0.25 * coverage)),
};
