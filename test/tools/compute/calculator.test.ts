import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ToolContext } from "../../../src/runtime/tool.ts";
import { calculate, ExpressionError } from "../../../tools/compute/expression.ts";
import { calculator, compute } from "../../../tools/compute/index.ts";

const context: ToolContext = { run: "run_1", key: "k", signal: new AbortController().signal, progress() {}, data() {} };
const result = (expression: string) => calculate(expression).result;

describe("the tool", () => {
  it("takes an expression and gives its result", async () => {
    const parsed = calculator.parse({ expression: "12.5% of 8460" });
    expect(parsed).toEqual({ ok: true, value: { expression: "12.5% of 8460" } });
    expect(await calculator.run({ expression: "12.5% of 8460" }, context)).toEqual({ result: "1057.5" });
    expect(compute.map(({ name }) => name)).toEqual(["calculator", "statistics"]);
    expect(calculator.class).toBe("pure");
  });

  it("tells the model what is wrong with its arguments", () => {
    expect(calculator.parse({ expr: "1" })).toMatchObject({ ok: false, message: expect.stringContaining("expression") });
    expect(calculator.parse({ expression: "1".repeat(1001) })).toMatchObject({ ok: false });
  });
});

describe("exact decimals", () => {
  it.each([
    ["0.1+0.2", "0.3"],
    ["1.1*1.1", "1.21"],
    ["(1299.99 * 3 - 150) * 1.19", "4462.4643"],
    ["123456789012345678901234567890*987654321098765432109876543210", "121932631137021795226185032733622923332237463801111263526900"],
    ["2^200", "1606938044258990275541962092341162602522202993782792835301376"],
    ["25!", "15511210043330985984000000"],
    ["log(8, 2)", "3"],
    ["sqrt(2)^2", "2"],
    ["1/3*3", "1"],
    ["-0", "0"],
  ])("%s = %s", (expression, expected) => {
    expect(calculate(expression)).toEqual({ result: expected });
  });

  it("says when digits were cut", () => {
    expect(calculate("1/3")).toEqual({ result: `0.${"3".repeat(64)}`, rounded: true });
    expect(calculate("2^300")).toMatchObject({ rounded: true });
  });

  it("agrees with integer arithmetic", () => {
    const n = fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n });
    fc.assert(
      fc.property(n, n, n, (a, b, c) => {
        expect(BigInt(result(`(${a}) * (${b}) + (${c}) - (${a})`))).toBe(a * b + c - a);
      }),
    );
  });
});

describe("percent", () => {
  it.each([
    ["12.5% of 8460", "1057.5"],
    ["8460 * 12.5%", "1057.5"],
    ["8460*12.5 %", "1057.5"],
    ["12.5 percent of 8460", "1057.5"],
    ["100 + 10%", "110"],
    ["200 - 10%", "180"],
    ["100 + 10% + 5", "115"],
    ["100 + 10% of 200", "120"],
    ["5% + 3", "3.05"],
    ["10% + 5%", "0.15"],
    ["100 * (1 + 5%)^2", "110.25"],
    ["7 % 3", "1"],
    ["7%3", "1"],
    ["-7 mod 3", "2"],
  ])("%s = %s", (expression, expected) => {
    expect(result(expression)).toBe(expected);
  });
});

describe("the language", () => {
  it.each([
    ["-2^2", "-4"],
    ["2^-1", "0.5"],
    ["2^3^2", "512"],
    ["2(3+4)", "14"],
    ["6/2(1+2)", "9"],
    ["2**10", "1024"],
    ["2×3÷4−1", "0.5"],
    ["round(2.5)", "3"],
    ["round(1.005, 2)", "1.01"],
    ["round(1234.567, -2)", "1200"],
    ["max(1, 2, 3) - min(1, 2, 3)", "2"],
    ["median(4, 1, 2, 3)", "2.5"],
    ["mean(1, 2, 3, 4)", "2.5"],
    ["gcd(12, 18) + lcm(4, 6)", "18"],
    ["combinations(52, 5)", "2598960"],
    ["sin(pi)", "0"],
    ["sin(30 deg)", "0.5"],
    ["log10(1000)", "3"],
    ["PI - pi", "0"],
  ])("%s = %s", (expression, expected) => {
    expect(result(expression)).toBe(expected);
  });

  it.each([
    ["1/0", /division by zero/],
    ["5 mod 0", /division by zero/],
    ["0^-1", /division by zero/],
    ["sqrt(-1)", /real number/],
    ["ln(0)", /real number/],
    ["tan(pi/2)", /not defined/],
    ["log(100)", /log10/],
    ["1,000 * 2", /comma/],
    ["$5 * 2", /"\$" at character 1/],
    ["5 km", /"km" is not known/],
    ["2 3", /operator is missing before 3/],
    ["(1 + 2", /"\)" is missing/],
    ["1 +", /ends where a number/],
    ["", /empty/],
    ["sqrt 2", /write sqrt/],
    ["sqrt(1, 2)", /takes 1 value, not 2/],
    ["3.5!", /whole numbers/],
  ])("%s is refused with the reason", (expression, reason) => {
    expect(() => calculate(expression)).toThrow(reason);
  });
});

describe("bounds", () => {
  it.each([
    "import(1)",
    "createUnit(1)",
    "evaluate(1)",
    "constructor",
    "__proto__",
    "toString(1)",
    "hasOwnProperty",
    "f(x) = x",
    "x = 1",
    "'a'",
    '"a"',
    "[1]",
    "1:1000000000",
    "1; 2",
    "{a: 1}",
  ])("%s is nothing it knows", (expression) => {
    expect(() => calculate(expression)).toThrow(ExpressionError);
  });

  it.each([
    "9^9^9",
    "9^9^9^9",
    "1e999 * 1e999",
    "1e2000",
    "1/1e1000/2",
    "1000!",
    "factorial(1e9)",
    "170!!",
    "combinations(1e6, 5e5)",
    "exp(1e15)",
    "sin(1e100)",
    "1.0000001^1e12",
    "round(1, 1e9)",
    "gcd(1e1000, 7)",
    `${"(".repeat(400)}1${")".repeat(400)}`,
    `${"-".repeat(990)}1`,
    `1${"^1".repeat(400)}`,
    `${"sin(1)+".repeat(140)}1`,
    `${"1+".repeat(600)}1`,
  ])("%s ends at once", (expression) => {
    const cpu = process.cpuUsage();
    expect(() => calculate(expression)).toThrow(ExpressionError);
    const { user, system } = process.cpuUsage(cpu);
    // Microseconds; unbounded, each of these takes from seconds to forever.
    expect(user + system).toBeLessThan(1_000_000);
  });

  it("computes or says why not, whatever it is given, and the result is short", () => {
    const part = fc.constantFrom("1", "0", "9e9", ".5", "1e-999", "+", "-", "*", "/", "^", "!", "%", "(", ")", ",", " ", "mod", "of", "pi", "sin", "ln(", "round(", "pow(", "gcd(", "tan(", "hypot(", "atan2(", "combinations(", "2", "7", "log("); // biome-ignore format: one list
    const text = fc.oneof(
      fc.array(part, { maxLength: 60 }).map((parts) => parts.join("")),
      fc.string({ maxLength: 40 }),
    );
    fc.assert(
      fc.property(text, (expression) => {
        try {
          expect(result(expression)).toMatch(/^-?\d+(\.\d+)?(e[+-]\d+)?$/);
          expect(result(expression).length).toBeLessThan(100);
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});
