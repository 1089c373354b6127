/** The tool `statistics`: what describes lists of numbers, computed with the calculator's decimals. */
import { z } from "zod";
// The one place of this file that imports `tool`; it becomes the public entry point.
import { tool } from "../../src/runtime/tool.ts";
import { Decimal } from "./decimal.ts";

const maxValues = 5_000;
const maxLists = 20;
/** Digits of what is given: more than any measurement has, fewer than the calculator's. */
const digits = 20;

const value = z.union([
  z.number(),
  z
    .string()
    .regex(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i, "a decimal number")
    .max(100),
]);

export const statistics = tool({
  name: "statistics",
  description:
    "Describes lists of numbers: n, sum, mean, median, quartiles and other quantiles, sample standard deviation, min, max; " +
    "for several lists of one length also the correlation of each two. Use it instead of computing such figures yourself.",
  class: "pure",
  input: z.strictObject({
    lists: z
      .array(z.strictObject({ name: z.string().min(1).max(100), values: z.array(value).min(1).max(maxValues) }))
      .min(1)
      .max(maxLists)
      .describe('Such as [{"name": "height", "values": [1.8, 1.7]}, {"name": "weight", "values": [80, 71]}].'),
    quantiles: z.array(z.number().min(0).max(1)).max(20).optional().describe("0.25, 0.5 and 0.75 without it."),
  }),
  timeoutMs: 10_000,
  run: ({ lists: given, quantiles = [0.25, 0.5, 0.75] }) => {
    const lists = given.map(({ name, values }) => ({ name, values: values.map((each) => new Decimal(each)) }));
    const total = lists.reduce((sum, { values }) => sum + values.length, 0);
    if (total > maxValues) throw new Error(`there are ${total} numbers, at most ${maxValues.toLocaleString("en-US")} are taken`);
    const correlations = correlationsOf(lists);
    return {
      lists: lists.map(({ name, values }) => ({ name, ...described(values, quantiles) })),
      ...(correlations.length > 0 && { correlations }),
    };
  },
});

const said = (number: Decimal): string => number.toSignificantDigits(digits).toString();
const sumOf = (values: readonly Decimal[]): Decimal => values.reduce((sum, each) => sum.plus(each), new Decimal(0));
const square = (value: Decimal): Decimal => value.times(value);
const meanOf = (values: readonly Decimal[]): Decimal => sumOf(values).div(values.length);

function described(values: readonly Decimal[], quantiles: readonly number[]) {
  const sorted = values.toSorted((a, b) => a.comparedTo(b));
  const mean = meanOf(values);
  const squares = sumOf(values.map((each) => square(each.minus(mean))));
  return {
    n: values.length,
    sum: said(sumOf(values)),
    mean: said(mean),
    median: said(quantile(sorted, 0.5)),
    quantiles: Object.fromEntries(quantiles.map((each) => [String(each), said(quantile(sorted, each))])),
    // Of one value there is none.
    ...(values.length > 1 && { stdev: said(squares.div(values.length - 1).sqrt()) }),
    min: said(quantile(sorted, 0)),
    max: said(quantile(sorted, 1)),
  };
}

/** Between the two values around it, in proportion, as spreadsheets do (type 7 of Hyndman and Fan). */
function quantile(sorted: readonly Decimal[], share: number): Decimal {
  const at = new Decimal(share).times(sorted.length - 1);
  const below = at.floor().toNumber();
  // A share is within 0 and 1, so `below` is an index.
  const low = sorted[below] as Decimal;
  const high = sorted[below + 1] ?? low;
  return low.plus(high.minus(low).times(at.minus(below)));
}

type List = { readonly name: string; readonly values: readonly Decimal[] };

/** Pearson's, of each two lists of one length above 1; null where a list does not vary. */
function correlationsOf(lists: readonly List[]): { readonly of: readonly [string, string]; readonly r: string | null }[] {
  const deviations = lists.map(({ name, values }) => {
    const mean = meanOf(values);
    const each = values.map((one) => one.minus(mean));
    return { name, each, squares: sumOf(each.map((one) => square(one))) };
  });
  return deviations.flatMap((a, index) =>
    deviations.slice(index + 1).flatMap((b) => {
      if (a.each.length !== b.each.length || a.each.length < 2) return [];
      const isFlat = a.squares.isZero() || b.squares.isZero();
      const product = sumOf(a.each.map((one, at) => one.times(b.each[at] as Decimal)));
      return [{ of: [a.name, b.name] as const, r: isFlat ? null : said(product.div(a.squares.times(b.squares).sqrt())) }];
    }),
  );
}
