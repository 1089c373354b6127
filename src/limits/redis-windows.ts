/**
 * Windows in Redis: the connection and the script. It answers within its deadline or rejects; what then holds is `redis-limiter.ts`.
 *
 *  1. Nothing waits for a connection: without one, a command fails at once. At most {@link maxInFlight} commands have no answer yet,
 *     also those whose deadline is over.
 *  2. A Redis that may drop keys to make room is not used at all: a count that it dropped would be a limit that it lifted.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { redisConnection } from "../redis/connection.ts";
import type { Settlement, Standing, Taking, Window } from "./limiter.ts";
import { script } from "./redis-script.ts";
import { heldMs } from "./sliding-count.ts";

export type RedisSettings = {
  readonly url: string;
  /** Before each key. Processes that share limits share it. */
  readonly prefix?: string;
  /** A command that has no answer by then has failed; 250. */
  readonly deadlineMs?: number;
  /** The longest window that will be taken from: for so long counts are in doubt after Redis lost its data. 60,000. */
  readonly longestMs?: number;
  /** Told when it cannot be used although it answers, and why. */
  readonly onProblem?: (message: string) => void;
};

/** `doubtMs`: Redis has lost its data, and counts are wrong for so long. */
export type RedisTaking = Taking | { readonly doubtMs: number };

const maxInFlight = 1_000;
/** A connection on which nothing comes back for so long is dead. */
const silentMs = 5_000;
const recheckMs = 1_000;

const sha = createHash("sha1").update(script).digest("hex");

export class RedisWindows {
  private readonly redis: Redis;
  private readonly prefix: string;
  private readonly deadlineMs: number;
  private readonly doubtMs: number;
  private readonly onProblem: (message: string) => void;
  private usable = false;
  private problem = "";
  private inFlight = 0;
  private era = "";
  private eraAt = Number.NEGATIVE_INFINITY;

  constructor(settings: RedisSettings) {
    this.prefix = settings.prefix ?? "escapement:limits:";
    this.deadlineMs = settings.deadlineMs ?? 250;
    this.doubtMs = Math.ceil(heldMs(settings.longestMs ?? 60_000));
    this.onProblem = settings.onProblem ?? (() => {});
    this.redis = redisConnection(settings.url, {
      socketTimeout: silentMs,
      // After a failover the address leads to the new master.
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
    });
    // Each command says itself what failed.
    this.redis.on("error", () => {});
    this.redis.on("ready", () => void this.check());
    this.redis.on("close", () => {
      this.usable = false;
    });
  }

  /** Connects, and resolves when it can be used or `ms` are over. It goes on trying by itself. */
  async connect(ms: number): Promise<void> {
    const until = performance.now() + ms;
    this.redis.connect().catch(() => {});
    while (!this.usable && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** `own`: what this process knows that it has admitted itself, one number a window. */
  async take(windows: readonly Window[], own: readonly number[]): Promise<RedisTaking> {
    const isRecent = performance.now() - this.eraAt < this.doubtMs;
    const args = windows.flatMap(({ limit, windowMs, amount }, i) => [limit, windowMs, amount, own[i] ?? 0]);
    const answer = (await this.run(
      [`${this.prefix}era`, ...windows.map(({ key }) => this.prefix + key)],
      ["take", isRecent ? this.era : "", randomUUID(), this.doubtMs, ...args],
    )) as (string | number)[];
    const [status, era, now, worst, waitMs, ...rest] = answer;
    this.era = String(era);
    this.eraAt = performance.now();
    if (status === 2) return { doubtMs: Number(waitMs) };
    const standings = windows.map((_, i): Standing => ({ remaining: Number(rest[2 * i]), resetMs: Number(rest[2 * i + 1]) }));
    const at = Number(now);
    if (status === 1) return { admitted: true, standings, at };
    return { admitted: false, standings, at, window: Number(worst) - 1, retryAfterMs: Number(waitMs) };
  }

  async settle({ key, windowMs, taken, change }: Settlement): Promise<void> {
    await this.run([`${this.prefix}era`, this.prefix + key], ["settle", "", "", 0, windowMs, taken.at, change]);
  }

  async close(): Promise<void> {
    this.redis.disconnect();
  }

  private async run(keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    if (!this.usable) throw new Error("there is no connection to Redis that can be used");
    if (this.inFlight >= maxInFlight) throw new Error(`${maxInFlight} commands to Redis have no answer yet`);
    this.inFlight++;
    const answer = this.redis
      .evalsha(sha, keys.length, ...keys, ...args)
      .catch((error: Error) => {
        if (!error.message.startsWith("NOSCRIPT")) throw error;
        return this.redis.eval(script, keys.length, ...keys, ...args);
      })
      .finally(() => {
        this.inFlight--;
      });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      // Where this process was busy the answer may be there unread. Sockets are read before an immediate runs.
      timer = setTimeout(() => setImmediate(() => reject(new Error(`Redis did not answer within ${this.deadlineMs} ms`))), this.deadlineMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async check(): Promise<void> {
    try {
      const info = await this.redis.info("memory");
      const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1];
      const limit = /maxmemory:(\d+)/.exec(info)?.[1];
      this.usable = policy === undefined || policy === "noeviction" || limit === "0";
      if (!this.usable)
        this.tell(
          `the Redis of the limits may drop keys (maxmemory-policy ${policy}), which would lift limits, so it is not used: set maxmemory-policy noeviction, or give REDIS_URL another server`,
        );
    } catch (error) {
      if (this.redis.status === "ready") this.tell(`the Redis of the limits could not be asked for its memory policy: ${error}`);
    }
    // The operator may mend it while the connection stands.
    if (!this.usable && this.redis.status === "ready") setTimeout(() => void this.check(), recheckMs).unref();
  }

  private tell(problem: string): void {
    if (problem !== this.problem) this.onProblem(problem);
    this.problem = problem;
  }
}
