/** Tool group `knowledge`: `knowledge({ folder })` indexes a folder of documents and gives the tool that searches it. */
import { resolve } from "node:path";
import type { Embedder } from "../../src/embeddings/embedder.ts";
import type { ChunkOptions } from "../../src/knowledge/chunks.ts";
import type { IndexReport } from "../../src/knowledge/indexer.ts";
import { Knowledge, type Purge } from "../../src/knowledge/knowledge.ts";
import { localReranker, type Reranker } from "../../src/knowledge/reranker.ts";
import { EscapementError } from "../../src/protocol/errors.ts";
import type { OpenToolGroup, ToolGroupHost } from "../../src/runtime/tool-group.ts";
import { searchKnowledge } from "./search-knowledge.ts";

export { type CohereOptions, cohereReranker } from "../../src/knowledge/cohere.ts";
export type { IndexReport } from "../../src/knowledge/indexer.ts";
export { localReranker, type Reranker } from "../../src/knowledge/reranker.ts";

export type KnowledgeSettings = {
  /** Of md, txt, html, pdf, docx and pptx files, with the folders in it. */
  readonly folder: string;
  /** The tool is `search_<name>`, the tag of all its answers `knowledge:<name>`; `knowledge`. */
  readonly name?: string | undefined;
  /** What the documents are about, for the model. */
  readonly about?: string | undefined;
  /** Where the index is kept: a SQLite file. In memory without it. */
  readonly file?: string | undefined;
  /** `"local"` is the English one of `escapement/embeddings/local`. Without one, words alone are searched. Closed with the group. */
  readonly embedder?: Embedder | "local" | undefined;
  /** `"local"`, the default, `false` for the order of rank fusion, or one: `cohereReranker({ apiKey })`. */
  readonly rerank?: Reranker | "local" | false | undefined;
  readonly chunk?: { readonly tokens?: number | undefined; readonly overlap?: number | undefined } | undefined;
  /** What a document's path is added to, for the citations' `url`. */
  readonly baseURL?: string | undefined;
};

/** A tool group that the runtime starts (it indexes the folder, beside everything else) and closes. */
export type KnowledgeGroup = OpenToolGroup & {
  readonly folder: string;
  readonly name: string;
  /** Reads what is new or changed, and forgets what is gone; purges the cached answers of both in the runtime that started the group. */
  reindex(options?: { readonly purge?: Purge; readonly onProgress?: (done: number, total: number) => void }): Promise<IndexReport>;
};

/** Of an embedder that indexes: a batch of long texts takes longer than a question. */
const indexingMs = 60_000;

/** Throws `invalid_request` for a name or chunks that cannot be. Nothing is opened or read yet. */
export function knowledge(settings: KnowledgeSettings): KnowledgeGroup {
  const { name = "knowledge", file = ":memory:", embedder, rerank = "local", chunk = {} } = settings;
  if (!/^[a-zA-Z0-9_-]{1,57}$/.test(name))
    throw new EscapementError(
      "invalid_request",
      `the name of an index is 1 to 57 of A-Z a-z 0-9 _ -, since its tool is search_<name>; "${name}" is not`,
    );
  const { tokens, overlap } = chunk;
  const reranker = rerank === "local" ? localReranker : rerank;
  const index = new Knowledge({
    name,
    folder: resolve(settings.folder),
    file: file === ":memory:" ? file : resolve(file),
    embedder: embedderOf(embedder),
    reranker: reranker ? async () => reranker : undefined,
    chunk: { ...(tokens !== undefined && { tokens }), ...(overlap !== undefined && { overlap }) } satisfies Partial<ChunkOptions>,
  });
  let host: ToolGroupHost | undefined;
  let isClosed = false;
  const reindex: KnowledgeGroup["reindex"] = ({ purge = host?.purge, onProgress } = {}) => index.reindex(purge, onProgress);
  return {
    tools: [searchKnowledge(index, settings)],
    folder: index.folder,
    name,
    start(started) {
      host = started;
      reindex().then(
        ({ failed, embedded }) => {
          for (const { document, reason } of failed.slice(0, 20))
            started.onError(`knowledge "${name}": ${document} is not indexed: ${reason}`);
          if (failed.length > 20) started.onError(`knowledge "${name}": ${failed.length - 20} more documents are not indexed`);
          if (embedded?.failed) started.onError(`knowledge "${name}": chunks are without vectors: ${embedded.failed}`);
        },
        (error: Error) => isClosed || started.onError(`knowledge "${name}" is not indexed: ${error.message}`),
      );
    },
    reindex,
    close: () => {
      isClosed = true;
      return index.close();
    },
  };
}

function embedderOf(embedder: KnowledgeSettings["embedder"]): (() => Promise<Embedder>) | undefined {
  if (embedder === "local")
    return async () => {
      const { checkInstalled, localEmbedder } = await import("../../src/embeddings/local.ts");
      checkInstalled("embedder");
      return localEmbedder({ timeoutMs: indexingMs });
    };
  if (embedder === undefined) return undefined;
  return async () => embedder;
}
