/** The worst case of a run, from its agent's definition and its limits. */
import type { Bounds, Limits } from "../protocol/limits.ts";
import type { AgentSpec } from "./agent.ts";

export function boundsOf(spec: AgentSpec, limits: Limits): Bounds {
  const calls = limits.max_calls;
  return {
    calls,
    input_tokens: calls * Math.max(...spec.tiers.map((tier) => tier.contextTokens ?? 128_000), 0),
    output_tokens: calls * limits.max_output_tokens,
    tool_calls: limits.max_tool_calls,
    cost_microusd: limits.max_cost_microusd,
    wall_ms: limits.deadline_ms,
  };
}
