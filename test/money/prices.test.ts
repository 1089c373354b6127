import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { costNano, freePrice, fromSetting, priceOf, ratesAt, worstCase } from "../../src/money/prices.ts";
import type { ProviderUsage } from "../../src/providers/provider.ts";
import type { Price } from "../../src/runtime/agent.ts";

const usage = (inputTokens: number, outputTokens: number, cachedTokens = 0, cacheWriteTokens = 0): ProviderUsage => ({
  inputTokens,
  outputTokens,
  cachedTokens,
  cacheWriteTokens,
});

describe("priceOf", () => {
  it("knows list prices in nano-dollars a token", () => {
    expect(priceOf("openai", "gpt-4o")).toEqual({ inputNano: 2500, cachedNano: 1250, cacheWriteNano: 2500, outputNano: 10_000 });
    expect(priceOf("openai", "gpt-4o-mini")).toMatchObject({ inputNano: 150, outputNano: 600 });
    expect(priceOf("anthropic", "claude-sonnet-5-5")).toMatchObject({ inputNano: 2000, cacheWriteNano: 2500, outputNano: 10_000 });
    expect(priceOf("groq", "llama-3.3-70b-versatile")).toMatchObject({ inputNano: 590, cachedNano: 590, outputNano: 790 });
  });

  it("keeps what long prompts cost", () => {
    const price = priceOf("openai", "gpt-5.6-sol") as Price;
    expect(ratesAt(price, 271_999)).toMatchObject({ inputNano: 4000, outputNano: 20_000 });
    expect(ratesAt(price, 272_000)).toMatchObject({ inputNano: 8000, outputNano: 30_000 });
    expect(ratesAt(priceOf("anthropic", "claude-haiku-5-5") as Price, 100_001)).toMatchObject({ inputNano: 500, outputNano: 2500 });
  });

  it("has no price for what it does not know, and guesses none from a likeness of names", () => {
    expect(priceOf("openai", "gpt-99-imaginary")).toBeNull();
    expect(priceOf("openai", "whisper-1")).toBeNull();
    expect(priceOf("my-openai-proxy", "gpt-4o")).toBeNull();
    expect(priceOf("nobody", "constructor")).toBeNull();
    expect(priceOf("openai", "__proto__")).toBeNull();
  });

  it("takes self-hosted models as free until the configuration prices the hardware", () => {
    for (const provider of ["offline", "vllm", "tgi", "ollama", "llama-cpp"]) expect(priceOf(provider, "any")).toEqual(freePrice);
    expect(priceOf("gpu-box", "any", { selfHosted: true })).toEqual(freePrice);
    const prices = { "vllm/*": { usd_per_gpu_hour: 2, tokens_per_hour: 4_000_000 } };
    expect(priceOf("vllm", "any", { prices })).toEqual({ inputNano: 500, cachedNano: 500, cacheWriteNano: 500, outputNano: 500 });
  });

  it("prefers the configuration, and in it the model over the wildcard", () => {
    const prices = {
      "openai/*": { input_usd_per_mtok: 9, output_usd_per_mtok: 9 },
      "openai/gpt-4o": { input_usd_per_mtok: 1, cached_usd_per_mtok: 0, output_usd_per_mtok: 2 },
    };
    expect(priceOf("openai", "gpt-4o", { prices })).toEqual({ inputNano: 1000, cachedNano: 0, cacheWriteNano: 1000, outputNano: 2000 });
    expect(priceOf("openai", "gpt-4.1", { prices })).toMatchObject({ inputNano: 9000 });
  });

  it("refuses what is no price", () => {
    for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e7]) {
      expect(() => fromSetting({ input_usd_per_mtok: value, output_usd_per_mtok: 1 })).toThrow(/no price/);
    }
    expect(() => fromSetting({ usd_per_gpu_hour: 2, tokens_per_hour: 0 })).toThrow(/no price/);
  });

  it("has no floating-point noise", () => {
    expect(fromSetting({ input_usd_per_mtok: 0.59, cached_usd_per_mtok: 0.014, output_usd_per_mtok: 0.0375 })).toEqual({
      inputNano: 590,
      cachedNano: 14,
      cacheWriteNano: 590,
      outputNano: 37.5,
    });
  });
});

