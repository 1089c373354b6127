/**
 * `agent()`: an agent is data. Here is what its author writes ({@link AgentOptions}) and what a run is pinned to
 * ({@link AgentSpec}: plain JSON, stored once a version under its hash).
 */
import type { z } from "zod";
import type { ContextPolicy } from "../../machines/context.ts";
import type { Plan } from "../../machines/patterns/plan.ts";
import type { Backoff, Judge } from "../../machines/request-policy.ts";
import type { Supervision } from "../../machines/supervision.ts";
import type { Prompt, PromptRef } from "../prompts/prompt.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import { type Limits, type LimitsInput, limitsSchema } from "../protocol/limits.ts";
import type { Message } from "../protocol/messages.ts";
import type { Timeouts } from "../providers/provider.ts";
import type { Rule } from "../routing/rules.ts";
import type { Part } from "./pattern.ts";
import type { ToolClass } from "./tool.ts";
import type { Validator } from "./validator.ts";

/** What of an agent's options is no data, and whether its bounds are checked: kept beside the definition, never stored. */
export type AgentCode = Pick<AgentOptions, "input" | "output" | "validators" | "bounds" | "expose">;

/** A tier as an agent uses it: what is said here holds for this agent only. */
export type TierUse = {
  /** Name of a tier in the configuration. */
  readonly tier: string;
  /** Instead of the agent's instructions. */
  readonly instructions?: string | Prompt | undefined;
  /** Further parameters in the provider's own words, over the tier's. */
  readonly parameters?: { readonly [key: string]: Json } | undefined;
  readonly max_output_tokens?: number | undefined;
  readonly timeouts?: TimeoutsInput | undefined;
  readonly prompt_cache?: boolean | undefined;
};

/** Milliseconds; what is left out is the tier's. */
export type TimeoutsInput = {
  readonly connect_ms?: number | undefined;
  readonly headers_ms?: number | undefined;
  readonly first_token_ms?: number | undefined;
  readonly idle_ms?: number | undefined;
  readonly total_ms?: number | undefined;
};

export type AgentOptions = {
  /** `[a-z][a-z0-9-]{0,63}`. */
  readonly name: string;
  readonly description?: string;
  /** The system prompt: text, or what `prompt()` made, whose slots are members of the run's input. */
  readonly instructions?: string | Prompt;
  /** Tiers of the configuration, in order of preference: the fallback chain. Default: all configured tiers. */
  readonly tiers?: readonly (string | TierUse)[];
  /** Names of tool groups, and agents or patterns that it may use as tools. Together at most 10 tools. */
  readonly tools?: readonly (string | Part)[];
  /**
   * Which of them a step shows, by name: at most 10. It is asked before each step and what it says is recorded; with it an agent may
   * have more than 10 tools in all.
   */
  readonly expose?: (step: {
    readonly step: number;
    readonly tools: readonly string[];
    readonly messages: readonly Message[];
  }) => readonly string[];
  readonly input?: z.ZodType;
  /** The answer must be an object of this schema. */
  readonly output?: z.ZodType;
  readonly limits?: LimitsInput;
  /** Retries a tier, after its first attempt; 2. */
  readonly retries?: number;
  /** Milliseconds before a retry: `first_ms` (250), doubled up to `max_ms` (8,000); longer `Retry-After` than 30,000 goes to the next tier. */
  readonly backoff?: Partial<Backoff>;
  /** When the budget refuses a call: end as `exhausted`, wait for a top-up, or try the next tier. */
  readonly on_budget?: "stop" | "ask" | "cheaper";
  /** When an answer was cut at its token limit: `fail` (with what there is), or `continue` (at most 3 times). */
  readonly on_length?: "fail" | "continue";
  /** When a stream broke after text was shown: `retract` it and answer anew, `continue` it, or `keep` it and end as failed. */
  readonly on_cut?: "retract" | "continue" | "keep";
  /** `checked`: the text of an answer is told only once it has passed every check of its call. */
  readonly stream?: "live" | "checked";
  /** Checks of an answer beyond its schema, in order. */
  readonly validators?: readonly Validator[];
  /** A model of this tier says whether an answer may be given. */
  readonly judge?: Judge;
  /**
   * An answer that its model is less sure of than this (0 to 1; 0.85 is a good start) is taken back, and the next tier answers; the last
   * tier's stands. All tiers but the last must be of providers that tell log-probabilities.
   */
  readonly escalate_below?: number;
  /** Given, marked `degraded`, when no tier answered. */
  readonly degraded?: string;
  /** What of a conversation is kept when it grows too long: the last `keep_turns` turns, `max_tokens` input tokens at most, the rest summarised. */
  readonly context?: ContextOptions;
  /** The provider may keep what begins its calls alike, where that must be asked for; true. */
  readonly prompt_cache?: boolean;
  /** Answers that are kept and given again, and calls that are shared. Default: none. */
  readonly cache?: CacheOptions;
  /** Tools of one turn that run at once; 4. */
  readonly parallel_tools?: number;
  /** What follows a failed part of a run; by default a failed step fails the run, and a failed tool is told to the model. */
  readonly supervision?: Partial<Supervision>;
  /** A run that may cost more than this, in micro-dollars, waits for a person's yes before its first call. */
  readonly confirm_above_microusd?: number;
  /** `strict`: refused when its machine could ask for more than its limits allow, so that no limit ever cuts it short. */
  readonly bounds?: "cut" | "strict";
  /** Where the chain of tiers begins, by the question: rules, then the task named in `metadata.task`, then a classifier. */
  readonly route?: Route;
  /** What its runs are given is text from outside (a mail, a page): its consequential tools need a person's yes from the start. */
  readonly untrusted_input?: boolean;
  /** All its runs only reach self-hosted models. */
  readonly sensitive?: boolean;
  /** At anonymised tiers these names are hidden, beside what is found by its form. */
  readonly anonymise?: { readonly names: readonly string[] };
  /** Its calls wait behind those of `realtime` agents where a provider is busy; `realtime`. */
  readonly priority?: "realtime" | "batch";
  /** The machine that runs it: `agent` (a loop with tools), `single` (one request), or one given to `createRuntime`. */
  readonly machine?: string;
};

