/** The tool group `knowledge` from its settings: the index is in the data folder, beside the runs. */
import { join, resolve } from "node:path";
import { type KnowledgeGroup, knowledge } from "../../tools/knowledge/index.ts";
import type { Reranker } from "../knowledge/reranker.ts";
import type { Store } from "../stores/store.ts";
import { embedderOf } from "./cache.ts";
import type { KnowledgeSettings } from "./schema.ts";
import { readSecret, type SecretSource } from "./secret.ts";
import type { StorePlace } from "./store.ts";

export type KnowledgeSource = SecretSource & { readonly data: string; readonly store: Store | StorePlace };

/** For one call of the embedder: a batch of chunks takes longer than a question. */
const embedMs = 60_000;

/** Throws `invalid_request` for a secret that is not there. Nothing is opened. */
export async function knowledgeGroup(settings: KnowledgeSettings, from: KnowledgeSource): Promise<KnowledgeGroup> {
  const { folder, about, embedder, rerank, chunk, base_url: baseURL } = settings;
  const isInMemory = "path" in from.store && from.store.path === ":memory:";
  return knowledge({
    folder: resolve(from.cwd, folder),
    about,
    chunk,
    baseURL,
    ...(!isInMemory && { file: join(from.data, "knowledge.db") }),
    ...(embedder !== undefined && { embedder: await embedderOf(embedder, "tools.knowledge.embedder", from, embedMs) }),
    rerank: await rerankerOf(rerank, from),
  });
}

async function rerankerOf(setting: KnowledgeSettings["rerank"], from: SecretSource): Promise<Reranker | "local" | false | undefined> {
  if (typeof setting !== "object" || "rerank" in setting) return setting;
  const { model, base_url: baseURL, api_key: key } = setting;
  // Only Cohere gets Cohere's key without being told to.
  const own = baseURL === undefined ? from.env.COHERE_API_KEY : undefined;
  const apiKey = key === undefined ? own : readSecret(key, "tools.knowledge.rerank.api_key", from);
  const { cohereReranker } = await import("../knowledge/cohere.ts");
  return cohereReranker({ ...(model && { model }), ...(baseURL && { baseURL }), ...(apiKey && { apiKey }) });
}
