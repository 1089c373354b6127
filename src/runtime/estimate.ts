/**
 * The worst case of a run with this input (FEATURES B8): as the agent's bounds, but with the input's own tokens instead of a whole context,
 * where the conversation cannot grow beyond what can be counted.
 *
 *  1. Never less than what the run can take. Where tools may add to the conversation, or a session's earlier turns come before it, a
 *     call's input is its tier's whole context, as in the bounds.
 */
import { classifierInstructions } from "../../machines/routing.ts";
import type { CallInput } from "../../machines/work.ts";
import type { Json } from "../protocol/json.ts";
import type { Bounds, Limits } from "../protocol/limits.ts";
import type { Provider } from "../providers/provider.ts";
import { type AgentSpec, type TierSpec, tiersOf } from "./agent.ts";
import { assumedContextTokens, boundsOf } from "./bounds.ts";
import { withInput } from "./instructions.ts";
import { messagesOf } from "./machine-input.ts";
import { worstOfCall } from "./reserve.ts";
import { maxProblemLength } from "./structured.ts";

/** A text that is told again may be cut into other tokens than it was made of: a quarter more. */
const retold = 1.25;
/** What a request says around a bad or a cut answer, and around a judge's case: a bound of our own words. */
const words = 400;
/** What is said around a conversation that is summarised: another one. */
const retelling = 400;

export function estimate(
  definition: AgentSpec,
  limits: Limits,
  input: Json,
  providers: ReadonlyMap<string, Provider>,
  options: { readonly inSession?: boolean } = {},
): Bounds {
  const spec = withInput(definition, input);
  if (spec.tools.length > 0 || options.inSession) return boundsOf(spec, limits);
  const calls = boundsOf(spec, limits).calls;
  // Each further call may bring an answer, told again, and what is wrong with it: three bytes a character at most.
  const growth = Math.ceil(limits.max_output_tokens * retold) + 3 * maxProblemLength + words;
  const { judge, route, context } = spec;
  const labels = Object.entries(route?.classifier?.labels ?? {}).map(([name, label]) => ({ name, ...label }));
  const beside =
    (judge ? 3 * judge.criteria.length : 0) +
    (route?.classifier ? 3 * classifierInstructions(labels).length : 0) +
    (context?.summarise ? retelling : 0);
  const messages = messagesOf(input);
  const sized = (tier: TierSpec): TierSpec => {
    const call: CallInput = {
      for: "answer",
      step: 1,
      attempt: 1,
      retry: false,
      tier: tier.name,
      messages,
      ...(spec.outputSchema !== undefined && { structured: true }),
    };
    const asked = worstOfCall(call, spec, tier, providers);
    if (!asked) return tier;
    const most = asked.inputTokens + beside + Math.max(0, calls - 1) * growth;
    return { ...tier, contextTokens: Math.min(tier.contextTokens ?? assumedContextTokens, most) };
  };
  const sizedTiers = new Map(tiersOf(spec).map((tier) => [tier.name, sized(tier)]));
  const of = (tiers: readonly TierSpec[]): TierSpec[] => tiers.map((tier) => sizedTiers.get(tier.name) as TierSpec);
  return boundsOf({ ...spec, tiers: of(spec.tiers), ...(spec.helpers && { helpers: of(spec.helpers) }) }, limits);
}
