/** Runs, money, inbox and timers in one SQLite file, or in memory. The parts are in `sqlite/`. */
import { type Call, storeOverCalls } from "./sql/store-over-calls.ts";
import { SqliteCore } from "./sqlite/core.ts";
import { Remote } from "./sqlite/remote.ts";
import type { SqliteOptions } from "./sqlite/schema.ts";
import type { Store } from "./store.ts";

export type { SqliteOptions } from "./sqlite/schema.ts";

/**
 * The store in one file, made with its folder when missing, or in memory (`:memory:`). The SQL runs in a thread of its own, so a commit's
 * fsync delays no other work; several processes may open the same file.
 *
 * Methods reject with `EscapementError` `unavailable`: `details.reason` is `storage_full` when the disk (or `maxBytes`) is full, else `store`
 * (file cannot be opened, locked for more than 5 s, I/O error, its thread died, closed). All may be repeated, except `retryable: false`:
 * the file is of a newer version. A store that is not closed does not keep the process alive.
 */
export function sqlite(path: string, options: SqliteOptions = {}): Store {
  const remote = new Remote(path, options);
  /** Sums over calls take up to seconds, and commits must not wait for them: a thread of their own, from the first one on. */
  let sums: Remote | undefined;
  const call: Call = (method, ...args) => {
    if (method !== "usage" || path === ":memory:" || closing) return remote.call(method, ...args);
    sums ??= new Remote(path, options);
    return sums.call(method, ...args);
  };
  let closing = false;
  return storeOverCalls(call, async () => {
    closing = true;
    await Promise.all([remote.close(), sums?.close()]);
  });
}

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
