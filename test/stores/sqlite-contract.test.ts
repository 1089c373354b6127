/** The store contract on the three ways SQLite runs: a file in a worker, memory in a worker, and memory in this thread. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll } from "vitest";
import { sqlite, sqliteInThread } from "../../src/stores/sqlite.ts";
import { storeContract } from "./store-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "escapement-store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

storeContract("sqlite in memory, in this thread", () => () => sqliteInThread(":memory:"), { shared: false, histories: 100 });
storeContract("sqlite in memory", () => () => sqlite(":memory:"), { shared: false, histories: 10 });
storeContract(
  "sqlite on a file",
  () => {
    const file = join(folder, `${++files}`, "runs.db");
    // Without its fsyncs: they change when a promise resolves, and nothing that is promised here.
    return () => sqlite(file, { durability: "process" });
  },
  {
    shared: true,
    histories: 5,
    damage: async (sql) => {
      const db = new DatabaseSync(join(folder, `${files}`, "runs.db"));
      db.exec(sql);
      db.close();
    },
  },
);
