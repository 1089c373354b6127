/**
 * Where answers are cached, from the configuration and the environment, and the caches opened: memory in front of Redis (`REDIS_URL`) or
 * of a file in the data folder; an embedder; vectors in Qdrant (`QDRANT_URL`) or in memory.
 */
import { join } from "node:path";
import { Answers } from "../cache/answers.ts";
import type { CacheBacking } from "../cache/cache.ts";
import { ExactCache } from "../cache/exact.ts";
import { SemanticCache } from "../cache/semantic.ts";
import type { ShadowJudge } from "../cache/shadow.ts";
import type { Embedder } from "../embeddings/embedder.ts";
import type { AgentSpec } from "../runtime/agent.ts";
import type { Store } from "../stores/store.ts";
import type { CheckedConfig, EmbedderSettings } from "./schema.ts";
import { type Environment, readSecret, type SecretSource } from "./secret.ts";
import type { StorePlace } from "./store.ts";

export type CacheSettings = {
  readonly memoryEntries?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly fileBytes?: number | undefined;
  readonly redisTimeoutMs?: number | undefined;
  /** Neither: in memory alone. */
  readonly redisURL?: string | undefined;
  readonly path?: string | undefined;
  readonly qdrant?: { readonly url: string; readonly apiKey?: string } | undefined;
  /** Made when an agent needs it. */
  readonly embedder: () => Promise<Embedder>;
  readonly judge?: ShadowJudge | undefined;
};

type From = {
  readonly cwd: string;
  readonly env: Environment;
  readonly data: string;
  readonly store: Store | StorePlace;
  readonly redisURL?: string;
  readonly qdrant?: { readonly url: string; readonly apiKey?: string };
};

export function cacheSettings(config: NonNullable<CheckedConfig["cache"]>, from: From): CacheSettings {
  const isInMemory = "path" in from.store && from.store.path === ":memory:";
  return {
    memoryEntries: config.memory_entries,
    memoryBytes: config.memory_bytes,
    fileBytes: config.file_bytes,
    redisTimeoutMs: config.redis_timeout_ms,
    redisURL: from.redisURL,
    path: isInMemory ? undefined : join(from.data, "cache.db"),
    qdrant: from.qdrant,
    embedder: () => embedderOf(config.embedder ?? "local", "cache.embedder", from),
    judge: config.judge,
  };
}

/** `path` is that of the setting; `timeoutMs` is for one call. */
export async function embedderOf(
  setting: Embedder | EmbedderSettings | "local",
  path: string,
  from: SecretSource,
  timeoutMs?: number,
): Promise<Embedder> {
  const timeout = timeoutMs === undefined ? {} : { timeoutMs };
  if (setting === "local") {
    const { checkInstalled, localEmbedder } = await import("../embeddings/local.ts");
    checkInstalled(path);
    return localEmbedder(timeout);
  }
  if ("embed" in setting) return setting;
  const { openaiEmbedder } = await import("../embeddings/openai.ts");
  const apiKey = setting.api_key === undefined ? (from.env.OPENAI_API_KEY ?? "") : readSecret(setting.api_key, `${path}.api_key`, from);
  return openaiEmbedder({
    ...timeout,
    // Only OpenAI gets OpenAI's key without being told to.
    ...(apiKey && (setting.api_key !== undefined || setting.base_url === undefined) && { apiKey }),
    ...(setting.base_url !== undefined && { baseURL: setting.base_url }),
    ...(setting.model !== undefined && { model: setting.model }),
    ...(setting.dimensions !== undefined && { dimensions: setting.dimensions }),
    ...(setting.usd_per_mtok !== undefined && { usdPerMtok: setting.usd_per_mtok }),
    ...(setting.threshold !== undefined && { threshold: setting.threshold }),
    ...(setting.self_hosted !== undefined && { selfHosted: setting.self_hosted }),
  });
}

/** The caches that these agents need; undefined where none does. */
export async function openAnswers(
  settings: CacheSettings,
  agents: readonly { readonly spec: AgentSpec }[],
  onError?: (message: string) => void,
): Promise<Answers | undefined> {
  const used = agents.flatMap(({ spec }) => spec.caching ?? []);
  if (used.length === 0) return undefined;
  const now = Date.now;
  const clock = (): number => performance.now();
  const backing = used.some(({ answers }) => answers) ? await backingOf(settings, now, onError) : undefined;
  const exact = new ExactCache({ backing, maxEntries: settings.memoryEntries, maxBytes: settings.memoryBytes, now, clock });
  if (!used.some(({ answers }) => answers?.semantic)) return new Answers({ exact, now });
  const embedder = await settings.embedder();
  const vectors = await vectorsFor(embedder, settings);
  return new Answers({ exact, semantic: new SemanticCache({ embedder, vectors, exact, clock }), judge: settings.judge, now });
}

async function backingOf(
  { redisURL, redisTimeoutMs, path, fileBytes }: CacheSettings,
  now: () => number,
  onError: ((message: string) => void) | undefined,
): Promise<CacheBacking | undefined> {
  if (redisURL !== undefined)
    return (await import("../cache/redis-backing.ts")).redisBacking(redisURL, { now, onError, timeoutMs: redisTimeoutMs });
  if (path === undefined) return undefined;
  return (await import("../cache/sqlite-backing.ts")).sqliteBacking(path, { maxBytes: fileBytes, now, onError });
}

async function vectorsFor({ name, dimensions }: Embedder, settings: CacheSettings) {
  if (!settings.qdrant) return (await import("../vectors/memory.ts")).memoryVectors();
  const { url, apiKey } = settings.qdrant;
  const collection = `escapement-answers-${name.replace(/[^a-z0-9]+/gi, "-")}`;
  return (await import("../vectors/qdrant.ts")).qdrant(url, { collection, dimensions, ...(apiKey !== undefined && { apiKey }) });
}
