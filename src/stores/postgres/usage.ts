/** Sums over calls, and the deletion of old ones. The statement is every SQL store's (`sql/usage.ts`). */
import { checkCount, countSql, type Dialect, type PackedUsage, quantiles, tenantsSql, usageSql } from "../sql/usage.ts";
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

  /** At most `limit`; how many were deleted. */
  async purgeCalls(before: number, limit: number): Promise<number> {
    const { table } = this.#dialect;
    const deleted = await this.#database.query(
      `delete from ${table} where ctid = any(array(
         ${tenantsSql(table)} select c.ctid from tenants t join ${table} c on c.tenant = t.tenant where c.at < $1 limit $2)) returning 1`,
      [before, limit],
    );
    return deleted.length;
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
