/**
 * A query over a table, as data: filter, group, aggregate, sort, limit, in this order. Pure. Nothing of it is code: columns and operations
 * are looked up by name.
 *
 * Numbers are decimals, so a sum of amounts is exact. Text that is a number counts as one; two cells compare as numbers when both are.
 * An empty cell is left out of every aggregate, equals only null, and is sorted last.
 */
import { z } from "zod";
import { Decimal } from "../compute/decimal.ts";
import type { Cell, Table } from "./table.ts";

const column = z.string().min(1).max(200);
const cell = z.union([z.string().max(1_000), z.number(), z.boolean(), z.null()]);

const condition = z.strictObject({
  column,
  is: z.enum(["=", "!=", "<", "<=", ">", ">=", "contains", "starts_with", "in"]),
  value: z.union([cell, z.array(cell).max(100)]).describe('A value; for "in" a list. "contains" and "starts_with" take no notice of case.'),
});
const aggregate = z.strictObject({
  function: z.enum(["count", "sum", "mean", "min", "max"]),
  column: column.optional().describe("Of which column; count without it counts rows."),
});

export const query = z.strictObject({
  where: z.array(condition).max(20).optional().describe("All of them must hold."),
  group_by: z.array(column).max(5).optional(),
  aggregate: z.array(aggregate).min(1).max(10).optional().describe('Each gives a column such as "sum(amount)" or "count".'),
  columns: z.array(column).min(1).max(50).optional().describe("Those that are given, in this order; all without it. Not with aggregate."),
  sort: z
    .array(z.strictObject({ column, descending: z.boolean().optional() }))
    .max(5)
    .optional()
    .describe("By columns of the result."),
  limit: z.int().min(1).max(500).optional().describe("Rows; 50."),
});
export type Query = z.output<typeof query>;

/** All rows of the answer, sorted; the limit is the caller's. Throws with words for the model. */
export function answerOf(table: Table, asked: Query): Table {
  const conditions = (asked.where ?? []).map((each) => test(table, each));
  const rows = table.rows.filter((row) => conditions.every((holds) => holds(row)));
  if (asked.aggregate || asked.group_by) {
    if (asked.columns) throw new Error("columns cannot be chosen with group_by or aggregate: the result has the groups and the aggregates");
    return sorted(grouped({ ...table, rows }, asked), asked.sort);
  }
  const all = sorted({ ...table, rows }, asked.sort);
  if (!asked.columns) return all;
  const indices = asked.columns.map((name) => indexOf(table, name));
  return { columns: asked.columns, rows: all.rows.map((row) => indices.map((index) => row[index] ?? null)) };
}

function indexOf({ columns }: Pick<Table, "columns">, name: string): number {
  const index = columns.indexOf(name);
  if (index === -1) throw new Error(`there is no column "${name}"; there are: ${columns.slice(0, 50).join(", ")}`);
  return index;
}

/** Null for what is no number. */
export function numberOf(value: Cell): Decimal | null {
  if (typeof value === "number") return new Decimal(value);
  return typeof value === "string" && /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?\s*$/i.test(value) && value.length <= 100
    ? new Decimal(value.trim())
    : null;
}

