/** The configuration that an eval runs in: the user's own, with the agent as the eval wants it, and the agents of its scorers. */
import type { Config } from "../config/schema.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { AgentOptions } from "../runtime/agent.ts";
import { isPattern, type Part, type Pattern } from "../runtime/pattern.ts";
import type { Eval } from "./definition.ts";

type Root = AgentOptions | Pattern;

export const agentNameOf = ({ agent }: Eval): string => (typeof agent === "string" ? agent : agent.name);

/**
 * `tier`: the only one that the agent may use. `configured` are the agents that hold where the configuration names none. Throws
 * `invalid_request` for an agent that is not there.
 */
export function variantOf(definition: Eval, config: Config, configured: readonly Root[], tier?: string): Config {
  const own = config.agents ?? configured;
  const name = agentNameOf(definition);
  const judged = typeof definition.agent === "string" ? own.find((agent) => agent.name === name) : definition.agent;
  if (!judged)
    throw new EscapementError("invalid_request", `there is no agent "${name}"; there are ${own.map((agent) => agent.name).join(", ")}`, {
      details: { path: "agent" },
    });
  const { evals: _sampling, ...rest } = config;
  return {
    ...rest,
    agents: [
      ...own.filter((agent) => agent.name !== name),
      mapAgents(judged, (agent) => changed(agent, definition.cache === true, tier)),
      ...definition.scorers.flatMap(({ agents = [] }) => agents),
    ],
  };
}

function changed(agent: AgentOptions, keepsCache: boolean, tier: string | undefined): AgentOptions {
  const { cache: _cache, ...uncached } = agent;
  const base = keepsCache ? agent : uncached;
  if (tier === undefined) return base;
  // Routes and escalation choose among the tiers, of which one is left.
  const { route: _route, escalate_below: _escalate, ...alone } = base;
  const use = agent.tiers?.find((one) => typeof one === "object" && one.tier === tier) ?? tier;
  return { ...alone, tiers: [use] };
}

/** The same part with each agent in it replaced, however deep. */
function mapAgents(part: Root, change: (agent: AgentOptions) => AgentOptions): Root {
  // An agent gives an agent, a pattern one of its kind.
  const each = <P extends Part>(inner: P): P => mapAgents(inner, change) as P;
  if (!isPattern(part)) {
    const { tools } = part;
    return change({ ...part, ...(tools && { tools: tools.map((tool) => (typeof tool === "string" ? tool : each(tool))) }) });
  }
  switch (part.kind) {
    case "chain":
      return { ...part, stages: part.stages.map((stage) => ("agent" in stage ? { ...stage, agent: each(stage.agent) } : each(stage))) };
    case "router":
      return { ...part, routes: part.routes.map(each) };
    case "fan-out": {
      const { branches, aggregate } = part;
      return {
        ...part,
        branches: "agent" in branches ? { ...branches, agent: each(branches.agent) } : branches.map(each),
        aggregate:
          typeof aggregate === "object" && "best" in aggregate
            ? { best: each(aggregate.best) }
            : typeof aggregate === "object" && "merge" in aggregate
              ? { merge: each(aggregate.merge) }
              : aggregate,
      };
    }
    case "map-reduce":
      return { ...part, map: each(part.map), reduce: each(part.reduce) };
  }
}
