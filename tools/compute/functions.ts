/** Constants and functions of the calculator, each with what it costs. The numbers and their bounds are `decimal.ts`. */
import { checked, Decimal, DIGITS, ExpressionError } from "./decimal.ts";

/** Results of trigonometry nearer to 0 than this are 0: sin(pi) is, and pi is only known to 96 digits. */
const NOISE = new Decimal("1e-80");
/** A tangent above this is a pole that rounding missed. */
const POLE = new Decimal("1e40");
const PI = Decimal.acos(-1);
const E = Decimal.exp(1);

export const constants: { readonly [name: string]: Decimal } = {
  pi: PI,
  tau: PI.times(2),
  e: E,
  phi: new Decimal(5).sqrt().plus(1).div(2),
  /** `sin(30 deg)`. */
  deg: PI.div(180),
};

export type Operation = {
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

export const functions: { readonly [name: string]: Operation } = {
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

export function power(base: Decimal, exponent: Decimal): Decimal {
  if (base.isZero() && exponent.isNegative()) throw new ExpressionError("division by zero");
  // The size of the result is known before it is computed: roughly from the base's exponent, else exactly from its logarithm.
  const tooLarge = (log10: Decimal | number): boolean => exponent.abs().times(log10).greaterThan(1000);
  if (!base.isZero() && tooLarge(Math.abs(base.e) + 1) && tooLarge(base.abs().log(10).abs())) {
    throw new ExpressionError("a power on the way is beyond 1e±1000, which is the limit");
  }
  return base.pow(exponent);
}

export function remainder(x: Decimal, divisor: Decimal): Decimal {
  if (divisor.isZero()) throw new ExpressionError("division by zero");
  return x.mod(divisor);
}

export function divide(x: Decimal, divisor: Decimal): Decimal {
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
export function product(n: Decimal, count: Decimal, spend: (units: number) => void): Decimal {
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
