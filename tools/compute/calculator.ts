/** The tool `calculator`: exact arithmetic for models. What an expression may be, and its bounds, is `expression.ts`. */
import { z } from "zod";
// The one place of this group that imports `tool`; it becomes the public entry point.
import { tool } from "../../src/runtime/tool.ts";
import { calculate } from "./expression.ts";

export const calculator = tool({
  name: "calculator",
  description:
    "Computes an arithmetic expression with exact decimals. Use it for every calculation. " +
    "Knows + - * / ^ ! mod, parentheses, percent (12.5% of 8460, 200 - 10%), sqrt, cbrt, abs, round(x, digits), floor, ceil, min, max, sum, mean, median, " +
    "ln, log10, log2, log(x, base), exp, sin, cos, tan (radians; sin(30 deg)), gcd, lcm, combinations(n, k), pi, e. " +
    "No variables, units, currency signs or thousands separators.",
  class: "pure",
  input: z.strictObject({
    expression: z.string().min(1).max(1_000).describe('For example "(1299.99 * 3 - 150) * 1.19" or "12.5% of 8460".'),
  }),
  timeoutMs: 5_000,
  run: ({ expression }) => calculate(expression),
});
