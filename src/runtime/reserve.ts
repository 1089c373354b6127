/** What a call may cost at most, and on which budgets: the ledger's question, asked with the turn that asks for the call. */
import type { CallInput } from "../../machines/work.ts";
import { worstCase } from "../money/prices.ts";
import { countInput } from "../money/tokens.ts";
import type { Provider, ToolSpec } from "../providers/provider.ts";
import type { MeterRef, Reserve, RunInfo } from "../stores/store.ts";
import type { AgentSpec, TierSpec } from "./agent.ts";
import type { AskOf } from "./run.ts";

/** Undefined: the ask needs no money because it will not be performed (unknown tier; the interpreter says so). */
export type Reserving = (ask: AskOf<"call">, spec: AgentSpec, info: RunInfo) => Reserve | undefined;

/** Below this many output tokens an answer makes no sense: the call is denied instead of cut. */
export const minTokens = 16;

/** By the agent's own list: it is the same in every run of it. */
const toolSpecs = new WeakMap<AgentSpec["tools"], Map<string, readonly ToolSpec[]>>();

/** The tools that a call shows, the same array for the same names, so that what is made of them can be kept. */
export function visibleTools(spec: AgentSpec, names: readonly string[] | undefined): readonly ToolSpec[] | undefined {
  if (!names || names.length === 0) return undefined;
  let known = toolSpecs.get(spec.tools);
  if (!known) {
    known = new Map();
    toolSpecs.set(spec.tools, known);
  }
  const key = names.join();
  let tools = known.get(key);
  if (!tools) {
    tools = spec.tools.filter((tool) => names.includes(tool.name)).map(({ name, description, schema }) => ({ name, description, schema }));
    known.set(key, tools);
  }
  return tools;
}

export const tierOf = (spec: AgentSpec, name: string): TierSpec | undefined =>
  spec.tiers.find((tier) => tier.name === name) ?? spec.helpers?.find((tier) => tier.name === name);

/** The system prompt of a call: the machine's own, else the tier's, else the agent's. */
export const instructionsOf = (input: CallInput, spec: AgentSpec): string =>
  input.instructions ?? tierOf(spec, input.tier)?.instructions ?? spec.instructions;

/** Upper bound of a call's input tokens. */
export function inputTokens(input: CallInput, spec: AgentSpec, provider: Provider): number {
  const tools = visibleTools(spec, input.tools);
  return countInput(
    {
      instructions: instructionsOf(input, spec),
      messages: input.messages,
      model: tierOf(spec, input.tier)?.model,
      ...(tools && { tools }),
      ...(input.structured && spec.outputSchema !== undefined && { schema: { name: "answer", schema: spec.outputSchema } }),
    },
    provider.tokenizer,
  );
}

/** `metersOf`: of a call that this run makes now. */
export function reserving(providers: ReadonlyMap<string, Provider>, metersOf: (info: RunInfo) => readonly MeterRef[]): Reserving {
  return (ask, spec, info) => {
    const input = ask.input;
    // What is told from a cache costs nothing.
    if (input.cached) return undefined;
    const tier = tierOf(spec, input.tier);
    const provider = tier && providers.get(tier.provider);
    if (!tier || !provider) return undefined;
    const maxTokens = Math.min(info.limits.max_output_tokens, tier.maxOutputTokens, input.maxTokens ?? Number.POSITIVE_INFINITY);
    const tokens = inputTokens(input, spec, provider);
    const meters = metersOf(info);
    return { ...worstCase(tier.price, tokens), inputTokens: tokens, maxTokens, minTokens: Math.min(minTokens, maxTokens), meters };
  };
}
