/** The headers that tell a limited caller how it stands (draft-ietf-httpapi-ratelimit-headers-11). */

import type { RateLimit } from "../protocol/rate-limit.ts";
import type { Headers } from "./reply.ts";

export function rateLimitHeaders(limits: readonly RateLimit[]): Headers {
  if (limits.length === 0) return {};
  const list = (item: (limit: RateLimit) => string): string => limits.map((limit) => `"${limit.name}";${item(limit)}`).join(", ");
  return {
    "ratelimit-policy": list(({ limit, windowMs }) => `q=${limit};w=${Math.ceil(windowMs / 1_000)}`),
    ratelimit: list(({ remaining, resetMs }) => `r=${remaining};t=${Math.ceil(resetMs / 1_000)}`),
  };
}
