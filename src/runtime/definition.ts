/**
 * What is refused when an agent is defined: one that could never answer, or (with `bounds: "strict"`) one that its limits could cut short.
 * A machine that can ask without end is refused by its bounds (bounds.ts).
 */
import type { AnyStateMachine } from "xstate";
import { EscapementError } from "../protocol/errors.ts";
import type { Provider } from "../providers/provider.ts";
import { type AgentOptions, type AgentSpec, routesOf, type TierSpec, tiersOf } from "./agent.ts";
import { machineOf, type Unlimited, worstCaseOf } from "./bounds.ts";
import { minTokens, worstOfCall } from "./reserve.ts";

/** Throws `invalid_request` with the way out. */
export function checkDefinition(spec: AgentSpec, options: Pick<AgentOptions, "bounds">, providers: ReadonlyMap<string, Provider>): void {
  for (const [path, part] of Object.entries(spec.parts ?? {})) {
    const limits = { ...part.limits, max_cost_microusd: spec.limits.max_cost_microusd };
    check({ ...part, name: `${spec.name}, part ${path}`, limits, ...(spec.sensitive && { sensitive: true }) }, {}, providers, undefined);
  }
  if (!spec.plan) check(spec, options, providers, machineOf(spec));
  else if (options.bounds === "strict") checkFits(spec, undefined);
}

function check(
  spec: AgentSpec,
  { bounds }: Pick<AgentOptions, "bounds">,
  providers: ReadonlyMap<string, Provider>,
  machine: AnyStateMachine | undefined,
): void {
  // Where a person may grant more, too little to begin with is a way to ask first.
  if (spec.onBudget !== "ask") checkFirstCall(spec, providers);
  checkConfidence(spec, providers);
  checkSensitive(spec, providers);
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
  const call = { for: "answer", step: 1, attempt: 1, retry: false, tier: tier.name, tools: spec.tools.map(({ name }) => name) } as const;
  const worst = worstOfCall({ ...call, messages: [{ role: "user", content: "?" }] }, spec, tier, providers);
  if (!worst) return undefined;
  const { inputNano, outputNanoPerToken } = worst;
  return inputNano + Math.ceil(Math.min(minTokens, tier.maxOutputTokens, spec.limits.max_output_tokens) * outputNanoPerToken);
}

/** A tier that never says how sure it is would escalate every answer: that is no cascade. */
function checkConfidence(spec: AgentSpec, providers: ReadonlyMap<string, Provider>): void {
  if (spec.escalateBelow === undefined) return;
  const refused = (path: string, message: string): EscapementError =>
    new EscapementError("invalid_request", `agent "${spec.name}" has escalate_below, ${message}`, { details: { path } });
  if (spec.tiers.length < 2) throw refused("escalate_below", "and no second tier to escalate to; give it one under tiers, or leave it out");
  for (const tier of spec.tiers.slice(0, -1).flatMap((one) => [one, ...tiersOf(spec).filter(({ name }) => name === one.hedge?.tier)]))
    for (const { provider } of routesOf(tier))
      if (providers.get(provider)?.logprobs === false)
        throw refused(
          "tiers",
          `and the provider "${provider}" of its tier "${tier.name}" tells no log-probabilities; put that tier last, or take another provider`,
        );
}

function checkSensitive(spec: AgentSpec, providers: ReadonlyMap<string, Provider>): void {
  if (!spec.sensitive || spec.tiers.flatMap(routesOf).some(({ provider }) => providers.get(provider)?.selfHosted !== false)) return;
  throw new EscapementError(
    "invalid_request",
    `agent "${spec.name}" is sensitive, and none of its tiers is self-hosted: give it one, or say self_hosted: true of a provider that is`,
    { details: { path: "sensitive" } },
  );
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
  if (!machine && !spec.plan) throw refused("bounds", `its machine ${spec.machine} cannot be walked; leave out bounds`);
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
