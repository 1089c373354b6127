/** Limits that two processes share on one Redis, and what becomes of limits, runs and money when that Redis fails under load. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { LimitEvent } from "../../src/index.ts";
import type { OnRedisFailure } from "../../src/limits/redis-limiter.ts";
import { until, within } from "../whole-path/until.ts";
import { type LimitedWorld, limitedWorld, post, price, type Reply, statuses } from "./limited-world.ts";
import { type RedisServer, startRedis } from "./redis-server.ts";

const children = new Set<ChildProcess>();
afterEach(async () => {
  await Promise.all(
    [...children].map(
      (child) =>
        new Promise<void>((resolve) => {
          child.once("exit", () => resolve());
          child.kill("SIGKILL");
        }),
    ),
  );
  children.clear();
});

async function redis(): Promise<RedisServer> {
  const server = await startRedis();
  onTestFinished(() => server.close());
  return server;
}

/** The addresses of a process's free and paid caller. */
function limitedProcess(redisURL: string): Promise<[free: string, pro: string]> {
  const file = fileURLToPath(new URL("limited-process.ts", import.meta.url));
  const child = spawn(process.execPath, [file], {
    env: { PATH: process.env.PATH ?? "", REDIS_URL: redisURL },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  return within(
    "the addresses of a process",
    new Promise((resolve) => child.stdout.once("data", (data) => resolve(JSON.parse(String(data)) as [string, string]))),
  );
}

test("free 10 and pro 60 a minute, exactly, over two processes at once", async () => {
  const server = await redis();
  const [one, two] = await Promise.all([limitedProcess(server.url), limitedProcess(server.url)]);
  const at = (which: 0 | 1, n: number) => Promise.all(Array.from({ length: n }, (_, i) => post((i % 2 ? one : two)[which])));
  const [free, pro] = await Promise.all([at(0, 40), at(1, 100)]);
  expect(statuses(free)).toEqual({ 200: 10, 429: 30 });
  expect(statuses(pro)).toEqual({ 200: 60, 429: 40 });
  for (const refused of [...free, ...pro].filter(({ status }) => status === 429))
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
});

const limit = 1_000_000;
const policies: OnRedisFailure[] = ["closed", { share: 0.25 }];

/**
 * Load of many callers, who start a run each as soon as the last has ended, until it is stopped. Every answer is kept with its time.
 * Each caller has its own user, so that admissions can be counted against its limit.
 */
function load({ url }: { url: string }, callers: number): { replies: Reply[]; stop(): Promise<void> } {
  const replies: Reply[] = [];
  let stopped = false;
  const all = Promise.all(
    Array.from({ length: callers }, async (_, i) => {
      while (!stopped) {
        const reply = await post(url, { user: `user ${i}` });
        replies.push(reply);
        if (reply.status !== 200) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }),
  );
  all.catch(() => {});
  return {
    replies,
    stop: async () => {
      stopped = true;
      await all;
    },
  };
}

/** Every run that was accepted has ended well, and the ledger is the provider's invoice. */
async function checkMoney({ runtime, provider }: LimitedWorld, replies: readonly Reply[]): Promise<void> {
  const accepted = replies.filter(({ status }) => status === 200);
  for (const { body } of accepted) expect(body).toMatchObject({ status: "done", held_microusd: 0, calls: 1, usage: { estimated: false } });
  // One call a run, each 10 tokens in and 1 out at 1 micro-dollar.
  expect(provider.book.entries).toHaveLength(accepted.length);
  expect(accepted.reduce((sum, { body }) => sum + body.cost_microusd, 0)).toBe(11 * accepted.length);
  const [budget] = await runtime.budgets();
  expect(budget).toMatchObject({ level: "system", spent: { cost_microusd: 11 * accepted.length }, held: { cost_microusd: 0 } });
}

describe.for(policies)("Redis fails under load, on_redis_failure: %j", (onRedisFailure) => {
  const settings = (server: RedisServer, requests: number) => ({
    env: { REDIS_URL: server.url },
    rate_limits: { plans: { free: { requests_per_minute: requests } }, on_redis_failure: onRedisFailure },
    budgets: { system: { per_hour_microusd: 1_000_000_000 } },
    tiers: { main: { provider: "self", model: "main", price, max_output_tokens: 50 } },
    reliability: { minuteMs: 1_500, redisDeadlineMs: 700 },
  });

  test("killed, restarted, slow, scripts flushed, a key evicted: answered in time, limits stand, runs go on, no money is lost", async () => {
    const server = await redis();
    const world = await limitedWorld(settings(server, limit), async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { text: "Hello." };
    });
    const url = await world.as();
    const running = load({ url }, 4);
    const { replies } = running;
    const grown = async (what: string, fits: (reply: Reply) => boolean, more = 10): Promise<void> => {
      const from = replies.length;
      await until(what, () => replies.slice(from).filter(fits).length >= more);
    };
    const isIn = ({ status }: Reply): boolean => status === 200;
    const duringFailure = onRedisFailure === "closed" ? ({ status }: Reply) => status === 503 : isIn;
    const told = (type: LimitEvent["type"], times: number): Promise<unknown> =>
      until(`${type}, ${times}`, () => world.events.filter((event) => event.type === type).length >= times);
    await grown("runs", isIn);
    await server.admin.script("FLUSH");
    await grown("runs after the scripts were flushed", isIn);
    await server.admin.del("escapement:limits:requests/user/acme/user%200");
    await grown("runs after a key was evicted", isIn);
    await server.admin.client("PAUSE", 60_000, "WRITE");
    await told("limiter.failed", 1);
    await grown("answers while Redis is slow", duringFailure);
    await server.admin.client("UNPAUSE");
    await told("limiter.recovered", 1);
    await grown("runs after it was slow", isIn);
    await server.kill();
    await told("limiter.failed", 2);
    await grown("answers while Redis is gone", duringFailure);
    await server.restart();
    await told("limiter.recovered", 2);
    await grown("runs after its restart", isIn);
    await running.stop();
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set(onRedisFailure === "closed" ? [200, 503] : [200]));
    for (const { status, headers, body } of replies.filter((reply) => !isIn(reply))) {
      expect([status, body.error.code, body.error.details.reason]).toEqual([503, "unavailable", "limiter"]);
      expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    }
    await checkMoney(world, replies);
  });

  test("killed within a window: what was admitted before and meanwhile is never more than the limit, and no more than the share", async () => {
    const server = await redis();
    const world = await limitedWorld({ ...settings(server, 20), reliability: { redisDeadlineMs: 10_000 } });
    const url = await world.as();
    const starts = async (n: number): Promise<number> =>
      (await Promise.all(Array.from({ length: n }, () => post(url, { user: "ada" })))).filter(({ status }) => status === 200).length;
    expect(await starts(3)).toBe(3);
    await server.kill();
    const meanwhile = await starts(30);
    // A quarter of 20 is 5, of which 3 are used.
    expect(meanwhile).toBe(onRedisFailure === "closed" ? 0 : 2);
    await server.restart();
    await server.admin.ping();
    // It has lost its counts, so the same holds for another window.
    expect(await starts(30)).toBe(0);
    expect((await world.runtime.budgets())[0]?.spent).toMatchObject({ cost_microusd: 11 * (3 + meanwhile) });
  });

  test("down at boot: the process starts; ready when limits can be counted, at once with a share", async () => {
    const server = await redis();
    await server.kill();
    const world = await limitedWorld(settings(server, limit));
    const url = await world.as();
    const ready = (await fetch(`${url}/readyz`)).status;
    const { status } = await post(url);
    expect([ready, status]).toEqual(onRedisFailure === "closed" ? [503, 503] : [200, 200]);
    await server.restart();
    await until("readiness", async () => (await fetch(`${url}/readyz`)).status === 200);
    await until("a run", async () => (await post(url)).status === 200);
  });
});
