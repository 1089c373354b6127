/**
 * What response headers say about waiting: `retry-after` in its three forms and the rate limits of OpenAI's and Anthropic's families.
 * Pure: the caller gives the time. Nonsense (negative, zero limits, unreadable) is left out rather than guessed.
 */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { RateLimits } from "./provider.ts";

type Limit = NonNullable<RateLimits["requests"]>;

/** Milliseconds to wait: `retry-after-ms`, else `retry-after` in seconds, else as an HTTP date, of which a past one means 0 (RFC 9110, 10.2.3). */
export function retryAfterMs(headers: IncomingHttpHeaders, now: number): number | undefined {
  const ms = nonNegative(headers["retry-after-ms"]);
  if (ms !== undefined) return Math.ceil(ms);
  const value = first(headers["retry-after"]);
  if (value === undefined) return undefined;
  const seconds = nonNegative(value);
  if (seconds !== undefined) return Math.ceil(seconds * 1_000);
  // A date has letters; "-5" and the like would otherwise be read as years.
  const date = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** OpenAI: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; Anthropic: `anthropic-ratelimit-{requests,tokens,…}-{limit,remaining,reset}`. */
export function rateLimits(headers: IncomingHttpHeaders, now: number): RateLimits | undefined {
  let requests: Limit | undefined;
  let tokens: Limit | undefined;
  if (headers["x-ratelimit-limit-requests"] !== undefined || headers["x-ratelimit-limit-tokens"] !== undefined) {
    requests = limit(headers, (part) => `x-ratelimit-${part}-requests`, now);
    tokens = limit(headers, (part) => `x-ratelimit-${part}-tokens`, now);
  } else if (headers["anthropic-ratelimit-requests-limit"] !== undefined || headers["anthropic-ratelimit-tokens-limit"] !== undefined) {
    requests = limit(headers, (part) => `anthropic-ratelimit-requests-${part}`, now);
    tokens = limit(headers, (part) => `anthropic-ratelimit-tokens-${part}`, now);
    tokens ??= tightest(
      limit(headers, (part) => `anthropic-ratelimit-input-tokens-${part}`, now),
      limit(headers, (part) => `anthropic-ratelimit-output-tokens-${part}`, now),
    );
  }
  return requests || tokens ? { ...(requests && { requests }), ...(tokens && { tokens }) } : undefined;
}

function limit(headers: IncomingHttpHeaders, name: (part: "limit" | "remaining" | "reset") => string, now: number): Limit | undefined {
  const most = nonNegative(headers[name("limit")]);
  const remaining = nonNegative(headers[name("remaining")]);
  if (!most || remaining === undefined) return undefined;
  return { limit: most, remaining, resetMs: resetMs(first(headers[name("reset")]), now) ?? 0 };
}

/** A Go duration (`6m0s`, `1.5s`, `120ms`), seconds, or a time (RFC 3339), as ms from now. */
export function resetMs(value: string | undefined, now: number): number | undefined {
  if (value === undefined || value === "") return undefined;
  const seconds = nonNegative(value);
  if (seconds !== undefined) return Math.ceil(seconds * 1_000);
  if (/^(\d+(\.\d+)?(h|m|s|ms|us|µs|ns))+$/.test(value)) {
    let ms = 0;
    for (const [, amount, unit] of value.matchAll(/([\d.]+)([a-zµ]+)/g)) ms += Number(amount) * (goUnits[unit!] ?? 0);
    return Math.ceil(ms);
  }
  const time = /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : Math.max(0, time - now);
}

const goUnits: { readonly [unit: string]: number } = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

function tightest(a: Limit | undefined, b: Limit | undefined): Limit | undefined {
  if (!a || !b) return a ?? b;
  return a.remaining / a.limit <= b.remaining / b.limit ? a : b;
}

export const first = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value);

function nonNegative(value: string | string[] | undefined): number | undefined {
  const text = first(value);
  if (text === undefined || text.trim() === "") return undefined;
  const number = Number(text);
  return number >= 0 && number < Number.POSITIVE_INFINITY ? number : undefined;
}
