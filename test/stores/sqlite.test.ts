/** What is SQLite's own: its file, its thread, its failures. The contract is `sqlite-contract.test.ts`. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import type { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { EscapementError } from "../../src/protocol/errors.ts";
import { SqliteCore } from "../../src/stores/sqlite/core.ts";
import { schemaVersion } from "../../src/stores/sqlite/schema.ts";
import { type SqliteOptions, sqlite, sqliteInThread, storeOfCore } from "../../src/stores/sqlite.ts";
import type { Store } from "../../src/stores/store.ts";
import { accept, call, called, close, end, fact, meter, t0, turn } from "./contract/entries.ts";
import { compareWithModel } from "./contract/model.ts";
import { refusal } from "./refusal.ts";

const folder = mkdtempSync(join(tmpdir(), "escapement-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newPath = () => join(folder, `${++files}`, "deep", "runs.db");

function opened(path: string, options?: SqliteOptions): Store {
  const store = sqlite(path, options);
  onTestFinished(() => store.close());
  return store;
}

const unavailable = (reason: string) => ({ code: "unavailable", retryable: true, details: { reason } });

/** Runs a job of `child.ts`; `heard` is called with each line that it says. */
function child(job: string, path: string, name = "", heard: (line: unknown, process: ChildProcess) => void = () => {}) {
  const args = [join(import.meta.dirname, "child.ts"), job, path, name];
  const started = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void started.kill("SIGKILL"));
  const lines: unknown[] = [];
  createInterface({ input: started.stdout }).on("line", (line) => {
    lines.push(JSON.parse(line));
    heard(lines.at(-1), started);
  });
  return { lines, ended: new Promise<number | null>((resolve) => started.once("close", resolve)) };
}

