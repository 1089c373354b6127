/** Sums over calls, in one transaction's snapshot. The statement is every SQL store's (`sql/usage.ts`). */
import { checkCount, countSql, type Dialect, type PackedUsage, quantiles, usageSql } from "../sql/usage.ts";
import type { UsageQuery } from "../store.ts";
import type { Database } from "./database.ts";
import { restored, storable } from "./text.ts";

export class UsageReads {
  readonly #database: Database;
  readonly #dialect: Dialect;

  constructor(database: Database) {
    this.#database = database;
    this.#dialect = {
      table: `${database.schema}.calls`,
      parameter: (n) => `$${n}`,
      sum: (column) => `least(coalesce(sum(${column}), 0), ${Number.MAX_SAFE_INTEGER})::bigint`,
      quantiles: (column) => `to_json(percentile_disc(array[${quantiles}]) within group (order by ${column}))::text`,
    };
  }

  async usage({ tenant, user, ...rest }: UsageQuery): Promise<PackedUsage[]> {
    const asked = { ...rest, tenant: storable(tenant), ...(user !== undefined && { user: user === null ? null : storable(user) }) };
    const count = countSql(this.#dialect, asked);
    checkCount((await this.#database.query<[number]>(count.text, count.values))[0]?.[0] ?? 0);
    const { text, values } = usageSql(this.#dialect, asked);
    const rows = await this.#database.query<PackedUsage>(text, values);
    return rows.map(([isTotal, group, ...figures]) => [isTotal, typeof group === "string" ? restored(group) : group, ...figures]);
  }
}
