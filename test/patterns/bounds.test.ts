/** What is said of a pattern before it runs, put together from its parts, is at least what a walk through its machines finds. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type Walk, walk, worstOf } from "../../machines/bounds.ts";
import { resolveAgents } from "../../src/config/agents.ts";
import { agent, chain, fanOut, mapReduce, router, tool } from "../../src/index.ts";
import type { AgentSpec, TierSpec } from "../../src/runtime/agent.ts";
import { boundsOf, type Unlimited, worstCaseOf } from "../../src/runtime/bounds.ts";
import { machines } from "../../src/runtime/machines.ts";
import type { Part, Pattern } from "../../src/runtime/pattern.ts";
import { messages, patternMachines } from "../machines/inputs.ts";

const tier: TierSpec = {
  name: "main",
  provider: "fake",
  model: "m",
  price: { inputNano: 500, cachedNano: 50, cacheWriteNano: 500, outputNano: 2_000 },
  maxOutputTokens: 400,
  contextTokens: 8_000,
  stream: true,
  timeouts: { connect: 1, headers: 1, firstToken: 1, idle: 1, total: 1_000 },
};
const hand = tool({ name: "look", description: "looks", input: z.object({}), class: "pure", approval: true, run: () => null });
const specOf = (pattern: Pattern): AgentSpec => {
  const versions = Object.fromEntries(Object.entries(machines).map(([name, { version = "" }]) => [name, version]));
  const tools = { hands: [hand] };
  return resolveAgents([pattern], { tiers: [tier], tools, machines: versions })[0]?.spec as AgentSpec;
};

const single = (name: string, more: object = {}) => agent({ name, description: `${name}.`, machine: "single", retries: 0, ...more });
const one = single("one");
const patient = single("patient", { retries: 1 });
const asking = single("asking", { on_budget: "ask" });
const worker = agent({ name: "worker", description: "Works.", tools: ["hands"], retries: 0, limits: { max_steps: 2 } });
const drafts = (more: object = {}): Pattern =>
  fanOut({ name: "drafts", description: "Drafts.", branches: [one, patient], aggregate: "vote", ...more });
const chunks = (more: object = {}): Pattern =>
  mapReduce({ name: "chunks", description: "Reads.", map: one, reduce: single("put"), fan_in: 2, chunk: { max: 3 }, ...more });

/** `exact`: what is said is reached, so it is no larger than it must be. */
const shapes: readonly (readonly [name: string, pattern: Pattern, exact: boolean])[] = [
  ["stages", chain({ name: "c", stages: [one, patient, asking] }), true],
  ["a review that sends back", chain({ name: "c", stages: [one, { agent: patient, review: true }, one], redos: 2 }), true],
  [
    "stages that may be skipped",
    chain({
      name: "c",
      stages: [
        { agent: patient, optional: true },
        { agent: one, optional: true },
      ],
    }),
    true,
  ],
  [
    "routes with a classifier",
    router({ name: "r", routes: [one, single("an-answer", { retries: 1 })], classifier: { tier: "main", sure_from: 0.5 } }),
    true,
  ],
  ["branches with retries", drafts({ retries: 1, on_failure: "drop", width: 1 }), true],
  ["branches that must all answer", drafts({ siblings: "drain" }), true],
  ["a judge", drafts({ aggregate: { best: patient } }), true],
  ["a merger", drafts({ aggregate: { merge: patient }, retries: 2, on_failure: "drop" }), true],
  ["chunks", chunks(), true],
  ["chunks with retries and a yes", chunks({ retries: 1, on_failure: "drop", confirm_above_chunks: 2, width: 2 }), true],
  ["many chunks", chunks({ chunk: { max: 9 }, fan_in: 3, on_failure: "drop", width: 2 }), true],
  ["an agent with tools", chain({ name: "c", stages: [worker, one] }), true],
  ["a router of an agent and chunks", router({ name: "r", routes: [worker, chunks()], classifier: { tier: "main" } }), false],
  [
    "a chain of branches",
    chain({ name: "c", stages: [one, { agent: drafts({ retries: 1, on_failure: "drop" }), optional: true }, one] }),
    true,
  ],
  [
    "branches of chains and chunks",
    fanOut({ name: "f", branches: [chain({ name: "c", stages: [one, asking] }), chunks()], aggregate: "first", siblings: "drain" }),
    true,
  ],
  ["chunks that are drafted", chunks({ map: drafts(), reduce: chain({ name: "last", stages: [one, patient] as Part[] }) }), true],
];

const summaries = new Map<string, Walk>();
const prices: { readonly [meter in "calls" | "asks" | "sleep_ms" | "tool_calls" | "steps"]: (work: string) => number } = {
  calls: (work) => Number(work.startsWith("call/")),
  asks: (work) => Number(work === "ask"),
  sleep_ms: (work) => Number(work === "sleep_ms"),
  tool_calls: (work) => Number(work === "tool" || work === "delegate"),
  steps: (work) => Number(work === "step"),
};
const walked = ({ plan }: AgentSpec, extent: "few" | "all" = "few"): Walk =>
  walk(patternMachines[plan?.kind as keyof typeof patternMachines], { input: { plan, messages }, extent, summaries });
const told = (spec: AgentSpec): Unlimited => worstCaseOf(spec, spec.limits, undefined);

describe.each(shapes)("%s", (_, pattern, exact) => {
  const spec = specOf(pattern);
  const walking = walked(spec);
  test.each(Object.entries(prices))("%s", (meter, price) => {
    const most = told(spec)[meter as keyof typeof prices];
    const found = worstOf(walking, price);
    expect(most).toBeGreaterThanOrEqual(found);
    if (exact) expect(most).toBe(found);
  });
});

test("few kinds of outcomes are as bad as all", () => {
  for (const [name, pattern] of shapes.slice(0, 10).filter((_, i) => i !== 6)) {
    const spec = specOf(pattern);
    for (const [meter, price] of Object.entries(prices))
      expect([name, meter, worstOf(walked(spec), price)]).toEqual([name, meter, worstOf(walked(spec, "all"), price)]);
  }
});

test("a stage with tools that is never sent back has a bound of time", () => {
  const spec = specOf(chain({ name: "c", stages: [worker, { agent: one, review: true }], redos: 0 }));
  expect(boundsOf(spec, spec.limits).wall_ms).toBe(spec.limits.deadline_ms);
});

test("a pattern that its supervisor may begin anew counts each time, with the waits before", () => {
  const once = told(specOf(drafts()));
  const again = told(specOf(drafts({ supervision: { agent: "restart", max_restarts: 2 } })));
  expect([again.calls, again.steps, again.cost_microusd]).toEqual([3 * once.calls, 3 * once.steps, 3 * once.cost_microusd]);
  expect(again.sleep_ms).toBe(3 * once.sleep_ms + (100 + 200) * 1.25);
});
