/**
 * The numbers of the calculator: decimals of decimal.js with 96 digits, of which {@link DIGITS} are given, all within 1e±1000.
 */
import { Decimal as Library } from "decimal.js";

/** Digits of a result. */
export const DIGITS = 64;

// The remainder has the divisor's sign, as in mathematics: -7 mod 3 is 2.
export const Decimal = Library.clone({ precision: 96, modulo: Library.ROUND_FLOOR, toExpNeg: -20, toExpPos: DIGITS });
export type Decimal = Library;

/** What is wrong with an expression, said to the model that wrote it. */
export class ExpressionError extends Error {
  override name = "ExpressionError";
}

const LARGEST = new Decimal("1e1000");
const SMALLEST = new Decimal("1e-1000");

/** The value, if it is a number within the bounds: every value on the way passes here, so no operation meets one that takes long. */
export function checked(value: Decimal): Decimal {
  if (!value.isFinite()) throw new ExpressionError("the result is not a finite real number");
  if (value.isZero()) return value;
  const size = value.abs();
  if (size.greaterThan(LARGEST)) throw new ExpressionError("a value on the way is larger than 1e1000, which is the limit");
  if (size.lessThan(SMALLEST)) throw new ExpressionError("a value on the way is nearer to 0 than 1e-1000, which is the limit");
  return value;
}
