import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { Tool, ToolContext } from "../../../src/runtime/tool.ts";
import { data } from "../../../tools/data/index.ts";
import { answerOf } from "../../../tools/data/query.ts";

const context: ToolContext = { run: "run_1", key: "k", signal: new AbortController().signal, progress() {}, data() {} };
const root = mkdtempSync(join(tmpdir(), "escapement-data-"));
afterAll(() => rmSync(root, { recursive: true }));
const [tool] = data({ root }) as [Tool];
type Answer = { columns: string[]; rows: unknown[][]; total_rows: number; cut?: string };
const ask = async (file: string, query: object = {}): Promise<Answer> => {
  const parsed = tool.parse({ file, ...query });
  if (!parsed.ok) throw new Error(parsed.message);
  return (await tool.run(parsed.value, context)) as Answer;
};
const write = (name: string, text: string | Buffer): string => {
  writeFileSync(join(root, name), text);
  return name;
};

const sales = write(
  "sales.csv",
  '\ufeffregion,product,amount,note\nnorth,apple,0.1,\nnorth,pear,0.2,"with, comma"\nsouth,apple,10,\nsouth,apple,9,x\n,pear,,\n',
);

describe("reading", () => {
  it("shows the columns and first rows of a file", async () => {
    expect(await ask(sales)).toEqual({
      columns: ["region", "product", "amount", "note"],
      rows: [
        ["north", "apple", "0.1", null],
        ["north", "pear", "0.2", "with, comma"],
        ["south", "apple", "10", null],
        ["south", "apple", "9", "x"],
        [null, "pear", null, null],
      ],
      total_rows: 5,
    });
  });

  it("takes other delimiters, JSON lists, lists inside JSON, and JSON Lines", async () => {
    expect(await ask(write("semicolon.csv", "a;b\r\n1,5;2\r\n"))).toMatchObject({ columns: ["a", "b"], rows: [["1,5", "2"]] });
    expect(await ask(write("tab.tsv", "a\tb\n1\t2\n"))).toMatchObject({ rows: [["1", "2"]] });
    expect(await ask(write("same.csv", "a,a,\n1,2,3\n"))).toMatchObject({ columns: ["a", "a_2", "column_3"] });
    expect(await ask(write("list.json", '[{"a":1,"b":{"c":2}},{"d":true},3]'))).toMatchObject({
      columns: ["a", "b", "d", "value"],
      rows: [
        [1, '{"c":2}', null, null],
        [null, null, true, null],
        [null, null, null, 3],
      ],
    });
    const nested = write("nested.json", '{"data":{"items":[{"a":1}],"__proto__":[]}}');
    expect(await ask(nested, { at: "data.items" })).toMatchObject({ columns: ["a"], rows: [[1]] });
    await expect(ask(nested, { at: "data" })).rejects.toThrow('no list at "data"; there are lists at: data.items');
    await expect(ask(nested, { at: "data.constructor" })).rejects.toThrow('has nothing at "data.constructor"');
    expect(await ask(write("lines.jsonl", '{"a":1}\n\n{"a":2}\n'))).toMatchObject({ rows: [[1], [2]] });
  });

  it("says what it cannot read", async () => {
    await expect(ask(write("odd.csv", "a,b\n1,2\n3\n"))).rejects.toThrow(/odd.csv is no regular CSV: .* line 3/);
    await expect(ask(write("bad.json", "{"))).rejects.toThrow("bad.json is no JSON");
    await expect(ask(write("bad.jsonl", '{"a":1}\n{'))).rejects.toThrow("bad.jsonl, line 2, is no JSON");
    await expect(ask(write("notes.txt", "a"))).rejects.toThrow("notes.txt is no .csv");
    await expect(ask(write("bytes.csv", Buffer.from([0, 1])))).rejects.toThrow("is binary");
    await expect(ask("../sales.csv")).rejects.toThrow("cannot be used");
    symlinkSync("sales.csv", join(root, "link.csv"));
    await expect(ask("link.csv")).rejects.toThrow("is a link");
    await expect(ask(write("wide.csv", `${"a,".repeat(300)}a\n`))).rejects.toThrow("more than 200 columns");
    await expect(ask(write("long.csv", "a\n".repeat(100_010)))).rejects.toThrow("more than 100,000 rows");
  });
});

