/**
 * Arithmetic on exact decimals: reads an expression and computes it in one pass.
 *
 * Owns the language (numbers, + - * / ^ ! %, `mod`, `of`, functions, constants) and its bounds. There is no evaluator behind it
 * and nothing to escape to: no names but the tables below, no assignment, no strings, no lists. The arithmetic is decimal.js.
 *
 *  1. Computed with 96 digits, given with 64, so that results of exact arithmetic have no noise in their last digits.
 *  2. Every value stays within 1e±1000, so no operation can take long: 9^9^9^9 is refused, not computed.
 *  3. At most 1,000 characters, 100 levels, and {@link MAX_WORK} units of work (a multiplication is 1, a sine 20).
 *
 * Percent: `12.5%` is 0.125; after + and - it is a part of what stands before it (`200 - 10%` is 180, as on every calculator);
 * `12.5% of 8460` multiplies. Where an operand follows, `%` is the remainder (`7 % 3`).
 */
import { Decimal as Library } from "decimal.js";

/** Digits of a result. */
export const DIGITS = 64;
const MAX_LENGTH = 1_000;
const MAX_DEPTH = 100;
const MAX_WORK = 2_000;

// The remainder has the divisor's sign, as in mathematics: -7 mod 3 is 2.
const Decimal = Library.clone({ precision: 96, modulo: Library.ROUND_FLOOR, toExpNeg: -20, toExpPos: DIGITS });
type Decimal = Library;

const LARGEST = new Decimal("1e1000");
const SMALLEST = new Decimal("1e-1000");
/** Results of trigonometry nearer to 0 than this are 0: sin(pi) is, and pi is only known to 96 digits. */
const NOISE = new Decimal("1e-80");
/** A tangent above this is a pole that rounding missed. */
const POLE = new Decimal("1e40");
const PI = Decimal.acos(-1);
const E = Decimal.exp(1);

/** What is wrong with an expression, said to the model that wrote it. */
export class ExpressionError extends Error {
  override name = "ExpressionError";
}

export type Result = {
  /** `"1057.5"`; with an exponent above 64 digits. */
  readonly result: string;
  /** The exact result has more digits than are given. */
  readonly rounded?: true;
};

/** Throws an {@link ExpressionError}. */
export function calculate(expression: string): Result {
  if (expression.length > MAX_LENGTH) {
    throw new ExpressionError(`the expression has ${expression.length} characters, at most ${MAX_LENGTH} are allowed: compute it in parts`);
  }
  const value = new Reader(tokensOf(expression)).read();
  const given = value.toSignificantDigits(DIGITS);
  const result = given.isZero() ? "0" : given.toString();
  return given.equals(value.toSignificantDigits(90)) ? { result } : { result, rounded: true };
}

// ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────

type Token =
  | { readonly type: "number"; readonly value: Decimal }
  | { readonly type: "name" | "sign"; readonly text: string }
  | { readonly type: "end"; readonly text: "" };

/** Other ways to write a sign. */
const spellings: ReadonlyMap<string, string> = new Map([
  ["×", "*"],
  ["·", "*"],
  ["÷", "/"],
  ["−", "-"],
  ["–", "-"],
  ["**", "^"],
  ["π", "pi"],
  ["percent", "%"],
]);
const word = /\s+|(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-z][a-z0-9]*|π)|(\*\*|[-+*/^!%(),×·÷−–])/iy;

function tokensOf(expression: string): Token[] {
  const tokens: Token[] = [];
  word.lastIndex = 0;
  while (word.lastIndex < expression.length) {
    const at = word.lastIndex;
    const match = word.exec(expression);
    if (!match) {
      const sign = String.fromCodePoint(expression.codePointAt(at) ?? 0);
      throw new ExpressionError(
        `"${sign}" at character ${at + 1} is not understood: numbers, + - * / ^ ! %, parentheses and functions only, no units, currencies or variables`,
      );
    }
    const [, number, name, sign] = match;
    if (number !== undefined) tokens.push({ type: "number", value: checked(new Decimal(number)) });
    else if (name !== undefined) {
      const text = spellings.get(name.toLowerCase()) ?? name.toLowerCase();
      tokens.push({ type: text === "%" ? "sign" : "name", text });
    } else if (sign !== undefined) tokens.push({ type: "sign", text: spellings.get(sign) ?? sign });
  }
  tokens.push({ type: "end", text: "" });
  return tokens;
}

