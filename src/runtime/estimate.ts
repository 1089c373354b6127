/**
 * The worst case of a run with this input (FEATURES B8): as the agent's bounds, but with the input's own tokens instead of a whole context,
 * where the conversation cannot grow beyond what can be counted.
 *
 *  1. Never less than what the run can take. Where tools may add to the conversation, or a session's earlier turns come before it, a
 *     call's input is its tier's whole context, as in the bounds.
 */
import { type Plan, questionOf, slotValues } from "../../machines/patterns/plan.ts";
import { classifierInstructions } from "../../machines/routing.ts";
import type { CallInput } from "../../machines/work.ts";
import type { Json } from "../protocol/json.ts";
import type { Bounds, Limits } from "../protocol/limits.ts";
import type { Message } from "../protocol/messages.ts";
import { fill } from "../protocol/template.ts";
import type { Provider } from "../providers/provider.ts";
import { type AgentSpec, type TierSpec, tiersOf } from "./agent.ts";
import { boundsOf } from "./bounds.ts";
import { withInput } from "./instructions.ts";
import { messagesOf } from "./machine-input.ts";
import { worstOfCall } from "./reserve.ts";
import { countTokens, splitText } from "./split.ts";
import { maxProblemLength } from "./structured.ts";
import { assumedContextTokens } from "./too-long.ts";

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
  if (spec.plan) return boundsOf(options.inSession ? spec : planned(spec, spec.plan, limits, input, providers), limits);
  if (spec.tools.length > 0 || options.inSession) return boundsOf(spec, limits);
  return boundsOf(sizedTo(spec, limits, [messagesOf(input)], providers), limits);
}

/** With tiers whose context is no larger than what a call for any of these questions can come to. `more`: input tokens on top. */
function sizedTo(
  spec: AgentSpec,
  limits: Limits,
  questions: readonly (readonly Message[])[],
  providers: ReadonlyMap<string, Provider>,
  more = 0,
): AgentSpec {
  const calls = boundsOf(spec, limits).calls;
  // A bad answer is told again with what is wrong with it (three bytes a character at most), a cut one with the wish to go on; a call that
  // was lost or topped up is made with the same words.
  const tellings = Math.min(calls - 1, spec.retries * spec.tiers.length + (spec.onLength === "continue" ? continuations : 0));
  const growth = Math.ceil(limits.max_output_tokens * retold) + 3 * maxProblemLength + words;
  const { judge, route, context } = spec;
  const labels = Object.entries(route?.classifier?.labels ?? {}).map(([name, label]) => ({ name, ...label }));
  const beside =
    (judge ? 3 * judge.criteria.length : 0) +
    (route?.classifier ? 3 * classifierInstructions(labels).length : 0) +
    (context?.summarise ? retelling : 0);
  const sized = (tier: TierSpec): TierSpec => {
    const callOf = (messages: readonly Message[]): CallInput => ({
      for: "answer",
      step: 1,
      attempt: 1,
      retry: false,
      tier: tier.name,
      messages,
      ...(spec.outputSchema !== undefined && { structured: true }),
    });
    const asked = questions.map(
      (messages) => worstOfCall(callOf(messages), spec, tier, providers)?.inputTokens ?? Number.POSITIVE_INFINITY,
    );
    const most = Math.max(...asked) + more + beside + Math.max(0, tellings) * growth;
    return { ...tier, contextTokens: Math.min(tier.contextTokens ?? assumedContextTokens, most) };
  };
  const sizedTiers = new Map(tiersOf(spec).map((tier) => [tier.name, sized(tier)]));
  const of = (tiers: readonly TierSpec[]): TierSpec[] => tiers.map((tier) => sizedTiers.get(tier.name) as TierSpec);
  return { ...spec, tiers: of(spec.tiers), ...(spec.helpers && { helpers: of(spec.helpers) }) };
}

/** A map-reduce whose text is known: as many chunks as it has, and calls as large as those make them. */
function planned(spec: AgentSpec, plan: Plan, limits: Limits, input: Json, providers: ReadonlyMap<string, Provider>): AgentSpec {
  if (plan.kind !== "map-reduce") return spec;
  const values = slotValues({ messages: messagesOf(input), given: input });
  const chunks = splitText(fill(plan.text, values), plan.tokens, plan.overlap);
  // Whichever way a provider counts, one of these is its largest.
  const largest = [countTokens, Buffer.byteLength].map((size: (text: string) => number) =>
    chunks.reduce((a, b) => (size(b) > size(a) ? b : a), ""),
  );
  const { map, reduce } = plan;
  const parts = { ...spec.parts };
  const size = (leaf: Plan, prompts: readonly string[], more: number): void => {
    const path = leaf.kind === "single" ? leaf.input.part : undefined;
    const part = path === undefined ? undefined : parts[path];
    if (path === undefined || !part) return;
    const own = { ...limits, max_output_tokens: Math.min(limits.max_output_tokens, part.limits.max_output_tokens) };
    parts[path] = sizedTo(part, own, prompts.map(questionOf), providers, more);
  };
  const mapPrompts = largest.map((chunk) => fill(plan.mapPrompt, { ...values, chunk, index: chunks.length, total: chunks.length }));
  size(map, mapPrompts, 0);
  const told = Math.max(0, ...Object.values(parts).map((part) => Math.min(limits.max_output_tokens, part.limits.max_output_tokens)));
  size(reduce, [fill(plan.reducePrompt, { ...values, parts: "" })], plan.fanIn * (Math.ceil(told * retold) + partWords));
  return { ...spec, parts, chunks: Math.max(1, chunks.length) };
}
/** As often as a request goes on with a cut answer (machines/request.ts). */
const continuations = 3;
/** What stands around a text that is reduced with others. */
const partWords = 32;
