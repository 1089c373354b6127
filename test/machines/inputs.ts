/** What the machines are walked with: inputs that together reach every transition, and messages from outside. */
import type { AnyStateMachine } from "xstate";
import { agentMachine } from "../../machines/agent.ts";
import { type Message, type Walk, walk } from "../../machines/bounds.ts";
import { breakerDefaults, breakerMachine } from "../../machines/breaker.ts";
import { compactionMachine } from "../../machines/compaction.ts";
import { chainMachine } from "../../machines/patterns/chain.ts";
import { fanOutMachine } from "../../machines/patterns/fan-out.ts";
import { mapReduceMachine } from "../../machines/patterns/map-reduce.ts";
import type { FanOutPlan, LeafPlan, MapReducePlan, Plan, PlanKind, RouterPlan, Stage } from "../../machines/patterns/plan.ts";
import { routerMachine } from "../../machines/patterns/router.ts";
import { requestMachine } from "../../machines/request.ts";
import { routingMachine } from "../../machines/routing.ts";
import { defaultSupervision } from "../../machines/supervision.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import { toolMachine } from "../../machines/tool.ts";
import type { Json } from "../../src/protocol/json.ts";
import type { Message as Conversation } from "../../src/protocol/messages.ts";

export const messages = [{ role: "user", content: "What is it?" }] as const;
export const request = { messages, tiers: ["a", "b", "c"], retries: 2, onBudget: "stop", tools: ["plain"] } as const;
export const agent = {
  messages,
  tiers: ["a"],
  retries: 1,
  maxSteps: 2,
  onBudget: "stop",
  tools: [
    { name: "plain", approval: false },
    { name: "asked", approval: true },
  ],
  parallelTools: 4,
} as const;
export const use = { id: "u1", name: "send", input: {}, call: "c1", needsApproval: false } as const;
export const limits = {
  max_steps: 1,
  max_calls: 2,
  max_tool_calls: 2,
  max_depth: 4,
  max_cost_microusd: 1_000,
  max_output_tokens: 100,
  deadline_ms: 1_000,
} as const;

const labels = [
  { name: "chat", description: "small talk", tier: "a" },
  { name: "An answer", description: "all else", tier: "b" },
] as const;
export const route = { messages, tiers: ["a", "b", "c"] } as const;
/** A conversation of several turns, and what is to be kept of it. */
export const turns = [1, 2, 3].flatMap((n): Conversation[] => [
  { role: "user", content: `What is ${n}?` },
  { role: "assistant", content: `It is ${n}.` },
]);
export const long = [...turns, ...messages] as const;
export const context = { keep_turns: 2, max_tokens: 1_000, summarise: { tier: "s", max_output_tokens: 100 } } as const;

export const compaction = { messages: long, history: 6, policy: context, again: false, step: 1, attempt: 1 } as const;

/** A part with a tiny policy: each of its ends is a call away. */
export const leaf = (name: string, more: object = {}): LeafPlan => ({
  kind: "single",
  name,
  input: { part: name, tiers: ["a"], retries: 0, onBudget: "stop", ...more },
});
export const chainOf = (stages: readonly Stage[], redos = 1): Plan => ({ kind: "chain", name: "chain", stages, redos });
export const stage = (name: string, more: Omit<Stage, "plan"> = {}): Stage => ({ plan: leaf(name), ...more });
export const routerOf = (more: Partial<RouterPlan> = {}): RouterPlan => ({
  kind: "router",
  name: "router",
  // The classifier of the walk says "An answer.".
  routes: ["other", "an-answer"].map((name) => ({ description: `about ${name}`, plan: leaf(name) })),
  default: "other",
  ...more,
});
export const fanOutOf = (more: Partial<FanOutPlan> = {}): FanOutPlan => ({
  kind: "fan-out",
  name: "fan-out",
  branches: ["one", "two", "three"].map((name) => leaf(name)),
  width: 2,
  onFailure: "drop",
  retries: 0,
  siblings: "cancel",
  least: 1,
  aggregate: { by: "vote" },
  ...more,
});
export const mapReduceOf = (more: Partial<MapReducePlan> = {}): MapReducePlan => ({
  kind: "map-reduce",
  name: "map-reduce",
  text: "{{input}}",
  tokens: 100,
  overlap: 0,
  maxChunks: 4,
  map: leaf("map"),
  mapPrompt: "{{chunk}}",
  reduce: leaf("reduce"),
  reducePrompt: "{{parts}}",
  fanIn: 2,
  width: 2,
  onFailure: "drop",
  retries: 0,
  siblings: "cancel",
  ...more,
});
const classifier = { part: "classifier", tier: "s", sureFrom: 0.5 } as const;
const onlyOne = leaf("only", { degraded: "Sorry." });

