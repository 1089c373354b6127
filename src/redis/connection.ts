/**
 * A connection to Redis on which nothing waits: without a connection a command fails at once, none is sent a second time, and it goes on
 * trying to connect by itself, once a second at last. How long a command may take is its user's to say.
 */
import { Redis, type RedisOptions } from "ioredis";

/** Not connected yet: `connect()` begins it. */
export const redisConnection = (url: string, more: Pick<RedisOptions, "commandTimeout" | "socketTimeout" | "reconnectOnError">): Redis =>
  new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    retryStrategy: (attempt) => Math.min(1_000, 50 * 2 ** Math.min(attempt, 5)),
    ...more,
  });
