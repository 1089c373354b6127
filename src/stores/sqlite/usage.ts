/** Sums over calls. Owns the aggregate that SQLite lacks; the statement is every SQL store's (`sql/usage.ts`). */
import type { DatabaseSync } from "node:sqlite";
import { checkCount, countSql, type Dialect, type PackedUsage, quantiles, usageSql } from "../sql/usage.ts";
import type { UsageQuery } from "../store.ts";
import { query } from "./schema.ts";

const dialect: Dialect = {
  table: "calls",
  parameter: (n) => `?${n}`,
  sum: (column) => `min(coalesce(sum(${column}), 0), ${Number.MAX_SAFE_INTEGER})`,
  quantiles: (column) => `quantiles(${column})`,
};

type Gathering = {
  readonly start: () => number[];
  readonly step: (values: number[], value: unknown) => number[];
  readonly result: (values: number[]) => string | null;
};

export class UsageReads {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    // What is gathered is any value to Node; its types know only SQL's.
    const aggregate = db.aggregate.bind(db) as (name: string, options: Gathering) => void;
    aggregate("quantiles", {
      start: () => [],
      step: (values, value) => {
        if (typeof value === "number") values.push(value);
        return values;
      },
      result: (values) => (values.length === 0 ? null : JSON.stringify(nearestRanks(values))),
    });
  }

  usage(asked: UsageQuery): PackedUsage[] {
    const count = countSql(dialect, asked);
    checkCount(query<[number]>(this.#db, count.text).get(...count.values)?.[0] ?? 0);
    const { text, values } = usageSql(dialect, asked);
    return query<PackedUsage>(this.#db, text).all(...values);
  }
}

function nearestRanks(values: readonly number[]): number[] {
  const sorted = Float64Array.from(values).sort();
  return quantiles.map((part) => sorted[Math.ceil(part * sorted.length) - 1] as number);
}
