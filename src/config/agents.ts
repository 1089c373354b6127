/**
 * From what an agent's author wrote to what a run is pinned to. Owns the defaults of agents and their limits, and the default agents.
 */
import { z } from "zod";
import { defaultBackoff } from "../../machines/request-policy.ts";
import { defaultSupervision } from "../../machines/supervision.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Limits, LimitsInput } from "../protocol/limits.ts";
import { type AgentCode, type AgentOptions, type AgentSpec, agent, type TierSpec } from "../runtime/agent.ts";
import { agentToolSpec } from "../runtime/agent-tool.ts";
import { worstCaseOf } from "../runtime/bounds.ts";
import { agentInput } from "../runtime/machine-input.ts";
import { isPattern, type Pattern } from "../runtime/pattern.ts";
import { maxShown } from "../runtime/tool.ts";
import { checkSlots, instructed } from "./instructions.ts";
import { levelsOf, PartCollector, type PartResolver, type ResolvedPart } from "./patterns.ts";
import { checkedRoute } from "./route.ts";
import { usedTier } from "./tiers.ts";
import { exposedTools, type ToolGroups } from "./tool-groups.ts";

/** 50 cents and 5 minutes are a bound for a run that nobody thought about. */
export const defaultLimits: Limits = {
  max_steps: 10,
  max_calls: 40,
  max_tool_calls: 40,
  max_depth: 4,
  max_cost_microusd: 500_000,
  max_output_tokens: 2_048,
  deadline_ms: 300_000,
};

/** The agents of a configuration that names none. */
export const defaultAgents: readonly AgentOptions[] = [
  {
    name: "assistant",
    description: "Answers questions; calculates and knows the time.",
    instructions:
      "You are a helpful assistant. Answer briefly and in the language of the question. " +
      "Use the calculator for every calculation and the clock for everything that depends on the current date or time.",
    tools: ["compute", "clock"],
    machine: "agent",
  },
  { name: "single", description: "Answers with one request to a model, without tools.", machine: "single" },
];

const defaultTtlMs = 3_600_000;
const defaultStaleMs = 24 * 3_600_000;

export type AgentParts = {
  /** All tiers of the configuration, in order of preference. */
  readonly tiers: readonly TierSpec[];
  readonly tools: ToolGroups;
  /** Defaults of the configuration, over {@link defaultLimits}. */
  readonly limits?: LimitsInput & { readonly max_depth?: number | undefined };
  /** Revisions of the machines that this process carries, by name: `{agent: "1", single: "1"}`. */
  readonly machines: { readonly [name: string]: string };
};

/** `options` keeps what is no data: the zod schemas of input and output. */
export type ResolvedAgent = {
  readonly spec: AgentSpec;
  readonly options: AgentCode;
  /** Of a pattern, and of an agent whose tools are agents. */
  readonly parts?: ReadonlyMap<string, ResolvedPart>;
};

/**
 * Throws `invalid_request` with the agent's name and the way out: unknown tier, group or machine, too many tools, two agents of one name,
 * a schema that JSON Schema cannot express.
 */
export function resolveAgents(agents: readonly (AgentOptions | Pattern)[], parts: AgentParts): ResolvedAgent[] {
  const names = new Set<string>();
  const resolver: PartResolver = {
    agent: (options, path, collect) => partSpec(options, path, parts, collect),
    tierNamed: (pattern, path, name) => tierNamed(pattern, path, name, parts.tiers),
  };
  return agents.map((options) => {
    if (names.has(options.name)) throw refused("name", `there are two agents named "${options.name}"; rename one`);
    names.add(options.name);
    const collect = new PartCollector(resolver);
    if (isPattern(options)) return { spec: patternSpec(options, parts, collect), options, parts: collect.parts };
    agent(options);
    const spec = specOf(options, parts, collect);
    if (collect.parts.size === 0) return { spec, options };
    return { spec: withParts(spec, collect), options, parts: collect.parts };
  });
}

const specsOf = (collect: PartCollector): { readonly [path: string]: AgentSpec } =>
  Object.fromEntries([...collect.parts].map(([path, { spec }]) => [path, spec]));

