/** Runs, money, inbox and timers in a schema of one Postgres database, shared by any number of processes. The parts are in `postgres/`. */
import { PostgresCore } from "./postgres/core.ts";
import type { PostgresOptions } from "./postgres/options.ts";
import { type Call, storeOverCalls } from "./sql/store-over-calls.ts";
import type { Store } from "./store.ts";

export type { PostgresOptions } from "./postgres/options.ts";

/**
 * The store in the database that `url` names (`postgres://user:password@host:5432/database`). Its tables are made at the first call where
 * they are missing. Up to seven connections a process: one that writes turns, two for leases and claims, four that read and take messages.
 *
 * Methods reject with `EscapementError` `unavailable`: `details.reason` is `storage_full` when the server's disk is full, else `store`
 * (not reachable, restarting, a lock that is held too long, closed). All may be repeated, except `retryable: false`: the schema is of a
 * newer version. A store that is not closed does not keep the process alive. Throws `invalid_request` when `url` is none of Postgres.
 */
export function postgres(url: string, options: PostgresOptions = {}): Store {
  const core = new PostgresCore(url, options);
  // The arguments are those of this method: `Call` says so, and TypeScript cannot follow the union.
  const call: Call = (method, ...args) => (core[method] as (...args: unknown[]) => unknown)(...args) as ReturnType<Call> as never;
  return storeOverCalls(call, () => core.close());
}
