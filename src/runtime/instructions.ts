/** The instructions of a run: the slots of its agent's prompts filled with what its client sent. Everything behind this sees plain text. */
import type { CallInput } from "../../machines/work.ts";
import type { PromptRef } from "../prompts/prompt.ts";
import type { Json } from "../protocol/json.ts";
import { fill } from "../protocol/template.ts";
import type { AgentSpec, TierSpec } from "./agent.ts";
import { tierOf } from "./reserve.ts";

/** Of a definition with slots filled, the definition. */
const defined = new WeakMap<AgentSpec, AgentSpec>();
export const definitionOf = (spec: AgentSpec): AgentSpec => defined.get(spec) ?? spec;

/** The same object where there are no slots, or they are filled already. */
export function withInput(spec: AgentSpec, input: Json): AgentSpec {
  const parts = Object.entries(spec.parts ?? {});
  if (defined.has(spec) || ![spec, ...spec.tiers, ...parts.flatMap(([, part]) => [part, ...part.tiers])].some(hasSlots)) return spec;
  // A slot is a required member of the agent's input, which was validated. A part of a pattern has that of the whole.
  const values = (typeof input === "object" && input !== null ? input : {}) as { readonly [name: string]: Json };
  const filled: AgentSpec = {
    ...spec,
    ...(hasSlots(spec) && { instructions: fill(spec.instructions, values) }),
    ...(spec.parts && { parts: Object.fromEntries(parts.map(([path, part]) => [path, withInput(part, input)])) }),
    tiers: spec.tiers.map((tier): TierSpec => (hasSlots(tier) ? { ...tier, instructions: fill(tier.instructions ?? "", values) } : tier)),
  };
  defined.set(filled, spec);
  return filled;
}

const hasSlots = ({ prompt }: { readonly prompt?: PromptRef }): boolean => (prompt?.variables.length ?? 0) > 0;

/** `name@version` of what instructs a call; undefined for text without a version, and for what a machine says itself. */
export function promptVersionOf(
  { instructions, tier: name }: Pick<CallInput, "instructions" | "tier">,
  spec: AgentSpec,
): string | undefined {
  if (instructions !== undefined) return undefined;
  const tier = tierOf(spec, name);
  const found = tier?.instructions === undefined ? spec.prompt : tier.prompt;
  return found && `${found.name}@${found.version}`;
}
