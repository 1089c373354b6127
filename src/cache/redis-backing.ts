/**
 * Entries in Redis, shared by all processes. Redis may lose them at any time (eviction, FLUSHALL, a restart): then they are misses.
 *
 *  1. Every command has `timeoutMs`; a connection that is not there fails it at once. Nothing waits in a queue.
 *  2. An index of its own (tenant; tag, agent and version in it) is a sorted set by the end of an entry, so it forgets what Redis has
 *     forgotten. A purge reads an index, never the keyspace.
 */
import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { EscapementError } from "../protocol/errors.ts";
import { redisConnection } from "../redis/connection.ts";
import { type CacheBacking, type CacheEntry, fits, type Purge } from "./cache.ts";

export type RedisBackingOptions = {
  readonly now: () => number;
  /** How long a command may take, in ms; 50. */
  readonly timeoutMs?: number | undefined;
  readonly onError?: ((message: string) => void) | undefined;
};

const commandMs = 50;
const purgeMs = 5_000;
const prefix = "escapement:cache";
const markKey = `${prefix}:mark`;
const entryKey = (id: string): string => `${prefix}:entry:${id}`;
const indexKey = (tenant: string, kind: "all" | "tag" | "agent" | "version", name = ""): string =>
  [`${prefix}:index`, tenant, kind, name].map(encodeURIComponent).join(":");

/** Of a tag in every tenant. */
const tagKey = (tag: string): string => `${prefix}:tag:${encodeURIComponent(tag)}`;

const indexesOf = ({ tenant, agent, version, tags }: CacheEntry): string[] => [
  indexKey(tenant, "all"),
  indexKey(tenant, "agent", agent),
  indexKey(tenant, "version", version),
  ...tags.flatMap((tag) => [indexKey(tenant, "tag", tag), tagKey(tag)]),
];

/** The narrowest index in which everything is that is to go. */
function indexFor({ tenant, tag, version, agent }: Purge): string {
  if (tenant === undefined) return tagKey(tag ?? "");
  if (tag !== undefined) return indexKey(tenant, "tag", tag);
  if (version !== undefined) return indexKey(tenant, "version", version);
  return agent === undefined ? indexKey(tenant, "all") : indexKey(tenant, "agent", agent);
}

/** Keeps an entry and notes it in its indexes, while the mark is still the one under which it was made. */
const putScript = `
  if (redis.call("GET", KEYS[1]) or "") ~= ARGV[1] then return 0 end
  local id, json, now, keepUntil = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
  redis.call("SET", KEYS[2], json, "PXAT", keepUntil)
  for i = 3, #KEYS do
    redis.call("ZREMRANGEBYSCORE", KEYS[i], "-inf", now)
    redis.call("ZADD", KEYS[i], keepUntil, id)
    redis.call("PEXPIREAT", KEYS[i], redis.call("ZRANGE", KEYS[i], -1, -1, "WITHSCORES")[2])
  end
  return 1
`;

/** Waits a second for the connection; later is no error either. */
export async function redisBacking(
  url: string,
  { now, onError = () => {}, timeoutMs = commandMs }: RedisBackingOptions,
): Promise<CacheBacking> {
  const redis = redisConnection(url, { commandTimeout: timeoutMs });
  let isTold = false;
  redis.on("error", (error: Error) => {
    if (!isTold) onError(`Redis does not answer; the cache finds nothing until it does: ${error.message}`);
    isTold = true;
  });
  redis.on("ready", () => {
    isTold = false;
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 1_000);
  });
  await Promise.race([redis.connect().catch(() => {}), late]);
  clearTimeout(timer);

  return {
    local: false,
    async get(id) {
      const json = await redis.get(entryKey(id));
      // Written below.
      return json === null ? null : (JSON.parse(json) as CacheEntry);
    },
    async put(entry, mark) {
      if (entry.keepUntil <= now()) return;
      const keys = [markKey, entryKey(entry.id), ...indexesOf(entry)];
      await redis.eval(putScript, keys.length, ...keys, mark, entry.id, JSON.stringify(entry), String(now()), String(entry.keepUntil));
    },
    async purge(which) {
      const patient = redisConnection(url, { commandTimeout: purgeMs });
      patient.on("error", () => {});
      try {
        await patient.connect();
        return await purge(patient, which);
      } catch (error) {
        throw new EscapementError("unavailable", `the cache in Redis could not be purged: ${(error as Error).message}; purge it again`);
      } finally {
        patient.disconnect();
      }
    },
    mark: async () => (await redis.get(markKey)) ?? "",
    close: async () => redis.disconnect(),
  };
}

async function purge(redis: Redis, which: Purge): Promise<number> {
  // From here on nothing is kept that was begun before.
  await redis.set(markKey, randomUUID());
  let gone = 0;
  const ids = which.key === undefined ? await redis.zrange(indexFor(which), "0", "-1") : [which.key];
  for (let from = 0; from < ids.length; from += 500) {
    const found = await redis.mget(ids.slice(from, from + 500).map(entryKey));
    const entries = found.flatMap((json) => (json === null ? [] : [JSON.parse(json) as CacheEntry])).filter((entry) => fits(entry, which));
    if (entries.length === 0) continue;
    gone += await redis.unlink(...entries.map(({ id }) => entryKey(id)));
    const forget = redis.pipeline();
    for (const entry of entries) for (const index of indexesOf(entry)) forget.zrem(index, entry.id);
    await forget.exec();
  }
  // And whoever has read one of them meanwhile forgets it.
  await redis.set(markKey, randomUUID());
  return gone;
}
