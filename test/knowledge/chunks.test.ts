/** Chunks: never over a heading, never too long, overlapping by whole sentences; and rank fusion. */
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { chunksOf } from "../../src/knowledge/chunks.ts";
import { fused } from "../../src/knowledge/fusion.ts";
import { countText, loadTokenizer } from "../../src/money/tokens.ts";

beforeAll(loadTokenizer);
const tokens = (text: string): number => countText(text, { encoding: "o200k_base", margin: 0 });
const sentence = (n: number): string => `Sentence number ${n} says that item ${n} costs ${n * 7} euros. `;
const prose = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => sentence(from + i))
    .join("")
    .trim();

test("a short section is one chunk under its headings; a heading is never crossed", () => {
  const chunks = chunksOf(
    {
      blocks: [
        { text: "Before.", line: 1 },
        { text: "Top", heading: 1, line: 3 },
        { text: "One.", line: 4 },
        { text: "Two.", line: 6 },
        { text: "Deep", heading: 3, line: 8 },
        { text: "Three.", line: 9, page: 2 },
        { text: "Next", heading: 2 },
        { text: "Four." },
        { text: "Empty", heading: 1 },
      ],
    },
    { tokens: 512, overlap: 0.1 },
  );
  expect(chunks.map(({ hash, tokens, ...chunk }) => chunk)).toEqual([
    { headings: [], text: "Before.", line: 1 },
    { headings: ["Top"], text: "One.\n\nTwo.", line: 4 },
    { headings: ["Top", "Deep"], text: "Three.", line: 9, page: 2 },
    { headings: ["Top", "Next"], text: "Four." },
  ]);
  expect(new Set(chunks.map(({ hash }) => hash)).size).toBe(4);
});

test("512 tokens with 10 % overlap: chunks are full, the overlap is whole sentences, and nothing is lost", () => {
  const chunks = chunksOf({ blocks: [0, 40, 80].map((n) => ({ text: prose(n, n + 40) })) }, { tokens: 512, overlap: 0.1 });
  expect(chunks.length).toBeGreaterThan(3);
  for (const [index, chunk] of chunks.entries()) {
    expect(chunk.tokens).toBeLessThanOrEqual(512);
    if (index < chunks.length - 1) expect(chunk.tokens).toBeGreaterThan(470);
    if (index === 0) continue;
    const first = /^Sentence number (\d+)/.exec(chunk.text)?.[1];
    const repeated = (chunks[index - 1]?.text ?? "").slice((chunks[index - 1]?.text ?? "").indexOf(`Sentence number ${first} `));
    expect(chunk.text.startsWith(repeated)).toBe(true);
    expect(tokens(repeated)).toBeGreaterThan(25);
    expect(tokens(repeated)).toBeLessThanOrEqual(51);
  }
  const all = chunks.map(({ text }) => text).join("\n");
  for (let n = 0; n < 120; n++) expect(all).toContain(sentence(n).trim());
});

test("without overlap the chunks are the text; whatever the text, no chunk is longer than its limit", () => {
  const text = fc.string({ unit: fc.constantFrom("a", " ", "\n", ". ", "word ", "語", "😀", "é"), maxLength: 1_500 });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 3 }), fc.integer({ min: 32, max: 128 }), (texts, limit) => {
      const squeezed = (parts: readonly string[]): string => parts.join("").replace(/\s+/g, "");
      const chunks = chunksOf({ blocks: texts.map((text) => ({ text })) }, { tokens: limit, overlap: 0 });
      expect(squeezed(chunks.map(({ text }) => text))).toBe(squeezed(texts));
      for (const overlap of [0, 0.1, 0.5])
        for (const chunk of chunksOf({ blocks: texts.map((text) => ({ text })) }, { tokens: limit, overlap }))
          expect(chunk.tokens).toBeLessThanOrEqual(limit);
    }),
    { numRuns: 60 },
  );
});

test("rank fusion: what two rankings name beats what one names, k is 60", () => {
  expect(
    fused(
      [
        ["a", "b", "c"],
        ["c", "d"],
      ],
      3,
    ),
  ).toEqual(["c", "a", "b"]);
  // 1/61 + 1/63 against 2/62.
  expect(
    fused(
      [
        ["a", "b", "x"],
        ["y", "b", "a"],
      ],
      2,
    ),
  ).toEqual(["a", "b"]);
  expect(fused([], 5)).toEqual([]);
});
