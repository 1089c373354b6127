/** A runtime that could not be made leaves nothing open that it had opened itself, and nothing untold. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Client } from "pg";
import { expect, onTestFinished, test } from "vitest";
import { resolveConfig } from "../../src/config/config.ts";
import { type Config, createRuntime, logOf, runtimeOf, sqlite } from "../../src/index.ts";
import { sharedPostgres } from "../stores/postgres-server.ts";
import { until } from "../whole-path/until.ts";

const agents = [{ name: "single", machine: "single" }];

function dataFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "failed-start-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "runs.db");
}

/** What a store cannot be used without is taken from it: it opens, and its runtime cannot be made. */
async function damaged(config: Config, damage: () => unknown): Promise<void> {
  await (await createRuntime({ env: {}, agents, ...config })).close();
  await damage();
}

function dropIn(path: string): void {
  const db = new DatabaseSync(path);
  db.exec("drop table overrides");
  db.close();
}

const openFiles = (path: string): number =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  }).length;

test.skipIf(process.platform !== "linux")("its SQLite file is closed, a store that was given is not", async () => {
  const path = dataFile();
  await damaged({ store: { path } }, () => dropIn(path));
  await expect(createRuntime({ env: {}, agents, store: { path } })).rejects.toThrow(/overrides/);
  expect(openFiles(path)).toBe(0);
  const store = sqlite(path);
  await expect(createRuntime({ env: {}, agents, store })).rejects.toThrow(/overrides/);
  // A closed one would say that it is closed.
  await expect(store.list({ limit: 1 })).rejects.toThrow(/overrides/);
  await store.close();
});

test("its connections to Postgres are closed", { timeout: 60_000 }, async () => {
  const name = `failed_${randomUUID().replaceAll("-", "")}`;
  const admin = new Client({ connectionString: await sharedPostgres() });
  await admin.connect();
  onTestFinished(() => admin.end());
  await admin.query(`create database ${name}`);
  const url = new URL(await sharedPostgres());
  url.pathname = name;
  const store = { url: url.href };
  await damaged({ store }, async () => {
    const client = new Client({ connectionString: url.href });
    await client.connect();
    await client.query("alter table escapement.overrides rename to gone");
    await client.end();
  });
  await expect(createRuntime({ env: {}, agents, store })).rejects.toMatchObject({ code: expect.any(String) });
  // The server takes a moment to see that a client has left.
  const isEmpty = async (): Promise<boolean> => {
    const { rows } = await admin.query("select count(*)::int as open from pg_stat_activity where datname = $1", [name]);
    return rows[0].open === 0;
  };
  // A pool that is left alone closes what is idle after 30 s.
  await until("no connection", isEmpty, 10_000);
});

test("the lines that its log had left out are told", async () => {
  const path = dataFile();
  await damaged({ store: { path } }, () => dropIn(path));
  const lines: string[] = [];
  const log = { destination: { write: (line: string) => void lines.push(line) } };
  const resolved = await resolveConfig({ agents, store: { path }, log }, { env: {}, machines: {} });
  const parts = { log: logOf(resolved) };
  // A sentence that repeats is written 20 times at first.
  for (let i = 0; i < 21; i++) parts.log.error("not again");
  expect(lines).toHaveLength(20);
  await expect(runtimeOf(resolved, parts)).rejects.toThrow(/overrides/);
  expect(lines.slice(20)).toEqual([expect.stringContaining("left out")]);
});
