/** What a text is cut into: `src/runtime/split.ts`, its three rules. */
import { beforeAll, expect, test } from "vitest";
import { loadTokenizer } from "../../src/money/tokens.ts";
import { countTokens, splitText } from "../../src/runtime/split.ts";

beforeAll(loadTokenizer);

const texts = {
  paragraphs: Array.from({ length: 60 }, (_, i) => `Paragraph ${i}. It says "so". Then it ends!\n\n`).join(""),
  "blank lines with spaces": Array.from({ length: 80 }, (_, i) => `Line ${i}\n \t \n`).join(""),
  "one sentence": Array.from({ length: 500 }, (_, i) => `word${i}`).join(" "),
  "one word": "x".repeat(3_000),
  "characters of two units": "😀🦀".repeat(400),
};

test.each(Object.entries(texts))("%s: chunks give the text back, and none is too large", (_, text) => {
  const chunks = splitText(text, 50, 0);
  expect(chunks.length).toBeGreaterThan(3);
  expect(chunks.join("")).toBe(text);
  for (const chunk of chunks) {
    expect(countTokens(chunk)).toBeLessThanOrEqual(50);
    expect(chunk.isWellFormed()).toBe(true);
  }
});

test("an overlap is the end of the chunk before", () => {
  const [plain, overlapping] = [splitText(texts.paragraphs, 40, 0), splitText(texts.paragraphs, 50, 10)];
  expect(overlapping).toHaveLength(plain.length);
  for (const [i, chunk] of overlapping.entries()) {
    expect(chunk.endsWith(plain[i] as string)).toBe(true);
    expect(countTokens(chunk)).toBeLessThanOrEqual(50);
    const repeated = chunk.slice(0, chunk.length - (plain[i] as string).length);
    expect(repeated === "").toBe(i === 0);
    if (i > 0) expect(plain[i - 1]?.endsWith(repeated)).toBe(true);
  }
});

test("nothing but white space is no chunk; no room for anything is refused", () => {
  expect(splitText(" \n\n ", 50, 0)).toEqual([]);
  expect(() => splitText("text", 10, 10)).toThrow(/leaves no room/);
});

test.each([
  ["line breaks", "\n"],
  ["quotation marks", '"'],
  ["spaces", " "],
])("half a million %s take no longer than half a million letters of prose", (_, character) => {
  // In time that grows with the square it would be minutes, and the test's own limit ends it.
  expect(splitText(`a${character.repeat(500_000)}b`, 20_000, 0).join("")).toHaveLength(500_002);
});