/** Tools that are agents lie deeper than others. */
const withParts = (spec: AgentSpec, collect: PartCollector): AgentSpec => ({
  ...spec,
  parts: specsOf(collect),
  limits: { ...spec.limits, max_depth: spec.limits.max_depth + levelsOf({ kind: "agent", name: spec.name, input: agentInput(spec, 1) }) },
});

/** An agent as a part: what only a run has is the root's. */
function partSpec(options: AgentOptions, path: string, parts: AgentParts, collect: PartCollector): AgentSpec {
  agent(options);
  for (const key of ["route", "confirm_above_microusd", "context"] as const)
    if (options[key] !== undefined)
      throw refused(key, `agent "${options.name}" is a part of a pattern (${path}), and ${key} is for agents that are run by themselves`);
  return specOf(options, parts, collect, path);
}

function patternSpec(pattern: Pattern, parts: AgentParts, collect: PartCollector): AgentSpec {
  const plan = collect.plan(pattern, "");
  const inputSchema = schemaOf(pattern.name, "input", pattern.input);
  const specs = specsOf(collect);
  const own = Object.values(specs);
  const tiers = own.flatMap((spec) => spec.tiers);
  const given = limitsOf(pattern.limits, parts.limits, tiers);
  const spec: AgentSpec = {
    name: pattern.name,
    description: pattern.description ?? "",
    instructions: "",
    machine: machineOf({ name: pattern.name, machine: pattern.kind }, parts.machines),
    tiers: [],
    tools: [],
    limits: { ...given, max_depth: given.max_depth + levelsOf(plan) },
    ...(inputSchema !== undefined && { inputSchema }),
    retries: 0,
    onBudget: "stop",
    ...(pattern.supervision && { supervision: { ...defaultSupervision, ...defined(pattern.supervision) } }),
    ...(pattern.confirm_above_microusd !== undefined && { confirmAbove: pattern.confirm_above_microusd }),
    parallelTools: 1,
    ...(pattern.sensitive && { sensitive: true }),
    ...(pattern.untrusted_input && { untrustedInput: true }),
    ...(pattern.priority === "batch" && { priority: "batch" }),
    plan,
    parts: specs,
  };
  return { ...spec, limits: { ...spec.limits, ...shapeLimits(spec, pattern.limits) } };
}

/** A pattern needs as many steps and calls as its shape says; what its author says comes first. */
function shapeLimits(spec: AgentSpec, own: LimitsInput = {}): Partial<Limits> {
  const most = worstCaseOf(spec, spec.limits, undefined);
  const cap = (value: number): number => Math.max(1, Math.min(Number.isFinite(value) ? Math.ceil(value) : maxShape, maxShape));
  return {
    ...(own.max_steps === undefined && { max_steps: cap(most.steps) }),
    ...(own.max_calls === undefined && { max_calls: cap(most.calls) }),
    ...(own.max_tool_calls === undefined && { max_tool_calls: cap(most.tool_calls) }),
  };
}
const maxShape = 10_000;

function specOf(options: AgentOptions, parts: AgentParts, collect: PartCollector, path = ""): AgentSpec {
  const { name } = options;
  const tiers = tiersOf(options, parts.tiers);
  const helpers = helpersOf(options, tiers, parts.tiers);
  const inputSchema = schemaOf(name, "input", options.input);
  const outputSchema = schemaOf(name, "output", options.output);
  const own = instructed(options.instructions ?? "");
  checkSlots(name, inputSchema, own, tiers);
  return {
    name,
    description: options.description ?? "",
    ...own,
    machine: machineOf(options, parts.machines),
    tiers,
    ...(helpers.length > 0 && { helpers }),
    tools: toolsOf(options, parts, collect, path),
    limits: limitsOf(options.limits, parts.limits, tiers),
    ...(inputSchema !== undefined && { inputSchema }),
    ...(outputSchema !== undefined && { outputSchema }),
    retries: options.retries ?? 2,
    ...(options.backoff && { backoff: { ...defaultBackoff, ...defined(options.backoff) } }),
    onBudget: options.on_budget ?? "stop",
    ...endings(options),
    ...(options.validators?.length && { validators: validatorNames(options) }),
    ...(options.judge && { judge: options.judge }),
    ...(options.escalate_below !== undefined && { escalateBelow: options.escalate_below }),
    ...(options.degraded !== undefined && { degraded: options.degraded }),
    ...cachingOf(options),
    ...(options.supervision && { supervision: { ...defaultSupervision, ...defined(options.supervision) } }),
    ...(options.confirm_above_microusd !== undefined && { confirmAbove: options.confirm_above_microusd }),
    ...contextOf(options),
    ...(options.prompt_cache === false && { promptCache: false }),
    parallelTools: options.parallel_tools ?? 4,
    ...(options.route && { route: checkedRoute(options, tiers) }),
    ...(options.anonymise && { anonymise: options.anonymise }),
    ...(options.sensitive && { sensitive: true }),
    ...(options.expose && { expose: true }),
    ...(options.untrusted_input && { untrustedInput: true }),
    ...(options.priority === "batch" && { priority: "batch" }),
  };
}

