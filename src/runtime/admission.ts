/**
 * Which route a call takes, when it is performed: one that may be given the data, whose breaker lets it pass, that is not throttled,
 * and for a retry rather another one than before.
 *
 *  1. Sensitive work takes a self-hosted route or none, whoever asked for it.
 *  2. Whoever takes a route reports how its call ended to {@link Health}: a probe is out until then.
 */
import type { CallInput, WorkError } from "../../machines/work.ts";
import type { Health } from "../limits/health.ts";
import type { RetryBudget } from "../limits/retry-budget.ts";
import type { Spread } from "../limits/spread.ts";
import type { Provider } from "../providers/provider.ts";
import { routesOf, type TierRoute, type TierSpec } from "./agent.ts";
import { hasImages } from "./covered.ts";
import type { Work } from "./interpreter.ts";

export type AdmissionDeps = {
  readonly providers: ReadonlyMap<string, Provider>;
  readonly health: Health;
  readonly retries: RetryBudget;
  readonly spread: Spread;
  /** False while the provider's window of this model is nearly used up: another route is taken if there is one. */
  readonly isFree?: (provider: string, model: string) => boolean;
};

export type Admitted = {
  readonly route: TierRoute;
  readonly provider: Provider /** Its breaker's. */;
  readonly key: string;
  readonly isProbe: boolean;
};
type Refusal = Omit<WorkError, "call" | "shown">;

export function admit(deps: AdmissionDeps, work: Work, input: CallInput, tier: TierSpec | undefined): Admitted | Refusal {
  const there = tier ? routesOf(tier).filter(({ provider }) => deps.providers.has(provider)) : [];
  const of = (route: TierRoute): Provider => deps.providers.get(route.provider) as Provider;
  if (there.length === 0)
    return refused(
      "provider_rejected",
      `the tier "${input.tier}" has no provider in this process; configure "${tier?.provider ?? input.tier}"`,
    );
  const allowed = work.sensitive ? there.filter((route) => of(route).selfHosted) : there;
  // The supervisor has denied it already; this is the last door.
  if (allowed.length === 0)
    return refused("provider_rejected", `this run is sensitive and the tier "${input.tier}" is not self-hosted`, { reason: "sensitive" });

  if (tier?.anonymise && hasImages(input))
    return refused("provider_rejected", `the tier "${input.tier}" is anonymised, and images cannot be`, { reason: "anonymise" });
  const several = allowed.length > 1;
  const request = several ? `${work.run} ${work.ask.path.slice(0, work.ask.path.lastIndexOf("/"))} ${input.tier}` : "";
  const order = deps.spread.order(allowed, request, input.retry);
  const { isFree } = deps;
  const free =
    isFree && several ? order.toSorted((a, b) => Number(isFree(b.provider, b.model)) - Number(isFree(a.provider, a.model))) : order;
  const last = deps.spread.lastOf(request)?.provider;
  let refusal: Refusal | undefined;
  for (const route of free) {
    const provider = of(route);
    const key = `${provider.name} ${route.model} ${provider.endpoint}`;
    const pass = deps.health.ask(key);
    if (pass === "no") {
      refusal ??= breakerOpen(provider, route);
      continue;
    }
    // Another provider than before is no retry to the same one.
    if (!deps.retries.take(provider.name, input.retry && (last === undefined || last === route.provider))) {
      if (pass === "probe") deps.health.report(key, "neutral");
      refusal = refused("provider_unavailable", `the retry budget of ${provider.name} is used up`, {
        reason: "retry_budget",
        provider: provider.name,
      });
      continue;
    }
    if (several) deps.spread.took(route, request);
    return { route, provider, key, isProbe: pass === "probe" };
  }
  return refusal as Refusal;
}

export const breakerOpen = (provider: Provider, { model }: TierRoute): Refusal =>
  refused("provider_unavailable", `the breaker of ${provider.name}/${model} is open`, { reason: "breaker", provider: provider.name });

const refused = (code: "provider_rejected" | "provider_unavailable", message: string, details?: { [key: string]: string }): Refusal => ({
  code,
  message,
  retryable: false,
  ...(details && { details }),
});
