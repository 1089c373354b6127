/**
 * `agent()`: an agent is data. Here is what its author writes ({@link AgentOptions}) and what a run is pinned to
 * ({@link AgentSpec}: plain JSON, stored once a version under its hash).
 */
import type { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import { type Limits, type LimitsInput, limitsSchema } from "../protocol/limits.ts";
import type { Timeouts } from "../providers/provider.ts";
import type { ToolClass } from "./tool.ts";

export type AgentOptions = {
  /** `[a-z][a-z0-9-]{0,63}`. */
  readonly name: string;
  readonly description?: string;
  /** The system prompt. */
  readonly instructions?: string;
  /** Names of tiers in the configuration, in order of preference: the fallback chain. Default: all configured tiers. */
  readonly tiers?: readonly string[];
  /** Names of tool groups. Together at most 10 tools. */
  readonly tools?: readonly string[];
  readonly input?: z.ZodType;
  /** The answer must be an object of this schema. */
  readonly output?: z.ZodType;
  readonly limits?: LimitsInput;
  /** Retries a tier, after its first attempt; 2. */
  readonly retries?: number;
  /** When the budget refuses a call: end as `exhausted`, or wait for a top-up. */
  readonly on_budget?: "stop" | "ask";
  /** Given, marked `degraded`, when no tier answered. */
  readonly degraded?: string;
  /** Tools of one turn that run at once; 4. */
  readonly parallel_tools?: number;
  /** Its calls wait behind those of `realtime` agents where a provider is busy; `realtime`. */
  readonly priority?: "realtime" | "batch";
  /** The machine that runs it: `agent` (a loop with tools), `single` (one request), or one given to `createRuntime`. */
  readonly machine?: string;
};

/** One step of a fallback chain, resolved: which model of which provider at which price. */
export type TierSpec = {
  readonly name: string;
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
};

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
};

export type AgentSpec = {
  readonly name: string;
  readonly description: string;
  readonly instructions: string;
  /** `name@revision`. */
  readonly machine: string;
  readonly tiers: readonly TierSpec[];
  readonly tools: readonly AgentToolSpec[];
  readonly limits: Limits;
  readonly inputSchema?: Json;
  readonly outputSchema?: Json;
  readonly retries: number;
  readonly onBudget: "stop" | "ask";
  readonly degraded?: string;
  readonly parallelTools: number;
  readonly priority?: "batch";
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
