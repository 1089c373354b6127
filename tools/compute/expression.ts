/**
 * Arithmetic on exact decimals: reads an expression and computes it in one pass.
 *
 * Owns the language (numbers, + - * / ^ ! %, `mod`, `of`, calls); what can be called is `functions.ts`, the numbers are `decimal.ts`.
 * There is no evaluator behind it and nothing to escape to: no names but the tables of `functions.ts`, no assignment, no strings, no lists.
 *
 *  1. Computed with 96 digits, given with 64, so that results of exact arithmetic have no noise in their last digits.
 *  2. Every value stays within 1e±1000, so no operation can take long: 9^9^9^9 is refused, not computed.
 *  3. At most 1,000 characters, 100 levels, and {@link MAX_WORK} units of work (a multiplication is 1, a sine 20).
 *
 * Percent: `12.5%` is 0.125; after + and - it is a part of what stands before it (`200 - 10%` is 180, as on every calculator);
 * `12.5% of 8460` multiplies. Where an operand follows, `%` is the remainder (`7 % 3`).
 */
import { checked, Decimal, DIGITS, ExpressionError } from "./decimal.ts";
import { constants, divide, functions, type Operation, power, product, remainder } from "./functions.ts";

export { ExpressionError } from "./decimal.ts";

const MAX_LENGTH = 1_000;
const MAX_DEPTH = 100;
const MAX_WORK = 1_000;

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