function checked(value: Decimal): Decimal {
  if (!value.isFinite()) throw new ExpressionError("the result is not a finite real number");
  if (value.isZero()) return value;
  const size = value.abs();
  if (size.greaterThan(LARGEST)) throw new ExpressionError("a value on the way is larger than 1e1000, which is the limit");
  if (size.lessThan(SMALLEST)) throw new ExpressionError("a value on the way is nearer to 0 than 1e-1000, which is the limit");
  return value;
}

// ── constants and functions ──────────────────────────────────────────────────────────────────────────────────────────

const constants: { readonly [name: string]: Decimal } = {
  pi: PI,
  tau: PI.times(2),
  e: E,
  phi: new Decimal(5).sqrt().plus(1).div(2),
  /** `sin(30 deg)`. */
  deg: PI.div(180),
};

type Operation = {
  readonly from: number;
  readonly to: number;
  /** Units of work; what takes a loop asks for more by `spend`. */
  readonly work: number;
  readonly run: (values: readonly Decimal[], spend: (units: number) => void) => Decimal;
};

const one = (run: (x: Decimal) => Decimal, work = 1): Operation => ({ from: 1, to: 1, work, run: ([x]) => run(x as Decimal) });
const two = (run: (x: Decimal, y: Decimal) => Decimal, work = 1): Operation => ({
  from: 2,
  to: 2,
  work,
  run: ([x, y]) => run(x as Decimal, y as Decimal),
});
const many = (run: Operation["run"]): Operation => ({ from: 1, to: 500, work: 1, run });
const angle = (run: (x: Decimal) => Decimal): Operation =>
  one((x) => {
    if (x.abs().greaterThan("1e30")) throw new ExpressionError("an angle above 1e30 has no meaningful sine, cosine or tangent");
    const value = run(x);
    if (value.abs().greaterThan(POLE)) throw new ExpressionError("the tangent is not defined there");
    return value.abs().lessThan(NOISE) ? new Decimal(0) : value;
  }, 20);

const functions: { readonly [name: string]: Operation } = {
  abs: one((x) => x.abs()),
  sign: one((x) => new Decimal(x.isZero() ? 0 : x.isNegative() ? -1 : 1)),
  floor: one((x) => x.floor()),
  ceil: one((x) => x.ceil()),
  trunc: one((x) => x.trunc()),
  round: { from: 1, to: 2, work: 1, run: ([x, digits]) => round(x as Decimal, digits) },
  min: many((values) => Decimal.min(...values)),
  max: many((values) => Decimal.max(...values)),
  sum: many((values) => Decimal.sum(...values)),
  mean: many((values) => Decimal.sum(...values).div(values.length)),
  median: many((values) => median(values)),
  sqrt: one((x) => x.sqrt(), 5),
  cbrt: one((x) => x.cbrt(), 5),
  pow: two(power, 20),
  exp: one((x) => power(E, x), 20),
  ln: one((x) => x.ln(), 20),
  log10: one((x) => x.log(10), 20),
  log2: one((x) => x.log(2), 20),
  log: {
    from: 1,
    to: 2,
    work: 20,
    run: ([x, base]) => {
      if (!base) throw new ExpressionError("log(x) is read in two ways: write ln(x), log10(x) or log(x, base)");
      return (x as Decimal).log(base);
    },
  },
  mod: two(remainder),
  gcd: { from: 2, to: 500, work: 20, run: (values) => values.reduce(gcd) },
  lcm: { from: 2, to: 500, work: 20, run: (values) => values.reduce((a, b) => (a.isZero() ? a : a.div(gcd(a, b)).times(b).abs())) },
  factorial: { from: 1, to: 1, work: 1, run: ([n], spend) => product(n as Decimal, n as Decimal, spend) },
  permutations: { from: 2, to: 2, work: 1, run: ([n, k], spend) => product(n as Decimal, k as Decimal, spend) },
  combinations: {
    from: 2,
    to: 2,
    work: 1,
    run: ([n, k], spend) => {
      const smaller = Decimal.min(k as Decimal, (n as Decimal).minus(k as Decimal));
      return product(n as Decimal, smaller, spend)
        .div(product(smaller, smaller, spend))
        .round();
    },
  },
  sin: angle((x) => x.sin()),
  cos: angle((x) => x.cos()),
  tan: angle((x) => x.tan()),
  asin: one((x) => x.asin(), 20),
  acos: one((x) => x.acos(), 20),
  atan: one((x) => x.atan(), 20),
  atan2: two((y, x) => Decimal.atan2(y, x), 20),
  hypot: two((x, y) => Decimal.hypot(x, y), 5),
};

