/**
 * What importing the public entry point costs: CPU ms of a fresh process between before and after `import()`.
 * From the sources this includes stripping their types, which a built package does not pay: `dist/src/index.js` is
 * measured too when it exists. Beside them: undici and the `openai` SDK, for the scale.
 *
 *   node bench/import.ts [specifier or path …]
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { median } from "./report.ts";

const self = fileURLToPath(import.meta.url);
const own = ["src/index.ts", "dist/src/index.js"].map((path) => fileURLToPath(new URL(`../${path}`, import.meta.url)));
const rounds = 5;
export const importGoalMs = 150;

const specifier = (target: string): string => (existsSync(target) ? pathToFileURL(resolve(target)).href : target);

/** Medians in CPU ms, interleaved; targets that cannot be imported throw. */
export function importCosts(targets: readonly string[]): ReadonlyMap<string, number> {
  const values = new Map<string, number[]>(targets.map((target) => [target, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [target, list] of values) {
      list.push(Number(execFileSync(process.execPath, [self, "--once", specifier(target)], { encoding: "utf8" })));
    }
  }
  return new Map([...values].map(([target, list]) => [target, median(list)!]));
}

export const importTargets = (): string[] => ["undici", "openai", ...own.filter((path) => existsSync(path))];

export function renderImports(costs: ReadonlyMap<string, number>): string {
  const lines = [...costs].map(([target, ms]) => {
    const goal = own.includes(target) ? `  ≤ ${importGoalMs}: ${ms <= importGoalMs ? "yes" : "NO"}` : "";
    return `  ${target.replace(fileURLToPath(new URL("..", import.meta.url)), "").padEnd(28)}${ms.toFixed(0).padStart(6)}${goal}`;
  });
  return ["import: CPU ms, fresh process", ...lines, ""].join("\n");
}

if (process.argv[2] === "--once") {
  const before = process.cpuUsage();
  await import(process.argv[3]!);
  const used = process.cpuUsage(before);
  process.stdout.write(String((used.user + used.system) / 1e3));
  process.exit(0);
} else if (process.argv[1] === self) {
  const targets = process.argv.slice(2);
  console.log(renderImports(importCosts(targets.length > 0 ? targets : importTargets())));
}
