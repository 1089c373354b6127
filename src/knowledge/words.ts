/**
 * Words as the full-text index counts them. Languages without spaces (Chinese, Japanese, Thai, …) are divided by ICU's dictionary first;
 * the index's own tokenizer does the rest: case, accents, English endings.
 */
const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

const maxTerms = 32;

/** What is put into the index for a text. */
export function indexed(text: string): string {
  if (!unspaced.test(text)) return text;
  return [...segmenter.segment(text)].map(({ segment }) => segment).join(" ");
}

/** The different words of a question. */
export function termsOf(question: string): string[] {
  const words = [...segmenter.segment(question.normalize("NFC"))].filter(({ isWordLike }) => isWordLike);
  return [...new Set(words.map(({ segment }) => segment.toLowerCase()))].slice(0, maxTerms);
}
