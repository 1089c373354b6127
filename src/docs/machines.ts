/**
 * `node src/docs/machines.ts`: writes a page and a drawing for each machine to docs/machines. With `--check` it writes nothing
 * and fails when one of them is not what would be written.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AnyStateMachine } from "xstate";
import { agentMachine } from "../../machines/agent.ts";
import { breakerMachine } from "../../machines/breaker.ts";
import { compactionMachine } from "../../machines/compaction.ts";
import { chainMachine } from "../../machines/patterns/chain.ts";
import { fanOutMachine } from "../../machines/patterns/fan-out.ts";
import { mapReduceMachine } from "../../machines/patterns/map-reduce.ts";
import { routerMachine } from "../../machines/patterns/router.ts";
import { requestMachine } from "../../machines/request.ts";
import { routingMachine } from "../../machines/routing.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import { toolMachine } from "../../machines/tool.ts";
import { isPatternKind } from "../runtime/pattern.ts";
import { chartOf } from "./chart.ts";
import { draw } from "./drawing.ts";
import { aboutOf, generated, pageOf } from "./machine-page.ts";
import { table } from "./markdown.ts";
import { worstCaseSections } from "./worst-cases.ts";

const root = join(import.meta.dirname, "../..");
const folder = "docs/machines";

/** From the run down to its smallest part. The supervisor's type says only what it relies on in an agent. */
export const machines: readonly AnyStateMachine[] = [
  supervisorMachine as unknown as AnyStateMachine,
  routingMachine,
  chainMachine,
  routerMachine,
  fanOutMachine,
  mapReduceMachine,
  agentMachine,
  requestMachine,
  compactionMachine,
  toolMachine,
  breakerMachine,
];

/** All files of docs/machines by name. */
export async function documents(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  const index: string[][] = [];
  for (const machine of machines) {
    const chart = chartOf(machine);
    const source = `machines/${isPatternKind(chart.name) ? "patterns/" : ""}${chart.name}.ts`;
    const about = aboutOf(readFileSync(join(root, source), "utf8"));
    files.set(`${chart.name}.md`, pageOf({ chart, about, source, worstCase: worstCaseSections[chart.name]?.() }));
    files.set(`${chart.name}.svg`, await draw(chart));
    index.push([`[${chart.name}](${chart.name}.md)`, (about.split("\n\n")[0] ?? "").replaceAll("\n", " ")]);
  }
  const note = "The agent machine `single` is the request machine by itself, under the supervisor.";
  files.set("README.md", `${[generated, "# Machines", table(["machine", "what it is"], index), note].join("\n\n")}\n`);
  return files;
}

/** Names of files that are not what would be written. */
export async function stale(): Promise<readonly string[]> {
  const outdated: string[] = [];
  for (const [name, text] of await documents()) {
    const path = join(root, folder, name);
    if (!existsSync(path) || readFileSync(path, "utf8") !== text) outdated.push(`${folder}/${name}`);
  }
  return outdated;
}

if (import.meta.main) {
  if (process.argv.includes("--check")) {
    const outdated = await stale();
    if (outdated.length > 0) {
      process.stderr.write(`stale: ${outdated.join(", ")}; run \`npm run docs\`\n`);
      process.exitCode = 1;
    }
  } else {
    mkdirSync(join(root, folder), { recursive: true });
    for (const [name, text] of await documents()) writeFileSync(join(root, folder, name), text);
  }
}
