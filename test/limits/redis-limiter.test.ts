/** The limiter on a real Redis: the contract, several processes' worth of clients on one server, and everything that Redis does wrong. */
import { connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Limiter, Window } from "../../src/limits/limiter.ts";
import { type OnRedisFailure, RedisLimiter, type RedisLimiterSettings } from "../../src/limits/redis-limiter.ts";
import { until } from "../whole-path/until.ts";
import { limiterContract } from "./limiter-contract.ts";
import { type RedisServer, startRedis } from "./redis-server.ts";

let shared: RedisServer;
beforeAll(async () => {
  shared = await startRedis();
}, 120_000);
/** Tests run side by side, since most of them only wait; so what they open ends with the file. */
const open: (() => unknown)[] = [];
afterAll(async () => {
  await Promise.all(open.map((close) => close()));
  await shared.close();
});

let made = 0;
async function limiterOf(server: { url: string }, more: Partial<RedisLimiterSettings> = {}): Promise<RedisLimiter> {
  const limiter = await RedisLimiter.open(
    { url: server.url, onFailure: "closed", prefix: `test-${++made}:`, deadlineMs: 5_000, ...more },
    30_000,
  );
  open.push(() => limiter.close());
  return limiter;
}

async function ownRedis(...args: string[]): Promise<RedisServer> {
  const server = await startRedis(...args);
  open.push(() => server.close());
  return server;
}

const windowMs = 60_000;
const request = (limit = 10, key = "user"): Window[] => [{ key, limit, windowMs, amount: 1 }];
/** `unavailable` counts as a no. */
const isAdmitted = (limiter: Limiter, windows: Window[]): Promise<boolean> =>
  limiter.take(windows).then(
    (taking) => taking.admitted,
    () => false,
  );
/** How many of `n` takes, one after another, are admitted. */
async function admitted(limiter: Limiter, n: number, windows = request()): Promise<number> {
  let count = 0;
  for (let i = 0; i < n; i++) if (await isAdmitted(limiter, windows)) count++;
  return count;
}
const closed = { code: "unavailable", body: { details: { reason: "limiter" } } };
const works = (limiter: RedisLimiter): Promise<boolean> =>
  until("limits by Redis", async () => {
    await limiter.take(request(1_000_000, "probe")).catch(() => {});
    return limiter.isShared;
  });
const policies: OnRedisFailure[] = ["closed", { share: 0.2 }];

describe("the limiter on Redis", () => limiterContract(() => limiterOf(shared)));

test("several clients share one count, exactly", async () => {
  const prefix = "shared:";
  const limiters = await Promise.all([1, 2, 3, 4].map(() => limiterOf(shared, { prefix })));
  const takings = await Promise.all(Array.from({ length: 400 }, (_, i) => (limiters[i % 4] as Limiter).take(request(60))));
  expect(takings.filter((taking) => taking.admitted)).toHaveLength(60);
});

test("every key has an expiry", async () => {
  const prefix = "expiring:";
  const limiter = await limiterOf(shared, { prefix });
  const taken = await limiter.take(request());
  await limiter.settle({ key: "tokens", windowMs, taken, change: 5 });
  const keys = await shared.admin.keys(`${prefix}*`);
  expect(keys.toSorted()).toEqual([`${prefix}era`, `${prefix}tokens`, `${prefix}user`]);
  for (const key of keys) expect(await shared.admin.pttl(key)).toBeGreaterThan(0);
});

test("scripts that were flushed are loaded again, and nothing is lost or counted twice", async () => {
  const limiter = await limiterOf(shared);
  expect(await admitted(limiter, 4)).toBe(4);
  await shared.admin.script("FLUSH");
  expect(await admitted(limiter, 20)).toBe(6);
});

test("what was settled is not mended back", async () => {
  const limiter = await limiterOf(shared);
  const tokens = (amount: number): Window[] => [{ key: "tokens", limit: 1_000, windowMs, amount }];
  for (let i = 0; i < 5; i++) {
    const taken = await limiter.take(tokens(900));
    expect(taken.admitted).toBe(true);
    await limiter.settle({ key: "tokens", windowMs, taken, change: -890 });
  }
  expect((await limiter.take(tokens(0))).standings).toMatchObject([{ remaining: 950 }]);
});

test("a key that was evicted is mended by who had counted on it", async () => {
  const prefix = "evicted:";
  const limiter = await limiterOf(shared, { prefix });
  expect(await admitted(limiter, 7)).toBe(7);
  expect(await shared.admin.del(`${prefix}user`)).toBe(1);
  expect(await admitted(limiter, 20)).toBe(3);
});

test.concurrent("a Redis that may evict is not used, and it is said why", async () => {
  const evicting = await ownRedis("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru");
  const problems: string[] = [];
  const limiter = await RedisLimiter.open({ url: evicting.url, onFailure: "closed", onProblem: (problem) => problems.push(problem) }, 300);
  open.push(() => limiter.close());
  await expect(limiter.take(request())).rejects.toMatchObject(closed);
  expect(problems[0]).toContain("allkeys-lru");
  expect(problems[0]).toContain("set maxmemory-policy noeviction");
  await evicting.admin.config("SET", "maxmemory-policy", "noeviction");
  await works(limiter);
  expect(problems).toHaveLength(1);
});

