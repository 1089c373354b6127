/**
 * The worst case of a run: what its machine can ask for at most (machines/bounds.ts), at the prices, token limits and
 * timeouts of its tiers, and never more than its limits.
 *
 *  1. `calls` and `tool_calls` count what is asked for; a denied call counts, an undercounted input is the one exception (DESIGN 6).
 *     An agent that its supervisor restarts counts as often as that may be.
 *  2. Money: the hold of each call at its most tokens, at most the budget. A person's top-up is a new decision and comes on top.
 *  3. Input tokens of a call: the context of its tier. Where that is not known {@link assumedContextTokens}; never more than
 *     the budget pays for, where nobody can raise it. `context.max_tokens` where it is less, for tiers that only answer.
 *  4. Time: the total timeout of each call, backoff with the longest jitter, questions until they expire. Where tools run it is
 *     the deadline, since their own limits are not part of the agent. The time that a process is down is not counted.
 *
 * A machine that cannot be walked (it starts something unknown, or has no small set of states) is bounded by its limits alone,
 * which the supervisor holds in any case. A machine that can ask without end is refused.
 */
import type { AnyStateMachine } from "xstate";
import { agentMachine } from "../../machines/agent.ts";
import { jitter, Uncapped, Unwalkable, type Walk, walk, worstOf } from "../../machines/bounds.ts";
import { requestMachine } from "../../machines/request.ts";
import { policyOf } from "../../machines/request-policy.ts";
import { routingMachine } from "../../machines/routing.ts";
import { restartMs } from "../../machines/supervision.ts";
import { worstCase } from "../money/prices.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Bounds, Limits } from "../protocol/limits.ts";
import type { Message } from "../protocol/messages.ts";
import { type AgentSpec, type Rates, routesOf, type TierSpec, tiersOf } from "./agent.ts";
import { type MachineInput, routingInput, toolPolicy } from "./machine-input.ts";
import { allTiersOf, callersOf } from "./parts.ts";
import { nothing, type PartBounds, sum, times, withDelegates, worstOfPlan } from "./plan-bounds.ts";
import { assumedContextTokens } from "./too-long.ts";

export { formatReport, type Verification, verifyAgent } from "./verification.ts";

/** What a run can take before its limits cut it: each at its own worst. */
export type Unlimited = Bounds & { readonly steps: number; readonly sleep_ms: number; readonly asks: number };

/**
 * Throws `invalid_request` when the machine has no cap. `machine`: the one that `spec.machine` names, where it is not one of ours;
 * give it only when its paths do not depend on what a run's input says (how wide it fans out), since it is walked without one.
 * Without it such an agent is bounded by its limits.
 */
export function boundsOf(spec: AgentSpec, limits: Limits, machine: AnyStateMachine | undefined = machineOf(spec)): Bounds {
  const most = (machine ?? spec.plan) && unlimited(spec, limits, machine);
  const calls = Math.min(most?.calls ?? Number.POSITIVE_INFINITY, limits.max_calls);
  const tiers = allTiersOf(spec);
  // What a person may grant on top pays for more tokens.
  const budgetNano = spec.onBudget === "ask" ? Number.POSITIVE_INFINITY : limits.max_cost_microusd * 1_000;
  const perCalls = callersOf(spec).flatMap((caller) => tiersOf(caller).map((tier) => perCall(caller, tier, limits)));
  const largest = (pick: (call: PerCall) => number): number => calls * Math.max(0, ...perCalls.map(pick));
  return {
    calls,
    input_tokens: least(
      most?.input_tokens,
      largest((call) => call.inputTokens),
      affordable(budgetNano, tiers, ({ inputNano, cachedNano, cacheWriteNano }) => Math.min(inputNano, cachedNano, cacheWriteNano)),
    ),
    output_tokens: least(
      most?.output_tokens,
      largest((call) => call.outputTokens),
      affordable(budgetNano, tiers, ({ outputNano }) => outputNano),
    ),
    tool_calls: least(most?.tool_calls, limits.max_tool_calls),
    cost_microusd: Math.min(Math.ceil(least(most?.cost_microusd, largest((call) => call.costNano) / 1_000)), limits.max_cost_microusd),
    wall_ms: least(most?.wall_ms === undefined ? undefined : Math.ceil(most.wall_ms), limits.deadline_ms),
  };
}

