/** Two runtimes over one backing: what one keeps the other gives, and what one purges the other gives no more within a second (FEATURES D3). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { agent, type Config, createRuntime, type Runtime, type RuntimeExtras, sqlite, vllm } from "../../src/index.ts";
import { chat } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { startRedis } from "../limits/redis-server.ts";
import { until } from "../whole-path/until.ts";

const redisServer = async () => {
  const server = await startRedis();
  onTestFinished(() => server.close());
  return server;
};

type Pair = { runtimes: [Runtime, Runtime]; requests: () => number };

/** Two that find what a third had kept when it ended: the answer to "Is it?". */
async function pair(env: Record<string, string>): Promise<Pair> {
  const cwd = mkdtempSync(join(tmpdir(), "processes-"));
  const provider = await startFaultServer(chat({ text: "Yes." }));
  const make = (config: Partial<Config & RuntimeExtras> = {}) =>
    createRuntime({
      cwd,
      env,
      store: sqlite(":memory:"),
      providers: { self: vllm({ baseURL: `${provider.url}/v1` }) },
      tiers: { main: { provider: "self", model: "m", price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
      agents: [agent({ name: "helper", machine: "single", cache: { exact: {}, tags: ["faq"], scope: "tenant" } })],
      ...config,
    });
  const first = await make();
  expect(await isCached(first)).toBe(false);
  await first.close();
  const runtimes: [Runtime, Runtime] = [await make(), await make()];
  onTestFinished(async () => {
    await Promise.all(runtimes.map((runtime) => runtime.close()));
    await provider.close();
    rmSync(cwd, { recursive: true, force: true });
  });
  return { runtimes, requests: () => provider.book.entries.length };
}

const isCached = async (runtime: Runtime): Promise<boolean> =>
  (await (await runtime.start({ agent: "helper", input: "Is it?" })).result()).cached === true;

const kinds = [
  { name: "a file", env: async () => ({}) },
  { name: "Redis", env: async () => ({ REDIS_URL: (await redisServer()).url }) },
];

describe.each(kinds)("over $name", ({ env }) => {
  test("an answer of one is given by others, until one of them purges it", async () => {
    const {
      runtimes: [one, other],
      requests,
    } = await pair(await env());
    expect([await isCached(one), await isCached(other)]).toEqual([true, true]);
    expect(await one.purgeCache({ tag: "faq" })).toBe(1);
    const at = performance.now();
    // Whoever asks the one that purged makes a call at once; the other believes its memory for a second at most.
    await new Promise((resolve) => setTimeout(resolve, 1_000 - (performance.now() - at)));
    expect(await isCached(other)).toBe(false);
    expect(requests()).toBe(2);
  });
});

test("when Redis is killed, runs go on with misses, and with hits once it is back", async () => {
  const server = await redisServer();
  const {
    runtimes: [one],
  } = await pair({ REDIS_URL: server.url });
  expect(await isCached(one)).toBe(true);
  await server.kill();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect([await isCached(one), await isCached(one)]).toEqual([false, false]);
  await expect(one.purgeCache()).rejects.toMatchObject({ code: "unavailable" });
  await server.restart();
  await until("a hit", () => isCached(one));
});