function round(x: Decimal, digits: Decimal = new Decimal(0)): Decimal {
  if (!digits.isInteger() || digits.abs().greaterThan(DIGITS)) {
    throw new ExpressionError(`round(x, digits): digits is a whole number from -${DIGITS} to ${DIGITS}, not ${digits}`);
  }
  const places = digits.toNumber();
  // Half away from zero, as in commerce; toDecimalPlaces knows no negative places.
  return places >= 0 ? x.toDecimalPlaces(places) : x.div(`1e${-places}`).round().times(`1e${-places}`);
}

function power(base: Decimal, exponent: Decimal): Decimal {
  if (base.isZero() && exponent.isNegative()) throw new ExpressionError("division by zero");
  // The size of the result is known before it is computed: roughly from the base's exponent, else exactly from its logarithm.
  const tooLarge = (log10: Decimal | number): boolean => exponent.abs().times(log10).greaterThan(1000);
  if (!base.isZero() && tooLarge(Math.abs(base.e) + 1) && tooLarge(base.abs().log(10).abs())) {
    throw new ExpressionError("a power on the way is beyond 1e±1000, which is the limit");
  }
  return base.pow(exponent);
}

function remainder(x: Decimal, divisor: Decimal): Decimal {
  if (divisor.isZero()) throw new ExpressionError("division by zero");
  return x.mod(divisor);
}

function divide(x: Decimal, divisor: Decimal): Decimal {
  if (divisor.isZero()) throw new ExpressionError("division by zero");
  return x.div(divisor);
}

function median(values: readonly Decimal[]): Decimal {
  const sorted = [...values].sort((a, b) => a.comparedTo(b));
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as Decimal;
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1] as Decimal).plus(upper).div(2);
}

function gcd(a: Decimal, b: Decimal): Decimal {
  // Beyond 96 digits a remainder would be rounded, and Euclid would go astray.
  if (!a.isInteger() || !b.isInteger() || a.abs().greaterThan("1e90") || b.abs().greaterThan("1e90")) {
    throw new ExpressionError("gcd and lcm take whole numbers up to 1e90");
  }
  let [x, y] = [a.abs(), b.abs()];
  while (!y.isZero()) [x, y] = [y, x.mod(y)];
  return x;
}

/** n × (n-1) × … with `count` factors. */
function product(n: Decimal, count: Decimal, spend: (units: number) => void): Decimal {
  if (!n.isInteger() || !count.isInteger() || n.isNegative() || count.isNegative() || count.greaterThan(n)) {
    throw new ExpressionError("factorials, permutations and combinations take whole numbers with 0 ≤ k ≤ n");
  }
  let value = new Decimal(1);
  const factors = count.toNumber();
  for (let i = 0; i < factors; i++) {
    spend(1);
    value = checked(value.times(n.minus(i)));
  }
  return value;
}

// ── the reader ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** `percent`: written as `12.5%` and not used yet; its value is 0.125. */
type Value = { readonly value: Decimal; readonly percent: boolean };
const plain = (value: Decimal): Value => ({ value: checked(value), percent: false });