describe.for(policies)("on failure: %j", (onFailure) => {
  /** What a process admits of a limit of 10 while Redis cannot say, if it had admitted `before`. */
  const allowed = (before: number): number => (onFailure === "closed" ? 0 : Math.max(0, 2 - before));

  test.concurrent("Redis is down at boot: the process starts, and limits are Redis's once it is there", async () => {
    const server = await ownRedis();
    await server.kill();
    const changes: boolean[] = [];
    const begun = performance.now();
    const limiter = await RedisLimiter.open({ url: server.url, onFailure, onChange: (isShared) => changes.push(isShared) }, 200);
    open.push(() => limiter.close());
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(await admitted(limiter, 10)).toBe(allowed(0));
    expect(changes).toEqual([false]);
    await server.restart();
    await works(limiter);
    expect(changes).toEqual([false, true]);
    expect(await admitted(limiter, 20)).toBe(10 - allowed(0));
  });

  test.concurrent("Redis is killed under load and comes back empty: never more than the limit, and by itself again", async () => {
    const server = await ownRedis();
    const longestMs = 6_000;
    const limiter = await limiterOf(server, { onFailure, longestMs });
    const short = (): Window[] => [{ key: "user", limit: 10, windowMs: longestMs, amount: 1 }];
    expect(await admitted(limiter, 6, short())).toBe(6);
    const load = Promise.all(Array.from({ length: 100 }, () => isAdmitted(limiter, short())));
    await server.kill();
    expect((await load).filter(Boolean).length).toBeLessThanOrEqual(4);
    expect(await admitted(limiter, 10, short())).toBe(0);
    await server.restart();
    const back = await until("an admission", async () => (await admitted(limiter, 1, short())) === 1 && performance.now());
    expect(back).toBeGreaterThan(0);
  });

  test.concurrent("all data is flushed: until a window has passed its counts are not believed", async () => {
    const server = await ownRedis();
    const longestMs = 6_000;
    const prefix = "flushed:";
    const [first, second] = [
      await limiterOf(server, { onFailure, longestMs, prefix }),
      await limiterOf(server, { onFailure, longestMs, prefix }),
    ];
    const window = [{ key: "user", limit: 10, windowMs: longestMs, amount: 1 }];
    const begun = performance.now();
    expect(await admitted(first, 6, window)).toBe(6);
    expect(await admitted(second, 10, window)).toBe(4);
    await server.admin.flushall();
    const flushed = performance.now();
    // Each has admitted more than its share already.
    const during = (await admitted(second, 5, window)) + (await admitted(first, 5, window));
    if (performance.now() - flushed < longestMs / 2) expect(during).toBe(0);
    await until("an admission", async () => (await admitted(first, 1, window)) === 1);
    // Its share is free again when what it had admitted has left the window, Redis's word a little later.
    expect(performance.now() - (onFailure === "closed" ? flushed : begun)).toBeGreaterThan(longestMs - 100);
  });

  test.concurrent("Redis hangs: each take has its answer all the same, nothing piles up, and it goes on by itself", async () => {
    const server = await ownRedis();
    const limiter = await limiterOf(server, { onFailure, deadlineMs: 100 });
    expect(await admitted(limiter, 1)).toBe(1);
    server.freeze();
    // More at once than may be under way; each has its answer although Redis gives none.
    const takes = Array.from({ length: 3_000 }, () => isAdmitted(limiter, request()));
    expect((await Promise.all(takes)).filter(Boolean)).toHaveLength(allowed(1));
    server.wake();
    await works(limiter);
  });

  test.concurrent("Redis turns read-only: nothing is admitted on its word until it can write", async () => {
    const server = await ownRedis();
    const limiter = await limiterOf(server, { onFailure });
    expect(await admitted(limiter, 1)).toBe(1);
    await server.admin.replicaof("127.0.0.1", "1");
    expect(await admitted(limiter, 6)).toBe(allowed(1));
    await server.admin.replicaof("NO", "ONE");
    await works(limiter);
    expect(await admitted(limiter, 20)).toBe(9 - allowed(1));
  });

  test.concurrent("Redis is full: as if it were down", async () => {
    const server = await ownRedis();
    const limiter = await limiterOf(server, { onFailure });
    expect(await admitted(limiter, 1)).toBe(1);
    await server.admin.config("SET", "maxmemory", "1");
    expect(await admitted(limiter, 6)).toBe(allowed(1));
    await server.admin.config("SET", "maxmemory", "0");
    await works(limiter);
  });

  test.concurrent("the connection turns into a black hole: answered in time, and a new one is made", async () => {
    const server = await ownRedis();
    const hole = await blackHole(Number(new URL(server.url).port));
    const limiter = await limiterOf(hole, { onFailure, deadlineMs: 250 });
    expect(await admitted(limiter, 1)).toBe(1);
    hole.swallow();
    const begun = performance.now();
    expect(await admitted(limiter, 6)).toBe(allowed(1));
    expect(performance.now() - begun).toBeLessThan(3_000);
    hole.pass();
    await works(limiter);
  });
});

/** A proxy whose open connections can be told to carry nothing any more, without being closed. */
async function blackHole(port: number): Promise<{ url: string; swallow(): void; pass(): void }> {
  const sockets = new Set<Socket>();
  let swallows = false;
  const lines: { isDead: boolean }[] = [];
  const server = createServer((client) => {
    const there = connect(port, "127.0.0.1");
    const line = { isDead: swallows };
    lines.push(line);
    sockets.add(client).add(there);
    const pair = [client, there] as const;
    for (const [from, to] of [pair, [there, client] as const]) {
      from.on("data", (data) => line.isDead || to.write(data));
      from.on("error", () => {});
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as { port: number }).port}`,
    swallow: () => {
      swallows = true;
      for (const line of lines) line.isDead = true;
    },
    pass: () => {
      swallows = false;
    },
  };
}
