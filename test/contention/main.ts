/**
 * `npm run contention -- --store sqlite|postgres --calls 10000 [--processes 4] [--budget calls|money] [--kills 5] [--cancels 0.1] [--restarts 3]`
 * (the last with Postgres only):
 * the contention of `contention.ts`, with a database of its own, and what was seen. Exits 1 when a promise was not kept.
 */
import { parseArgs } from "node:util";
import { startPostgres } from "../stores/postgres-server.ts";
import { contend, newFile } from "./contention.ts";

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "sqlite" },
    calls: { type: "string", default: "1000" },
    processes: { type: "string", default: "1" },
    budget: { type: "string", default: "calls" },
    kills: { type: "string", default: "0" },
    cancels: { type: "string", default: "0" },
    restarts: { type: "string", default: "0" },
  },
});
const { store, budget } = values;
if ((store !== "sqlite" && store !== "postgres") || (budget !== "calls" && budget !== "money"))
  throw new Error("--store is sqlite or postgres, --budget is calls or money");

const settings = {
  calls: Number(values.calls),
  processes: Number(values.processes),
  budget,
  kills: Number(values.kills),
  cancels: Number(values.cancels),
  restarts: Number(values.restarts),
} as const;
const server = store === "postgres" ? await startPostgres() : undefined;
const restart = (): void => {
  server?.stop("immediate");
  server?.start();
};
const file = newFile();
try {
  console.log(JSON.stringify({ store, ...settings }));
  console.log(
    JSON.stringify(
      await contend({ place: server ? { url: server.url, schema: "contention" } : { path: file.path }, ...settings, restart }),
    ),
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  server?.close();
  file.remove();
}
