import { expect, test } from "vitest";
import { dollars } from "../../src/money/dollars.ts";

test.each([
  [0, "$0.00"],
  [0.4, "<$0.000001"],
  [1, "$0.000001"],
  [812.5, "$0.000813"],
  [12_000, "$0.012"],
  [50_000, "$0.05"],
  [500_000, "$0.50"],
  [999_999.9, "$1.00"],
  [1_234_567_890, "$1,234.57"],
])("%d µ$ is %s", (microusd, words) => {
  expect(dollars(microusd)).toBe(words);
});
