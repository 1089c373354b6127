/**
 * Files are read in a thread: parsing is hours of CPU for a file that was made for it, and memory. Owns the thread and its limits; what it
 * does is `reader-worker.ts`.
 *
 *  1. One document at a time, {@link readMs} each and {@link memoryMb} of memory; the thread of one that takes more is ended, and the next
 *     document gets a new one.
 *  2. `read` rejects with a reason for people; it says nothing about other documents.
 */
import { Worker } from "node:worker_threads";
import type { Chunk, ChunkOptions } from "./chunks.ts";
import { UnreadableDocument } from "./content.ts";

/** To the thread, and back. */
export type ReadMessage = { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer>; readonly chunk: ChunkOptions };
export type ReadDocument = { readonly title?: string; readonly chunks: readonly Chunk[] };
export type ReadReply = { readonly document: ReadDocument } | { readonly unreadable: string };

const readMs = 60_000;
const memoryMb = 1_024;

const workerFile = new URL(import.meta.url.endsWith(".ts") ? "./reader-worker.ts" : "./reader-worker.js", import.meta.url);

export class DocumentReader {
  #worker: Worker | undefined;
  #settle: ((reply: ReadReply) => void) | undefined;
  readonly #limitMs: number;

  /** `limitMs` of one document; 60,000. */
  constructor(limitMs = readMs) {
    this.#limitMs = limitMs;
  }

  /** The bytes are the reader's from here on. Called again once it has settled. */
  async read(message: ReadMessage): Promise<ReadDocument> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const { promise, resolve } = Promise.withResolvers<ReadReply>();
    this.#settle = resolve;
    const late = `it takes longer to read than ${this.#limitMs} ms`;
    const timer = setTimeout(() => this.#end(worker, late), this.#limitMs);
    worker.postMessage(message, [message.bytes.buffer]);
    const reply = await promise;
    clearTimeout(timer);
    if ("document" in reply) return reply.document;
    throw new UnreadableDocument(reply.unreadable);
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker) await this.#end(worker, "reading it was stopped");
  }

  #start(): Worker {
    const worker = new Worker(workerFile, {
      name: "escapement-documents",
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: memoryMb },
    });
    worker.on("message", (reply: ReadReply) => this.#settle?.(reply));
    worker.on("error", () => this.#end(worker, "reading it failed, or takes too much memory"));
    worker.on("exit", () => this.#end(worker, "reading it failed"));
    return worker;
  }

  /** The thread is done with; what it was to read is unreadable. */
  async #end(worker: Worker, unreadable: string): Promise<void> {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    this.#settle?.({ unreadable });
    await worker.terminate();
  }
}
