/**
 * From the bytes of an answer to the text of a page.
 *
 *  1. HTML is read in a thread of its own, which ends with the page: a hostile page can keep a parser busy for minutes and fill its memory.
 *  2. At most {@link maxThreads} threads read at once, each for at most {@link limitMs}; others wait for their turn, within their own time.
 */
import { Worker } from "node:worker_threads";
import type { EgressAnswer } from "../../src/safety/egress.ts";

export type Page = { readonly title: string; readonly text: string };
/** To the thread, as its data. */
export type PageSource = { readonly html: string; readonly url: string };
/** And back. */
export type PageReply = Page | { readonly error: string };

const maxThreads = 2;
const limitMs = 10_000;
const maxMemoryMb = 256;

/** Beside this file, and compiled like it. */
const workerFile = new URL(import.meta.url.endsWith(".ts") ? "./page-worker.ts" : "./page-worker.js", import.meta.url);

export async function readPage({ body, headers, url }: EgressAnswer, signal: AbortSignal): Promise<Page> {
  const type = headers["content-type"] ?? "";
  const isHTML = /^\s*(text\/html|application\/xhtml\+xml)/i.test(type);
  const text = decode(body, type, isHTML);
  return isHTML ? inThread({ html: text, url }, signal) : { title: "", text };
}

/** By the header's charset, else by the page's own word for it, else UTF-8. */
function decode(body: Buffer, type: string, isHTML: boolean): string {
  const said = /charset\s*=\s*"?([\w-]+)/i;
  const charset = said.exec(type)?.[1] ?? (isHTML ? said.exec(body.subarray(0, 1_024).toString("latin1"))?.[1] : undefined);
  try {
    return new TextDecoder(charset ?? "utf-8").decode(body);
  } catch {
    return new TextDecoder().decode(body);
  }
}

let threads = 0;
const waiting: (() => void)[] = [];

async function inThread(source: PageSource, signal: AbortSignal): Promise<Page> {
  if (threads >= maxThreads) await new Promise<void>((resolve) => waiting.push(resolve));
  else threads += 1;
  try {
    signal.throwIfAborted();
    return await read(source, signal);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else threads -= 1;
  }
}

async function read(source: PageSource, signal: AbortSignal): Promise<Page> {
  const { promise, resolve, reject } = Promise.withResolvers<Page>();
  const worker = new Worker(workerFile, {
    name: "escapement-page",
    execArgv: [],
    workerData: source,
    resourceLimits: { maxOldGenerationSizeMb: maxMemoryMb },
  });
  const timer = setTimeout(() => reject(new Error(`the page could not be read within ${limitMs} ms`)), limitMs);
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  worker.on("message", (reply: PageReply) => ("error" in reply ? reject(new Error(reply.error)) : resolve(reply)));
  worker.on("error", (error: Error) => reject(new Error(`the page could not be read: ${error.message}`)));
  worker.on("exit", () => reject(new Error("the page could not be read")));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    await worker.terminate();
  }
}
