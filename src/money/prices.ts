/**
 * Prices: what a token of a model costs, and what a call costs.
 *
 * Owns the way from list prices in dollars to the ledger's integer nano-dollars, always rounded up. Counting tokens is
 * `tokens.ts`, deciding whether a call may be made is `budget.ts`.
 *
 * Looked up in this order: the `prices` of the configuration (`provider/model`, then `provider/*`), an explicit zero for models
 * that run on one's own hardware, our short table of what the package lacks, `@pydantic/genai-prices`. Then `null`, and no price
 * means no call: an unknown price is never 0.
 */
import { createRequire } from "node:module";
import type { PriceCalculation, Usage } from "@pydantic/genai-prices";
import { EscapementError } from "../protocol/errors.ts";
import type { ProviderUsage } from "../providers/provider.ts";
import type { Price, Rates } from "../runtime/agent.ts";

/** US dollars per million tokens, as price lists say it. Cached reads and cache writes cost the input price where nothing is said. */
export type TokenPrice = {
  readonly input_usd_per_mtok: number;
  readonly cached_usd_per_mtok?: number | undefined;
  readonly cache_write_usd_per_mtok?: number | undefined;
  readonly output_usd_per_mtok: number;
};

/** Self-hosted models: what an hour of the hardware costs, and how many tokens (input and output together) it does in that hour. */
export type HardwarePrice = { readonly usd_per_gpu_hour: number; readonly tokens_per_hour: number };

export type PriceSetting = TokenPrice | HardwarePrice;

/** Keys are `provider/model` or `provider/*`. */
export type PriceTable = { readonly [key: string]: PriceSetting | undefined };

/** Costs nothing a token. */
export const freePrice: Price = { inputNano: 0, cachedNano: 0, cacheWriteNano: 0, outputNano: 0 };

/** Providers whose models run on one's own hardware: free until the configuration says what an hour costs. */
export const selfHostedProviders: ReadonlySet<string> = new Set(["offline", "vllm", "tgi", "ollama", "llama.cpp", "llama-cpp"]);

/**
 * What the package does not know yet. Each line has its source; delete it when the package has it.
 * claude-haiku-5-5: https://platform.claude.com/docs/en/models/haiku-5-5/overview (cached reads at the usual 0.1 of the input price).
 */
const builtIn: { readonly [key: string]: Price | undefined } = {
  "anthropic/claude-haiku-5-5": {
    ...fromSetting({ input_usd_per_mtok: 0.1, cached_usd_per_mtok: 0.01, cache_write_usd_per_mtok: 0.125, output_usd_per_mtok: 0.5 }),
    long: [
      {
        aboveInputTokens: 100_000,
        ...fromSetting({ input_usd_per_mtok: 0.5, cached_usd_per_mtok: 0.05, cache_write_usd_per_mtok: 0.625, output_usd_per_mtok: 2.5 }),
      },
    ],
  },
};

/**
 * The price of a model, or `null` when it is unknown: then the caller must refuse.
 * `selfHosted` says that a provider of any other name runs on one's own hardware.
 *
 * A list price that depends on the time of day, or changes within a day, is taken at its highest. Prices are read when the
 * configuration is resolved, so a process that runs for longer than that keeps the old one.
 */
export function priceOf(
  provider: string,
  model: string,
  options: { readonly prices?: PriceTable | undefined; readonly selfHosted?: boolean } = {},
): Price | null {
  const { prices = {} } = options;
  const key = `${provider}/${model}`;
  const setting = own(prices, key) ?? own(prices, `${provider}/*`);
  if (setting) return fromSetting(setting);
  if (options.selfHosted || selfHostedProviders.has(provider)) return freePrice;
  return own(builtIn, key) ?? listPrice(provider, model);
}

/** Tokens of input and output together that a model takes, where the price list knows it. */
export function contextTokensOf(provider: string, model: string): number | undefined {
  if (selfHostedProviders.has(provider)) return undefined;
  const found = find(provider, model, new Date());
  return found?.model.context_window;
}

/** Turns what the configuration says into a price. Throws `invalid_request` where it is no number or below 0. */
export function fromSetting(setting: PriceSetting): Price {
  if ("usd_per_gpu_hour" in setting) {
    const nano = (setting.usd_per_gpu_hour * 1e9) / setting.tokens_per_hour;
    return rates(nano, nano, nano, nano);
  }
  const input = setting.input_usd_per_mtok * 1000;
  const cached = setting.cached_usd_per_mtok;
  const cacheWrite = setting.cache_write_usd_per_mtok;
  return rates(
    input,
    cached === undefined ? input : cached * 1000,
    cacheWrite === undefined ? input : cacheWrite * 1000,
    setting.output_usd_per_mtok * 1000,
  );
}

/** The rates that hold for a call with that many input tokens. */
export function ratesAt(price: Price, inputTokens: number): Rates {
  let found: Rates = price;
  for (const step of price.long ?? []) if (inputTokens > step.aboveInputTokens) found = step;
  return found;
}

/**
 * What a call costs, in integer nano-dollars, rounded up: never less than the exact amount, and less than 1 above it.
 * Cached tokens and cache writes are parts of the input; what of them exceeds it is charged as well.
 */
export function costNano(price: Price, usage: ProviderUsage): number {
  const { inputNano, cachedNano, cacheWriteNano, outputNano } = ratesAt(price, usage.inputTokens);
  const plain = Math.max(0, usage.inputTokens - usage.cachedTokens - usage.cacheWriteTokens);
  const scaled =
    times(inputNano, plain) +
    times(cachedNano, usage.cachedTokens) +
    times(cacheWriteNano, usage.cacheWriteTokens) +
    times(outputNano, usage.outputTokens);
  return Number((scaled + SCALE - 1n) / SCALE);
}

