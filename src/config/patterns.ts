/**
 * From a pattern as its author wrote it to what a run is pinned to: one tree of plans, and the agents at its leaves by name.
 *
 *  1. A part's name is its path in the tree (`draft`, `drafts.first`): the same agent at two places is two parts.
 *  2. Templates, names and defaults are checked here: a machine finds nothing wrong with a plan.
 */
import { type FanOutPlan, type LeafPlan, type Plan, type Stage, slotName } from "../../machines/patterns/plan.ts";
import { EscapementError } from "../protocol/errors.ts";
import { slotsOf } from "../protocol/template.ts";
import type { Agent, AgentOptions, AgentSpec, TierSpec } from "../runtime/agent.ts";
import { agentInput } from "../runtime/machine-input.ts";
import { isPattern, type Part, type Pattern } from "../runtime/pattern.ts";

export type ResolvedPart = { readonly spec: AgentSpec; readonly options: AgentOptions };
export type PartResolver = {
  /** The definition of an agent at a leaf. */
  readonly agent: (options: Agent, path: string, collect: PartCollector) => AgentSpec;
  readonly tierNamed: (pattern: string, path: string, name: string) => TierSpec;
};

/** Gathers the parts of one root. */
export class PartCollector {
  readonly parts = new Map<string, ResolvedPart>();
  private readonly resolver: PartResolver;

  constructor(resolver: PartResolver) {
    this.resolver = resolver;
  }

  /** `path`: of the part among its root's; empty for the root. */
  plan(part: Part, path: string, name: string = part.name): Plan {
    if (!isPattern(part)) return this.leaf(part, path === "" ? name : path, name);
    switch (part.kind) {
      case "chain":
        return this.chain(part, path, name);
      case "router":
        return this.router(part, path, name);
      case "fan-out":
        return this.fanOut(part, path, name);
      case "map-reduce":
        return this.mapReduce(part, path, name);
    }
  }

  private leaf(options: Agent, path: string, name: string): LeafPlan {
    const spec = this.resolver.agent(options, path, this);
    this.parts.set(path, { spec, options });
    if (spec.machine.startsWith("agent@")) return { kind: "agent", name, input: agentInput(spec, spec.limits.max_steps, path) };
    if (!spec.machine.startsWith("single@"))
      throw refused(
        options.name,
        "machine",
        `is run by ${spec.machine}, and only agents with the machine "agent" or "single" can be parts`,
      );
    const { tools: _tools, parallelTools: _parallel, supervision: _supervision, maxSteps: _steps, ...request } = agentInput(spec, 1, path);
    return { kind: "single", name, input: request };
  }

  private chain(pattern: Pattern & { kind: "chain" }, path: string, name: string): Plan {
    const seen: string[] = [];
    const stages = pattern.stages.map((given): Stage => {
      const stage = "agent" in given ? given : { agent: given };
      const own = freshName(stage.agent.name, seen);
      checkSlots(pattern, "stages.prompt", stage.prompt, ["previous", "input", ...seen.map(slotName)]);
      seen.push(own);
      return {
        plan: this.plan(stage.agent, below(path, own), own),
        ...(stage.prompt !== undefined && { prompt: stage.prompt }),
        ...(stage.review && { review: true }),
        ...(stage.optional && { optional: true }),
      };
    });
    return { kind: "chain", name, stages, redos: pattern.redos ?? 3 };
  }

  private router(pattern: Pattern & { kind: "router" }, path: string, name: string): Plan {
    const { routes, classifier, tasks = {}, default: otherwise } = pattern;
    const names = routes.map((route) => route.name);
    const twice = names.find((one, i) => names.indexOf(one) !== i);
    if (twice !== undefined) throw refused(pattern.name, "routes", `has two routes named "${twice}"; rename one`);
    for (const wanted of [...Object.values(tasks), ...(otherwise === undefined ? [] : [otherwise])])
      if (!names.includes(wanted)) throw refused(pattern.name, "routes", `names the route "${wanted}"; there are ${names.join(", ")}`);
    const undescribed = classifier && routes.find((route) => !route.description);
    if (undescribed)
      throw refused(pattern.name, "routes", `has a classifier, and "${undescribed.name}" has no description; say what it is for`);
    const sorter = below(path, "classifier");
    if (classifier) {
      const tier = this.resolver.tierNamed(pattern.name, "classifier.tier", classifier.tier);
      const options: Agent = { kind: "agent", name: "classifier", machine: "single", tiers: [tier.name], retries: 0 };
      this.parts.set(sorter, { spec: this.resolver.agent(options, sorter, this), options });
    }
    return {
      kind: "router",
      name,
      routes: routes.map((route) => ({ description: route.description ?? "", plan: this.plan(route, below(path, route.name)) })),
      tasks: { ...Object.fromEntries(names.map((one) => [one, one])), ...tasks },
      ...(classifier && {
        classifier: { part: sorter, tier: classifier.tier, ...(classifier.sure_from !== undefined && { sureFrom: classifier.sure_from }) },
      }),
      default: otherwise ?? (names[0] as string),
    };
  }

