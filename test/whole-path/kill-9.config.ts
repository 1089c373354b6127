/**
 * The configuration of {@link config} with a store that ends its own process at a commit that a test named: before it, right after it
 * was handed to the store's thread, or after it was durable and before anybody was told.
 *
 * The order stands in a file. It is taken away before the process ends, so the next process lives.
 */
import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openai, sqlite } from "../../src/index.ts";
import type { Entry, Store } from "../../src/stores/store.ts";
import { config } from "./escapement.config.ts";

/** `commit`: counted from 1 since the order was given; a commit of nothing but parking is none. `message`: of a cancel or an answer. */
export type Order =
  | { readonly when: "before" | "during" | "after"; readonly commit: number }
  | { readonly when: "after"; readonly message: true };

const { ESCAPEMENT_DATA = "." } = process.env;
const orders = join(ESCAPEMENT_DATA, "order.json");
const commits = join(ESCAPEMENT_DATA, "commits.jsonl");

const isTurn = (entry: Entry): boolean => entry.type === "accept" || entry.type === "turn";

function nameOf(entry: Entry): string {
  if (entry.type !== "turn") return entry.type;
  const { input } = JSON.parse(entry.body) as { input: { type: string; ordinal?: number } }; // written by the runtime, one line above the store
  const asks = entry.asks.map(({ kind, ordinal }) => `asks ${kind} ${ordinal}`).join(", ");
  return `turn ${entry.n} (${input.type}${input.ordinal === undefined ? "" : ` of ${input.ordinal}`}${asks && `, ${asks}`})`;
}

/** Nothing of this process runs after it. */
const die = (): void => {
  rmSync(orders);
  process.kill(process.pid, "SIGKILL");
};

function mortal(store: Store): Store {
  let seen = 0;
  const given = (): Order | undefined => (existsSync(orders) ? JSON.parse(readFileSync(orders, "utf8")) : undefined);
  return {
    ...store,
    async commit(batch) {
      if (!batch.some(isTurn)) return store.commit(batch);
      const order = given();
      seen = order ? seen + 1 : 0;
      const isIt = order !== undefined && "commit" in order && order.commit === seen;
      appendFileSync(commits, `${JSON.stringify(batch.map(nameOf).join(" + "))}\n`);
      if (isIt && order.when === "before") die();
      const committing = store.commit(batch);
      if (isIt && order.when === "during") die();
      const results = await committing;
      if (isIt) die();
      return results;
    },
    async message(...args) {
      const order = given();
      const result = await store.message(...args);
      if (order && "message" in order) die();
      return result;
    },
  };
}

export default {
  ...config,
  // Counted by bytes: this process starts dozens of times, and the tokenizer's table would be half of each start.
  providers: {
    fault: openai({ name: "fault", baseURL: `${process.env.WHOLE_PATH_PROVIDER}/v1`, tokenizer: { encoding: "bytes", margin: 0 } }),
  },
  // Without retries: those are for providers, and a process that ends takes none of them.
  agents: config.agents?.filter(({ name }) => name === "worker" || name === "single").map((agent) => ({ ...agent, retries: 0 })),
  store: mortal(sqlite(join(ESCAPEMENT_DATA, "runs.db"))),
};