/** Throws {@link Uncapped} as `invalid_request`; undefined where the machine cannot be walked. */
function unlimited(spec: AgentSpec, limits: Limits, machine: AnyStateMachine | undefined): Unlimited | undefined {
  try {
    return worstCaseOf(spec, limits, machine);
  } catch (error) {
    if (error instanceof Unwalkable) return undefined;
    if (error instanceof Uncapped) throw new EscapementError("invalid_request", `agent "${spec.name}" cannot be run: ${error.message}`);
    throw error;
  }
}

/**
 * What the machine can ask for, at this agent's tiers, with no other limit than its steps and the tokens of a call. `among`: the parts of the
 * whole that it is of, where it is a part.
 */
export function worstCaseOf(spec: AgentSpec, limits: Limits, machine: AnyStateMachine | undefined, among = spec.parts ?? {}): Unlimited {
  const parts = partBounds(among, limits);
  if (spec.plan) return withRestarts(spec, worstOfPlan(spec.plan, parts, spec.chunks));
  if (!machine) throw new Unwalkable(`the machine "${spec.machine}" is not known here`);
  const key = `${limits.max_steps} ${limits.max_output_tokens}`;
  const known = worst.get(spec) ?? new Map<string, Unlimited>();
  if (known.size > keptWorstCases) known.clear();
  worst.set(spec, known);
  const found = known.get(key) ?? computeWorstCase(spec, limits, machine);
  known.set(key, found);
  return withDelegates(spec, found, parts, limits.max_tool_calls);
}

/** Of the parts of a pattern: with their own steps, and as much output as both allow. */
function partBounds(parts: NonNullable<AgentSpec["parts"]>, limits: Limits): PartBounds {
  const of = (name: string): AgentSpec => parts[name] as AgentSpec;
  const limitsOf = (part: AgentSpec): Limits => ({
    ...limits,
    max_steps: part.limits.max_steps,
    max_output_tokens: Math.min(limits.max_output_tokens, part.limits.max_output_tokens),
  });
  return {
    leaf: (name) => worstCaseOf(of(name), limitsOf(of(name)), machineOf(of(name)), parts),
    classifier(name) {
      const part = of(name);
      const { calls, inputTokens, outputTokens, costNano, ms } = perAsk(part, part.tiers[0] as TierSpec, limitsOf(part));
      return {
        ...nothing,
        calls,
        input_tokens: inputTokens,
        output_tokens: outputTokens,
        cost_microusd: costNano / 1_000,
        wall_ms: ms,
      };
    },
  };
}
/** Per agent, by the limits that it depends on. */
const worst = new WeakMap<AgentSpec, Map<string, Unlimited>>();
const keptWorstCases = 64;

/** What its supervisor may begin anew, and how long it waits for that. */
function restartsOf({ supervision }: AgentSpec): { readonly restarts: number; readonly waits: number } {
  const restarts = supervision?.agent === "restart" ? supervision.max_restarts : 0;
  return { restarts, waits: Array.from({ length: restarts }, (_, i) => restartMs(i + 1) * jitter).reduce((sum, ms) => sum + ms, 0) };
}

/** A pattern that its supervisor may begin anew can come to its worst each time. */
function withRestarts(spec: AgentSpec, once: Unlimited): Unlimited {
  const { restarts, waits } = restartsOf(spec);
  return sum([times(once, 1 + restarts), { ...nothing, sleep_ms: waits, wall_ms: waits }]);
}

function computeWorstCase(spec: AgentSpec, limits: Limits, machine: AnyStateMachine): Unlimited {
  // An agent that its supervisor may begin anew can come to its worst each time, with a wait before. It is routed once.
  const { restarts, waits } = restartsOf(spec);
  const routing = routingWalk(spec);
  const of = (price: (work: string) => number): number =>
    (1 + restarts) * worstInSteps(machine, spec, limits.max_steps, price) +
    restarts * price("sleep") +
    waits * price("sleep_ms") +
    (routing ? worstOf(routing, price) : 0);
  const only = (kind: string) => of((work) => (work === kind ? 1 : 0));
  const calls = new Map(tiersOf(spec).map((tier) => [`${callPrefix}${tier.name}`, perAsk(spec, tier, limits)]));
  const dearest = [...calls.values()].reduce(atLeast, noCall);
  // A machine may name a tier that the agent does not have; its call fails, and counts as the dearest.
  const eachCall = (pick: (call: PerCall) => number) => (work: string) =>
    work.startsWith(callPrefix) ? pick(calls.get(work) ?? dearest) : 0;
  const duration = eachCall((call) => call.ms);
  const tools = only("tool") + only("delegate");
  const wall = of((work) => (work === "sleep_ms" || work === "ask_ms" ? 1 : duration(work)));
  return {
    calls: of(eachCall((call) => call.calls)),
    steps: only("step"),
    tool_calls: tools,
    sleep_ms: only("sleep_ms"),
    asks: only("ask"),
    input_tokens: of(eachCall((call) => call.inputTokens)),
    output_tokens: of(eachCall((call) => call.outputTokens)),
    cost_microusd: of(eachCall((call) => call.costNano)) / 1_000,
    wall_ms: tools > 0 ? Number.POSITIVE_INFINITY : wall,
  };
}

