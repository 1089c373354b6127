import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json } from "../../../src/protocol/json.ts";
import type { ToolContext } from "../../../src/runtime/tool.ts";
import { statistics } from "../../../tools/compute/index.ts";

const context: ToolContext = { run: "run_1", key: "k", signal: new AbortController().signal, progress() {}, data() {} };
type Described = {
  n: number;
  mean: string;
  median: string;
  stdev?: string;
  min: string;
  max: string;
  quantiles: { [share: string]: string };
};
const of = (columns: { [name: string]: (number | string)[] }, more: object = {}) => {
  const lists = Object.entries(columns).map(([name, values]) => ({ name, values }));
  return statistics.run({ lists, ...more }, context) as { lists: Described[]; correlations?: { of: string[]; r: string | null }[] };
};

describe("statistics", () => {
  it("describes a list", () => {
    expect(of({ a: [2, 4, 4, 4, 5, 5, 7, 9] }).lists[0]).toEqual({
      name: "a",
      n: 8,
      sum: "40",
      mean: "5",
      median: "4.5",
      quantiles: { "0.25": "4", "0.5": "4.5", "0.75": "5.5" },
      stdev: "2.1380899352993950775",
      min: "2",
      max: "9",
    });
    expect(of({ a: [7] }).lists[0]).toMatchObject({ n: 1, mean: "7", median: "7" });
    expect(of({ a: [7] }).lists[0]).not.toHaveProperty("stdev");
    expect(of({ a: [1, 2, 3, 4] }, { quantiles: [0, 0.9, 1] }).lists[0]?.quantiles).toEqual({ "0": "1", "0.9": "3.7", "1": "4" });
  });

  it("is exact where binary numbers are not", () => {
    expect(of({ a: ["0.1", "0.2", "0.3"] }).lists[0]).toMatchObject({ sum: "0.6", mean: "0.2", stdev: "0.1" });
    expect(of({ a: ["1e20", "1", "-1e20"] }).lists[0]).toMatchObject({ sum: "1" });
  });

  it("correlates each two lists of one length", () => {
    const { correlations } = of({ x: [1, 2, 3], y: [2, 4, 6], z: [3, 2, 1], flat: [1, 1, 1], short: [1, 2] });
    expect(correlations).toEqual([
      { of: ["x", "y"], r: "1" },
      { of: ["x", "z"], r: "-1" },
      { of: ["x", "flat"], r: null },
      { of: ["y", "z"], r: "-1" },
      { of: ["y", "flat"], r: null },
      { of: ["z", "flat"], r: null },
    ]);
    expect(of({ x: [1, 2] })).not.toHaveProperty("correlations");
  });

  it("keeps the order of min, quantiles and max, whatever the numbers", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e15, max: 1e15 }), { minLength: 1, maxLength: 30 }), (values) => {
        const { min, max, quantiles, n } = of({ a: values }).lists[0] as Described;
        const order = [min, quantiles["0.25"], quantiles["0.5"], quantiles["0.75"], max].map(Number);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect([n, Number(min), Number(max)]).toEqual([values.length, Math.min(...values) + 0, Math.max(...values) + 0]);
      }),
      { numRuns: 50 },
    );
  });

  it("tells what it does not take", () => {
    for (const values of [[], ["1,000"], [null], ["NaN"], ["1e9999"], 7])
      expect(statistics.parse({ lists: [{ name: "a", values }] } as Json)).toMatchObject({ ok: false });
    expect(statistics.parse({ lists: [] })).toMatchObject({ ok: false });
    expect(() => of({ a: new Array(3_000).fill(1), b: new Array(3_000).fill(1) })).toThrow(
      "there are 6000 numbers, at most 5,000 are taken",
    );
  });
});