/** Tools of an agent that says itself which of them a step shows. */
const maxDeclared = 128;

/** Groups first, then the agents that are tools. */
function toolsOf({ name, tools = [], expose }: AgentOptions, parts: AgentParts, collect: PartCollector, path: string): AgentSpec["tools"] {
  const groups = tools.filter((tool) => typeof tool === "string");
  const agents = tools
    .filter((tool) => typeof tool !== "string")
    .map((part) => {
      if (!part.description)
        throw refused("tools", `agent "${name}" uses "${part.name}" as a tool, which has no description; say what it is for`);
      const at = path === "" ? part.name : `${path}.${part.name}`;
      return { ...agentToolSpec(part.name, part.description, part.input), plan: collect.plan(part, at) };
    });
  return exposedTools(name, groups, parts.tools, { agents, most: expose ? maxDeclared : maxShown });
}

function tiersOf({ name, tiers }: AgentOptions, all: readonly TierSpec[]): readonly TierSpec[] {
  if (!tiers) {
    if (all.length === 0) throw refused("tiers", `agent "${name}" has no tier: configure a provider or tiers`);
    return all;
  }
  const uses = tiers.map((use) => (typeof use === "string" ? { tier: use } : use));
  const names = uses.map(({ tier }) => tier);
  if (new Set(names).size < names.length) throw refused("tiers", `agent "${name}" names a tier twice: ${names.join(", ")}`);
  return uses.map((use) => usedTier(tierNamed(name, "tiers", use.tier, all), use));
}

function tierNamed(agentName: string, path: string, wanted: string, all: readonly TierSpec[]): TierSpec {
  const tier = all.find((candidate) => candidate.name === wanted);
  if (tier) return tier;
  const there = all.map(({ name }) => name).join(", ") || "none";
  throw refused(path, `agent "${agentName}" asks for the tier "${wanted}", which is not configured; there are: ${there}`);
}

/** Tiers that are called beside the chain, where the chain does not have them. */
function helpersOf(
  { name, judge, route, context }: AgentOptions,
  chain: readonly TierSpec[],
  all: readonly TierSpec[],
): readonly TierSpec[] {
  const wanted = new Map<string, string>();
  if (judge) wanted.set(judge.tier, "judge.tier");
  if (context?.summarise) wanted.set(context.summarise.tier, "context.summarise.tier");
  if (route?.classifier) wanted.set(route.classifier.tier, "route.classifier.tier");
  for (const { name: used } of chain) wanted.delete(used);
  const helpers = [...wanted].map(([tier, path]) => tierNamed(name, path, tier, all));
  for (const { name: hedged, hedge } of [...chain, ...helpers])
    if (hedge && ![...chain, ...helpers].some((tier) => tier.name === hedge.tier))
      helpers.push(tierNamed(name, `tiers.${hedged}.hedge.tier`, hedge.tier, all));
  return helpers;
}

/** Tokens of a summary, where nothing is said. */
const summaryTokens = 512;

function contextOf({ name, context }: AgentOptions): Pick<AgentSpec, "context"> {
  if (!context) return {};
  const { keep_turns, max_tokens, summarise } = context;
  const most = summarise?.max_output_tokens ?? summaryTokens;
  if (summarise && max_tokens !== undefined && most * 4 > max_tokens)
    throw refused(
      "context.summarise.max_output_tokens",
      `agent "${name}": a summary of ${most} tokens is more than a quarter of context.max_tokens (${max_tokens}); lower context.summarise.max_output_tokens or raise context.max_tokens`,
    );
  return {
    context: {
      ...(keep_turns !== undefined && { keep_turns }),
      ...(max_tokens !== undefined && { max_tokens }),
      ...(summarise && { summarise: { tier: summarise.tier, max_output_tokens: most } }),
    },
  };
}