class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  #work = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  read(): Decimal {
    if (this.#peek().type === "end") throw new ExpressionError("the expression is empty");
    const { value } = this.#sum();
    if (this.#peek().type !== "end") throw this.#unexpected();
    return value;
  }

  #sum(): Value {
    let left = this.#product();
    for (;;) {
      const sign = this.#accept("+", "-");
      if (!sign) return left;
      const right = this.#product();
      this.#spend(1);
      const part = right.percent && !left.percent ? left.value.times(right.value) : right.value;
      const value = checked(sign === "+" ? left.value.plus(part) : left.value.minus(part));
      left = { value, percent: left.percent && right.percent };
    }
  }

  #product(): Value {
    let left = this.#signed();
    for (;;) {
      const sign = this.#accept("*", "/", "%", "mod", "of");
      if (!sign && !this.#startsOperand()) return left;
      const right = this.#signed().value;
      this.#spend(1);
      if (sign === "/") left = plain(divide(left.value, right));
      else if (sign === "%" || sign === "mod") left = plain(remainder(left.value, right));
      else left = plain(left.value.times(right));
    }
  }

  #signed(): Value {
    return this.#deeper(() => {
      const sign = this.#accept("+", "-");
      if (!sign) return this.#power();
      const { value, percent } = this.#signed();
      return { value: sign === "-" ? value.negated() : value, percent };
    });
  }

  /** Binds tighter than a sign before it and takes one after it, from the right: -2^2 is -4, 2^-1 is 0.5, 2^3^2 is 512. */
  #power(): Value {
    const base = this.#postfixed();
    if (!this.#accept("^")) return base;
    const exponent = this.#signed().value;
    this.#spend(20);
    return plain(power(base.value, exponent));
  }

  #postfixed(): Value {
    let value = this.#primary();
    for (;;) {
      const token = this.#peek();
      if (this.#accept("!")) value = plain(product(value.value, value.value, this.#spend));
      else if (token.type === "sign" && token.text === "%" && !this.#startsOperand(1)) {
        this.#at += 1;
        value = { value: checked(value.value.div(100)), percent: true };
      } else return value;
    }
  }

  #primary(): Value {
    const token = this.#peek();
    if (token.type === "number") {
      this.#at += 1;
      return plain(token.value);
    }
    if (this.#accept("(")) {
      const { value } = this.#deeper(() => this.#sum());
      this.#expect(")");
      return plain(value);
    }
    if (token.type !== "name") throw this.#unexpected();
    this.#at += 1;
    if (Object.hasOwn(functions, token.text)) return this.#call(token.text, functions[token.text] as Operation);
    if (Object.hasOwn(constants, token.text)) return plain(constants[token.text] as Decimal);
    throw new ExpressionError(
      `"${token.text.slice(0, 40)}" is not known. Functions: ${Object.keys(functions).join(", ")}. Constants: ${Object.keys(constants).join(", ")}`,
    );
  }

  #call(name: string, operation: Operation): Value {
    if (!this.#accept("(")) throw new ExpressionError(`${name} is a function: write ${name}(…)`);
    const values: Decimal[] = [];
    do values.push(this.#deeper(() => this.#sum()).value);
    while (this.#accept(","));
    this.#expect(")");
    if (values.length < operation.from || values.length > operation.to) {
      const wanted = operation.from === operation.to ? operation.from : `${operation.from} to ${operation.to}`;
      throw new ExpressionError(`${name} takes ${wanted} ${operation.to === 1 ? "value" : "values"}, not ${values.length}`);
    }
    this.#spend(operation.work + values.length);
    return plain(operation.run(values, this.#spend));
  }

  #peek(): Token {
    // The last token is `end`, and nothing moves past it.
    return this.#tokens[this.#at] as Token;
  }

  /** A number, a name or a parenthesis: what makes `2(3 + 4)` a product and `7 % 3` a remainder. */
  #startsOperand(ahead = 0): boolean {
    const token = this.#tokens[this.#at + ahead];
    if (!token || token.type === "end") return false;
    if (token.type === "number") return ahead > 0;
    if (token.type === "name") return token.text !== "of" && token.text !== "mod";
    return token.text === "(";
  }

  #accept(...texts: string[]): string | undefined {
    const token = this.#peek();
    if (token.type === "number" || token.type === "end" || !texts.includes(token.text)) return undefined;
    this.#at += 1;
    return token.text;
  }

  #expect(text: string): void {
    if (this.#accept(text)) return;
    throw this.#peek().type === "end" ? new ExpressionError(`a "${text}" is missing at the end`) : this.#unexpected();
  }

  #unexpected(): ExpressionError {
    const token = this.#peek();
    if (token.type === "end") return new ExpressionError("the expression ends where a number is expected");
    if (token.type === "number") return new ExpressionError(`an operator is missing before ${token.value}`);
    if (token.text === ",") {
      return new ExpressionError("a comma only separates the values of a function: write numbers without it (1000, or 1.5)");
    }
    return new ExpressionError(`"${token.text.slice(0, 40)}" is not expected there`);
  }

  #deeper<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new ExpressionError(`more than ${MAX_DEPTH} levels deep: compute it in parts`);
    const value = read();
    this.#depth -= 1;
    return value;
  }

  readonly #spend = (units: number): void => {
    this.#work += units;
    if (this.#work > MAX_WORK) throw new ExpressionError("the expression takes too much work: compute it in parts");
  };
}