  private fanOut(pattern: Pattern & { kind: "fan-out" }, path: string, name: string): Plan {
    const seen: string[] = [];
    const given = Array.isArray(pattern.branches) ? (pattern.branches as readonly Part[]) : undefined;
    const repeated = given ? undefined : (pattern.branches as { agent: Part; times: number });
    const members = given ?? Array<Part>(Math.max(0, repeated?.times ?? 0)).fill(repeated?.agent as Part);
    if (members.length < 2) throw refused(pattern.name, "branches", "has fewer than two branches; give it more, or use the agent itself");
    if (members.length > maxBranches)
      throw refused(pattern.name, "branches", `has ${members.length} branches, at most ${maxBranches} are run`);
    checkSlots(pattern, "prompt", pattern.prompt, ["input"]);
    const branches = members.map((member) => {
      const own = freshName(member.name, seen);
      seen.push(own);
      return this.plan(member, below(path, own), own);
    });
    const least = pattern.least ?? 1;
    if (least > branches.length) throw refused(pattern.name, "least", `needs ${least} answers of ${branches.length} branches`);
    return {
      kind: "fan-out",
      name,
      branches,
      ...(pattern.prompt !== undefined && { prompt: pattern.prompt }),
      ...failing(pattern),
      least,
      aggregate: this.aggregate(pattern, path, seen),
    };
  }

  private aggregate(pattern: Pattern & { kind: "fan-out" }, path: string, seen: string[]): FanOutPlan["aggregate"] {
    const { aggregate } = pattern;
    if (aggregate === "first" || aggregate === "vote") return { by: aggregate };
    if ("vote" in aggregate) return { by: "vote", on: aggregate.vote };
    const member = "best" in aggregate ? aggregate.best : aggregate.merge;
    const own = freshName(member.name, seen);
    const leaf = this.leaf(member, below(path, own), own);
    return "best" in aggregate ? { by: "best", judge: leaf } : { by: "merge", merger: leaf };
  }

  private mapReduce(pattern: Pattern & { kind: "map-reduce" }, path: string, name: string): Plan {
    const { chunk = {}, text = "{{input}}", map_prompt = "{{chunk}}", reduce_prompt = "{{parts}}", fan_in = 8 } = pattern;
    checkSlots(pattern, "text", text, ["input"]);
    checkSlots(pattern, "map_prompt", map_prompt, ["chunk", "index", "total", "input"], "chunk");
    checkSlots(pattern, "reduce_prompt", reduce_prompt, ["parts", "input"], "parts");
    if (fan_in < 2) throw refused(pattern.name, "fan_in", "puts fewer than two texts together at once; give it 2 or more");
    return {
      kind: "map-reduce",
      name,
      text,
      tokens: chunk.tokens ?? 2_000,
      overlap: chunk.overlap ?? 0,
      maxChunks: chunk.max ?? 64,
      ...(pattern.confirm_above_chunks !== undefined && { confirmAbove: pattern.confirm_above_chunks }),
      map: this.plan(pattern.map, below(path, "map"), "map"),
      mapPrompt: map_prompt,
      reduce: this.plan(pattern.reduce, below(path, "reduce"), "reduce"),
      reducePrompt: reduce_prompt,
      fanIn: fan_in,
      ...failing(pattern),
    };
  }
}

const maxBranches = 64;

const failing = ({ width = 4, retries = 0, on_failure = "fail", siblings = "cancel" }: Pattern & { kind: "fan-out" | "map-reduce" }) => ({
  width,
  retries,
  onFailure: on_failure,
  siblings,
});

const below = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

/** The same agent twice among siblings gets a number. */
function freshName(name: string, seen: readonly string[]): string {
  if (!seen.includes(name)) return name;
  for (let i = 2; ; i++) if (!seen.includes(`${name}-${i}`)) return `${name}-${i}`;
}

/** Members of the run's input are known where it has a schema of an object. */
function checkSlots(pattern: Pattern, path: string, template: string | undefined, known: readonly string[], needed?: string): void {
  if (template === undefined) return;
  const slots = slotsOf(template);
  const shape = (pattern.input as { shape?: object } | undefined)?.shape;
  if (needed !== undefined && !slots.includes(needed))
    throw refused(pattern.name, path, `has no {{${needed}}} in ${path}; put it where it belongs`);
  if (!shape) return;
  const names = [...known, ...Object.keys(shape)];
  const unknown = slots.find((slot) => !names.includes(slot));
  if (unknown !== undefined) throw refused(pattern.name, path, `has the slot {{${unknown}}} in ${path}; there are ${names.join(", ")}`);
}

/** Levels of machines below the root's own. */
export function levelsOf(plan: Plan): number {
  switch (plan.kind) {
    case "chain":
      return 1 + Math.max(...plan.stages.map((stage) => levelsOf(stage.plan)));
    case "router":
      return 1 + Math.max(...plan.routes.map((route) => levelsOf(route.plan)));
    case "fan-out":
      return 1 + Math.max(...plan.branches.map(levelsOf));
    case "map-reduce":
      return 1 + Math.max(levelsOf(plan.map), levelsOf(plan.reduce));
    case "agent":
      return Math.max(0, ...plan.input.tools.map(({ plan: inner }) => (inner ? 2 + levelsOf(inner) : 0)));
    case "single":
      return 0;
  }
}

const refused = (name: string, path: string, why: string): EscapementError =>
  new EscapementError("invalid_request", `pattern "${name}" ${why}`, { details: { path } });
