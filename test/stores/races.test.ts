import { Client } from "pg";
import { expect, test } from "vitest";
import { postgres } from "../../src/stores/postgres.ts";
import { SqliteCore } from "../../src/stores/sqlite/core.ts";
import { sqliteInThread, storeOfCore } from "../../src/stores/sqlite.ts";
import { sharedPostgres } from "./postgres-server.ts";
import { race } from "./races.ts";

/** More with `RACES`. */
const races = Number(process.env.RACES ?? 120);

test(`${races} races of reserve, settle, stop, crash, top-up and rollover keep every budget, on SQLite`, { timeout: 600_000 }, () =>
  race(() => sqliteInThread(":memory:"), races),
);

test(`${races / 20} of them on Postgres`, { timeout: 600_000 }, async () => {
  const url = await sharedPostgres();
  const schema = `races_${process.pid}`;
  let isMade = false;
  await race(async () => {
    if (isMade) {
      const client = new Client({ connectionString: url, options: `-c search_path=${schema}` });
      await client.connect();
      await client.query("delete from runs; delete from turns; delete from meters; delete from owners");
      await client.end();
    }
    isMade = true;
    return postgres(url, { schema });
  }, races / 20);
});

test("a store without its fence loses a race", async () => {
  class Unfenced extends SqliteCore {
    override isCurrent(): boolean {
      return true;
    }
  }
  await expect(race(() => storeOfCore(new Unfenced(":memory:")), 200)).rejects.toThrow();
});
