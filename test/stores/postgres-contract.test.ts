/** The store contract on Postgres: a real server, and one schema that is emptied for each world (making its tables takes longer than a test). */
import { Client } from "pg";
import { postgres } from "../../src/stores/postgres.ts";
import { sharedPostgres } from "./postgres-server.ts";
import { storeContract } from "./store-contract.ts";

const schema = `contract_${process.pid}`;
const tables = ["runs", "turns", "calls", "overrides", "scores", "meters", "inbox", "idempotency", "owners", "agents"];
let isMade = false;

async function sql(text: string): Promise<void> {
  const client = new Client({ connectionString: await sharedPostgres(), options: `-c search_path=${schema}` });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

storeContract(
  "postgres",
  async () => {
    const url = await sharedPostgres();
    if (isMade) await sql(tables.map((table) => `delete from ${table}`).join(";"));
    isMade = true;
    return () => postgres(url, { schema });
  },
  { shared: true, histories: 20, damage: sql },
);
