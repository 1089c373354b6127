/**
 * The calling side of the store's thread. Owns the worker and the promises of calls under way.
 *
 *  1. Every call settles: by its reply, by the worker's death, or at once when the store is closed.
 *  2. The process is kept alive by calls under way, and by nothing else here.
 *  3. A file survives its worker's death: the next call starts another. What was in memory is gone with it.
 */
import { Worker } from "node:worker_threads";
import { EscapementError } from "../../protocol/errors.ts";
import type { Call } from "../sql/store-over-calls.ts";
import { storeGone } from "./errors.ts";
import type { SqliteOptions } from "./schema.ts";
import type { CallMessage, ReplyMessage, WorkerData } from "./worker.ts";

type Pending = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };

/** Beside this file, and compiled like it. */
const workerFile = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);

export class Remote {
  readonly #data: WorkerData;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | null;
  #nextId = 1;
  /** Why no call can be made any more. */
  #gone: EscapementError | null = null;
  #closing: Promise<void> | null = null;

  constructor(path: string, options: SqliteOptions) {
    this.#data = { path, options };
    this.#worker = this.#start();
  }

  readonly call: Call = (method, ...args) => {
    if (this.#gone) return Promise.reject(this.#gone);
    // The reply to a method is what the core's method of that name returns.
    return this.#send(method, args) as Promise<never>;
  };

  readonly close = (): Promise<void> => {
    this.#closing ??= this.#close();
    return this.#closing;
  };

  async #close(): Promise<void> {
    const worker = this.#worker;
    this.#gone ??= storeGone("the store is closed");
    if (!worker) return;
    const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    // Calls made before are carried out before. A worker that dies meanwhile has closed its file too.
    await this.#send("close", []).catch(() => {});
    worker.ref();
    await exited;
  }

  #send(method: CallMessage[1], args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#worker ??= this.#start();
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject });
      if (this.#pending.size === 1) this.#worker.ref();
      try {
        this.#worker.postMessage([id, method, args] satisfies CallMessage);
      } catch (error) {
        // Arguments that cannot be cloned: the caller's defect.
        this.#settle(id)?.reject(new EscapementError("internal", `store: ${method}: ${String(error)}`));
      }
    });
  }

  #start(): Worker {
    // None of the process's flags: the thread needs none, and some (`--input-type`) would keep it from starting.
    const worker = new Worker(workerFile, { workerData: this.#data, name: "escapement-store", execArgv: [] });
    worker.unref();
    let cause = "";
    worker.on("message", ([id, value, error]: ReplyMessage) => {
      const pending = this.#settle(id);
      if (error) pending?.reject(EscapementError.from(error));
      else pending?.resolve(value);
    });
    worker.on("error", (error: unknown) => {
      cause = `: ${error instanceof Error ? error.message : String(error)}`;
    });
    worker.on("exit", () => this.#died(worker, cause));
    return worker;
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker?.unref();
    return pending;
  }

  #died(worker: Worker, cause: string): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    if (this.#data.path === ":memory:") this.#gone ??= storeGone(`the thread of the in-memory store died${cause}: what it held is lost`);
    const lost = storeGone(`the store's thread died${cause}: whether this was written is not known`);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(lost);
  }
}
