/** One suite for every backing, then what is each one's own. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import type { CacheBacking } from "../../src/cache/cache.ts";
import { redisBacking } from "../../src/cache/redis-backing.ts";
import { type SqliteBackingOptions, sqliteBacking } from "../../src/cache/sqlite-backing.ts";
import { type RedisServer, startRedis } from "../limits/redis-server.ts";
import { until } from "../whole-path/until.ts";
import { entry, t0 } from "./entries.ts";

const redisServer = async (): Promise<RedisServer> => {
  const server = await startRedis();
  onTestFinished(() => server.close());
  return server;
};
const now = () => t0;
const closing = <B extends CacheBacking>(backing: B): B => {
  onTestFinished(() => backing.close());
  return backing;
};

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "cache-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
const file = (path = join(folder(), "cache.db"), more: Partial<SqliteBackingOptions> = {}) =>
  closing(sqliteBacking(path, { now, ...more }));
/** Redis' own clock decides what is over, so its entries live from now on. */
const redis = async (server: RedisServer, onError?: (message: string) => void, timeoutMs = 5_000) =>
  closing(await redisBacking(server.url, { now, timeoutMs, ...(onError && { onError }) }));
const keepUntil = Date.now() + 3_600_000;

const backings: { name: string; pair: () => Promise<[CacheBacking, CacheBacking]> }[] = [
  {
    name: "sqlite",
    pair: async () => {
      const path = join(folder(), "cache.db");
      return [file(path), file(path)];
    },
  },
  {
    name: "redis",
    pair: async () => {
      const server = await redisServer();
      return [await redis(server), await redis(server)];
    },
  },
];

describe.each(backings)("$name", ({ pair }) => {
  test("what one process keeps another finds, as it was", async () => {
    const [one, other] = await pair();
    const whole = entry("a", { keepUntil, tags: ["x", "y"], value: { n: [1, "ü€😀"] }, question: "Why?", text: "\ud83d\ude00 text" });
    expect(await other.get("a")).toBeNull();
    await one.put(whole, await one.mark());
    expect(await one.get("a")).toEqual(whole);
    await until("the write", async () => (await other.get("a")) !== null);
    expect(await other.get("a")).toEqual(whole);
  });

  test("a purge takes what fits everything that is said, of one tenant, and changes the mark for all", async () => {
    const [one, other] = await pair();
    const mark = await one.mark();
    const all = [
      entry("a", { keepUntil, tags: ["x"] }),
      entry("b", { keepUntil, tags: ["x", "y"], agent: "other" }),
      entry("c", { keepUntil, version: "2" }),
      entry("d", { keepUntil, tags: ["x"], tenant: "umbrella" }),
    ];
    for (const each of all) await one.put(each, mark);
    await until("the write", async () => (await other.get("d")) !== null);
    const left = async () => (await Promise.all(["a", "b", "c", "d"].map((id) => other.get(id)))).flatMap((found) => found?.id ?? []);
    expect(await other.mark()).toBe(mark);
    expect(await one.purge({ tenant: "acme", tag: "x", agent: "other" })).toBe(1);
    expect(await left()).toEqual(["a", "c", "d"]);
    expect(await other.mark()).not.toBe(mark);
    expect(await one.purge({ tenant: "acme", tag: "unknown" })).toBe(0);
    expect(await one.purge({ tenant: "umbrella", key: "a" })).toBe(0);
    expect(await one.purge({ tenant: "acme", version: "2" })).toBe(1);
    expect(await one.purge({ tenant: "acme", key: "a" })).toBe(1);
    expect(await left()).toEqual(["d"]);
    expect(await one.purge({ tenant: "umbrella" })).toBe(1);
    expect(await left()).toEqual([]);
  });

  test("a purge of a tag without a tenant takes every tenant's", async () => {
    const [one, other] = await pair();
    const mark = await one.mark();
    await one.put(entry("a", { keepUntil, tags: ["doc:x"] }), mark);
    await one.put(entry("b", { keepUntil, tags: ["doc:y"] }), mark);
    await one.put(entry("c", { keepUntil, tags: ["doc:x"], tenant: "umbrella" }), mark);
    await until("the write", async () => (await other.get("c")) !== null);
    expect(await other.purge({ tag: "doc:x" })).toBe(2);
    expect([await one.get("a"), (await one.get("b"))?.id, await one.get("c")]).toEqual([null, "b", null]);
  });

  test("what was begun before a purge is not kept after it", async () => {
    const [one, other] = await pair();
    const mark = await one.mark();
    await other.purge({ tenant: "acme" });
    await one.put(entry("a", { keepUntil }), mark);
    await one.put(entry("b", { keepUntil }), await one.mark());
    await until("the write", async () => (await other.get("b")) !== null);
    expect(await other.get("a")).toBeNull();
  });

  test("an entry written again replaces the old one, with its tags", async () => {
    const [one, other] = await pair();
    const mark = await one.mark();
    await one.put(entry("a", { keepUntil, tags: ["old"] }), mark);
    await until("the write", async () => (await other.get("a")) !== null);
    await one.put(entry("a", { keepUntil, tags: ["new"], text: "new" }), mark);
    await until("the write", async () => (await other.get("a"))?.text === "new");
    expect(await one.purge({ tenant: "acme", tag: "old" })).toBe(0);
    expect(await one.purge({ tenant: "acme", tag: "new" })).toBe(1);
  });
});

