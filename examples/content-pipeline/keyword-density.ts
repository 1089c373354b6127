/** How often a search word stands in a text: counted, not guessed by a model. */
import { tool } from "escapement";
import { z } from "zod";

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}'’-]+/gu) ?? [];

export function density(text: string, keyword: string): { words: number; uses: number; percent: number } {
  const words = wordsOf(text);
  const wanted = wordsOf(keyword);
  const uses = words.filter((_, at) => wanted.length > 0 && wanted.every((word, i) => words[at + i] === word)).length;
  const percent = words.length === 0 ? 0 : Math.round((uses * wanted.length * 10_000) / words.length) / 100;
  return { words: words.length, uses, percent };
}

export const keywordDensity = tool({
  name: "keyword_density",
  description: "How often a search word stands in a text, in percent of its words. 1 to 3 is good.",
  input: z.object({ text: z.string(), keyword: z.string() }),
  class: "pure",
  run: ({ text, keyword }) => density(text, keyword),
});
