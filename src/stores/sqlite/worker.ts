/**
 * The thread that the SQLite store runs in: takes one call a message, in order, and answers each with one message. Owns the core; the
 * other side is `remote.ts`. It ends when it is told to close, and never by itself.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { ErrorBody } from "../../protocol/errors.ts";
import { type Calls, SqliteCore } from "./core.ts";
import { storeError } from "./errors.ts";
import type { SqliteOptions } from "./schema.ts";

export type WorkerData = { readonly path: string; readonly options: SqliteOptions };
/** A call, or `close`. */
export type CallMessage = readonly [id: number, method: keyof Calls | "close", args: readonly unknown[]];
export type ReplyMessage = readonly [id: number, value: unknown, error?: ErrorBody];

if (!parentPort) throw new Error("worker.ts is started by remote.ts as a worker thread");
const port = parentPort;
// Made by `remote.ts`.
const { path, options } = workerData as WorkerData;

let core: SqliteCore | undefined;

port.on("message", ([id, method, args]: CallMessage) => {
  let reply: ReplyMessage;
  try {
    reply = [id, call(method, args)];
  } catch (error) {
    reply = [id, null, storeError(error, `store: ${method}`).body];
  }
  port.postMessage(reply);
  if (method === "close") port.close();
});

function call(method: keyof Calls | "close", args: readonly unknown[]): unknown {
  if (method === "close") return core?.close();
  // Opened by the first call, and again by the next one where that failed: a store whose folder appears later is then there.
  core ??= new SqliteCore(path, options);
  // `remote.ts` sends the arguments of this very method.
  return (core[method] as (...args: readonly unknown[]) => unknown)(...args);
}
