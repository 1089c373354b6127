/** Numbers in a text, however they are written: as digits, as words, as ordinals, as Roman numerals. A number is a token `#…`. */
import { numberWords, ordinals, scales } from "./lexicon.ts";

/** "two hundred and five" is one token; versions and decimals stay as they are written, since 2.10 is not 2.1. */
export function joinNumbers(tokens: readonly string[]): string[] {
  const joined: string[] = [];
  for (let i = 0; i < tokens.length; ) {
    const word = tokens[i] as string;
    const ordinal = ordinals.get(word);
    if (ordinal !== undefined) joined.push(`#${ordinal}th`);
    else if (isWritten(word)) {
      const { value, next } = written(tokens, i);
      joined.push(`#${value}`);
      i = next;
      continue;
    } else joined.push(word);
    i++;
  }
  return joined;
}

const isWritten = (word: string | undefined): boolean => word !== undefined && (numberWords.has(word) || scales.has(word));

function written(tokens: readonly string[], from: number): { value: number; next: number } {
  let total = 0;
  let part = 0;
  let last: number | undefined;
  let i = from;
  for (; i < tokens.length; i++) {
    const word = tokens[i] as string;
    const scale = scales.get(word);
    const value = numberWords.get(word);
    if (scale !== undefined) {
      part = Math.max(1, part) * scale;
      if (scale >= 1_000) {
        total += part;
        part = 0;
      }
      last = undefined;
    } else if (value !== undefined && (last === undefined || (last >= 20 && value < 10))) {
      part += value;
      last = value;
    } else if (!(word === "and" && i > from && scales.has(tokens[i - 1] as string) && isWritten(tokens[i + 1]))) break;
  }
  return { value: total + part, next: i };
}

const digits = { I: 1, V: 5, X: 10, L: 50 } as const;

/** II, IV, XII, …; a single letter is a letter. */
export function roman(word: string): number | undefined {
  if (!/^(?=[IVXL]{2})(XL|L?X{0,3})(IX|IV|V?I{0,3})$/.test(word)) return undefined;
  let value = 0;
  for (let i = 0; i < word.length; i++) {
    const one = digits[word[i] as keyof typeof digits];
    const next = digits[word[i + 1] as keyof typeof digits] ?? 0;
    value += one < next ? -one : one;
  }
  return value;
}

/** 1,000 and 1000 are one number, 007 and 7 are not. */
export const digitsOf = (text: string): string => (/^\d{1,3}(,\d{3})+$/.test(text) ? text.replaceAll(",", "") : text);