/** What says where the chain begins, before the machine of the agent. A rule or a task only makes it shorter. */
export function routingWalk(spec: AgentSpec): Walk | undefined {
  if (!spec.route) return undefined;
  const { classifier, default: otherwise } = spec.route;
  return walk(routingMachine, { input: routingInput(spec, { classifier, default: otherwise }, []) });
}

const callPrefix = "call/";

// --- one call

type PerCall = {
  readonly calls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costNano: number;
  readonly ms: number;
};
const noCall: PerCall = { calls: 1, inputTokens: 0, outputTokens: 0, costNano: 0, ms: 0 };
const atLeast = (a: PerCall, b: PerCall): PerCall => ({
  calls: Math.max(a.calls, b.calls),
  inputTokens: Math.max(a.inputTokens, b.inputTokens),
  outputTokens: Math.max(a.outputTokens, b.outputTokens),
  costNano: Math.max(a.costNano, b.costNano),
  ms: Math.max(a.ms, b.ms),
});

/** With the second call that it may become. */
function perAsk(spec: AgentSpec, tier: TierSpec, limits: Limits): PerCall {
  const first = perCall(spec, tier, limits);
  const { hedge } = tier;
  const other = hedge && tiersOf(spec).find(({ name }) => name === hedge.tier);
  if (!hedge || !other) return first;
  const second = perCall(spec, other, limits);
  return {
    calls: 2,
    inputTokens: first.inputTokens + second.inputTokens,
    outputTokens: first.outputTokens + second.outputTokens,
    costNano: first.costNano + second.costNano + 1,
    ms: Math.max(first.ms, hedge.afterMs + second.ms),
  };
}

function perCall({ context, judge, route }: AgentSpec, tier: TierSpec, limits: Limits): PerCall {
  const answersOnly = tier.name !== judge?.tier && tier.name !== context?.summarise?.tier && tier.name !== route?.classifier?.tier;
  const inputTokens = Math.min(
    tier.contextTokens ?? assumedContextTokens,
    (answersOnly && context?.max_tokens) || Number.POSITIVE_INFINITY,
  );
  const outputTokens = Math.min(limits.max_output_tokens, tier.maxOutputTokens);
  const each = routesOf(tier).map(({ price }) => worstCase(price, inputTokens));
  const inputNano = Math.max(...each.map((worst) => worst.inputNano));
  const outputNanoPerToken = Math.max(...each.map((worst) => worst.outputNanoPerToken));
  return {
    calls: 1,
    inputTokens,
    outputTokens,
    costNano: inputNano + Math.ceil(outputTokens * outputNanoPerToken),
    ms: tier.timeouts.total,
  };
}

/** Tokens that a budget pays for at the cheapest rate; without end where one is free. */
function affordable(budgetNano: number, tiers: readonly TierSpec[], rate: (rates: Rates) => number): number {
  const cheapest = Math.min(...tiers.flatMap(routesOf).flatMap(({ price }) => [price, ...(price.long ?? [])].map(rate)));
  return cheapest > 0 ? Math.floor(budgetNano / cheapest) : Number.POSITIVE_INFINITY;
}

const least = (...values: readonly (number | undefined)[]): number =>
  values.reduce<number>((least, value) => Math.min(least, value ?? least), Number.POSITIVE_INFINITY);

// --- walks, kept by machine and shape

/** A machine whose worst case does not grow evenly with its steps is walked step by step up to here. */
const longest = 32;

