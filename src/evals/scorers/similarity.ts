/**
 * `similarity()`: how near the answer is to what the case expects, by embeddings. Where the local model is not installed, by the words that
 * both share; the score is then named `similarity (lexical)`, so that it is compared with no baseline of the other kind.
 */
import { cosine, type Embedder } from "../../embeddings/embedder.ts";
import { localEmbedder } from "../../embeddings/local.ts";
import { type AnswerScorer, type ScorerContext, type ScorerOptions, settingsOf } from "../scorer.ts";
import { sharedWords, textOf } from "../words.ts";

export type SimilarityOptions = ScorerOptions & {
  /** `local` (default): the model on this machine. A given embedder is its giver's to close. */
  readonly by?: "local" | "lexical" | Embedder;
  /** From this on an answer passes. Default: 0.6 by words, else the embedder's own threshold. */
  readonly pass?: number;
};

const lexicalPass = 0.6;

export function similarity(options: SimilarityOptions = {}): AnswerScorer {
  const { by = "local" } = options;
  if (by === "lexical") return lexical(options);
  if (by !== "local") return embedded(options, by);
  const embedder = localEmbedder({ timeoutMs: 10_000 });
  return {
    ...embedded(options, embedder),
    async open() {
      const isThere = await embedder.embed(["."]).then(
        () => true,
        () => false,
      );
      if (isThere) return embedded(options, embedder);
      return lexical(options);
    },
    close: () => embedder.close(),
  };
}

function embedded(options: SimilarityOptions, embedder: Embedder): AnswerScorer {
  const pass = options.pass ?? embedder.threshold;
  return {
    ...settingsOf("similarity", options),
    of: "answer",
    async score({ case: { expect }, text }, context) {
      if (expect === undefined) return null;
      const [one, other] = await vectorsOf(embedder, [text, textOf(expect)], context);
      const score = Math.min(1, Math.max(0, cosine(one as Float32Array, other as Float32Array)));
      return { score, pass: score >= pass, reason: `${score.toFixed(2)} by ${embedder.name}` };
    },
  };
}

function lexical(options: SimilarityOptions): AnswerScorer {
  const { name, ...settings } = settingsOf("similarity", options);
  return {
    ...settings,
    name: `${name} (lexical)`,
    of: "answer",
    score({ case: { expect }, text }) {
      if (expect === undefined) return null;
      const score = sharedWords(text, textOf(expect));
      return { score, pass: score >= (options.pass ?? lexicalPass), reason: `${score.toFixed(2)} of the words are shared` };
    },
  };
}

/** Texts that are embedded at once: an embedder has a bound on what waits. */
const atOnce = 32;

export async function vectorsOf(
  embedder: Embedder,
  texts: readonly string[],
  context: Pick<ScorerContext, "spend">,
): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  for (let from = 0; from < texts.length; from += atOnce) {
    const result = await embedder.embed(texts.slice(from, from + atOnce));
    context.spend(result.costNano);
    vectors.push(...result.vectors);
  }
  return vectors;
}