describe("queries", () => {
  it("filter: numbers as numbers, text as text, and nothing that is empty", async () => {
    const rows = async (...where: object[]) => (await ask(sales, { where, columns: ["amount"] })).rows.flat();
    expect(await rows({ column: "amount", is: ">", value: 9 })).toEqual(["10"]);
    expect(await rows({ column: "amount", is: ">=", value: "9.0" })).toEqual(["10", "9"]);
    expect(await rows({ column: "amount", is: "=", value: 0.1 })).toEqual(["0.1"]);
    expect(await rows({ column: "amount", is: "=", value: null })).toEqual([null]);
    expect(await rows({ column: "amount", is: "<", value: "word" })).toEqual([]);
    expect(await rows({ column: "region", is: "!=", value: "north" })).toEqual(["10", "9", null]);
    expect(await rows({ column: "note", is: "contains", value: "COMMA" })).toEqual(["0.2"]);
    expect(
      await rows({ column: "region", is: "in", value: ["north", null] }, { column: "product", is: "starts_with", value: "p" }),
    ).toEqual(["0.2", null]);
  });

  it("group and aggregate exactly, sort and limit", async () => {
    expect(
      await ask(sales, {
        group_by: ["region"],
        aggregate: [
          { function: "count" },
          { function: "sum", column: "amount" },
          { function: "mean", column: "amount" },
          { function: "max", column: "amount" },
        ],
        sort: [{ column: "sum(amount)", descending: true }],
      }),
    ).toEqual({
      columns: ["region", "count", "sum(amount)", "mean(amount)", "max(amount)"],
      rows: [
        ["south", 2, 19, 9.5, "10"],
        ["north", 2, 0.3, 0.15, "0.2"],
        [null, 1, null, null, null],
      ],
      total_rows: 3,
    });
    expect(
      await ask(sales, { aggregate: [{ function: "count", column: "amount" }], where: [{ column: "amount", is: ">", value: 99 }] }),
    ).toMatchObject({ rows: [[0]] });
    expect(await ask(sales, { group_by: ["product"] })).toMatchObject({
      columns: ["product", "count"],
      rows: [
        ["apple", 3],
        ["pear", 2],
      ],
    });
    expect(await ask(sales, { limit: 2, columns: ["amount"], sort: [{ column: "amount" }] })).toEqual({
      columns: ["amount"],
      rows: [["0.1"], ["0.2"]],
      total_rows: 5,
      cut: "2 of 5 rows are shown",
    });
  });

  it("say what is wrong with them", async () => {
    await expect(ask(sales, { columns: ["price"] })).rejects.toThrow(
      'there is no column "price"; there are: region, product, amount, note',
    );
    await expect(ask(sales, { columns: ["__proto__"] })).rejects.toThrow("there is no column");
    await expect(ask(sales, { aggregate: [{ function: "sum", column: "product" }] })).rejects.toThrow('sum(product): "apple" is no number');
    await expect(ask(sales, { aggregate: [{ function: "sum" }] })).rejects.toThrow("sum needs a column");
    await expect(ask(sales, { group_by: ["region"], columns: ["region"] })).rejects.toThrow("columns cannot be chosen with group_by");
    await expect(ask(sales, { where: [{ column: "amount", is: "eval", value: 1 }] })).rejects.toThrow(/Invalid option/);
    await expect(ask(sales, { sql: "select 1" })).rejects.toThrow(/sql/);
  });

  it("give no more than a model should get, and say so", async () => {
    const { rows, total_rows, cut } = await ask(write("texts.csv", `a\n${`${"x".repeat(1_000)}\n`.repeat(100)}`));
    expect([rows.length, total_rows, cut]).toEqual([24, 100, "24 of 100 rows are shown"]);
  });

  it("add up to what integers add up to", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.maxSafeInteger()), { maxLength: 20 }), (rows) => {
        const cents = rows.map(
          ([key, value]) =>
            [key, `${value < 0 ? "-" : ""}${Math.trunc(Math.abs(value) / 100)}.${String(Math.abs(value) % 100).padStart(2, "0")}`] as const,
        );
        const { rows: found } = answerOf(
          { columns: ["k", "v"], rows: cents },
          { group_by: ["k"], aggregate: [{ function: "sum", column: "v" }] },
        );
        for (const [key, sum] of found) {
          const expected = rows.filter(([each]) => each === key).reduce((total, [, value]) => total + BigInt(value), 0n);
          const [whole = "", part = ""] = String(sum).split(".");
          expect(BigInt(whole.replace("-", "") + part.padEnd(2, "0")) * (String(sum).startsWith("-") ? -1n : 1n)).toBe(expected);
        }
      }),
      { numRuns: 100 },
    );
  });
});
