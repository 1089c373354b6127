/** Small patterns for fuzzed runs: each kind, and kinds in kinds. */
import { resolveAgents } from "../../src/config/agents.ts";
import { agent, chain, fanOut, mapReduce, router } from "../../src/index.ts";
import type { TierSpec } from "../../src/runtime/agent.ts";
import { machines } from "../../src/runtime/machines.ts";
import type { FanOutOptions, MapReduceOptions, Part } from "../../src/runtime/pattern.ts";
import type { DefinedAgent } from "../../src/runtime/runtime.ts";
import type { Tool } from "../../src/runtime/tool.ts";

const single = (name: string, more: object = {}) => agent({ name, description: `${name}.`, machine: "single", retries: 0, ...more });
const cheap = (name: string, more: object = {}) => single(name, { tiers: ["second"], ...more });
const worker = agent({ name: "worker", description: "Works.", tools: ["hands"], tiers: ["second"], retries: 1, limits: { max_steps: 3 } });
const pair = fanOut({
  name: "pair",
  description: "Asks two.",
  branches: [cheap("one"), cheap("two", { retries: 1 })],
  aggregate: "first",
  least: 2,
  on_failure: "drop",
  retries: 1,
});
const reads = (name: string, more: Partial<MapReduceOptions> = {}) =>
  mapReduce({
    name,
    description: "Reads.",
    map: cheap("reader"),
    reduce: cheap("writer", { retries: 1, degraded: "Sorry." }),
    chunk: { max: 5 },
    fan_in: 2,
    width: 2,
    retries: 1,
    on_failure: "drop",
    confirm_above_chunks: 3,
    ...more,
  });
const reading = reads("reading");
const limits = { max_cost_microusd: 60_000, max_output_tokens: 200, deadline_ms: 600_000 };

const definitions: readonly Part[] = [
  chain({
    name: "article",
    stages: [cheap("outline"), { agent: single("draft"), optional: true }, { agent: cheap("edit"), review: true }],
    redos: 2,
    limits,
  }),
  router({
    name: "desk",
    routes: [cheap("short"), worker, reading, chain({ name: "long", description: "All else.", stages: [cheap("outline"), pair] })],
    classifier: { tier: "second", sure_from: 0.6 },
    limits,
  }),
  fanOut({
    name: "votes",
    branches: { agent: cheap("voter", { retries: 1 }), times: 4 },
    aggregate: "vote",
    width: 2,
    siblings: "drain",
    on_failure: "drop",
    limits,
  }),
  fanOut({ name: "best", branches: [pair, single("three"), worker], aggregate: { best: cheap("judge") }, on_failure: "drop", limits }),
  fanOut({
    name: "merged",
    branches: [cheap("one"), cheap("two"), cheap("three")],
    aggregate: { merge: single("editor", { on_length: "continue" }) },
    retries: 2,
    on_failure: "drop",
    supervision: { agent: "restart", max_restarts: 1 },
    limits,
  }),
  reads("summary", { map: pair, limits }),
  reads("strict", { on_failure: "fail", siblings: "drain", width: 3, limits }),
  agent({ name: "host", tools: ["hands", pair, reading], tiers: ["first", "second"], retries: 1, limits: { ...limits, max_steps: 4 } }),
];

type Pick = (below: number) => number;

/** Any pattern of at most so many levels. */
function randomPart(pick: Pick, name: string, levels: number): Part {
  const one = <T>(...of: readonly T[]): T => of[pick(of.length)] as T;
  if (levels === 0) return one(cheap(name, { retries: pick(2) }), single(name), { ...worker, name });
  const part = (inner: string): Part => randomPart(pick, inner, pick(levels));
  const parts = (prefix: string): Part[] => Array.from({ length: 2 + pick(2) }, (_, i) => part(`${prefix}-${i}`));
  const named = { name, description: `${name}.`, limits };
  const failing = {
    retries: pick(2),
    width: 1 + pick(3),
    on_failure: one("fail", "drop", "drop"),
    siblings: one("cancel", "drain"),
  } as const;
  switch (pick(4)) {
    case 0: {
      const stages = parts("stage").map((inner) => ({ agent: inner, optional: one(true, false), review: one(true, false, false) }));
      return chain({ ...named, stages, redos: pick(3) });
    }
    case 1:
      return router({ ...named, routes: parts("route"), ...one({ classifier: { tier: "second", sure_from: 0.6 } }, {}) });
    case 2:
      return fanOut({
        ...named,
        ...failing,
        branches: parts("branch"),
        aggregate: one<FanOutOptions["aggregate"]>("first", "vote", { best: cheap("judge") }, { merge: cheap("editor") }),
        least: 1 + pick(2),
      });
    default:
      return reads(name, {
        ...named,
        ...failing,
        map: part("map"),
        reduce: part("reduce"),
        chunk: { max: 3 + pick(4) },
        fan_in: 2 + pick(2),
      });
  }
}

/** The named ones, then as many by chance. */
export const patternsWith = (tiers: readonly TierSpec[], hands: readonly Tool[], random: number, pick: Pick): readonly DefinedAgent[] =>
  resolveAgents([...definitions, ...Array.from({ length: random }, (_, i) => randomPart(pick, `random-${i}`, 2 + pick(2)))], {
    tiers,
    tools: { hands },
    machines: Object.fromEntries(Object.entries(machines).map(([name, { version = "" }]) => [name, version])),
  });