test("sqlite: the file stays within its bytes, and what ends first goes first", async () => {
  const path = join(folder(), "cache.db");
  const maxBytes = 1024 * 1024;
  const backing = file(path, { maxBytes });
  for (let i = 0; i < 400; i++) {
    await backing.put(entry(`e${i}`, { text: "x".repeat(10_000), keepUntil: t0 + 1_000 + i }), "");
    if (i % 20 === 19) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await backing.get("e399")).not.toBeNull();
  expect(await backing.get("e0")).toBeNull();
  await backing.close();
  expect(statSync(path).size).toBeLessThan(2 * maxBytes);
});

test("sqlite: what is kept no longer is deleted with later writes", async () => {
  let time = t0;
  const path = join(folder(), "cache.db");
  const backing = file(path, { now: () => time });
  await backing.put(entry("old", { keepUntil: t0 + 10 }), "");
  await new Promise((resolve) => setImmediate(resolve));
  time += 1_000;
  await backing.put(entry("new"), "");
  await backing.close();
  const db = new DatabaseSync(path);
  onTestFinished(() => db.close());
  expect(db.prepare("SELECT id FROM entries").all()).toEqual([{ id: "new" }]);
});

test("sqlite: a file that is no database is begun anew, and one whose pages are damaged too", async () => {
  const path = join(folder(), "cache.db");
  writeFileSync(path, "this is no database, and never was one".repeat(100));
  const told: string[] = [];
  const first = file(path, { onError: (message) => told.push(message) });
  expect(told).toEqual([expect.stringContaining("begun anew")]);
  for (let i = 0; i < 200; i++) await first.put(entry(`e${i}`, { text: "y".repeat(2_000) }), "");
  await first.close();
  const bytes = new Uint8Array(statSync(path).size - 4_096).fill(0x5a);
  const { openSync, writeSync, closeSync } = await import("node:fs");
  const handle = openSync(path, "r+");
  writeSync(handle, bytes, 0, bytes.length, 4_096);
  closeSync(handle);
  const second = file(path, { onError: (message) => told.push(message) });
  await second.get("e7").catch(() => {});
  await second.put(entry("new"), await second.mark().catch(() => ""));
  await new Promise((resolve) => setImmediate(resolve));
  await second.put(entry("newer"), await second.mark());
  await second.close();
  expect(readdirSync(join(path, ".."))).toContain("cache.db");
  expect(await file(path).get("newer")).not.toBeNull();
});

test("sqlite: a lock of another process delays no look-up, and a purge waits for it", async () => {
  const path = join(folder(), "cache.db");
  const backing = file(path);
  await backing.put(entry("a"), "");
  await new Promise((resolve) => setImmediate(resolve));
  const other = new DatabaseSync(path);
  onTestFinished(() => other.close());
  other.exec("BEGIN IMMEDIATE");
  expect(await backing.get("a")).not.toBeNull();
  await backing.put(entry("b"), "");
  const purged = backing.purge({ tenant: "acme" });
  await new Promise((resolve) => setTimeout(resolve, 30));
  other.exec("COMMIT");
  expect(await purged).toBe(2);
});

describe("redis", () => {
  test("that is killed is a miss at once, and is used again when it is back (S23: it comes back empty)", async () => {
    const server = await redisServer();
    const told: string[] = [];
    const backing = await redis(server, (message) => told.push(message));
    await backing.put(entry("a", { keepUntil }), "");
    await server.kill();
    await expect(backing.get("a")).rejects.toThrow();
    await expect(backing.mark()).rejects.toThrow();
    await expect(backing.purge({ tenant: "acme" })).rejects.toMatchObject({ code: "unavailable" });
    await until("the word of it", () => told.length > 0);
    await server.restart();
    await until("the connection", async () => (await backing.mark().catch(() => null)) !== null);
    expect(await backing.get("a")).toBeNull();
    await backing.put(entry("a", { keepUntil }), "");
    expect(await backing.get("a")).not.toBeNull();
    expect(told).toHaveLength(1);
  });

  test("that is not there at the start is no error; that is slow rejects in time", async () => {
    const server = await redisServer();
    await server.kill();
    const early = await redis(server);
    await expect(early.get("a")).rejects.toThrow();
    await server.restart();
    await until("the connection", async () => (await early.mark().catch(() => null)) !== null);
    const hurried = await redis(server, undefined, 200);
    await until("the hurried connection", async () => (await hurried.mark().catch(() => null)) !== null);
    await server.admin.client("PAUSE", 2_000);
    await expect(hurried.get("a")).rejects.toThrow();
  });

  test("after FLUSHALL, an evicted entry and an evicted mark there are misses alone (S23)", async () => {
    const server = await redisServer();
    const backing = await redis(server);
    await backing.purge({ tenant: "acme" });
    await backing.put(entry("a", { keepUntil, tags: ["x"] }), await backing.mark());
    await server.admin.del("escapement:cache:entry:a");
    expect(await backing.get("a")).toBeNull();
    expect(await backing.purge({ tenant: "acme", tag: "x" })).toBe(0);
    await backing.put(entry("b", { keepUntil }), await backing.mark());
    await server.admin.flushall();
    expect([await backing.get("b"), await backing.mark()]).toEqual([null, ""]);
    await backing.put(entry("c", { keepUntil }), "");
    expect(await backing.get("c")).not.toBeNull();
  });

  test("its indexes forget what is over, and nothing stays behind a purge but the mark", async () => {
    const server = await redisServer();
    const backing = await redis(server);
    await backing.put(entry("a", { keepUntil, tags: ["x"] }), "");
    const index = "escapement%3Acache%3Aindex:acme:all:";
    expect(await server.admin.zrange(index, "0", "-1")).toEqual(["a"]);
    expect(await server.admin.pttl(index)).toBeGreaterThan(3_000_000);
    await backing.purge({ tenant: "acme" });
    expect(await server.admin.keys("*")).toEqual(["escapement:cache:mark"]);
  });
});
