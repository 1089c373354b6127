/**
 * What `usage` asks an SQL store, and what its rows say. One statement gives the total and the groups, so they are of one instant; a store
 * adds how its SQL says a parameter, a sum and quantiles.
 *
 *  1. Its work is bounded: it is asked only after {@link countSql} has found that no more than {@link maxCalls} rows are looked at.
 *  2. A sum beyond what a number counts exactly is told as the largest that it does.
 */
import { EscapementError } from "../../protocol/errors.ts";
import type { UsageGroup } from "../../protocol/usage.ts";
import type { GroupUsage, Usage, UsageQuery } from "../store.ts";

/** Rows that one query may look at. */
export const maxCalls = 250_000;
export const quantiles: readonly number[] = [0.5, 0.95, 0.99];

export type Dialect = {
  /** With its schema. */
  readonly table: string;
  /** From 1. */
  readonly parameter: (n: number) => string;
  /** At most 2^53 - 1; 0 of nothing. */
  readonly sum: (column: string) => string;
  /** Of the rows that have a value, as a JSON array; null where none has. */
  readonly quantiles: (column: string) => string;
};
type Statement = { readonly text: string; readonly values: (string | number)[] };

const hourMs = 3_600_000;
const groupOf = (by: UsageGroup): string => {
  if (by === "hour" || by === "day") return `at - at % ${by === "hour" ? hourMs : 24 * hourMs}`;
  return `"${by}"`;
};

/** The tenants that have calls, each found by one look into the index: `tenants`. */
export const tenantsSql = (table: string): string => `with recursive tenants(tenant) as (
  select min(tenant) from ${table} union all
  select (select min(tenant) from ${table} where tenant > t.tenant) from tenants t where t.tenant is not null)`;

/** How many calls of the tenant are in the time; counts no further than {@link maxCalls} and one. */
export function countSql({ table, parameter }: Dialect, { tenant, from, to }: UsageQuery): Statement {
  const [p1, p2, p3, p4] = [1, 2, 3, 4].map(parameter);
  return {
    text: `select count(*) from (select 1 from ${table} where tenant = ${p1} and at >= ${p2} and at < ${p3} limit ${p4}) counted`,
    values: [tenant, from, to, maxCalls + 1],
  };
}

export function checkCount(calls: number): void {
  if (calls <= maxCalls) return;
  throw new EscapementError("invalid_request", `there are more than ${maxCalls} calls in this time: ask for a shorter one`, {
    details: { path: "from" },
  });
}

/** Its rows are {@link PackedUsage}: the total first, then the groups in their order. */
export function usageSql({ table, parameter, sum, quantiles }: Dialect, { tenant, user, by, from, to, limit }: UsageQuery): Statement {
  const values: (string | number)[] = [tenant, from, to, limit];
  const [p1, p2, p3, p4] = values.map((_, i) => parameter(i + 1));
  const conditions = [`tenant = ${p1}`, `at >= ${p2}`, `at < ${p3}`];
  if (user === null) conditions.push('"user" is null');
  else if (user !== undefined) conditions.push(`"user" = ${parameter(values.push(user))}`);
  const figures = [
    "count(*) as calls",
    "count(error)",
    ...["fell_back", "retry", "cached", "estimated", "input_tokens", "cached_tokens", "output_tokens"].map(sum),
    `${sum("cost_nano")} as cost`,
    sum("saved_nano"),
    quantiles("duration_ms"),
    quantiles("ttft_ms"),
  ].join(", ");
  const rows = `from ${table} where ${conditions.join(" and ")}`;
  const isTime = by === "hour" || by === "day";
  const text = `select 1, null, ${figures} ${rows}
    union all select * from (
      select 0, ${groupOf(by)} as name, ${figures} ${rows} group by name
      order by ${isTime ? "name" : "cost desc, calls desc, name nulls first"} limit ${p4}) grouped
    order by 1 desc, ${isTime ? "2" : "12 desc, 3 desc, 2 nulls first"}`;
  return { text, values };
}

export type PackedUsage = [
  isTotal: number,
  group: string | number | null,
  calls: number,
  errors: number,
  fallbacks: number,
  retries: number,
  cached: number,
  estimated: number,
  inputTokens: number,
  cachedTokens: number,
  outputTokens: number,
  costNano: number,
  savedNano: number,
  durationMs: string | null,
  ttftMs: string | null,
];

export function usageOf(rows: readonly PackedUsage[]): { readonly total: Usage; readonly groups: readonly GroupUsage[] } {
  const [total, ...groups] = rows.map(([, group, calls, errors, fallbacks, retries, cached, estimated, ...rest]) => {
    const [inputTokens, cachedTokens, outputTokens, costNano, savedNano, durationMs, ttftMs] = rest;
    const usage: Usage = {
      calls,
      errors,
      fallbacks,
      retries,
      cached,
      estimated,
      inputTokens,
      cachedTokens,
      outputTokens,
      costNano,
      savedNano,
      durationMs: read(durationMs),
      ttftMs: read(ttftMs),
    };
    return { group, usage };
  });
  // The statement's first row is there even when no call is.
  return { total: (total as { usage: Usage }).usage, groups: groups.map(({ group, usage }) => ({ group, ...usage })) };
}

/** Written by the store's own aggregate. */
const read = (json: string | null): readonly number[] | null => (json === null ? null : (JSON.parse(json) as number[]));
