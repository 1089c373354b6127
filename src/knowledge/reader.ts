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
  readonly #limitMs: number;

  /** `limitMs` of one document; 60,000. */
  constructor(limitMs = readMs) {
    this.#limitMs = limitMs;
  }

  /** The bytes are the reader's from here on. Called again once it has settled. */
  async read(message: ReadMessage): Promise<ReadDocument> {
    this.#worker ??= new Worker(workerFile, {
      name: "escapement-documents",
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: memoryMb },
    });
    const worker = this.#worker;
    const { promise, resolve, reject } = Promise.withResolvers<ReadReply>();
    const failed = (what: string) => () => reject(new UnreadableDocument(what));
    const timer = setTimeout(failed(`it takes longer to read than ${this.#limitMs} ms`), this.#limitMs);
    worker.once("message", resolve);
    worker.once("error", failed("reading it failed, or takes too much memory"));
    worker.once("exit", failed("reading it was ended"));
    try {
      worker.postMessage(message, [message.bytes.buffer]);
      const reply = await promise;
      if ("document" in reply) return reply.document;
      throw new UnreadableDocument(reply.unreadable);
    } catch (error) {
      // A thread that is late or has failed is done; what it could not read is a reply.
      if (!(await isReply(promise))) await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
      worker.removeAllListeners();
      // What a thread says that is ended already is nobody's.
      worker.on("error", () => {});
    }
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

const isReply = (promise: Promise<unknown>): Promise<boolean> =>
  promise.then(
    () => true,
    () => false,
  );
