/** What a call may cost at most, and on which budgets: the ledger's question, asked with the turn that asks for the call. */
import type { CallInput } from "../../machines/work.ts";
import { worstCase } from "../money/prices.ts";
import { countInput } from "../money/tokens.ts";
import type { Provider, ToolSpec } from "../providers/provider.ts";
import type { MeterRef, Reserve, RunInfo } from "../stores/store.ts";
import { type AgentSpec, routesOf, type TierSpec } from "./agent.ts";
import { type Covered, covered } from "./covered.ts";
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

/** What a call says: at an anonymised tier with placeholders. */
export function wordsOf(input: CallInput, spec: AgentSpec): Pick<Covered, "instructions" | "messages"> & Partial<Covered> {
  const instructions = instructionsOf(input, spec);
  return tierOf(spec, input.tier)?.anonymise ? covered(input, spec, instructions) : { instructions, messages: input.messages };
}

/** Upper bound of a call's input tokens. */
export function inputTokens(input: CallInput, spec: AgentSpec, provider: Provider, model = tierOf(spec, input.tier)?.model): number {
  const tools = visibleTools(spec, input.tools);
  return countInput(
    {
      ...wordsOf(input, spec),
      model,
      ...(tools && { tools }),
      ...(input.structured && spec.outputSchema !== undefined && { schema: { name: "answer", schema: spec.outputSchema } }),
    },
    provider.tokenizer,
  );
}

type WorstCall = { readonly inputNano: number; readonly outputNanoPerToken: number; readonly inputTokens: number };

/** What a call may cost at most whichever of its tier's routes it takes; undefined where this process has none of their providers. */
export function worstOfCall(
  input: CallInput,
  spec: AgentSpec,
  tier: TierSpec,
  providers: ReadonlyMap<string, Provider>,
): WorstCall | undefined {
  let worst: { inputNano: number; outputNanoPerToken: number; inputTokens: number } | undefined;
  for (const { provider: name, model, price } of routesOf(tier)) {
    const provider = providers.get(name);
    if (!provider) continue;
    const tokens = inputTokens(input, spec, provider, model);
    const { inputNano, outputNanoPerToken } = worstCase(price, tokens);
    worst = {
      inputNano: Math.max(inputNano, worst?.inputNano ?? 0),
      outputNanoPerToken: Math.max(outputNanoPerToken, worst?.outputNanoPerToken ?? 0),
      inputTokens: Math.max(tokens, worst?.inputTokens ?? 0),
    };
  }
  return worst;
}

/** The second call that a call may become: its tier and what it is asked. A hedge is not hedged itself. */
export function hedgeOf(
  input: CallInput,
  spec: AgentSpec,
): { readonly afterMs: number; readonly tier: TierSpec; readonly input: CallInput } | undefined {
  const { hedge } = tierOf(spec, input.tier) ?? {};
  if (!hedge || input.cached) return undefined;
  const tier = tierOf(spec, hedge.tier);
  return tier && { afterMs: hedge.afterMs, tier, input: { ...input, tier: tier.name } };
}

/** The part of a hold that belongs to one of two calls, with as many output tokens as were granted. */
export function holdOf(
  input: CallInput,
  spec: AgentSpec,
  tier: TierSpec,
  providers: ReadonlyMap<string, Provider>,
  granted: number,
): { readonly maxTokens: number; readonly holdNano: number } | undefined {
  const worst = worstOfCall(input, spec, tier, providers);
  const maxTokens = Math.min(granted, tier.maxOutputTokens);
  return worst && { maxTokens, holdNano: worst.inputNano + Math.ceil(maxTokens * worst.outputNanoPerToken) };
}

/** `metersOf`: of a call that this run makes now. */
export function reserving(providers: ReadonlyMap<string, Provider>, metersOf: (info: RunInfo) => readonly MeterRef[]): Reserving {
  return (ask, spec, info) => {
    const input = ask.input;
    // What is told from a cache costs nothing.
    if (input.cached) return undefined;
    const tier = tierOf(spec, input.tier);
    const worst = tier && worstOfCall(input, spec, tier, providers);
    if (!tier || !worst) return undefined;
    const maxTokens = Math.min(
      info.limits.max_output_tokens,
      spec.limits.max_output_tokens,
      tier.maxOutputTokens,
      input.maxTokens ?? Number.POSITIVE_INFINITY,
    );
    const meters = metersOf(info);
    const hedge = hedgeOf(input, spec);
    const second = hedge && worstOfCall(hedge.input, spec, hedge.tier, providers);
    const both = second ? sum(worst, second, maxTokens) : worst;
    return { ...both, maxTokens, minTokens: Math.min(minTokens, maxTokens), meters };
  };
}

/** Two calls, both at their worst: each part is rounded up by itself, and both put out as much as was granted. */
const sum = (first: WorstCall, second: WorstCall, maxTokens: number): WorstCall => ({
  inputNano: first.inputNano + second.inputNano + 1,
  outputNanoPerToken: first.outputNanoPerToken + second.outputNanoPerToken,
  inputTokens: first.inputTokens + second.inputTokens + maxTokens,
});
