import { describe, expect, test } from "vitest";
import { findArithmetic } from "../../src/offline/arithmetic.ts";
import { calculate } from "../../tools/compute/expression.ts";

const found: readonly (readonly [question: string, value: number, subject?: string])[] = [
  ["What is 12.5% of 8460?", 1057.5, "12.5% of 8460"],
  ["what's 12.5 percent of 8,460", 1057.5],
  ["12*(3+4)", 84, "12*(3+4)"],
  ["how much is 17 times 23", 391, "17 times 23"],
  ["square root of 2", Math.SQRT2, "square root of 2"],
  ["What is the square root of 144?", 12, "the square root of 144"],
  ["Calculate 2 + 2", 4],
  ["2+2", 4],
  ["2 + 2 = ?", 4],
  ["1 + 1!", 2],
  ["please compute 100 divided by 8.", 12.5],
  ["What is 2 to the power of 10?", 1024],
  ["What is 2 to the 10th power?", 1024],
  ["what is 5 squared", 25],
  ["3 cubed plus 4", 31],
  ["What is seventeen times twenty-three?", 391],
  ["what is two hundred and fifty minus one", 249],
  ["What's the sum of 3 and 4?", 7],
  ["the difference between 10 and 4", 6],
  ["multiply 6 by 7", 42],
  ["subtract 3 from 10", 7],
  ["Add 3 to 4", 7],
  ["what is half of 10?", 5],
  ["What is a third of 9?", 3],
  ["average of 1, 2 and 6", 3],
  ["What is 5!?", 120],
  ["12 x 12", 144],
  ["12 × 12", 144],
  ["10 ÷ 4", 2.5],
  ["$19.99 * 3", 59.97],
  ["Hi, can you tell me what is 3*3?", 9],
  ["What time is it, and what is 2+2?", 4],
  ["I have a budget question: how much is 15% of 80 for me please", 12],
  ["What is 2**8", 256],
  ["what is 7 mod 4", 3],
  ["-3 + 5", 2],
];

const none: readonly string[] = [
  "What is the capital of France?",
  "Hello!",
  "",
  "My number is 555-1234",
  "The meeting is on 2026-11-03",
  "It was 10/12/2025",
  "We are open 24/7",
  "Which version is 1.2.3?",
  "I read 1984",
  "What is 42?",
  "It takes 10-20 people",
  "What is love divided by hate?",
  "At 10:30 then",
  "(((",
  "What is COVID-19?",
];

describe("arithmetic in a question", () => {
  for (const [question, value, subject] of found)
    test(question, () => {
      const arithmetic = findArithmetic(question);
      expect(arithmetic).toBeDefined();
      expect(Number(calculate(arithmetic!.expression).result)).toBeCloseTo(value, 10);
      if (subject !== undefined) expect(arithmetic!.subject).toBe(subject);
    });
});

describe("no arithmetic in what only has numbers", () => {
  for (const question of none) test(question || "(nothing)", () => expect(findArithmetic(question)).toBeUndefined());
});