/** Numbers by size and before text, text by its characters; of both, null is the caller's. */
function compare(a: Cell, b: Cell): number {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x && y) return x.comparedTo(y);
  if (x || y) return x ? -1 : 1;
  const [left, right] = [String(a), String(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

const equal = (a: Cell, b: Cell): boolean => (a === null || b === null ? a === b : compare(a, b) === 0);

function test(table: Table, { column: name, is, value }: z.output<typeof condition>): (row: readonly Cell[]) => boolean {
  const index = indexOf(table, name);
  const at = (row: readonly Cell[]): Cell => row[index] ?? null;
  if (is === "in") {
    const values = [value].flat();
    return (row) => values.some((each) => equal(at(row), each));
  }
  if (Array.isArray(value)) throw new Error(`a list of values goes with "in", not with "${is}"`);
  if (is === "=") return (row) => equal(at(row), value);
  if (is === "!=") return (row) => !equal(at(row), value);
  if (is === "contains" || is === "starts_with") {
    const wanted = String(value ?? "").toLowerCase();
    return (row) => {
      const text = String(at(row) ?? "").toLowerCase();
      return is === "contains" ? text.includes(wanted) : text.startsWith(wanted);
    };
  }
  if (value === null) throw new Error(`"${is}" compares with a value, not with null`);
  const holds = { "<": (n: number) => n < 0, "<=": (n: number) => n <= 0, ">": (n: number) => n > 0, ">=": (n: number) => n >= 0 }[is];
  return (row) => {
    const found = at(row);
    // A number and a word have no order that anybody means.
    return found !== null && (numberOf(found) === null) === (numberOf(value) === null) && holds(compare(found, value));
  };
}

function grouped(table: Table, { group_by: by = [], aggregate: wanted = [{ function: "count" }] }: Query): Table {
  const keys = by.map((name) => indexOf(table, name));
  const groups = new Map<string, { readonly key: readonly Cell[]; readonly rows: (readonly Cell[])[] }>();
  // Without groups there is one, also of no rows.
  if (keys.length === 0) groups.set("[]", { key: [], rows: [] });
  for (const row of table.rows) {
    const key = keys.map((index) => row[index] ?? null);
    const id = JSON.stringify(key);
    const group = groups.get(id);
    if (group) group.rows.push(row);
    else groups.set(id, { key, rows: [row] });
  }
  const columns = wanted.map((each) => (each.column === undefined ? each.function : `${each.function}(${each.column})`));
  const computed = wanted.map((each) => aggregation(table, each));
  return { columns: [...by, ...columns], rows: [...groups.values()].map(({ key, rows }) => [...key, ...computed.map((of) => of(rows))]) };
}

function aggregation(
  table: Table,
  { function: name, column: of }: z.output<typeof aggregate>,
): (rows: readonly (readonly Cell[])[]) => Cell {
  if (of === undefined) {
    if (name !== "count") throw new Error(`${name} needs a column`);
    return (rows) => rows.length;
  }
  const index = indexOf(table, of);
  const cells = (rows: readonly (readonly Cell[])[]): Cell[] => rows.map((row) => row[index] ?? null).filter((value) => value !== null);
  if (name === "count") return (rows) => cells(rows).length;
  if (name === "min" || name === "max") {
    const sign = name === "min" ? 1 : -1;
    return (rows) => cells(rows).reduce<Cell>((best, each) => (best === null || sign * compare(each, best) < 0 ? each : best), null);
  }
  return (rows) => {
    const values = cells(rows).map((value) => {
      const number = numberOf(value);
      if (!number)
        throw new Error(`${name}(${of}): ${JSON.stringify(String(value).slice(0, 60))} is no number; leave such rows out with where`);
      return number;
    });
    if (values.length === 0) return null;
    const sum = values.reduce((total, each) => total.plus(each));
    return said(name === "sum" ? sum : sum.div(values.length));
  };
}

/** A JSON number where that has all of it, else its digits as text. */
function said(value: Decimal): Cell {
  const short = value.toSignificantDigits(20);
  const number = short.toNumber();
  return new Decimal(number).equals(short) || !value.equals(short) ? number : short.toString();
}

function sorted(table: Table, by: Query["sort"] = []): Table {
  const keys = by.map(({ column: name, descending = false }) => ({ index: indexOf(table, name), sign: descending ? -1 : 1 }));
  if (keys.length === 0) return table;
  const rows = table.rows.toSorted((a, b) => {
    for (const { index, sign } of keys) {
      const [x, y] = [a[index] ?? null, b[index] ?? null];
      const order = x === null || y === null ? Number(x === null) - Number(y === null) : sign * compare(x, y);
      if (order !== 0) return order;
    }
    return 0;
  });
  return { ...table, rows };
}
