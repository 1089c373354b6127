/**
 * `grounding()`: the share of the answer's sentences that its sources support. A sentence is supported when its numbers and quotations are
 * in the sources (the validator `grounded`), and when it is near to a passage of them: by its words, or by an embedder. That catches what was
 * made up; it cannot tell a sentence that turns its source round. For that, give `judge()` the criteria.
 */
import { cosine, type Embedder } from "../../embeddings/embedder.ts";
import type { Fact } from "../../protocol/events.ts";
import type { Json } from "../../protocol/json.ts";
import { grounded } from "../../validators/grounded.ts";
import { type Answer, type AnswerScorer, quoted, type ScorerContext, type ScorerOptions, settingsOf } from "../scorer.ts";
import { contentWords, sentencesOf, textOf } from "../words.ts";
import { vectorsOf } from "./similarity.ts";

export type GroundingOptions = ScorerOptions & {
  /**
   * The texts that an answer may rest on. Default: the case's `metadata.sources` (a text or a list), the run's citations (`data` events
   * named `source`), and what its tools returned.
   */
  readonly sources?: (answer: Answer) => readonly string[] | Promise<readonly string[]>;
  readonly by?: "lexical" | Embedder;
  /** From this on a sentence is near to a passage: the share of its words (0.6), or the embedder's measure (0.6). */
  readonly support?: number;
  /** From this share of sentences on an answer passes; 1. */
  readonly pass?: number;
};

/** Sentences of a source that are one passage. */
const passageLength = 3;

export function grounding(options: GroundingOptions = {}): AnswerScorer {
  const { by = "lexical", support = 0.6, pass = 1, sources = givenSources } = options;
  const check = grounded();
  return {
    ...settingsOf("grounding", options),
    of: "answer",
    async score(answer, context) {
      const given = (await sources(answer)).filter((text) => text.trim() !== "");
      if (given.length === 0) return null;
      const sentences = sentencesOf(answer.text);
      if (sentences.length === 0) return { score: 0, pass: false, reason: "there is no sentence" };
      const near = await (by === "lexical" ? byWords(sentences, given) : byMeaning(sentences, given, by, context));
      const about = { messages: [{ role: "user" as const, content: given.join("\n") }], agent: "", signal: new AbortController().signal };
      const unsupported: string[] = [];
      for (const [i, sentence] of sentences.entries())
        if ((near[i] as number) < support || (await check.check({ text: sentence }, about))) unsupported.push(sentence);
      const score = 1 - unsupported.length / sentences.length;
      const first = unsupported[0];
      const how = by === "lexical" ? "by words" : `by ${by.name}`;
      const told = `${sentences.length - unsupported.length} of ${sentences.length} sentences are supported, ${how}`;
      return { score, pass: score >= pass, reason: first === undefined ? told : `${told}; not: ${quoted(first)}` };
    },
  };
}

async function givenSources(answer: Answer): Promise<readonly string[]> {
  const { sources } = answer.case.metadata ?? {};
  const own = Array.isArray(sources) ? sources : sources === undefined ? [] : [sources];
  return [...own, ...(await answer.facts()).flatMap(sourcesIn)].map(textOf);
}

function sourcesIn(fact: Fact): Json[] {
  if (fact.type === "tool.returned") return [fact.output];
  return fact.type === "data" && fact.name === "source" ? [fact.data] : [];
}

/** Of each sentence, the share of its words that the best passage has. One without such words rests on nothing and needs nothing. */
function byWords(sentences: readonly string[], sources: readonly string[]): number[] {
  const passages = sources.flatMap(passagesOf).map(contentWords);
  return sentences.map((sentence) => {
    const words = [...contentWords(sentence)];
    if (words.length === 0) return 1;
    return passages.reduce((best, passage) => Math.max(best, words.filter((word) => passage.has(word)).length / words.length), 0);
  });
}

async function byMeaning(
  sentences: readonly string[],
  sources: readonly string[],
  embedder: Embedder,
  context: ScorerContext,
): Promise<number[]> {
  const passages = await vectorsOf(embedder, sources.flatMap(sentencesOf), context);
  return (await vectorsOf(embedder, sentences, context)).map((vector) =>
    passages.reduce((best, passage) => Math.max(best, cosine(vector, passage)), 0),
  );
}

function passagesOf(source: string): string[] {
  const sentences = sentencesOf(source);
  if (sentences.length <= passageLength) return [sentences.join(" ")];
  return sentences.slice(passageLength - 1).map((_, i) => sentences.slice(i, i + passageLength).join(" "));
}
