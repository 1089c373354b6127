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
  let requests = limit(headers, openai.requests, now);
  let tokens = limit(headers, openai.tokens, now);
  if (!requests && !tokens) {
    requests = limit(headers, anthropic.requests, now);
    tokens = limit(headers, anthropic.tokens, now);
    tokens ??= tightest(limit(headers, anthropic.input, now), limit(headers, anthropic.output, now));
  }
  return requests || tokens ? { ...(requests && { requests }), ...(tokens && { tokens }) } : undefined;
}

type Names = { readonly limit: string; readonly remaining: string; readonly reset: string };

/** Written out once: a name that is put together for each call costs more than looking it up. */
const names = (name: (part: string) => string): Names => ({ limit: name("limit"), remaining: name("remaining"), reset: name("reset") });
const openai = {
  requests: names((part) => `x-ratelimit-${part}-requests`),
  tokens: names((part) => `x-ratelimit-${part}-tokens`),
};
const anthropic = {
  requests: names((part) => `anthropic-ratelimit-requests-${part}`),
  tokens: names((part) => `anthropic-ratelimit-tokens-${part}`),
  input: names((part) => `anthropic-ratelimit-input-tokens-${part}`),
  output: names((part) => `anthropic-ratelimit-output-tokens-${part}`),
};

function limit(headers: IncomingHttpHeaders, name: Names, now: number): Limit | undefined {
  const most = nonNegative(headers[name.limit]);
  if (!most) return undefined;
  const remaining = nonNegative(headers[name.remaining]);
  if (remaining === undefined) return undefined;
  return { limit: most, remaining, resetMs: resetMs(first(headers[name.reset]), now) ?? 0 };
}

/** A Go duration (`6m0s`, `1.5s`, `120ms`), seconds, or a time (RFC 3339), as ms from now. */
export function resetMs(value: string | undefined, now: number): number | undefined {
  if (value === undefined || value === "") return undefined;
  const seconds = nonNegative(value);
  if (seconds !== undefined) return Math.ceil(seconds * 1_000);
  let ms = 0;
  for (goPart.lastIndex = 0; goPart.lastIndex < value.length; ) {
    const part = goPart.exec(value);
    if (!part) return timeMs(value, now);
    ms += Number(part[1]) * goUnits[part[2]!]!;
  }
  return Math.ceil(ms);
}

function timeMs(value: string, now: number): number | undefined {
  const time = /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : Math.max(0, time - now);
}

const goPart = /(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/y;
const goUnits: { readonly [unit: string]: number } = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

function tightest(a: Limit | undefined, b: Limit | undefined): Limit | undefined {
  if (!a || !b) return a ?? b;
  return a.remaining / a.limit <= b.remaining / b.limit ? a : b;
}

export const first = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value);

function nonNegative(value: string | string[] | undefined): number | undefined {
  const text = first(value);
  return text !== undefined && decimal.test(text.trim()) ? Number(text) : undefined;
}

/** Digits alone: `Number` also reads 0x10 and 1e9. */
const decimal = /^\d{1,15}(\.\d+)?$/;
