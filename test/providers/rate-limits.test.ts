import { describe, expect, test } from "vitest";
import { rateLimits, resetMs, retryAfterMs } from "../../src/providers/rate-limits.ts";

const now = Date.parse("2026-11-21T10:00:00Z");

describe("retry-after", () => {
  test.each([
    [{ "retry-after": "2" }, 2_000],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": "1.5" }, 1_500],
    [{ "retry-after-ms": "150", "retry-after": "2" }, 150],
    [{ "retry-after-ms": "0.4" }, 1],
    [{ "retry-after-ms": "x", "retry-after": "2" }, 2_000],
    [{ "retry-after": "Sat, 21 Nov 2026 10:00:03 GMT" }, 3_000],
    [{ "retry-after": "Sat, 21 Nov 2026 09:00:00 GMT" }, 0],
    [{ "retry-after": "Thu, 01 Jan 2099 00:00:00 GMT" }, Date.parse("2099-01-01T00:00:00Z") - now],
    [{ "retry-after": "-5" }, undefined],
    [{ "retry-after": "0x10" }, undefined],
    [{ "retry-after": "1e9" }, undefined],
    [{ "retry-after": "Infinity" }, undefined],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "" }, undefined],
    [{}, undefined],
  ])("%j is %s ms", (headers, expected) => {
    expect(retryAfterMs(headers as { [name: string]: string }, now)).toBe(expected);
  });
});

describe("reset", () => {
  test.each([
    ["6m0s", 360_000],
    ["1s", 1_000],
    ["12ms", 12],
    ["1.5s", 1_500],
    ["1h2m3.5s", 3_723_500],
    ["350µs", 1],
    ["7", 7_000],
    ["2026-11-21T10:00:05Z", 5_000],
    ["2026-11-21T09:00:00Z", 0],
    ["-1", undefined],
    ["-6m", undefined],
    ["later", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("%s is %s ms", (value, expected) => {
    expect(resetMs(value, now)).toBe(expected);
  });
});

describe("limits", () => {
  test("OpenAI's", () => {
    const headers = {
      "x-ratelimit-limit-requests": "500",
      "x-ratelimit-remaining-requests": "499",
      "x-ratelimit-reset-requests": "120ms",
      "x-ratelimit-limit-tokens": "30000",
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "6m0s",
    };
    expect(rateLimits(headers, now)).toEqual({
      requests: { limit: 500, remaining: 499, resetMs: 120 },
      tokens: { limit: 30_000, remaining: 0, resetMs: 360_000 },
    });
  });

  test("Anthropic's, and of input and output the tighter one", () => {
    const at = "2026-11-21T10:00:30Z";
    const requests = {
      "anthropic-ratelimit-requests-limit": "50",
      "anthropic-ratelimit-requests-remaining": "10",
      "anthropic-ratelimit-requests-reset": at,
    };
    expect(rateLimits(requests, now)).toEqual({ requests: { limit: 50, remaining: 10, resetMs: 30_000 } });
    const split = {
      ...requests,
      "anthropic-ratelimit-input-tokens-limit": "1000",
      "anthropic-ratelimit-input-tokens-remaining": "900",
      "anthropic-ratelimit-input-tokens-reset": at,
      "anthropic-ratelimit-output-tokens-limit": "1000",
      "anthropic-ratelimit-output-tokens-remaining": "100",
      "anthropic-ratelimit-output-tokens-reset": at,
    };
    expect(rateLimits(split, now)?.tokens).toEqual({ limit: 1_000, remaining: 100, resetMs: 30_000 });
  });

  test.each([["-1"], ["0"], ["many"]])("a limit of %s is as if it were not there", (limit) => {
    expect(rateLimits({ "x-ratelimit-limit-requests": limit, "x-ratelimit-remaining-requests": "1" }, now)).toBeUndefined();
  });

  test("a remainder of -1 is as if the limit were not there, and no reset is one that is over", () => {
    expect(rateLimits({ "x-ratelimit-limit-tokens": "5", "x-ratelimit-remaining-tokens": "-1" }, now)).toBeUndefined();
    expect(rateLimits({ "x-ratelimit-limit-tokens": "5", "x-ratelimit-remaining-tokens": "1" }, now)?.tokens?.resetMs).toBe(0);
    expect(rateLimits({}, now)).toBeUndefined();
  });
});
