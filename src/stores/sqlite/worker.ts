/**
 * The thread that the SQLite store runs in: takes one call a message, in order, and answers each with one message. Owns the core; the
 * other side is `remote.ts`. It ends when it is told to close, and never by itself.
 *
 *  1. Writes that wait one after the other are one transaction: 200 cancels at once cost one fsync and not 200. Each is answered when
 *     that transaction was committed.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { type ErrorBody, EscapementError } from "../../protocol/errors.ts";
import type { Calls } from "../sql/calls.ts";
import { SqliteCore } from "./core.ts";
import { isStoreFailure, storeError } from "./errors.ts";
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

/** Calls in one transaction at most, so that the first of them is answered within milliseconds. */
const maxTogether = 256;

port.on("message", (first: CallMessage) => {
  const calls = [first];
  // What was sent meanwhile; `remote.ts` sends nothing else.
  for (let more = receiveMessageOnPort(port); more; more = receiveMessageOnPort(port)) calls.push(more.message as CallMessage);
  for (let from = 0; from < calls.length; ) {
    let to = from + 1;
    if (isWrite(calls[from])) while (to < from + maxTogether && isWrite(calls[to])) to++;
    const part = calls.slice(from, to);
    for (const reply of part.length > 1 ? together(part) : part.map(answer)) port.postMessage(reply);
    if (calls[from]?.[1] === "close") port.close();
    from = to;
  }
});

const isWrite = (message: CallMessage | undefined): boolean => message?.[1] === "commit" || message?.[1] === "message";

function answer([id, method, args]: CallMessage): ReplyMessage {
  try {
    return [id, call(method, args)];
  } catch (error) {
    return [id, null, storeError(error, `store: ${method}`).body];
  }
}

function together(calls: readonly CallMessage[]): ReplyMessage[] {
  try {
    core ??= new SqliteCore(path, options);
    return core.together(() =>
      calls.map((message) => {
        const reply = answer(message);
        // SQLite may have ended the transaction itself: nothing more may be written in it.
        if (reply[2] && isStoreFailure(EscapementError.from(reply[2]))) throw EscapementError.from(reply[2]);
        return reply;
      }),
    );
  } catch (error) {
    const { body } = storeError(error, "store: commit");
    return calls.map(([id]) => [id, null, body]);
  }
}

function call(method: keyof Calls | "close", args: readonly unknown[]): unknown {
  if (method === "close") return core?.close();
  // Opened by the first call, and again by the next one where that failed: a store whose folder appears later is then there.
  core ??= new SqliteCore(path, options);
  // `remote.ts` sends the arguments of this very method.
  return (core[method] as (...args: readonly unknown[]) => unknown)(...args);
}