/** Loops grow evenly: two walks of few steps give the worst case of any number. For ours a test says so, for others a third walk. */
function worstInSteps(machine: AnyStateMachine, spec: AgentSpec, steps: number, price: (work: string) => number): number {
  const at = (n: number): number => worstOf(walkOf(machine, spec, n), price);
  if (steps <= 2) return at(steps);
  const [one, two] = [at(1), at(2)];
  const even = two - one;
  const isEven = machine === machineOf(spec) || Math.abs(at(3) - two - even) <= 1e-9 * Math.max(1, two);
  if (isEven) return two + (steps - 2) * even;
  if (steps <= longest) return at(steps);
  throw new Unwalkable(`the worst case of "${machine.id}" does not grow evenly with its steps, and ${steps} are too many to walk`);
}

const walks = new WeakMap<object, Map<string, Walk | Error>>();
/** Of requests and tools, by the shape of their input: as many as there are shapes of agents. */
const summaries = new Map<string, Walk>();
const shapes = new WeakMap<AgentSpec, string>();

function walkOf(machine: AnyStateMachine, spec: AgentSpec, steps: number): Walk {
  let known = walks.get(machine.config);
  if (!known) {
    known = new Map();
    walks.set(machine.config, known);
  }
  let shape = shapes.get(spec);
  if (shape === undefined) {
    shape = JSON.stringify(walkedInput(spec, 0));
    shapes.set(spec, shape);
  }
  const key = `${steps} ${shape}`;
  let found = known.get(key);
  if (!found) {
    try {
      const extent = machine === machineOf(spec) ? "few" : "all";
      found = walk(machine, { input: walkedInput(spec, steps), extent, summaries });
    } catch (error) {
      if (!(error instanceof Unwalkable)) throw error;
      found = error;
    }
    known.set(key, found);
  }
  if (found instanceof Error) throw found;
  return found;
}

/** The input that a run's machine gets, as far as its paths depend on it: one tool of each kind, the one that asks a person last. */
export function walkedInput(spec: AgentSpec, steps: number): MachineInput {
  const kinds = [false, true].flatMap((approval) => worstTool(spec, approval) ?? []);
  const input: MachineInput = {
    input: "",
    messages: walkedMessages(spec),
    tiers: spec.tiers.map(({ name }) => name),
    maxSteps: steps,
    ...policyOf(spec),
    ...(spec.outputSchema !== undefined && { structured: true }),
    tools: kinds.map((policy) => ({ name: policy.approval ? "asked" : "plain", ...policy })),
    parallelTools: spec.parallelTools,
    ...(spec.supervision && { supervision: spec.supervision }),
  };
  // As in machine-input.ts: `single` shows no tools.
  return isSingle(spec) ? { ...input, tools: undefined as unknown as MachineInput["tools"] } : input;
}

/** With a policy for the context: a conversation of which something must go. */
const walkedMessages = ({ context }: AgentSpec): readonly Message[] =>
  Array.from({ length: context ? 2 * (context.keep_turns ?? 1) + 1 : 1 }, () => ({ role: "user", content: "" }));

/** Of the tools that ask a person, or of those that ask none, one that is as bad as each of them. */
function worstTool(spec: AgentSpec, asks: boolean): ReturnType<typeof toolPolicy> | undefined {
  // A tool that is an agent has the paths of any other; what its machines ask for comes on top (plan-bounds.ts).
  const policies = spec.tools
    .filter(({ isHidden, approval, isQuestion = false }) => !isHidden && (approval || isQuestion) === asks)
    .map((tool) => toolPolicy(spec, { ...tool, plan: undefined }));
  if (policies.length === 0) return undefined;
  const [repeatable, mayNeedYes, isTakenBack] = [
    policies.some((policy) => policy.repeatable),
    policies.some((policy) => policy.mayNeedYes),
    policies.some((policy) => policy.compensation !== undefined),
  ];
  return {
    approval: asks,
    ...(repeatable && { repeatable }),
    ...(mayNeedYes && { mayNeedYes }),
    ...(isTakenBack && { compensation: "undo" }),
  };
}

const isSingle = ({ machine }: AgentSpec): boolean => machine.startsWith("single@");

/** Our own machine of that name. */
export function machineOf(spec: AgentSpec): AnyStateMachine | undefined {
  if (isSingle(spec)) return requestMachine;
  return spec.machine.startsWith("agent@") ? agentMachine : undefined;
}
