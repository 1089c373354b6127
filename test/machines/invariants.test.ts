import { describe, expect, test } from "vitest";
import { type Move, type Path, pathsByTransition, pathsOf, randomPath } from "../../machines/bounds.ts";
import { chance, walked } from "./inputs.ts";
import { type Invariant, ofAgents, ofCompactions, ofRequests, ofRoutes, ofSupervisors, ofTools } from "./invariants.ts";
import { ofChains, ofFanOuts, ofMapReduces, ofRouters } from "./pattern-invariants.ts";

const invariants: { readonly [machine: string]: { readonly [name: string]: Invariant } } = {
  request: ofRequests,
  single: ofRequests,
  compaction: ofCompactions,
  tool: ofTools,
  routing: ofRoutes,
  agent: ofAgents,
  supervisor: ofSupervisors,
  chain: ofChains,
  router: ofRouters,
  "fan-out": ofFanOuts,
  "map-reduce": ofMapReduces,
};
const random = 200;
/** A fan of sixteen tools, or of chunks, is the same move many times; `single` is the request machine, which is walked in full. */
const fans: ReadonlySet<string> = new Set(["agent", "single", "fan-out", "map-reduce"]);
const alike = ({ from, to, label, step }: Move): string =>
  [from.name, label, to.name, to.living.length === from.living.length, step.transitions].join();

describe.each(walked.filter(({ name }) => name in invariants))("on every path through the $name machine", ({ name, walks: make }) => {
  const broken = new Map<string, string>();
  let paths = 0;
  const check = (path: Path): void => {
    paths++;
    for (const [invariant, of] of Object.entries(invariants[name] ?? {})) {
      const problem = of(path);
      if (problem !== null && !broken.has(invariant))
        broken.set(invariant, `${problem} (${path.steps.map(({ label }) => label).join(" ▸ ")})`);
    }
  };
  const pick = chance(1);
  for (const walk of make()) {
    for (const path of pathsOf(walk, fans.has(name) ? alike : undefined)) check(path);
    for (let i = 0; i < random; i++) {
      const path = randomPath(walk, pick);
      if (path) check(path);
    }
  }

  test("there are paths", () => expect(paths).toBeGreaterThan(20));
  for (const invariant of Object.keys(invariants[name] ?? {}))
    test(sentence(invariant), () => expect(broken.get(invariant)).toBeUndefined());
});

test("there is a shortest path for each transition that was covered", () => {
  for (const { walks } of walked)
    for (const walk of walks()) {
      const passed = new Set(walk.first.transitions);
      expect(new Set([...pathsByTransition(walk).keys(), ...passed])).toEqual(walk.transitions.covered);
    }
});

/** `callsAreCapped`: "calls are capped". */
function sentence(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