/** Every tier named here but the classifier's is one of the agent's chain. */
export type Route = {
  /** In order; the first that fits. They cost nothing. */
  readonly rules?: readonly Rule[] | undefined;
  /** Task → tier. */
  readonly tasks?: { readonly [task: string]: string } | undefined;
  /** A model of this tier says which label fits the question; unknown labels and failures lead to the default. */
  readonly classifier?:
    | { readonly tier: string; readonly labels: { readonly [label: string]: { readonly description: string; readonly tier: string } } }
    | undefined;
  /** Where nothing of it says another; without one the chain as it is. */
  readonly default?: string | undefined;
};

export type ContextOptions = Omit<ContextPolicy, "summarise"> & {
  /** A tier that summarises what goes; tokens of a summary at most, 512. Without it, what goes is dropped. */
  readonly summarise?: { readonly tier: string; readonly max_output_tokens?: number | undefined } | undefined;
};

/** One step of a fallback chain, resolved: which model of which provider at which price. */
export type TierSpec = {
  readonly name: string;
  /** Of the first route, where there are several. */
  readonly provider: string;
  readonly model: string;
  /** Nano-dollars a token; may be fractions, costs are rounded up. */
  readonly price: Price;
  readonly maxOutputTokens: number;
  /** Tokens of input and output together, where known. */
  readonly contextTokens?: number;
  readonly stream: boolean;
  readonly parameters?: { readonly [key: string]: Json | undefined };
  readonly timeouts: Timeouts;
  /** Instead of the agent's. */
  readonly instructions?: string;
  /** Several providers, models or keys that share its calls. */
  readonly routes?: readonly TierRoute[];
  /** When no token has come after that many milliseconds, a call of the other tier begins; the first that gives one wins. */
  readonly hedge?: { readonly afterMs: number; readonly tier: string };
  /** Names, mails and long numbers go out as placeholders. */
  readonly anonymise?: true;
  /** Where they come from. */
  readonly prompt?: PromptRef;
  readonly promptCache?: false;
};

/** One of the ways in which a tier can be called. */
export type TierRoute = Pick<TierSpec, "provider" | "model" | "price"> & {
  /** Its share of the calls, beside the others' weights; 1. */
  readonly weight?: number;
};
export const routesOf = (tier: TierSpec): readonly TierRoute[] => tier.routes ?? [tier];

/** Every tier that a machine of this agent may name. */
export const tiersOf = (spec: AgentSpec): readonly TierSpec[] => (spec.helpers ? [...spec.tiers, ...spec.helpers] : spec.tiers);

/** What a model of a provider costs, or null where nobody knows. */
export type PriceOf = (provider: string, model: string) => Price | null;

/** Nano-dollars a token. */
export type Rates = {
  readonly inputNano: number;
  readonly cachedNano: number;
  readonly cacheWriteNano: number;
  readonly outputNano: number;
};

export type Price = Rates & {
  /** Long prompts: the whole call costs these rates when its input is more than that many tokens. Ascending. */
  readonly long?: readonly (Rates & { readonly aboveInputTokens: number })[];
};

