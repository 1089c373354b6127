/**
 * An amount of money, or a sum of them: a whole number of nano-dollars from 0 to 2^53 - 1. Throws for anything else. NaN would pass every
 * comparison with a limit, a fraction would never settle to zero, and a larger number is wrong by single nano-dollars, silently.
 */
export function amount(name: string, nano: number, meter?: string): number {
  if (!Number.isSafeInteger(nano) || nano < 0)
    throw new RangeError(
      `${name}${meter === undefined ? "" : ` of ${meter}`} is ${nano}: an amount is a whole number of nano-dollars from 0 to 2^53 - 1`,
    );
  return nano;
}
