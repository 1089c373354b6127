/**
 * The second gate of the semantic cache: whether two questions that an embedding finds alike may share an answer.
 *
 * Embeddings find "enable" and "disable", 5 and 6, "from A to B" and "from B to A" alike (0.95 and more). So the gate does not ask
 * whether they are alike but whether anything differs that an answer may depend on: the kind of question, the time, the persons, and the
 * words that matter with numbers, names and negations among them, one by one and in their order. What it does not know differs.
 *
 *  1. It may say no to a paraphrase (a call more); it says yes only to what reads the same.
 *  2. It is made for English. In other languages only word order and words decide, so it passes little and nothing that is opposite.
 */
import { isNegation, isNumber, isPerson, read, type Word } from "./gate/reading.ts";

/** What stands between two questions. */
export type Difference = "negation" | "number" | "person" | "word" | "order" | "question" | "time" | "preposition";

/** The first difference that an answer may depend on; null when there is none. */
export function difference(a: string, b: string): Difference | null {
  const [one, other] = [read(a), read(b)];
  const ofWords = wordDifference(one.words, other.words);
  if (ofWords) return ofWords;
  if (one.asks !== other.asks || (one.helper && other.helper && one.helper !== other.helper)) return "question";
  if (one.time !== other.time) return "time";
  return one.soft.toSorted().join() === other.soft.toSorted().join() ? null : "preposition";
}

/** One of the two is the other without its ending: "crash" and "crashed" are one, "interested" and "interesting" are not. */
const same = (a: Word, b: Word | undefined): boolean => b !== undefined && (a.forms.includes(b.word) || b.forms.includes(a.word));

function wordDifference(a: readonly Word[], b: readonly Word[]): Difference | null {
  if (a.length === b.length && a.every((word, i) => same(word, b[i]))) return null;
  const rest = [...b];
  const missing = a.filter((word) => {
    const at = rest.findIndex((candidate) => same(word, candidate));
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  const different = [...missing, ...rest].map(({ word }) => word);
  if (different.length === 0) return "order";
  if (different.some(isNegation)) return "negation";
  if (different.some(isNumber)) return "number";
  return different.every(isPerson) ? "person" : "word";
}
