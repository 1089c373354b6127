/** Runs, money, inbox and timers in one SQLite file, or in memory. The parts are in `sqlite/`. */
import { SqliteCore } from "./sqlite/core.ts";
import type { SqliteOptions } from "./sqlite/schema.ts";
import { type Call, storeOverCalls } from "./sqlite/store-over-calls.ts";
import type { Store } from "./store.ts";

export type { SqliteOptions } from "./sqlite/schema.ts";

/**
 * The same store in the caller's thread: each method has done its work when it returns, and its promise is settled already. For simulations
 * and tests that need one order of events; in a server it would block the event loop for each commit (milliseconds, with its fsync).
 * Throws `unavailable` when the file cannot be opened.
 */
export const sqliteInThread = (path: string, options?: SqliteOptions): Store => storeOfCore(new SqliteCore(path, options));

/** The store over a core that is called in this thread. */
export function storeOfCore(core: SqliteCore): Store {
  const call: Call = (method, ...args) => {
    try {
      // The arguments are those of this method: `Call` says so, and TypeScript cannot follow the union.
      return Promise.resolve((core[method] as (...args: unknown[]) => unknown)(...args)) as ReturnType<Call> as never;
    } catch (error) {
      return Promise.reject(error);
    }
  };
  return storeOverCalls(call, async () => core.close());
}
