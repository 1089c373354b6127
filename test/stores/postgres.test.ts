/** What is Postgres's own: its schema, its connections, its failures. The contract is `postgres-contract.test.ts`. */

import { type ChildProcess, spawn } from "node:child_process";
import { createServer, connect as dial, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "pg";
import { describe, expect, it, onTestFinished } from "vitest";
import { EscapementError } from "../../src/protocol/errors.ts";
import { schemaVersion } from "../../src/stores/postgres/schema.ts";
import { postgres } from "../../src/stores/postgres.ts";
import type { Entry, EntryResult, Store } from "../../src/stores/store.ts";
import { until } from "../whole-path/until.ts";
import { accept, call, called, close, end, fact, meter, t0, turn } from "./contract/entries.ts";
import { sharedPostgres, startPostgres } from "./postgres-server.ts";
import { refusal } from "./refusal.ts";

let schemas = 0;
const newSchema = (): string => `own_${process.pid}_${++schemas}`;

async function place(): Promise<{ url: string; schema: string }> {
  return { url: await sharedPostgres(), schema: newSchema() };
}

function opened(url: string, schema: string): Store {
  const store = postgres(url, { schema });
  onTestFinished(() => store.close());
  return store;
}

async function connected(url: string, schema: string): Promise<Client> {
  const client = new Client({ connectionString: url, options: `-c search_path=${schema}` });
  client.on("error", () => {});
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

const unavailable = { code: "unavailable", retryable: true, details: { reason: "store" } };

/** Commits until the store takes it, as the journal does. */
async function insist(store: Store, batch: readonly Entry[]): Promise<readonly EntryResult[]> {
  for (let tries = 0; ; tries++) {
    try {
      return await store.commit(batch);
    } catch (error) {
      if ((error as EscapementError).code !== "unavailable" || tries > 600) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe("the schema", () => {
  it("is made once by many that meet at it, and found again", async () => {
    const { url, schema } = await place();
    const stores = Array.from({ length: 5 }, () => opened(url, schema));
    await Promise.all(stores.map((store, i) => store.commit([accept(`r${i}`)])));
    expect((await opened(url, schema).list({ limit: 10 })).rows).toHaveLength(5);
    const client = await connected(url, schema);
    expect((await client.query("select version from version")).rows).toEqual([{ version: schemaVersion }]);
  });

  it("of version 1 is read on: what was spent there still counts, and calls are counted from now on", async () => {
    const { url, schema } = await place();
    await opened(url, schema).commit([accept("r1"), turn("r1", 1, { asks: [call(1, 60, [meter("m", 100)])] })]);
    const client = await connected(url, schema);
    // As version 1 made it.
    await client.query(
      "drop table calls; drop table overrides; drop table scores; alter table runs drop column key; update version set version = 1",
    );
    const stores = [opened(url, schema), opened(url, schema)];
    expect(await Promise.all(stores.map((store) => store.get("r1")))).toMatchObject([{ heldNano: 60 }, { heldNano: 60 }]);
    const [store] = stores as [Store, Store];
    await store.commit([turn("r1", 2, { closes: [close(1, 40)], calls: [called(1, 40)] })]);
    expect((await store.usage({ tenant: "acme", by: "key", from: 0, to: 2 * t0, limit: 1 })).total).toMatchObject({
      calls: 1,
      costNano: 40,
    });
    expect((await client.query("select version from version")).rows).toEqual([{ version: schemaVersion }]);
  });

  it("of version 2 is read on, and its runs can be scored", async () => {
    const { url, schema } = await place();
    await opened(url, schema).commit([accept("r1")]);
    const client = await connected(url, schema);
    await client.query("drop table scores; update version set version = 2");
    const stores = [opened(url, schema), opened(url, schema)];
    const mark = (by: string) => ({ name: "correct", by, value: 1, at: t0 });
    expect(await Promise.all(stores.map((store, i) => store.score("r1", mark(`u${i}`))))).toEqual(["written", "written"]);
    expect(await (stores[0] as Store).scores("r1")).toEqual([mark("u0"), mark("u1")]);
  });

  it("of a newer version is refused for good", async () => {
    const { url, schema } = await place();
    await opened(url, schema).nextDue();
    await (await connected(url, schema)).query(`update version set version = ${schemaVersion + 1}`);
    expect((await refusal(opened(url, schema).get("r1"))).body).toMatchObject({
      code: "unavailable",
      retryable: false,
      details: { reason: "store", schema_version: schemaVersion + 1, supported: schemaVersion },
    });
  });

  it("may be one that an operator has made for a user who may make none", async () => {
    const { url, schema } = await place();
    const client = await connected(url, schema);
    await client.query(`create role ${schema} login; create schema ${schema} authorization ${schema}`);
    const address = new URL(url);
    address.username = schema;
    expect(await opened(address.href, schema).commit([accept("r1")])).toMatchObject([{ type: "accepted" }]);
  });
});

describe("the address", () => {
  it.each(["mysql://ada:hunter2@db/runs", "hunter2", ""])("that is none of Postgres is refused at once, and not shown: %s", (url) => {
    expect(() => postgres(url)).toThrow(EscapementError);
    expect(() => postgres(url)).toThrow(/^((?!hunter2).)*postgres:\/\/user:password@host/);
  });

  it("where nobody answers is `unavailable`, without its password", async () => {
    const store = opened("postgres://ada:hunter2@127.0.0.1:1/runs", "s");
    for (const promise of [store.get("r1"), store.commit([accept("r1")]), store.heartbeat("w1", 1)]) {
      const error = await refusal(promise);
      expect(error.body).toMatchObject(unavailable);
      expect(JSON.stringify(error.body)).not.toContain("hunter2");
    }
  });

  it("of a database that is not there is `unavailable`", async () => {
    const address = new URL(await sharedPostgres());
    address.pathname = "/nowhere";
    expect((await refusal(opened(address.href, "s").get("r1"))).body).toMatchObject({
      ...unavailable,
      message: expect.stringContaining("nowhere"),
    });
  });
});

describe("a batch", () => {
  it("with a value that the server refuses costs that entry alone", async () => {
    const { url, schema } = await place();
    const store = opened(url, schema);
    const m = [meter("m", 1_000)];
    const results = await store.commit([
      accept("r1"),
      accept("r2"),
      turn("r1", 1, { asks: [call(1, 10, m)] }),
      turn("r2", 1, { hash: "\0", asks: [call(1, 100, m)] }),
      turn("r1", 2, { closes: [close(1, 5)] }),
    ]);
    expect(results.map(({ type }) => type)).toEqual(["accepted", "accepted", "written", "broken", "written"]);
    expect(await store.get("r2")).toMatchObject({ head: 0, heldNano: 0 });
    expect(await store.meters()).toMatchObject([{ spentNano: 5, heldNano: 0 }]);
  });

  it("keeps apart users whose names Postgres cannot hold", async () => {
    const { url, schema } = await place();
    const store = opened(url, schema);
    const users = ["a", "a\0", "a\u0001", "a\u0001\u0002", "a\ud800"];
    await store.commit(users.map((user, i) => accept(`r${i}`, { info: { user, session: "s\0" } })));
    for (const [i, user] of users.entries())
      expect((await store.list({ user, session: "s\0", limit: 10 })).rows).toMatchObject([
        { id: `r${i}`, status: "running", info: { user } },
      ]);
    expect([await store.get("r\0"), await store.facts("r\0", 0, 1), await store.inbox("r\0")]).toEqual([null, [], []]);
  });

  it.each([
    ["open asks", "update turns set open = '[{' where run = (select position from runs where id = 'bad')"],
    ["progress", "update turns set progress = 'x' where run = (select position from runs where id = 'bad')"],
    ["money", "update turns set spent_nano = -1 where run = (select position from runs where id = 'bad')"],
  ])("and reads are served though another run's row is damaged (S16): %s", async (what, sql) => {
    const { url, schema } = await place();
    const store = opened(url, schema);
    await store.commit([accept("first"), accept("bad"), accept("good")]);
    await (await connected(url, schema)).query(sql);
    expect((await refusal(store.get("bad"))).body).toMatchObject({ code: "internal", details: { reason: "damaged" } });
    expect((await store.list({ limit: 10 })).rows.map(({ id }) => id)).toEqual(["good", "first"]);
    const results = await store.commit([turn("first", 1), turn("bad", 1), turn("good", 1)]);
    if (what === "open asks") expect(results.map(({ type }) => type)).toEqual(["written", "broken", "written"]);
    else return;
    const taken = await store.claim("w2", { now: t0, limit: 10, machines: ["agent@1"] });
    expect(taken.map(({ id }) => id)).toEqual(["first", "good"]);
    const { rows } = await (await connected(url, schema)).query("select status, reason from runs where id = 'bad'");
    expect(rows).toMatchObject([{ status: "quarantined", reason: expect.stringContaining("damaged") }]);
  });

  it("that meets another transaction in a deadlock is written all the same", async () => {
    const { url, schema } = await place();
    const store = opened(url, schema);
    const reserve = (run: string) => turn(run, 1, { asks: [call(1, 10, [meter("a", 1_000), meter("b", 1_000)])] });
    await store.commit([accept("r1"), accept("r2"), reserve("r1")]);
    const client = await connected(url, schema);
    await client.query("set deadlock_timeout = '10s'");
    await client.query("begin");
    await client.query("select 1 from meters where key = 'b' for update");
    const committed = store.commit([reserve("r2")]);
    // Waits for what the batch has locked, which waits for us: the batch finds it out first, and is done again.
    const waiting = `select 1 from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
      join pg_locks w on w.pid = l.pid and not w.granted where n.nspname = $1`;
    await until("the batch to wait", async () => ((await client.query(waiting, [schema])).rowCount ?? 0) > 0);
    await client.query("select 1 from meters where key = 'a' for update");
    await client.query("commit");
    expect(await committed).toMatchObject([{ type: "written", grants: [{ granted: true }] }]);
    expect(await store.meters()).toMatchObject([{ heldNano: 20 }, { heldNano: 20 }]);
  });
});

describe("the server", () => {
  it("that holds a row for too long refuses the batch, which can be written afterwards", { timeout: 30_000 }, async () => {
    const { url, schema } = await place();
    const store = postgres(url, { schema });
    await store.commit([accept("r1")]);
    const client = new Client({ connectionString: url, options: `-c search_path=${schema}` });
    await client.connect();
    await client.query("begin");
    await client.query("select 1 from runs for update");
    expect((await refusal(store.commit([turn("r1", 1)]))).body).toMatchObject(unavailable);
    // What only reads is served meanwhile.
    expect(await store.get("r1")).toMatchObject({ head: 0 });
    await client.query("rollback");
    await client.end();
    expect(await store.commit([turn("r1", 1)])).toMatchObject([{ type: "written" }]);
    await store.close();
  });

  it("that is cut off, in silence, is given up before a lease ends, and found again (S27)", { timeout: 60_000 }, async () => {
    const { url, schema } = await place();
    const line = await startLine(Number(new URL(url).port));
    const address = new URL(url);
    address.port = String(line.port);
    const store = postgres(address.href, { schema });
    await store.commit([accept("r1")]);
    line.cut();
    const from = performance.now();
    const errors = await Promise.all([refusal(store.commit([turn("r1", 1)])), refusal(store.heartbeat("w1", 1)), refusal(store.get("r1"))]);
    for (const error of errors) expect(error.body).toMatchObject(unavailable);
    // A lease lives for 10 s.
    expect(performance.now() - from).toBeLessThan(10_000);
    line.mend();
    expect(await insist(store, [turn("r1", 1)])).toMatchObject([{ type: "written" }]);
    await store.close();
    line.close();
  });

  it("that is killed again and again under load loses nothing, and nothing is written twice (S26)", { timeout: 120_000 }, async () => {
    const server = await startPostgres();
    const stores = ["a", "b"].map((name) => ({ name, store: postgres(server.url, { schema: "restarts" }) }));
    let isOver = false;
    try {
      const limited = [meter("day", 1_000_000_000), { ...meter("calls", 1_000_000_000), limitCalls: 1_000_000 }];
      const work = stores.map(async ({ name, store }) => {
        let spent = 0;
        let runs = 0;
        for (; !isOver; runs++) {
          const run = `${name}.${runs}`;
          const batch = [
            accept(run, { owner: name }),
            turn(run, 1, { facts: [fact("a")], asks: [call(1, 1_000, limited), call(2, 500, limited)] }),
            turn(run, 2, { facts: [fact("b")], closes: [close(1, 700)] }),
            end(run, 3, { closes: [close(2, 11)] }),
          ];
          const results = await insist(store, batch);
          // However often it was asked: answered as when it was written.
          expect(results.map((r) => (r.type === "written" ? r.firstSeq : r.type))).toEqual(["accepted", 2, 3, 4]);
          spent += 711;
        }
        return { spent, runs };
      });
      for (const mode of ["immediate", "fast", "immediate"] as const) {
        await new Promise((resolve) => setTimeout(resolve, 700));
        server.stop(mode);
        server.start();
      }
      await new Promise((resolve) => setTimeout(resolve, 700));
      isOver = true;
      const done = await Promise.all(work);
      const spent = done.reduce((sum, each) => sum + each.spent, 0);
      const runs = done.reduce((sum, each) => sum + each.runs, 0);
      const store = stores[0]?.store as Store;
      expect(await store.meters()).toMatchObject([
        { key: "calls", spentNano: spent, heldNano: 0, counts: { calls: { spent: 2 * runs, held: 0 } } },
        { key: "day", spentNano: spent, heldNano: 0 },
      ]);
      expect(await store.purge(t0 + 1e9, t0)).toBe(runs);
      expect(await store.reconcile()).toEqual([]);
      expect(runs).toBeGreaterThan(1);
    } finally {
      isOver = true;
      await Promise.all(stores.map(({ store }) => store.close()));
      server.close();
    }
  });
});

describe("another process", () => {
  it("killed in the middle of its commits leaves all that it was promised, and every batch whole (S01, S02, S05)", async () => {
    const { url, schema } = await place();
    const promised: { run: string; head: number; seq: number }[] = [];
    for (const [round, kills] of [3, 40].entries()) {
      let said = 0;
      const writer = child("write", `${url}#${schema}`, `k${round}`, (_, process_) => {
        if (++said === kills) process_.kill("SIGKILL");
      });
      await writer.ended;
      promised.push(...(writer.lines as typeof promised));
    }
    expect(promised.length).toBeGreaterThanOrEqual(43);
    const store = opened(url, schema);
    const { rows } = await store.list({ limit: 10_000 });
    const byId = new Map(rows.map((row) => [row.id, row]));
    for (const { run, head, seq } of promised) expect(byId.get(run)).toMatchObject({ head, seq });
    for (const row of rows) expect(row.head).toBe(Number(row.id.split(".")[1]) % 3 === 0 ? 3 : 2);
    const sum = (of: "spentNano" | "heldNano") => rows.reduce((total, row) => total + row[of], 0);
    expect(await store.meters()).toMatchObject([{ key: "all", spentNano: sum("spentNano"), heldNano: sum("heldNano") }]);
    expect(await store.reconcile()).toEqual([]);
  }, 60_000);

  it("ends by itself though it forgot to close", async () => {
    const { url, schema } = await place();
    const forgetful = child("forget", `${url}#${schema}`);
    expect(await forgetful.ended).toBe(0);
    expect(forgetful.lines).toEqual([{ owners: 0 }]);
  });
});

describe("closing", () => {
  it("carries out what was asked before, and refuses what is asked after", async () => {
    const { url, schema } = await place();
    const store = postgres(url, { schema });
    const commits = Array.from({ length: 20 }, (_, i) => store.commit([accept(`r${i}`)]));
    const closed = store.close();
    expect((await refusal(store.get("r1"))).message).toContain("closed");
    expect((await Promise.all(commits)).flat()).toHaveLength(20);
    await closed;
    await store.close();
    expect((await opened(url, schema).list({ limit: 100 })).rows).toHaveLength(20);
  });
});

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

/** A way to a port that can be cut: what is sent then goes nowhere, in both directions, and nobody is told. */
async function startLine(to: number): Promise<{ port: number; cut(): void; mend(): void; close(): void }> {
  let isCut = false;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(to, "127.0.0.1");
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (data) => !isCut && into.write(data));
      from.on("error", () => {});
      from.on("close", () => !isCut && into.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    cut: () => {
      isCut = true;
    },
    mend: () => {
      isCut = false;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