describe("costNano", () => {
  const price: Price = { inputNano: 100, cachedNano: 10, cacheWriteNano: 125, outputNano: 500 };

  it("charges each kind of token once", () => {
    expect(costNano(price, usage(1000, 10, 600, 300))).toBe(100 * 100 + 600 * 10 + 300 * 125 + 10 * 500);
    expect(costNano(price, usage(0, 0))).toBe(0);
  });

  it("rounds up", () => {
    const cheap: Price = { inputNano: 0.000_001, cachedNano: 0, cacheWriteNano: 0, outputNano: 37.5 };
    expect(costNano(cheap, usage(1, 0))).toBe(1);
    expect(costNano(cheap, usage(0, 1))).toBe(38);
    expect(costNano(cheap, usage(0, 2))).toBe(75);
  });

  it("charges cached tokens also where a provider counts them beside the input", () => {
    expect(costNano(price, usage(10, 0, 600, 0))).toBe(6000);
  });

  // Rates as price lists have them: multiples of a millionth of a nano-dollar, up to a dollar per thousand tokens.
  const micro = fc.oneof(fc.integer({ min: 0, max: 10_000_000 }), fc.integer({ min: 0, max: 1_000_000_000_000 }));
  const rates = fc.record({ inputNano: micro, cachedNano: micro, cacheWriteNano: micro, outputNano: micro });
  const tokens = fc.nat({ max: 3_000_000 });
  const usages = fc.record({ plain: tokens, cached: tokens, write: tokens, output: tokens });
  const priceFrom = (r: { inputNano: number; cachedNano: number; cacheWriteNano: number; outputNano: number }): Price => ({
    inputNano: r.inputNano / 1e6,
    cachedNano: r.cachedNano / 1e6,
    cacheWriteNano: r.cacheWriteNano / 1e6,
    outputNano: r.outputNano / 1e6,
  });

  it("is an integer, never below the exact cost and less than one above it", () => {
    fc.assert(
      fc.property(rates, usages, (r, u) => {
        const cost = costNano(priceFrom(r), usage(u.plain + u.cached + u.write, u.output, u.cached, u.write));
        const exact =
          BigInt(r.inputNano) * BigInt(u.plain) +
          BigInt(r.cachedNano) * BigInt(u.cached) +
          BigInt(r.cacheWriteNano) * BigInt(u.write) +
          BigInt(r.outputNano) * BigInt(u.output);
        fc.pre(exact < 2n ** 53n * 1_000_000n);
        expect(Number.isSafeInteger(cost)).toBe(true);
        const scaled = BigInt(cost) * 1_000_000n;
        expect(scaled >= exact && scaled - exact < 1_000_000n).toBe(true);
      }),
    );
  });

  it("never falls when tokens are added", () => {
    fc.assert(
      fc.property(rates, usages, usages, (r, u, more) => {
        const price = priceFrom(r);
        const before = costNano(price, usage(u.plain + u.cached + u.write, u.output, u.cached, u.write));
        const [plain, cached, write] = [u.plain + more.plain, u.cached + more.cached, u.write + more.write];
        expect(costNano(price, usage(plain + cached + write, u.output + more.output, cached, write))).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  it("is at most the worst case reserved for it, whatever part of the input was cached or the prompt's length is", () => {
    fc.assert(
      fc.property(rates, rates, fc.nat({ max: 400_000 }), usages, tokens, (r, longer, start, u, spare) => {
        const price: Price = { ...priceFrom(r), long: [{ aboveInputTokens: start, ...priceFrom(longer) }] };
        const input = u.plain + u.cached + u.write;
        const reserved = worstCase(price, input + spare);
        const hold = reserved.inputNano + Math.ceil(u.output * reserved.outputNanoPerToken);
        fc.pre(Number.isSafeInteger(hold));
        expect(costNano(price, usage(input, u.output, u.cached, u.write))).toBeLessThanOrEqual(hold);
      }),
    );
  });
});
