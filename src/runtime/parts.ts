/** The agents that a run's work is made for: of a pattern its parts, else the agent itself. */
import type { WorkInputs, WorkKind } from "../../machines/work.ts";
import { type AgentSpec, type TierSpec, tiersOf } from "./agent.ts";

/** Whose work it is. A part that the definition does not have (a machine of somebody's own named it) is the run's own agent. */
export function partOf(spec: AgentSpec, input: WorkInputs[WorkKind]): AgentSpec {
  if (!spec.parts) return spec;
  const { part } = input as { readonly part?: string };
  return (part !== undefined && spec.parts[part]) || spec;
}

/** Every agent that may call a model: the run's own, unless it is a pattern, and all its parts. */
export function callersOf(spec: AgentSpec): readonly AgentSpec[] {
  const parts = Object.values(spec.parts ?? {});
  return spec.plan ? parts : [spec, ...parts];
}

/** Tiers of all of them. */
export const allTiersOf = (spec: AgentSpec): readonly TierSpec[] => (spec.parts ? callersOf(spec).flatMap(tiersOf) : tiersOf(spec));
