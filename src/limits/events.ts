/** What limits tell an operator. Each comes once when it begins, not with every call. */
export type LimitEvent =
  /** 80 % of what a provider allows in a window is used; `model` where its response headers said so of one. */
  | {
      readonly type: "provider.near_limit";
      readonly provider: string;
      readonly model?: string;
      readonly which: "requests" | "tokens";
      readonly used: number;
      readonly limit: number;
    }
  /** The account with a provider has nothing left: it is not asked for `ms`. */
  | { readonly type: "provider.exhausted"; readonly provider: string; readonly message: string; readonly ms: number }
  /** Limits are no longer counted by Redis. */
  | { readonly type: "limiter.failed"; readonly reason: string; readonly fallback: "closed" | { readonly share: number } }
  | { readonly type: "limiter.recovered" };

export function sentenceOf(event: LimitEvent): string {
  switch (event.type) {
    case "provider.near_limit": {
      const { provider, model, which, used, limit } = event;
      return `${Math.round((100 * used) / limit)} % of the ${which} that ${model ? `${provider}/${model}` : provider} allows are used; from 90 % on calls are delayed`;
    }
    case "provider.exhausted":
      return `the account with ${event.provider} is used up, so it is not asked for ${Math.round(event.ms / 1_000)} s: ${event.message}`;
    case "limiter.failed":
      return event.fallback === "closed"
        ? `rate limits cannot be counted (${event.reason}): new runs of limited callers are refused until Redis is back`
        : `rate limits cannot be counted together (${event.reason}): this process admits ${100 * event.fallback.share} % of each limit until Redis is back`;
    case "limiter.recovered":
      return "rate limits are counted by Redis again";
  }
}