export const patternMachines: { readonly [kind in Exclude<PlanKind, "agent" | "single">]: AnyStateMachine } = {
  chain: chainMachine,
  router: routerMachine,
  "fan-out": fanOutMachine,
  "map-reduce": mapReduceMachine,
};
const patternWalk = (plan: Plan, more: object = {}): Walk =>
  walk(patternMachines[plan.kind as keyof typeof patternMachines], { input: { plan, messages, ...more } });

const supervision = { ...defaultSupervision, max_restarts: 2 };

const asked = (label: string, more: object): Message => ({
  label,
  event: { type: "work.asked", ordinal: 0, kind: "call", at: 0, depth: 2, isStep: false, ...more },
});
const supervised: readonly Message[] = [
  { label: "cancel", event: { type: "cancel", reason: "enough" } },
  asked("asked for a step", { isStep: true }),
  asked("asked for a call", {}),
  asked("asked for a tool", { kind: "tool" }),
  asked("asked for a tool that is not there", {
    kind: "tool",
    problem: { code: "tool_not_found", message: "there is no such tool", retryable: false },
  }),
  asked("asked for a wait", { kind: "sleep" }),
  asked("asked for a page", {
    kind: "tool",
    use: { hash: "p", name: "page", needsApproval: false, untrusted: true, consequential: false },
  }),
  { label: "a yes", event: { type: "work.approved", hash: "m" } },
  { label: "text from outside before it", event: { type: "work.read" } },
  asked("asked for a mail", { kind: "tool", use: { hash: "m", name: "mail", needsApproval: true, untrusted: false, consequential: true } }),
  asked("asked for a wait before a restart", { kind: "sleep", isRestart: true }),
  asked("asked after the deadline", { at: 1_000 }),
  asked("asked too deep", { depth: 5 }),
];
const health: readonly Message[] = [
  { label: "asked at once", event: { type: "asked", at: 1 } },
  { label: "asked after the cooldown", event: { type: "asked", at: 100_000 } },
  { label: "succeeded", event: { type: "succeeded", at: 1 } },
  { label: "failed, few calls", event: { type: "failed", at: 1, calls: 4, failures: 4 } },
  { label: "failed, half of the calls", event: { type: "failed", at: 1, calls: 10, failures: 5 } },
  { label: "failed, most calls", event: { type: "failed", at: 1, calls: 10, failures: 6 } },
  { label: "abandoned", event: { type: "abandoned", at: 1 } },
];

/** Policies that are switched on by agents; each walk has some of them. */
const policies = [
  { messages: long, context },
  { messages: long, context: { keep_turns: 1 }, retries: 0, cache: true, degraded: "Sorry." },
  { context, retries: 0 },
  { onBudget: "cheaper", onLength: "continue", onCut: "continue", degraded: "Sorry." },
  { onCut: "keep", judge: { tier: "j", criteria: "It is true." }, cache: true },
  { onLength: "continue", onCut: "continue", judge: { tier: "j", criteria: "It is true." }, structured: true },
  { escalateBelow: 0.85, judge: { tier: "j", criteria: "It is true." }, cache: true },
] as const;

/** Every machine, with the walks that together cover it. */
const exposed = [{}, { cache: true }].map((more) =>
  walk(requestMachine, { input: { ...request, tiers: ["a"], retries: 0, expose: true, ...more } }),
);

