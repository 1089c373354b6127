/**
 * What is refused when an agent is defined: one that could never answer, or (with `bounds: "strict"`) one that its limits could cut short.
 * A machine that can ask without end is refused by its bounds (bounds.ts).
 */
import type { AnyStateMachine } from "xstate";
import { worstCase } from "../money/prices.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Provider } from "../providers/provider.ts";
import type { AgentOptions, AgentSpec, TierSpec } from "./agent.ts";
import { machineOf, type Unlimited, worstCaseOf } from "./bounds.ts";
import { inputTokens, minTokens } from "./reserve.ts";

/** Throws `invalid_request` with the way out. `machine`: where it is not one of ours. */
export function checkDefinition(
  spec: AgentSpec,
  { bounds }: Pick<AgentOptions, "bounds">,
  providers: ReadonlyMap<string, Provider>,
  machine: AnyStateMachine | undefined = machineOf(spec),
): void {
  // Where a person may grant more, too little to begin with is a way to ask first.
  if (spec.onBudget !== "ask") checkFirstCall(spec, providers);
  if (bounds === "strict") checkFits(spec, machine);
}

/** The cheapest call that this agent can make: a question of one letter, the fewest tokens of an answer. */
function checkFirstCall(spec: AgentSpec, providers: ReadonlyMap<string, Provider>): void {
  const budgetNano = spec.limits.max_cost_microusd * 1_000;
  const costs = spec.tiers.flatMap((tier) => cheapestNano(spec, tier, providers) ?? []);
  const cheapest = Math.min(...costs);
  if (costs.length < spec.tiers.length || cheapest <= budgetNano) return;
  throw new EscapementError(
    "invalid_request",
    `agent "${spec.name}" may spend ${spec.limits.max_cost_microusd} micro-dollars a run, and its cheapest call costs ${Math.ceil(cheapest / 1_000)}: raise limits.max_cost_microusd, or shorten its instructions and tools`,
    { details: { path: "limits.max_cost_microusd" } },
  );
}

function cheapestNano(spec: AgentSpec, tier: TierSpec, providers: ReadonlyMap<string, Provider>): number | undefined {
  const provider = providers.get(tier.provider);
  if (!provider) return undefined;
  const call = { for: "answer", step: 1, attempt: 1, retry: false, tier: tier.name, tools: spec.tools.map(({ name }) => name) } as const;
  const tokens = inputTokens({ ...call, messages: [{ role: "user", content: "?" }] }, spec, provider);
  const { inputNano, outputNanoPerToken } = worstCase(tier.price, tokens);
  return inputNano + Math.ceil(Math.min(minTokens, tier.maxOutputTokens, spec.limits.max_output_tokens) * outputNanoPerToken);
}

const capped = [
  ["steps", "max_steps"],
  ["calls", "max_calls"],
  ["tool_calls", "max_tool_calls"],
  ["cost_microusd", "max_cost_microusd"],
  ["wall_ms", "deadline_ms"],
] as const satisfies readonly (readonly [keyof Unlimited, keyof AgentSpec["limits"]])[];

function checkFits(spec: AgentSpec, machine: AnyStateMachine | undefined): void {
  const refused = (path: string, message: string): EscapementError =>
    new EscapementError("invalid_request", `agent "${spec.name}" is defined with bounds "strict": ${message}`, { details: { path } });
  if (!machine) throw refused("bounds", `its machine ${spec.machine} cannot be walked; leave out bounds`);
  const most = worstCaseOf(spec, spec.limits, machine);
  for (const [meter, limit] of capped) {
    if (most[meter] <= spec.limits[limit]) continue;
    const value = Number.isFinite(most[meter]) ? String(Math.ceil(most[meter])) : "without end";
    throw refused(
      `limits.${limit}`,
      `it could reach ${meter} ${value}, and ${limit} allows ${spec.limits[limit]}; raise the limit, or give it fewer steps, retries, tiers or output tokens`,
    );
  }
}