/**
 * What to reserve for a call with at most that many input tokens: its input as the dearest kind of it, and the price of each
 * output token. For every usage within the counts, `costNano` is at most `inputNano + ceil(outputTokens × outputNanoPerToken)`.
 */
export function worstCase(price: Price, inputTokens: number): { readonly inputNano: number; readonly outputNanoPerToken: number } {
  let input = 0;
  let output = 0;
  for (const step of [price, ...(price.long ?? [])]) {
    if ("aboveInputTokens" in step && inputTokens <= step.aboveInputTokens) continue;
    input = Math.max(input, step.inputNano, step.cachedNano, step.cacheWriteNano);
    output = Math.max(output, step.outputNano);
  }
  return { inputNano: Number((times(input, inputTokens) + SCALE - 1n) / SCALE), outputNanoPerToken: output };
}

/** Rates are kept to a millionth of a nano-dollar: the finest step of a price list (0.000001 USD per million) is far above it. */
const SCALE = 1_000_000n;

const times = (nano: number, tokens: number): bigint => BigInt(millionths(nano)) * BigInt(Math.ceil(tokens));

/** 0.59 × 1000 is not exactly 590: what is within floating-point noise of a step is that step, everything else goes up. */
function millionths(nano: number): number {
  const scaled = nano * 1e6;
  const near = Math.round(scaled);
  return Math.abs(scaled - near) <= near * 1e-12 ? near : Math.ceil(scaled);
}

function rates(input: number, cached: number, cacheWrite: number, output: number): Rates {
  return { inputNano: rate(input), cachedNano: rate(cached), cacheWriteNano: rate(cacheWrite), outputNano: rate(output) };
}

function rate(nano: number): number {
  if (!(nano >= 0 && nano < 1e9)) {
    throw new EscapementError(
      "invalid_request",
      `a price of ${nano} nano-dollars a token is no price: it must be a number from 0 to 1 dollar a token`,
    );
  }
  return millionths(nano) / 1e6;
}

// ── the package ──────────────────────────────────────────────────────────────────────────────────────────────────────

type Package = typeof import("@pydantic/genai-prices");
let loaded: Package | undefined;

/** Its data costs about 100 ms of CPU to load, so it is loaded by the first look-up that needs it: offline and self-hosted never do. */
function genaiPrices(): Package {
  // `require` types as any; the package's own types describe it.
  loaded ??= createRequire(import.meta.url)("@pydantic/genai-prices") as Package;
  return loaded;
}

function listPrice(provider: string, model: string): Price | null {
  const now = Date.now();
  let highest: Price | null = null;
  for (let hour = 0; hour <= 24; hour++) {
    const found = listPriceAt(provider, model, new Date(now + hour * 3_600_000));
    if (found === null) return null;
    highest = highest === null ? found.price : dearer(highest, found.price);
    if (!found.changes) return highest;
  }
  return highest;
}

/** The package also finds providers by likeness of names ("my-openai-proxy"): that is a guess, and a guess is no price. */
function find(provider: string, model: string, timestamp: Date): PriceCalculation | null {
  const usage: Usage = { input_tokens: 1, output_tokens: 1 };
  const found = genaiPrices().calcPrice(usage, model, { providerId: provider, timestamp });
  return found?.provider.id === provider ? found : null;
}

function listPriceAt(provider: string, model: string, timestamp: Date): { price: Price; changes: boolean } | null {
  const found = find(provider, model, timestamp);
  if (!found) return null;
  const price = found.model_price;
  // A fee per request has no place in a price per token, and leaving it out would charge too little.
  if (price.input_mtok === undefined || price.requests_kcount !== undefined) return null;

  const starts = new Set<number>();
  for (const value of Object.values(price)) {
    if (typeof value === "object") for (const tier of value.tiers) starts.add(tier.start);
  }
  const at = (inputTokens: number): Rates => {
    const usd = (name: string): number | undefined => {
      const value = price[name];
      if (typeof value !== "object") return value;
      let found = value.base;
      for (const tier of value.tiers) if (inputTokens > tier.start) found = tier.price;
      return found;
    };
    return fromSetting({
      input_usd_per_mtok: usd("input_mtok") ?? 0,
      cached_usd_per_mtok: usd("cache_read_mtok"),
      cache_write_usd_per_mtok: usd("cache_write_mtok"),
      output_usd_per_mtok: Math.max(usd("output_mtok") ?? 0, usd("output_reasoning_mtok") ?? 0),
    });
  };
  const long = [...starts].sort((a, b) => a - b).map((start) => ({ aboveInputTokens: start, ...at(start + 1) }));
  return { price: long.length > 0 ? { ...at(0), long } : at(0), changes: Array.isArray(found.model.prices) };
}

function dearer(a: Price, b: Price): Price {
  const max = (x: Rates, y: Rates): Rates => ({
    inputNano: Math.max(x.inputNano, y.inputNano),
    cachedNano: Math.max(x.cachedNano, y.cachedNano),
    cacheWriteNano: Math.max(x.cacheWriteNano, y.cacheWriteNano),
    outputNano: Math.max(x.outputNano, y.outputNano),
  });
  const starts = [...new Set([...(a.long ?? []), ...(b.long ?? [])].map((step) => step.aboveInputTokens))].sort((x, y) => x - y);
  const base = max(a, b);
  if (starts.length === 0) return base;
  return {
    ...base,
    long: starts.map((start) => ({ aboveInputTokens: start, ...max(ratesAt(a, start + 1), ratesAt(b, start + 1)) })),
  };
}

const own = <T>(table: { readonly [key: string]: T | undefined }, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;
