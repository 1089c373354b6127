import { expect, test } from "vitest";
import { z } from "zod";
import { looseJson, parseAnswer } from "../../src/runtime/structured.ts";

test.each([
  ["as it stands", '{"a":1}'],
  ["in words", 'Here it is: {"a":1} as asked.'],
  ["in a fence", '```json\n{"a":1}\n```'],
  ["in a fence with spaces after its head and lines before the value", 'So:\n``` \t\r\n\n\n {"a":1}\n```\nand no more'],
  ["in the second fence, where the first has no line of its own", 'Use ```x``` so:\n```json\n{"a":1}\n```'],
  ["broken", "{a: 1,}"],
  ["cut off", '{"a":1'],
  ["broken, in a fence", "```json\n{'a': 1}\n```"],
])("the value is found %s", (_, text) => {
  expect(looseJson(text)).toEqual({ a: 1 });
});

// Each took from 20 s to minutes; a test that hangs fails by its own limit.
test.each([
  ["a fence that is followed by line breaks alone", `\`\`\`json${"\n".repeat(1_000_000)}x`],
  ["fence marks without an end", "```".repeat(300_000)],
  ["fences that are followed by spaces", `\`\`\`${" ".repeat(500)}`.repeat(2_000)],
  ["quotes that nothing closes", `{"a":"${'x" '.repeat(200_000)}`],
  ["values after the value", "{}\n".repeat(200_000)],
])("an answer of %s does not block the process", (_, text) => {
  expect(parseAnswer(text, z.strictObject({ a: z.number() })).ok).toBe(false);
});

test("a long answer that is JSON is read whatever its length", () => {
  const value = { a: Array.from({ length: 50_000 }, (_, i) => `"${i}"`) };
  expect(looseJson(`Here:\n\`\`\`json\n${JSON.stringify(value, null, 1)}\n\`\`\``)).toEqual(value);
});