/** What follows a broken or a cut answer; the defaults are left out. */
function endings({ name, on_length, on_cut, stream }: AgentOptions): Pick<AgentSpec, "onLength" | "onCut" | "stream"> {
  if (stream === "checked" && (on_length === "continue" || (on_cut !== undefined && on_cut !== "retract")))
    throw refused(
      "stream",
      `agent "${name}": with stream "checked" nothing of an answer is shown before it is whole, so there is nothing to continue or keep; leave out on_length and on_cut`,
    );
  return {
    ...(on_length === "continue" && { onLength: on_length }),
    ...(on_cut !== undefined && on_cut !== "retract" && { onCut: on_cut }),
    ...(stream === "checked" && { stream }),
  };
}

function cachingOf({ name, cache }: AgentOptions): Pick<AgentSpec, "cache" | "caching"> {
  if (!cache) return {};
  const { exact, semantic, version = "1", tags = [], scope = "user", single_flight = false } = cache;
  if (!exact && !semantic && !single_flight)
    throw refused("cache", `agent "${name}": its cache keeps nothing; say exact: {}, semantic: { mode } or single_flight: true`);
  const answers = {
    ttlMs: exact?.ttl_ms ?? defaultTtlMs,
    staleMs: exact?.stale_ms ?? defaultStaleMs,
    ...(semantic && { semantic: { mode: semantic.mode, ...(semantic.threshold !== undefined && { threshold: semantic.threshold }) } }),
  };
  const caching = { version, tags: [...new Set(tags)], scope, ...(single_flight && { singleFlight: true as const }) };
  return exact || semantic ? { cache: true, caching: { answers, ...caching } } : { caching };
}

function validatorNames({ name, validators = [] }: AgentOptions): readonly string[] {
  const names = validators.map((validator) => validator.name);
  const twice = names.find((one, i) => names.indexOf(one) !== i);
  if (twice !== undefined) throw refused("validators", `agent "${name}" has two validators named "${twice}"; rename one`);
  return names;
}

function machineOf({ name, machine = "agent" }: AgentOptions, machines: AgentParts["machines"]): string {
  const revision = Object.hasOwn(machines, machine) ? machines[machine] : undefined;
  if (revision === undefined) {
    throw refused(
      "machine",
      `agent "${name}" is run by the machine "${machine}", which is not there; there are: ${Object.keys(machines).join(", ")}`,
    );
  }
  return `${machine}@${revision}`;
}

/** The agent's own over the configuration's over ours; no call may ask for more output than the best of its tiers can give. */
function limitsOf(own: LimitsInput = {}, configured: AgentParts["limits"] = {}, tiers: readonly TierSpec[]): Limits {
  const limit = (key: keyof LimitsInput): number => own[key] ?? configured[key] ?? defaultLimits[key];
  return {
    max_steps: limit("max_steps"),
    max_calls: limit("max_calls"),
    max_tool_calls: limit("max_tool_calls"),
    max_depth: configured.max_depth ?? defaultLimits.max_depth,
    max_cost_microusd: limit("max_cost_microusd"),
    max_output_tokens: Math.min(limit("max_output_tokens"), Math.max(...tiers.map((tier) => tier.maxOutputTokens))),
    deadline_ms: limit("deadline_ms"),
  };
}

function schemaOf(name: string, key: "input" | "output", type: z.ZodType | undefined): Json | undefined {
  if (!type) return undefined;
  let schema: { type?: unknown };
  try {
    schema = z.toJSONSchema(type, { io: key });
  } catch (error) {
    throw refused(
      key,
      `agent "${name}": its ${key} schema has no JSON Schema (${(error as Error).message}); use plain objects, lists, strings and numbers`,
    );
  }
  if (key === "output" && schema.type !== "object") {
    throw refused(key, `agent "${name}": its output schema must be an object (z.object({…})), since that is what providers can be held to`);
  }
  // A JSON Schema is JSON by construction.
  return schema as Json;
}

const defined = <T extends object>(value: T): T => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;

const refused = (path: string, message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path } });
