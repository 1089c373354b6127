/** What of an agent's route can be wrong, said when it is defined. */
import { EscapementError } from "../protocol/errors.ts";
import { checkRule } from "../routing/rules.ts";
import type { AgentOptions, Route, TierSpec } from "../runtime/agent.ts";

/** Throws `invalid_request`: a tier that the chain does not have, a pattern that is none, an answer that is not what the agent answers. */
export function checkedRoute({ name, route = {}, output }: AgentOptions, chain: readonly TierSpec[]): Route {
  const refused = (path: string, message: string): EscapementError =>
    new EscapementError("invalid_request", `agent "${name}", ${path}: ${message}`, { details: { path } });
  const names = chain.map((tier) => tier.name);
  const checkTier = (path: string, tier: string | undefined): void => {
    if (tier === undefined || names.includes(tier)) return;
    throw refused(path, `the tier "${tier}" is not in the agent's chain; there are: ${names.join(", ")}`);
  };
  for (const [index, rule] of (route.rules ?? []).entries()) {
    const path = `route.rules.${index}`;
    checkRule(rule, `agent "${name}", ${path}`);
    checkTier(`${path}.tier`, rule.tier);
    if (rule.answer !== undefined && output)
      throw refused(`${path}.answer`, "the agent answers with an object, and a rule with text; give the rule a tier");
  }
  for (const [task, tier] of Object.entries(route.tasks ?? {})) checkTier(`route.tasks.${task}`, tier);
  for (const [label, { tier }] of Object.entries(route.classifier?.labels ?? {})) checkTier(`route.classifier.labels.${label}.tier`, tier);
  checkTier("route.default", route.default);
  return route;
}
