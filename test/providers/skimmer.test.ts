import fc from "fast-check";
import { expect, test } from "vitest";
import { Skimmer } from "../../src/providers/skimmer.ts";
import type { Answer } from "../../src/providers/wire.ts";

const frame = (text: string): string => JSON.stringify({ id: "a", model: "m", choices: [{ delta: { content: text } }], later: null });
// biome-ignore lint/suspicious/noExplicitAny: the frame above
const textOf = (value: Answer): unknown => (value as any).choices?.[0]?.delta?.content;

/** What matters to JSON strings, and what does not. */
const unit = fc.constantFrom(
  '"',
  "\\",
  "\n",
  "\u0000",
  "\u001f",
  "\u2028",
  "\ud83d",
  "{",
  "}",
  ":",
  ",",
  " ",
  "a",
  "ü",
  "世",
  "🌍",
  "n",
  "u",
);

test("what it reads is what JSON.parse would have read", () => {
  const run = fc.property(fc.array(fc.string({ unit }), { minLength: 2, maxLength: 10 }), (texts) => {
    const skimmer = new Skimmer();
    for (const text of texts) {
      const data = frame(text);
      const skimmed = skimmer.skim(data);
      if (skimmed === undefined) skimmer.learn(data, text, textOf);
      else expect(skimmed).toBe(text);
    }
  });
  fc.assert(run);
});

test("reads every plain text of a known frame", () => {
  const skimmer = new Skimmer();
  skimmer.learn(frame("Hello"), "Hello", textOf);
  for (const text of [" world", "世界", "a: {b}", "'", "x"]) expect(skimmer.skim(frame(text))).toBe(text);
});

test("leaves to the parser what needs escapes, is empty, or has another frame", () => {
  const skimmer = new Skimmer();
  skimmer.learn(frame("Hello"), "Hello", textOf);
  for (const text of ['"', "\\", "\n", "\u0001", ""]) expect(skimmer.skim(frame(text))).toBeUndefined();
  expect(skimmer.skim(frame("Hello").replace('"later":null', '"later":1'))).toBeUndefined();
  expect(skimmer.skim(frame("x").replace('"x"', '"x","tool":"y"'))).toBeUndefined();
});

test("is not deceived by another member with the same text", () => {
  const skimmer = new Skimmer();
  const data = JSON.stringify({ id: "same", choices: [{ delta: { content: "same" } }] });
  skimmer.learn(data, "same", textOf);
  expect(skimmer.skim(data.replace('"id":"same"', '"id":"other"'))).toBeUndefined();
});

test("is not deceived by a member that comes twice", () => {
  const skimmer = new Skimmer();
  // JSON.parse takes the last one.
  skimmer.learn('{"choices":[{"delta":{"content":"a","content":"a"}}]}', "a", textOf);
  expect(skimmer.skim('{"choices":[{"delta":{"content":"b","content":"a"}}]}')).toBeUndefined();
});

test("stops to learn where every frame is another", () => {
  const skimmer = new Skimmer();
  for (let index = 0; index < 20; index++) {
    const data = JSON.stringify({ obfuscation: index, choices: [{ delta: { content: "abc" } }] });
    expect(skimmer.skim(data)).toBeUndefined();
    skimmer.learn(data, "abc", textOf);
  }
  expect(skimmer.skim(JSON.stringify({ obfuscation: 19, choices: [{ delta: { content: "d" } }] }))).toBeUndefined();
});
