import { expect, test } from "vitest";
import type { CacheBacking, CacheEntry } from "../../src/cache/cache.ts";
import { fits } from "../../src/cache/cache.ts";
import { ExactCache } from "../../src/cache/exact.ts";
import { entry, t0 } from "./entries.ts";

/** A backing that processes share, which can be silent and slow. */
class Shared implements CacheBacking {
  readonly local: boolean;
  readonly entries = new Map<string, CacheEntry>();
  silent = false;
  gets = 0;
  marks = 0;
  before: Promise<void> | undefined;
  #purges = 0;
  constructor(local = true) {
    this.local = local;
  }
  async get(id: string) {
    this.gets++;
    const found = this.entries.get(id) ?? null;
    await this.before;
    if (this.silent) throw new Error("silent");
    return found;
  }
  async put(added: CacheEntry, mark: string) {
    if (this.silent) throw new Error("silent");
    if (mark === String(this.#purges)) this.entries.set(added.id, added);
  }
  async purge(which: Parameters<CacheBacking["purge"]>[0]) {
    if (this.silent) throw new Error("silent");
    this.#purges++;
    const gone = [...this.entries.values()].filter((one) => fits(one, which));
    for (const { id } of gone) this.entries.delete(id);
    return gone.length;
  }
  async mark() {
    this.marks++;
    if (this.silent) throw new Error("silent");
    return String(this.#purges);
  }
  async close() {}
}

/** Two processes over one backing, and their time. */
function world(backing: Shared | undefined) {
  const time = { now: 0 };
  const open = () => new ExactCache({ backing, now: () => t0 + time.now, clock: () => time.now });
  return { time, one: open(), other: open() };
}

test("what was put is there at once, in memory, and in the backing for others", async () => {
  const backing = new Shared();
  const { one, other } = world(backing);
  await one.get("a");
  const kept = one.put(entry("a"));
  expect((await one.get("a"))?.text).toBe("answer of a");
  await kept;
  expect((await other.get("a"))?.text).toBe("answer of a");
  const before = backing.gets;
  await other.get("a");
  expect(backing.gets).toBe(before);
});

test("an entry is given while it is kept, and its age is the caller's to see", async () => {
  const { one, time } = world(undefined);
  await one.put(entry("a"));
  time.now = 59_999;
  expect(await one.get("a")).not.toBeNull();
  time.now = 60_000;
  expect(await one.get("a")).toBeNull();
});

test("a purge by another process is known here within a second, and the backing is asked no more often than that", async () => {
  const backing = new Shared();
  const { one, other, time } = world(backing);
  await one.get("a");
  await one.put(entry("a"));
  expect(await other.purge({ tenant: "acme" })).toBe(1);
  expect(await other.get("a")).toBeNull();
  const asked = backing.marks;
  time.now = 999;
  for (let i = 0; i < 100; i++) await one.get("a");
  expect(backing.marks).toBe(asked);
  time.now = 1_000;
  expect(await one.get("a")).toBeNull();
});

test("what is read while a purge comes is not given and not kept in memory", async () => {
  const backing = new Shared();
  const { one, other } = world(backing);
  await other.get("a");
  await other.put(entry("a"));
  await one.get("b");
  let go = (): void => {};
  backing.before = new Promise((resolve) => {
    go = resolve;
  });
  const read = one.get("a");
  await one.purge({ tenant: "acme" });
  go();
  expect(await read).toBeNull();
  backing.before = undefined;
  expect(await one.get("a")).toBeNull();
});

test("what was begun before a purge is not kept after it", async () => {
  for (const backing of [undefined, new Shared()]) {
    const { one } = world(backing);
    await one.get("a");
    const { mark } = one;
    await one.purge({ tenant: "acme" });
    await one.put(entry("a"), mark);
    expect(await one.get("a")).toBeNull();
  }
});

test("a silent backing is a miss, for what is in memory after a second; a purge says that it failed", async () => {
  const backing = new Shared();
  const { one, time } = world(backing);
  await one.get("a");
  await one.put(entry("a"));
  backing.silent = true;
  time.now = 999;
  expect(await one.get("a")).not.toBeNull();
  expect(await one.get("b")).toBeNull();
  time.now = 1_000;
  expect(await one.get("a")).toBeNull();
  await expect(one.put(entry("b"))).resolves.toBeUndefined();
  await expect(one.purge({ tenant: "acme" })).rejects.toThrow("silent");
  backing.silent = false;
  expect(await one.get("a")).not.toBeNull();
});

test("an answer of a sensitive run stays on this machine", async () => {
  const away = new Shared(false);
  const { one } = world(away);
  await one.get("a");
  await one.put(entry("a", { sensitive: true }));
  await one.put(entry("b"));
  expect([...away.entries.keys()]).toEqual(["b"]);
  expect((await one.get("a"))?.text).toBe("answer of a");
  expect(await one.purge({ tenant: "acme" })).toBe(2);
  const here = new Shared(true);
  const local = world(here).one;
  await local.get("a");
  await local.put(entry("a", { sensitive: true }));
  expect([...here.entries.keys()]).toEqual(["a"]);
});

test("memory has a bound of entries and of bytes, and takes no entry beyond a mebibyte", async () => {
  const few = new ExactCache({ maxEntries: 2, now: () => t0, clock: () => 0 });
  for (const id of ["a", "b", "c"]) await few.put(entry(id));
  expect([await few.get("a"), (await few.get("c"))?.id]).toEqual([null, "c"]);
  const small = new ExactCache({ maxBytes: 5_000, now: () => t0, clock: () => 0 });
  for (const id of ["a", "b", "c"]) await small.put(entry(id, { text: "x".repeat(1_000) }));
  expect([await small.get("a"), (await small.get("c"))?.id]).toEqual([null, "c"]);
  await few.put(entry("huge", { text: "x".repeat(600_000) }));
  expect(await few.get("huge")).toBeNull();
});
