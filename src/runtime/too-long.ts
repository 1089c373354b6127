/**
 * Why a call's input is too long, with the numbers that its machine needs to make it shorter. Who refuses it is `appraise.ts` (before
 * anything is sent) or the provider; what follows is the machine's (machines/compaction.ts).
 */
import type { CallInput, TooLong } from "../../machines/work.ts";
import { messageTokens } from "../money/tokens.ts";
import { type ErrorBody, errorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Provider } from "../providers/provider.ts";
import type { AgentSpec, TierSpec } from "./agent.ts";
import { inputTokens, tierOf } from "./reserve.ts";

/** Tokens of a call's input where its tier does not say how many fit: bounds count with it, so no call may have more. */
export const assumedContextTokens = 128_000;

/** A provider refused what we held to be short enough, so our count or its tier's bound is wrong: this part of it may be sent. */
const refusedPart = 0.75;

/** Null: it may be sent. */
export function lengthProblem(input: CallInput, spec: AgentSpec, tier: TierSpec, provider: Provider, model = tier.model): ErrorBody | null {
  const ofTier = (tier.contextTokens ?? assumedContextTokens) - 1;
  const ofAgent = (input.for === "answer" && spec.context?.max_tokens) || Number.POSITIVE_INFINITY;
  const limit = Math.min(ofTier, ofAgent);
  const tokens = inputTokens(input, spec, provider, model);
  if (tokens <= limit) return null;
  const found = ofAgent < ofTier ? agentLimit(ofAgent) : tierLimit(tier);
  return errorBody("context_too_long", `the conversation may have ${tokens} tokens, ${found}`, {
    ...(isToBeShortened(input, spec) && { details: numbers(input, spec, provider, tokens, limit) }),
  });
}

const agentLimit = (tokens: number): string => `context.max_tokens allows ${tokens}; shorten the input or raise it`;
const tierLimit = ({ name, contextTokens }: TierSpec): string =>
  contextTokens === undefined
    ? `the tier "${name}" does not say how many it takes, so it is ${assumedContextTokens}; set its context_tokens`
    : `the tier "${name}" takes ${contextTokens}; shorten it or add a tier with a larger context`;

/** For an error of the provider: what it refused. */
export function refusedLength(input: CallInput, spec: AgentSpec, provider: Provider): { readonly [key: string]: Json } | undefined {
  if (!isToBeShortened(input, spec)) return undefined;
  const tokens = inputTokens(input, spec, provider);
  return numbers(input, spec, provider, tokens, Math.floor(tokens * refusedPart));
}

const isToBeShortened = (input: CallInput, { context }: AgentSpec): boolean => context !== undefined && input.for === "answer";

function numbers(input: CallInput, spec: AgentSpec, provider: Provider, tokens: number, limit: number): { readonly [key: string]: Json } {
  const model = tierOf(spec, input.tier)?.model;
  const sizes = input.messages.map((message) => messageTokens(message, provider.tokenizer, model));
  const told: TooLong = { limit, rest: tokens - sizes.reduce((sum, size) => sum + size, 0), sizes };
  return told;
}