export type AgentToolSpec = {
  readonly name: string;
  readonly group: string;
  readonly description: string;
  readonly schema: Json;
  readonly class: ToolClass;
  readonly approval: boolean;
  readonly untrusted?: true;
  readonly consequential?: true;
  readonly compensation?: string;
  readonly isQuestion?: true;
  /** It only takes back what another one has done: models do not see it. */
  readonly isHidden?: true;
  /** It is an agent or a pattern, which is run by the same run. */
  readonly plan?: Plan | undefined;
};

/** What of an agent's answers is kept, for whom and how long. See docs/caching.md. */
export type CacheOptions = {
  /** The same question: fresh for `ttl_ms` (1 hour), given for `stale_ms` more (24 hours) when no model answers. */
  readonly exact?: { readonly ttl_ms?: number; readonly stale_ms?: number };
  /**
   * A question that means the same; answers are kept as `exact` says. `shadow` serves nothing and measures what it would have served.
   * `threshold` is the embedder's where it is left out.
   */
  readonly semantic?: { readonly mode: "on" | "shadow"; readonly threshold?: number };
  /** What answers are made from: raise it, and all earlier ones are left behind. */
  readonly version?: string;
  /** By which entries are purged when what they were made from changes. */
  readonly tags?: readonly string[];
  /** Who is given an answer: the user who had it (default), or every user of the tenant. */
  readonly scope?: "tenant" | "user";
  /** Identical calls that are under way at once share one. */
  readonly single_flight?: boolean;
};

export type CachingSpec = {
  readonly answers?: {
    readonly ttlMs: number;
    readonly staleMs: number;
    readonly semantic?: { readonly mode: "on" | "shadow"; readonly threshold?: number };
  };
  readonly version: string;
  readonly tags: readonly string[];
  readonly scope: "tenant" | "user";
  readonly singleFlight?: true;
};

export type AgentSpec = {
  readonly name: string;
  readonly description: string;
  /** With slots where its prompt has variables. */
  readonly instructions: string;
  readonly prompt?: PromptRef;
  /** `name@revision`. */
  readonly machine: string;
  /** The fallback chain. */
  readonly tiers: readonly TierSpec[];
  /** Tiers that its machines call beside the chain: the judge's, the one that summarises, the classifier's, those that hedge others. */
  readonly helpers?: readonly TierSpec[];
  readonly tools: readonly AgentToolSpec[];
  readonly limits: Limits;
  readonly inputSchema?: Json;
  readonly outputSchema?: Json;
  readonly retries: number;
  readonly backoff?: Backoff;
  readonly onBudget: "stop" | "ask" | "cheaper";
  readonly onLength?: "continue";
  readonly onCut?: "continue" | "keep";
  readonly stream?: "checked";
  /** Names of the validators. */
  readonly validators?: readonly string[];
  readonly judge?: Judge;
  readonly escalateBelow?: number;
  readonly degraded?: string;
  readonly supervision?: Supervision;
  /** Its requests look answers up and keep them. */
  readonly cache?: true;
  readonly caching?: CachingSpec;
  /** Micro-dollars. */
  readonly confirmAbove?: number;
  readonly context?: ContextPolicy;
  readonly promptCache?: false;
  readonly parallelTools: number;
  readonly route?: Route;
  readonly sensitive?: true;
  readonly untrustedInput?: true;
  /** Its author's function says which tools a step shows. */
  readonly expose?: true;
  readonly anonymise?: { readonly names: readonly string[] };
  readonly priority?: "batch";
  /** Of a pattern: what it is made of. */
  readonly plan?: Plan;
  /** The agents of its plan, and of tools that are agents, by their path. */
  readonly parts?: { readonly [path: string]: AgentSpec };
  /** Chunks of the text that its map-reduce gets, where that is known: for an estimate. */
  readonly chunks?: number;
};

export type Agent = AgentOptions & { readonly kind: "agent" };

/** Checks what can be checked without the configuration. Throws `invalid_request` with the way out. */
export function agent(options: AgentOptions): Agent {
  if (!/^[a-z][a-z0-9-]{0,63}$/.test(options.name)) {
    throw new EscapementError(
      "invalid_request",
      `an agent's name is lower case letters, digits and dashes, at most 64; "${options.name}" is not`,
    );
  }
  const limits = limitsSchema.safeParse(options.limits ?? {});
  if (!limits.success) {
    const issue = limits.error.issues[0];
    throw new EscapementError("invalid_request", `agent "${options.name}", limits.${issue?.path.join(".")}: ${issue?.message}`);
  }
  return { ...options, kind: "agent" };
}
