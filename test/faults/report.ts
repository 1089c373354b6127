/**
 * `npm run faults [-- --row P17] [--repeat 3] [--small]`: plays the rows of the catalogue as the suite's own tests, several times and in their
 * whole size, and prints what was injected and seen, which oracles held, and how long it took. Ends with 1 when a row fails.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startVitest } from "vitest/node";
import type { RowReport } from "./row.ts";

const { values } = parseArgs({
  options: { row: { type: "string" }, repeat: { type: "string" }, small: { type: "boolean" }, markdown: { type: "string" } },
});
process.env.FAULTS_WHOLE = values.small ? "0" : "1";
process.env.FAULTS_REPEAT = values.repeat ?? (values.small ? "1" : "3");

type Played = RowReport & { readonly state: string; readonly ms: number; readonly problem: string };

const vitest = await startVitest("test", ["test/faults"], {
  watch: false,
  reporters: [{}],
  // The rows only: the outage and the cancelled streams have commands of their own.
  testNamePattern: new RegExp(`^${values.row ?? "[PE]\\d\\d"} `),
});
const rows: Played[] = [];
for (const module of vitest.state.getTestModules()) {
  for (const error of module.errors()) console.error(`${module.moduleId}: ${error.message}`);
  for (const test of module.children.allTests()) {
    const { fault } = test.meta();
    if (!fault) continue;
    const result = test.result();
    const problem = result.state === "failed" ? (result.errors?.[0]?.message ?? "").replace(/\x1b\[[0-9;]*m/g, "").split("\n")[0] : "";
    rows.push({ ...fault, state: fault.pending ? "pending" : result.state, ms: test.diagnostic()?.duration ?? 0, problem: problem ?? "" });
  }
}
rows.sort((a, b) => order(a.id) - order(b.id));
await vitest.close();

for (const row of rows) {
  const mark = row.state === "passed" ? "ok     " : row.state === "pending" ? "pending" : "FAILED ";
  console.log(
    `${row.id} ${mark} ${row.fault}${row.ms ? ` (${Math.round(row.ms)} ms${(row.repeated ?? 1) > 1 ? `, ${row.repeated} times` : ""})` : ""}`,
  );
  if (row.pending) console.log(`            ${row.pending}`);
  else {
    console.log(`    injected ${row.injected}`);
    if (row.seen) console.log(`    seen     ${row.seen}`);
    console.log(`    oracles  ${row.passed.join(" ")}${row.failed.length > 0 ? `; failed ${row.failed.join(" ")}` : ""}`);
    if (row.problem) console.log(`    problem  ${row.problem}`);
  }
}
const failed = rows.filter(({ state }) => state === "failed");
const count = (state: string): number => rows.filter((row) => row.state === state).length;
console.log(`${count("passed")} rows passed, ${failed.length} failed, ${count("pending")} pending`);
if (values.markdown !== undefined) writeFileSync(values.markdown, markdown());
process.exitCode = failed.length > 0 || rows.length === 0 ? 1 : 0;

function markdown(): string {
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const lines = rows.map(({ id, fault, injected, seen, passed, pending }) =>
    pending
      ? `| ${id} | ${cell(fault)} | | *pending: ${cell(pending)}* | |`
      : `| ${id} | ${cell(fault)} | ${cell(injected)} | ${cell(seen ?? "")} | ${passed.join(" ")} |`,
  );
  return `${["| row | fault | injected | seen | oracles |", "|---|---|---|---|---|", ...lines].join("\n")}\n`;
}

function order(id: string): number {
  return (id.startsWith("P") ? 0 : 1_000) + Number(id.slice(1));
}
