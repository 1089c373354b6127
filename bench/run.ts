/**
 * The bench: every contestant in every scenario, interleaved, each in a fresh process against a fake provider on a core
 * of its own; medians, and ratios within the same run. README.md says how to read it.
 */
import { mkdirSync, rmSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type ContestantName, contestantNames, contestants, isOurs } from "./contestant.ts";
import { importCosts, importTargets, renderImports } from "./import.ts";
import type { Figure } from "./measure.ts";
import { isThere } from "./ours.ts";
import { type Cores, findCores, measureOnce } from "./processes.ts";
import { renderProfiles } from "./profile.ts";
import { type Results, renderSection, type Section, short, summarise } from "./report.ts";
import { type Scenario, scenarioNamed, scenarios } from "./scenarios.ts";

const usage = `node bench/run.ts [options]
  --quick              3 rounds instead of 5
  --only A,B           these scenarios: ${scenarios.map(({ name }) => name).join(", ")}
  --who floor,…        these contestants: ${contestantNames.join(", ")}
  --json               the result as JSON on standard output
  --profile A          one scenario under --cpu-prof, top functions; of ours, or of the first in --who`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    only: { type: "string" },
    who: { type: "string" },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const say = (text: string): void => {
  process.stderr.write(text);
};

function chosenContestants(): ContestantName[] {
  const named = options.who?.split(",");
  const unknown = named?.find((name) => !contestantNames.some((known) => known === name));
  if (unknown !== undefined) throw new Error(`no contestant "${unknown}"; there are ${contestantNames.join(", ")}`);
  const chosen = contestantNames.filter((name) => named?.includes(name) ?? true);
  if (isThere()) return chosen;
  say("ours is not there yet (src/index.ts): measured without it\n");
  return chosen.filter((name) => !isOurs(name));
}

/** One round: every contestant once, in an order that turns with the round, so that nobody always follows the same neighbour. */
async function measureRound(cores: Cores | null, scenario: Scenario, names: readonly ContestantName[], round: number, results: Results) {
  const turn = round % names.length;
  for (const contestant of [...names.slice(turn), ...names.slice(0, turn)]) {
    let figure: Figure | null = null;
    try {
      figure = await measureOnce(cores, { contestant, scenario: scenario.name });
      say(`  ${scenario.name} ${contestant} ${short(figure.value)}`);
    } catch (error) {
      say(`\n  ${scenario.name} ${contestant} failed: ${error instanceof Error ? error.message : error}\n`);
    }
    const list = results.get(contestant) ?? [];
    results.set(contestant, [...list, figure]);
  }
  say("\n");
}

async function bench(cores: Cores | null): Promise<void> {
  const names = chosenContestants();
  if (names.length === 0) throw new Error("nobody to measure");
  const chosen = options.only?.split(",").map(scenarioNamed) ?? scenarios;
  const rounds = options.quick ? 3 : 5;
  const load = loadavg()[0]!;
  const environment = {
    node: process.version,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    pinned: cores,
    loadBefore: load,
    rounds,
  };
  const notes = [
    `Node ${environment.node}, ${environment.cores} × ${environment.cpu}, medians of ${rounds} interleaved rounds, load ${load.toFixed(1)} before.`,
    cores === null
      ? "NOT PINNED (no taskset, or a single core): provider and contestants disturb each other."
      : `Provider alone on core ${cores.provider}, contestants on core ${cores.client}.`,
    "Only the ratios count, and only within this run.",
  ];
  say(`${notes.join("\n")}\n`);
  const results = new Map<Scenario, Results>(chosen.map((scenario) => [scenario, new Map()]));
  for (let round = 0; round < rounds; round += 1) {
    say(`round ${round + 1} of ${rounds}\n`);
    for (const [scenario, list] of results) await measureRound(cores, scenario, names, round, list);
  }
  const sections: Section[] = [...results].map(([scenario, list]) => summarise(scenario, list));
  const imports = options.only === undefined ? importCosts(importTargets()) : undefined;
  if (options.json) {
    console.log(JSON.stringify({ environment, sections, importCpuMs: imports && Object.fromEntries(imports) }, null, 2));
    return;
  }
  console.log(`\n${notes.join("\n")}\n\n${sections.map(renderSection).join("\n")}`);
  if (imports !== undefined) console.log(renderImports(imports));
}

async function profile(cores: Cores | null, scenario: Scenario): Promise<void> {
  const contestant = chosenContestants().find((name) => options.who !== undefined || isOurs(name));
  if (contestant === undefined) throw new Error("nobody to profile: ours is not there, and --who names nobody else");
  const directory = fileURLToPath(new URL(`profiles/${scenario.name}-${contestant}`, import.meta.url));
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const nodeArgs = ["--cpu-prof", `--cpu-prof-dir=${directory}`, "--cpu-prof-interval=200"];
  const figure = await measureOnce(cores, { contestant, scenario: scenario.name, times: 3, nodeArgs });
  const units = figure.runs * scenario.perRun;
  const unit = scenario.kind === "cpu" ? scenario.unit.replace(" CPU", "") : "µs a run";
  const root = fileURLToPath(new URL("..", import.meta.url));
  console.log(`${scenario.name}: ${scenario.title}; ${contestants[contestant].title}; profiles in ${directory.replace(root, "")}`);
  console.log(renderProfiles(directory, figure.window, units, unit, root));
}

if (options.help) console.log(usage);
else if (options.profile !== undefined) await profile(findCores(), scenarioNamed(options.profile));
else await bench(findCores());