/** Runs Node with these arguments to its end: the exit code, and what it said. */
function ended(args: string[], cwd: string): Promise<[code: number | null, said: string]> {
  const started = spawn(process.execPath, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  started.stdout.on("data", (data) => {
    said += String(data);
  });
  return new Promise((resolve) => started.once("close", (code) => resolve([code, said])));
}

/** The next worker thread that this process starts. */
const nextWorker = () => new Promise<Worker>((resolve) => process.once("worker", resolve));

describe("the file", () => {
  it("is made with its folder, and is in write-ahead mode", async () => {
    const path = newPath();
    const store = opened(path);
    await store.commit([accept("r1")]);
    expect(existsSync(path)).toBe(true);
    const other = new DatabaseSync(path);
    expect(other.prepare("pragma journal_mode").get()).toEqual({ journal_mode: "wal" });
    expect(other.prepare("pragma user_version").get()).toEqual({ user_version: schemaVersion });
    other.close();
  });

  it("of version 1 is read on: what was spent there still counts, and meters learn to count", async () => {
    const path = newPath();
    const before = opened(path);
    await before.commit([accept("r1"), turn("r1", 1, { asks: [call(1, 60, [meter("m", 100)])] })]);
    await before.commit([turn("r1", 2, { closes: [close(1, 40)], asks: [call(2, 30, [meter("m", 100)])] })]);
    await before.close();
    // As version 1 made it.
    const db = new DatabaseSync(path);
    db.exec("drop index runs_unfinished; alter table meters drop column counts; pragma user_version = 1");
    db.exec("drop table calls; drop table overrides; drop table scores; alter table runs drop column key");
    db.close();
    const store = opened(path);
    expect(await store.meters()).toEqual([{ key: "m", level: "user", limitNano: 100, spentNano: 40, heldNano: 30 }]);
    const capped = { ...meter("m", 100), limitCalls: 1 };
    const [result] = await store.commit([turn("r1", 3, { closes: [close(2, 5)], asks: [call(3, 20, [capped])] })]);
    expect(result).toMatchObject({ type: "written", grants: [{ granted: true }] });
    expect(await store.meters()).toMatchObject([{ spentNano: 45, heldNano: 20, counts: { calls: { limit: 1, spent: 0, held: 1 } } }]);
    // Its calls are not counted, and those that end from now on are.
    await store.commit([turn("r1", 4, { closes: [close(3, 7)], calls: [called(3, 7)] })]);
    expect((await store.usage({ tenant: "acme", by: "key", from: 0, to: 2 * t0, limit: 1 })).total).toMatchObject({
      calls: 1,
      costNano: 7,
    });
  });

  it("of version 4 is read on, and its runs can be scored", async () => {
    const path = newPath();
    const before = opened(path);
    await before.commit([accept("r1")]);
    await before.close();
    const db = new DatabaseSync(path);
    db.exec("drop table scores; pragma user_version = 4");
    db.close();
    const store = opened(path);
    expect(await store.score("r1", { name: "correct", by: "ada", value: 1, at: t0 })).toBe("written");
    expect(await store.scores("r1")).toHaveLength(1);
  });

  it("of a newer version is refused for good", async () => {
    const path = newPath();
    mkdirSync(join(path, ".."), { recursive: true });
    const db = new DatabaseSync(path);
    db.exec(`pragma user_version = ${schemaVersion + 1}`);
    db.close();
    const { body } = await refusal(opened(path).get("r1"));
    expect(body).toMatchObject({
      code: "unavailable",
      retryable: false,
      details: { reason: "store", schema_version: schemaVersion + 1, supported: schemaVersion },
    });
    expect(() => sqliteInThread(path)).toThrow(body.message);
  });

  it("that cannot be opened is named in the error of every call", async () => {
    const path = newPath();
    mkdirSync(path, { recursive: true });
    const store = opened(path);
    for (const promise of [store.get("r1"), store.commit([accept("r1")]), store.nextDue()]) {
      const error = await refusal(promise);
      expect(error.body).toMatchObject(unavailable("store"));
      expect(error.message).toContain(path);
    }
    expect(() => sqliteInThread(path)).toThrow(EscapementError);
  });

  it("can be opened once what was in its place is gone", async () => {
    const path = newPath();
    mkdirSync(path, { recursive: true });
    const store = opened(path);
    await refusal(store.get("r1"));
    rmSync(path, { recursive: true });
    expect(await store.get("r1")).toBeNull();
  });

  it("of another format is refused", async () => {
    const path = join(folder, "notes.txt");
    writeFileSync(path, "These are notes and no database. ".repeat(200));
    expect((await refusal(opened(path).get("r1"))).body).toMatchObject(unavailable("store"));
  });

  it("that is full refuses writes, still answers reads, and takes writes again when there is room (S14)", async () => {
    const store = opened(newPath(), { maxBytes: 400_000 });
    const input = "x".repeat(20_000);
    let refused: EscapementError | null = null;
    let runs = 0;
    for (; !refused && runs < 100; runs++) {
      const run = `r${runs}`;
      await store.commit([accept(run, { info: { input } }), end(run, 1)]).catch((error: unknown) => {
        refused = error as EscapementError;
      });
    }
    expect((refused as EscapementError | null)?.body).toMatchObject(unavailable("storage_full"));
    // Nothing of the refused batch is there, and what was promised is.
    expect(await store.get(`r${runs - 1}`)).toBeNull();
    expect(await store.get(`r${runs - 2}`)).toMatchObject({ status: "done" });
    expect(await store.purge(t0 + 1e9, t0)).toBe(runs - 1);
    expect(await store.commit([accept("again", { info: { input } })])).toMatchObject([{ type: "accepted" }]);
  });

  it("that another process holds for too long refuses, and can be written afterwards", async () => {
    const path = newPath();
    const store = opened(path, { busyTimeoutMs: 20 });
    await store.commit([accept("r1")]);
    const other = new DatabaseSync(path);
    onTestFinished(() => other.close());
    other.exec("begin immediate");
    expect((await refusal(store.commit([turn("r1", 1)]))).body).toMatchObject(unavailable("store"));
    expect((await refusal(store.message("r1", { nonce: "n", kind: "cancel", value: null, createdAt: t0 }))).body).toMatchObject(
      unavailable("store"),
    );
    expect(await store.get("r1")).toMatchObject({ head: 0 });
    other.exec("rollback");
    expect(await store.commit([turn("r1", 1)])).toMatchObject([{ type: "written" }]);
  });

  it.each([
    ["half of its acceptance", "body = substr(body, 1, 20)"],
    ["money that is no safe integer", "spent_nano = 9007199254740993"],
    ["open asks that are bytes", "open = x'00ff'"],
  ])("with a damaged row costs that row's run, and no other (S16): %s", async (_, damage) => {
    const path = newPath();
    const store = opened(path);
    await store.commit([accept("first"), accept("bad"), accept("good")]);
    const other = new DatabaseSync(path);
    other.exec(`update turns set ${damage} where run = (select position from runs where id = 'bad')`);
    other.close();
    expect((await refusal(store.get("bad"))).body).toMatchObject({ code: "internal" });
    expect((await store.list({ limit: 10 })).rows.map(({ id }) => id)).toEqual(["good", "first"]);
    // It has its place on a page, and the next one is found.
    const page = await store.list({ limit: 2 });
    expect(page.rows.map(({ id }) => id)).toEqual(["good"]);
    expect((await store.list({ limit: 2, before: page.next ?? 0 })).rows.map(({ id }) => id)).toEqual(["first"]);
    const taken = await store.claim("w2", { now: t0, limit: 10, machines: ["agent@1"] });
    expect(taken.map(({ id }) => id)).toEqual(["first", "good"]);
    expect(await store.claim("w3", { now: t0, limit: 10, machines: ["agent@1"], run: "bad" })).toEqual([]);
    const check = new DatabaseSync(path);
    expect(check.prepare("select status, reason from runs where id = 'bad'").get()).toMatchObject({
      status: "quarantined",
      reason: expect.stringContaining("damaged"),
    });
    check.close();
  });
});

describe("the thread", () => {
  it("carries out calls in the order they were made", async () => {
    const store = opened(":memory:");
    const results = await Promise.all([
      store.commit([accept("r1")]),
      store.get("r1"),
      store.commit([turn("r1", 1, { facts: [fact("a")] })]),
      store.facts("r1", 0, 9),
    ]);
    expect(results[1]).toMatchObject({ head: 0 });
    expect(results[3]).toHaveLength(2);
  });

  it("carries out what was asked before close, and refuses what is asked after", async () => {
    const path = newPath();
    const store = sqlite(path);
    const commits = Array.from({ length: 20 }, (_, i) => store.commit([accept(`r${i}`)]));
    const closed = store.close();
    const late = refusal(store.get("r1"));
    expect((await Promise.all(commits)).flat()).toHaveLength(20);
    await closed;
    expect((await late).body).toMatchObject(unavailable("store"));
    expect((await refusal(store.commit([]))).message).toContain("closed");
    await store.close();
    expect((await opened(path).list({ limit: 100 })).rows).toHaveLength(20);
  });

  it("that dies settles every call, and the next call to a file starts another", async () => {
    const path = newPath();
    const started = nextWorker();
    const store = opened(path);
    const worker = await started;
    await store.commit([accept("r0")]);
    const calls = Array.from({ length: 200 }, (_, i) => store.commit([accept(`r${i + 1}`)]));
    await calls[0];
    const dead = worker.terminate();
    const settled = await Promise.allSettled(calls);
    await dead;
    const kept = settled.flatMap((s, i) => (s.status === "fulfilled" ? [`r${i + 1}`] : []));
    const lost = settled.flatMap((s) => (s.status === "rejected" ? [s.reason] : []));
    for (const error of lost) expect((error as EscapementError).body).toMatchObject(unavailable("store"));
    for (const run of ["r0", ...kept]) expect(await store.get(run)).toMatchObject({ id: run });
    // Repeating all of it is safe.
    for (let i = 0; i < 200; i += 50)
      for (const result of await store.commit(Array.from({ length: 50 }, (_, k) => accept(`r${i + k + 1}`))))
        expect(result).toEqual({ type: "accepted", status: "running", epoch: 1 });
    expect((await store.list({ limit: 1_000 })).rows).toHaveLength(201);
  });

  it("of a store in memory takes its data with it, and says so", async () => {
    const started = nextWorker();
    const store = opened(":memory:");
    await store.commit([accept("r1")]);
    await (await started).terminate();
    const error = await refusal(store.get("r1"));
    expect(error.body).toMatchObject(unavailable("store"));
    expect(error.message).toContain("lost");
  });

  it("does not keep a process alive that forgot to close, and keeps one alive that has a call under way", async () => {
    const path = newPath();
    const forgetful = child("forget", path);
    expect(await forgetful.ended).toBe(0);
    expect(forgetful.lines).toEqual([{ owners: 0 }]);
    const hurried = child("hurry", path);
    expect(await hurried.ended).toBe(0);
    expect(hurried.lines).toMatchObject([{ results: [{ type: "accepted" }] }]);
  });

  it("refuses arguments that cannot be cloned, and goes on", async () => {
    const store = opened(":memory:");
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    const results = await store.commit([accept("r1"), accept("r2", { info: { input: cyclic as unknown as null } })]);
    expect(results.map(({ type }) => type)).toEqual(["accepted", "broken"]);
    const symbol = Symbol("x") as unknown as string;
    expect((await refusal(store.get(symbol))).code).toBe("internal");
    expect(await store.get("r1")).toMatchObject({ id: "r1" });
  });
});

describe("another process", () => {
  it("killed in the middle of its commits leaves a consistent file with all that it was promised (S01, S02, S05)", async () => {
    const path = newPath();
    const promised: { run: string; head: number; seq: number }[] = [];
    for (const [round, kills] of [3, 17, 40, 71].entries()) {
      let said = 0;
      const writer = child("write", path, `k${round}`, (_, process_) => {
        if (++said === kills) process_.kill("SIGKILL");
      });
      await writer.ended;
      expect(writer.lines.length).toBeGreaterThanOrEqual(kills);
      promised.push(...(writer.lines as typeof promised));
    }
    const store = opened(path);
    const { rows } = await store.list({ limit: 10_000 });
    const byId = new Map(rows.map((row) => [row.id, row]));
    for (const { run, head, seq } of promised) expect(byId.get(run)).toMatchObject({ head, seq });
    // A batch is there whole or not at all, promised or not.
    let spent = 0;
    let held = 0;
    for (const row of rows) {
      expect(row.head).toBe(Number(row.id.split(".")[1]) % 3 === 0 ? 3 : 2);
      expect((await store.facts(row.id, 0, 100)).map(({ seq }) => seq)).toEqual(Array.from({ length: row.seq }, (_, i) => i + 1));
      expect((await store.turns(row.id, 0, 100)).map(({ n }) => n)).toEqual(Array.from({ length: row.head }, (_, i) => i + 1));
      spent += row.spentNano;
      held += row.heldNano;
    }
    expect(await store.meters()).toMatchObject([{ key: "all", spentNano: spent, heldNano: held }]);
    const claimed = await store.claim("next", { now: t0, limit: 10_000, machines: ["agent@1"] });
    expect(claimed).toHaveLength(rows.filter(({ status }) => status === "running").length);
    const db = new DatabaseSync(path);
    expect(db.prepare("pragma integrity_check").get()).toEqual({ integrity_check: "ok" });
    db.close();
  }, 60_000);

  it("reserves from the same budget: three processes and this one get exactly what it holds (E02)", async () => {
    const path = newPath();
    // All meet at a file that none of them has made.
    const others = ["a", "b", "c"].map((name) => child("reserve", path, name));
    const store = opened(path);
    let granted = 0;
    for (let i = 0; i < 50; i++) {
      const results = await store.commit([accept(`me.${i}`), turn(`me.${i}`, 1, { asks: [call(1, 1, [meter("day", 400)])] })]);
      if (results.some((r) => r.type === "written" && r.grants[0]?.granted)) granted++;
    }
    for (const other of others) {
      expect(await other.ended).toBe(0);
      granted += (other.lines as { granted: number }[])[0]?.granted ?? 0;
    }
    expect(granted).toBe(400);
    expect(await store.meters()).toMatchObject([{ spentNano: 0, heldNano: 400 }]);
    expect((await store.list({ limit: 1_000 })).rows).toHaveLength(800);
  }, 60_000);
});

describe("the package", () => {
  it("finds its worker when it is compiled to JavaScript", async () => {
    const out = join(folder, "compiled");
    const root = join(import.meta.dirname, "..", "..");
    const flags =
      "--ignoreConfig --module nodenext --target es2024 --types node --skipLibCheck --strict --rewriteRelativeImportExtensions --noCheck";
    const sources = join(root, "src", "stores", "sqlite.ts");
    const worker = join(root, "src", "stores", "sqlite", "worker.ts");
    const tsc = [join(root, "node_modules", "typescript", "bin", "tsc"), sources, worker, "--outDir", out, "--rootDir", join(root, "src")];
    expect(await ended(tsc.concat(flags.split(" ")), root)).toEqual([0, ""]);
    writeFileSync(join(out, "package.json"), '{"type":"module"}');
    const script = `const { sqlite } = await import("./stores/sqlite.js");
      const store = sqlite(process.argv[1]);
      await store.heartbeat("w1", 1);
      console.log(await store.nextDue());
      await store.close();`;
    expect(await ended(["--input-type=module", "-e", script, newPath()], out)).toEqual([0, "null\n"]);
  }, 60_000);
});

describe("the suite", () => {
  /** A store that forgot to fence. */
  class Unfenced extends SqliteCore {
    override isCurrent(): boolean {
      return true;
    }
  }

  it("notices a store without its fence", async () => {
    await expect(compareWithModel(() => () => storeOfCore(new Unfenced(":memory:")), 100)).rejects.toThrow();
  });
});