export const walked: readonly { readonly name: string; readonly machine: AnyStateMachine; readonly walks: () => readonly Walk[] }[] = [
  {
    name: "request",
    machine: requestMachine,
    walks: () => [
      walk(requestMachine, { input: { ...request, tiers: [] } }),
      walk(requestMachine, { input: request }),
      ...exposed,
      walk(requestMachine, { input: { ...request, tiers: ["a", "b"], structured: true } }),
      walk(requestMachine, { input: { ...request, tiers: ["a"], retries: 1, onBudget: "ask", degraded: "Sorry.", cache: true } }),
      ...policies.map((policy) => walk(requestMachine, { input: { ...request, tiers: ["a", "b"], retries: 1, ...policy } })),
    ],
  },
  {
    name: "single",
    machine: requestMachine,
    walks: () => [
      walk(requestMachine, { input: { ...request, tools: undefined, tiers: [] } }),
      walk(requestMachine, { input: { ...request, tools: undefined } }),
      ...exposed,
      walk(requestMachine, { input: { ...request, tools: undefined, tiers: ["a"], onBudget: "ask", degraded: "Sorry.", cache: true } }),
      ...policies.map((policy) =>
        walk(requestMachine, { input: { ...request, tools: undefined, tiers: ["a", "b"], retries: 1, ...policy } }),
      ),
    ],
  },
  {
    name: "compaction",
    machine: compactionMachine,
    walks: () => [
      walk(compactionMachine, { input: compaction }),
      walk(compactionMachine, { input: { ...compaction, tooLong: { limit: 40, rest: 10, sizes: long.map(() => 10) } } }),
      walk(compactionMachine, { input: { ...compaction, tooLong: { limit: 15, rest: 10, sizes: long.map(() => 10) }, again: true } }),
      walk(compactionMachine, { input: { ...compaction, policy: { keep_turns: 2 } } }),
    ],
  },
  {
    name: "tool",
    machine: toolMachine,
    walks: () => [
      walk(toolMachine, { input: use }),
      walk(toolMachine, { input: { ...use, needsApproval: true } }),
      walk(toolMachine, { input: { ...use, restarts: 2 } }),
      walk(toolMachine, { input: { ...use, mayNeedYes: true } }),
      walk(toolMachine, { input: { ...use, input: { question: "Which?" }, isQuestion: true } }),
      walk(toolMachine, { input: { ...use, plan: leaf("expert") } }),
      walk(toolMachine, { input: { ...use, plan: fanOutOf(), input: { input: "Is it safe?" }, needsApproval: true } }),
    ],
  },
  {
    name: "routing",
    machine: routingMachine,
    walks: () => [
      walk(routingMachine, { input: route }),
      walk(routingMachine, { input: { ...route, rule: { number: 1, answer: "Hello." } } }),
      walk(routingMachine, { input: { ...route, rule: { number: 2, tier: "b" } } }),
      walk(routingMachine, { input: { ...route, task: { name: "sum", tier: "c" } } }),
      walk(routingMachine, { input: { ...route, classifier: { tier: "s", labels }, default: "c" } }),
      walk(routingMachine, { input: { ...route, classifier: { tier: "s", labels, sureFrom: 0.5 }, part: "sorter" } }),
    ],
  },
  {
    name: "chain",
    machine: chainMachine,
    walks: () => [
      patternWalk(chainOf([stage("draft"), stage("edit")])),
      patternWalk(chainOf([stage("draft"), stage("check", { optional: true }), stage("edit", { review: true })], 2)),
      patternWalk(chainOf([stage("draft", { review: true }), { plan: onlyOne }, stage("edit", { review: true, optional: true })])),
      patternWalk(chainOf([{ plan: chainOf([stage("draft"), stage("edit", { review: true })]) }, { plan: routerOf() }])),
    ],
  },
  {
    name: "router",
    machine: routerMachine,
    walks: () => [
      patternWalk(routerOf()),
      patternWalk(routerOf({ tasks: { sum: "an-answer" } }), { task: "sum" }),
      patternWalk(routerOf({ classifier, tasks: { sum: "an-answer" } }), { task: "toString" }),
      patternWalk(routerOf({ classifier, routes: [{ description: "all", plan: fanOutOf() }], default: "fan-out" }), { for: "internal" }),
    ],
  },
  {
    name: "fan-out",
    machine: fanOutMachine,
    walks: () => [
      ...(["first", "vote"] as const).flatMap((by) =>
        (["cancel", "drain"] as const).flatMap((siblings) => [
          patternWalk(fanOutOf({ aggregate: { by }, siblings, least: 2, retries: 1, branches: fanOutOf().branches.slice(1) })),
          patternWalk(fanOutOf({ aggregate: { by }, siblings, onFailure: "fail", retries: 1, width: siblings === "drain" ? 2 : 3 })),
          patternWalk(fanOutOf({ aggregate: { by }, siblings, least: 2 })),
        ]),
      ),
      patternWalk(fanOutOf({ aggregate: { by: "best", judge: leaf("judge") }, branches: [leaf("one"), onlyOne] })),
      patternWalk(fanOutOf({ aggregate: { by: "merge", merger: leaf("editor", { degraded: "Sorry." }) }, retries: 1, width: 1 })),
      patternWalk(fanOutOf({ branches: [chainOf([stage("draft"), stage("edit")]), leaf("one")], onFailure: "fail", siblings: "drain" })),
    ],
  },
  {
    name: "map-reduce",
    machine: mapReduceMachine,
    walks: () => [
      ...(["cancel", "drain"] as const).flatMap((siblings) => [
        patternWalk(mapReduceOf({ siblings })),
        patternWalk(mapReduceOf({ siblings, onFailure: "fail", retries: 1, width: 1 })),
      ]),
      patternWalk(mapReduceOf({ maxChunks: 9, confirmAbove: 2, fanIn: 3 })),
      patternWalk(mapReduceOf({ map: fanOutOf({ branches: [leaf("one"), leaf("two")] }), reduce: onlyOne, width: 3 }), { for: "internal" }),
    ],
  },
  {
    name: "agent",
    machine: agentMachine,
    walks: () => [
      walk(agentMachine, { input: { ...agent, degraded: "Sorry." } }),
      walk(agentMachine, { input: { ...agent, maxSteps: 1, parallelTools: 1, tools: agent.tools.slice(1) } }),
      walk(agentMachine, { input: { ...agent, tools: [] } }),
      walk(agentMachine, { input: { ...agent, retries: 0, tools: [{ name: "plain", approval: false, compensation: "undo" }] } }),
      walk(agentMachine, {
        input: {
          ...agent,
          tools: [{ name: "plain", approval: false, repeatable: true }],
          supervision: { ...supervision, request: "restart", tool: "restart" },
        },
      }),
      walk(agentMachine, { input: { ...agent, supervision: { ...supervision, tool: "escalate" } } }),
      walk(agentMachine, { input: { ...agent, messages: long, retries: 0, tools: agent.tools.slice(0, 1), context } }),
    ],
  },
  {
    name: "supervisor",
    machine: supervisorMachine,
    walks: () => [
      walk(supervisorMachine, {
        // The input of the agent is JSON for the supervisor.
        input: { limits, agent: { ...agent, maxSteps: 1, retries: 0, degraded: "Sorry." } as unknown as Json },
        messages: supervised,
      }),
      walk(supervisorMachine, {
        input: {
          limits,
          agent: { ...agent, maxSteps: 1, retries: 0, tools: [] } as unknown as Json,
          supervision: { ...supervision, agent: "restart", max_restarts: 1 },
          confirm: 2_000,
        },
        messages: supervised,
      }),
      walk(supervisorMachine, {
        input: {
          limits,
          agent: { ...agent, maxSteps: 1, retries: 0, tools: [] } as unknown as Json,
          route: { ...route, classifier: { tier: "s", labels } },
        },
        messages: supervised,
      }),
      walk(supervisorMachine, {
        input: {
          limits,
          agent: { ...agent, maxSteps: 1, retries: 0, tools: [] } as unknown as Json,
          route: { ...route, rule: { number: 1, answer: "Hello." } },
          confirm: 2_000,
        },
        messages: supervised,
      }),
    ],
  },
  { name: "breaker", machine: breakerMachine, walks: () => [walk(breakerMachine, { input: breakerDefaults, messages: health })] },
];

/** A generator of numbers below n, the same for the same seed (mulberry32). */
export function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below) | 0;
  };
}
