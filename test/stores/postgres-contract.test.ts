/** The store contract on Postgres: a real server, and one schema that is emptied for each world (making its tables takes longer than a test). */
import { Client } from "pg";
import { postgres } from "../../src/stores/postgres.ts";
import { sharedPostgres } from "./postgres-server.ts";
import { storeContract } from "./store-contract.ts";

const schema = `contract_${process.pid}`;
const tables = ["runs", "turns", "meters", "inbox", "idempotency", "owners", "agents"];
let isMade = false;

storeContract(
  "postgres",
  async () => {
    const url = await sharedPostgres();
    if (isMade) {
      const client = new Client({ connectionString: url });
      await client.connect();
      await client.query(tables.map((table) => `delete from ${schema}.${table}`).join(";"));
      await client.end();
    }
    isMade = true;
    return () => postgres(url, { schema });
  },
  { shared: true, histories: 20 },
);
