/**
 * From a folder to its index: what is new or changed is read, what is gone is removed, what has no vector gets one.
 *
 *  1. A file whose hash is the one that is known is not read again.
 *  2. A file that cannot be read is named in the report and has no chunks; it stops nothing else.
 *  3. A failing embedder leaves chunks without vectors; they are found by their words, and the next indexing tries again.
 *  4. Stopped at any moment it has done whole documents, and goes on from there.
 */
import { hash } from "node:crypto";
import type { Embedder } from "../embeddings/embedder.ts";
import type { ChunkOptions } from "./chunks.ts";
import { UnreadableDocument } from "./content.ts";
import type { KnowledgeFile } from "./file.ts";
import { bytesOf, type Failure, listed } from "./folder.ts";
import { tagOf } from "./passages.ts";
import { DocumentReader } from "./reader.ts";

export type IndexReport = {
  readonly documents: number;
  readonly chunks: number;
  readonly tokens: number;
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly unchanged: number;
  readonly failed: readonly Failure[];
  /** Files of formats that are not read. */
  readonly others: number;
  /** `failed` says why chunks are left without vectors. */
  readonly embedded?: { readonly chunks: number; readonly tokens: number; readonly costNano: number; readonly failed?: string };
};

export type IndexOptions = {
  readonly folder: string;
  readonly file: KnowledgeFile;
  readonly embedder: Embedder | undefined;
  readonly chunk: ChunkOptions;
  /** Of all answers that this index had a part in. */
  readonly tag: string;
  readonly signal: AbortSignal;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
};

/** So many texts go to an embedder at once. */
const batch = 16;
export const maxChunks = 50_000;

/** Rejects with `invalid_request` without the folder, and with the signal's reason. */
export async function index(options: IndexOptions): Promise<IndexReport> {
  const { folder, file, embedder, chunk, tag, signal, onProgress } = options;
  file.prepare(JSON.stringify(chunk), embedder?.name);
  const { documents, others, failures, unread } = await listed(folder);
  const known = file.hashes();
  const failed: Failure[] = [...failures];
  const added: string[] = [];
  const changed: string[] = [];
  const removed: string[] = [];
  let unchanged = 0;
  let chunks = file.size();
  const remove = (document: string): void => {
    file.remove(document, [tagOf(document), tag]);
    removed.push(document);
  };
  const reader = new DocumentReader();
  try {
    for (const [done, document] of documents.entries()) {
      signal.throwIfAborted();
      onProgress?.(done, documents.length);
      const before = known.get(document);
      try {
        const bytes = await bytesOf(folder, document);
        const digest = hash("sha256", bytes);
        if (digest === before) {
          unchanged++;
          continue;
        }
        const read = await reader.read({ name: document, bytes, chunk });
        if (chunks + read.chunks.length > maxChunks) throw new UnreadableDocument(`the index is full: it has ${maxChunks} chunks at most`);
        if (read.chunks.length === 0) throw new UnreadableDocument("it has no text");
        chunks += read.chunks.length;
        file.replace(document, digest, read.title ?? nameOf(document), read.chunks, before === undefined ? [tag] : [tagOf(document), tag]);
        (before === undefined ? added : changed).push(document);
      } catch (error) {
        if (!(error instanceof UnreadableDocument)) throw error;
        failed.push({ document, reason: error.message });
        // What it said before is not what it says now.
        if (before !== undefined) remove(document);
      }
    }
  } finally {
    await reader.close();
  }
  const there = new Set([...documents, ...failures.map(({ document }) => document)]);
  for (const document of known.keys())
    if (!there.has(document) && !unread.some((path) => path === "" || document.startsWith(`${path}/`))) remove(document);
  const embedded = embedder && (await embed(file, embedder, signal));
  return { ...file.counts(), added, changed, removed, unchanged, failed, others, ...(embedded && { embedded }) };
}

async function embed(file: KnowledgeFile, embedder: Embedder, signal: AbortSignal): Promise<NonNullable<IndexReport["embedded"]>> {
  let chunks = 0;
  let tokens = 0;
  let costNano = 0;
  for (let after = 0; ; ) {
    signal.throwIfAborted();
    const waiting = file.unembedded(after, batch);
    const last = waiting.at(-1);
    if (!last) return { chunks, tokens, costNano };
    after = last.id;
    try {
      const given = await embedder.embed(waiting.map(embeddedText));
      file.embed(new Map(waiting.map(({ id }, index) => [id, given.vectors[index] as Float32Array])));
      chunks += waiting.length;
      tokens += given.tokens;
      costNano += given.costNano;
    } catch (error) {
      return { chunks, tokens, costNano, failed: error instanceof Error ? error.message : String(error) };
    }
  }
}

/** A paragraph often says what it is about in its headings alone. */
export const embeddedText = (chunk: { readonly title: string; readonly headings: readonly string[]; readonly text: string }): string =>
  `${[...new Set([chunk.title, ...chunk.headings])].join(" > ")}\n${chunk.text}`;

const nameOf = (document: string): string => document.slice(document.lastIndexOf("/") + 1);
