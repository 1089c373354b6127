/** Limits of a run. The same words in the agent's definition, in the start body and in `run.accepted`. */
import { z } from "zod";

const positive = z.number().int().positive().max(Number.MAX_SAFE_INTEGER);

export const limitsSchema = z.strictObject({
  /** Turns of agent loops, counted over the whole run. */
  max_steps: positive.optional(),
  /** HTTP calls to providers, retries included. */
  max_calls: positive.optional(),
  max_tool_calls: positive.optional(),
  /** Micro-dollars, at most three decimals. */
  max_cost_microusd: z.number().positive().max(9_000_000_000_000).multipleOf(0.001).optional(),
  /** Tokens that one call may produce. */
  max_output_tokens: positive.optional(),
  /** From acceptance. */
  deadline_ms: positive.optional(),
});
/** What a caller or an agent's author may set. */
export type LimitsInput = z.infer<typeof limitsSchema>;

/** What holds for a run: `run.accepted.limits`. */
export type Limits = {
  readonly max_steps: number;
  readonly max_calls: number;
  readonly max_tool_calls: number;
  readonly max_depth: number;
  readonly max_cost_microusd: number;
  readonly max_output_tokens: number;
  readonly deadline_ms: number;
};

/** Worst case of a run. */
export type Bounds = {
  readonly calls: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly tool_calls: number;
  readonly cost_microusd: number;
  readonly wall_ms: number;
};
