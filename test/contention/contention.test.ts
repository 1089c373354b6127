/** Small sizes of `npm run contention`; the sizes that FEATURES B4 and FAULTS E01 and E02 speak of are that command's. */
import { expect, onTestFinished, test } from "vitest";
import { sharedPostgres } from "../stores/postgres-server.ts";
import { type ContentionOptions, contend, newFile } from "./contention.ts";

const timeout = 300_000;
const calls = 150;

async function admits(options: Omit<ContentionOptions, "calls">): Promise<void> {
  const report = await contend({ ...options, calls });
  expect(report).toMatchObject({ admitted: 60, room: 60, corrections: 0, fullest: 1 });
  expect(report.looks).toBeGreaterThan(10);
}

test("SQLite, one process that is killed, some runs cancelled: exactly what the budget of calls has room for", { timeout }, async () => {
  const file = newFile();
  onTestFinished(file.remove);
  await admits({ place: file, processes: 1, budget: "calls", kills: 1, cancels: 0.1 });
});

test("Postgres, one process: exactly what the budget of money has room for, and the ledger is the invoice", { timeout }, async () => {
  const place = { url: await sharedPostgres(), schema: "contention_money" };
  await admits({ place, processes: 1, budget: "money" });
});

test("Postgres, three processes, one is killed, some runs cancelled: exactly what the budget of calls has room for", {
  timeout,
}, async () => {
  const place = { url: await sharedPostgres(), schema: "contention_calls" };
  await admits({ place, processes: 3, budget: "calls", kills: 1, cancels: 0.1 });
});
