/** Texts as words and sentences, by Unicode's rules: for the scorers that compare without a model. */
import type { Json } from "../protocol/json.ts";

const words = new Intl.Segmenter(undefined, { granularity: "word" });
const sentences = new Intl.Segmenter(undefined, { granularity: "sentence" });

export const textOf = (value: Json | undefined): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);

/** Lower case, without marks. */
export const wordsOf = (text: string): string[] =>
  [...words.segment(text.normalize("NFKC").toLowerCase())].flatMap(({ segment, isWordLike }) => (isWordLike ? [segment] : []));

/** A line break ends a sentence too: lists have no full stops. */
export const sentencesOf = (text: string): string[] =>
  text
    .split(/\n+/)
    .flatMap((line) => [...sentences.segment(line)].map(({ segment }) => segment.trim()))
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));

/** F1 of the words that two texts share, each as often as it is there: 1 is the same words, 0 none in common. */
export function sharedWords(one: string, other: string): number {
  const [a, b] = [wordsOf(one), wordsOf(other)];
  if (a.length === 0 || b.length === 0) return a.length === b.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of a) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of b) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    shared++;
  }
  return (2 * shared) / (a.length + b.length);
}

/** Words that carry a sentence: short ones of the Latin script are left out. */
export const contentWords = (text: string): Set<string> =>
  new Set(wordsOf(text).filter((word) => word.length > 3 || /\p{N}/u.test(word) || /[^\p{Script=Latin}'’]/u.test(word)));
