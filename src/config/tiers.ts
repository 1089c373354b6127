/**
 * Tiers: which model of which provider, at which price. Owns the default tiers and what a tier that says little gets.
 * No tier is made without a price.
 */
import { contextTokensOf, fromSetting, type PriceTable, priceOf } from "../money/prices.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Provider, Timeouts } from "../providers/provider.ts";
import type { Price, PriceOf, TierSpec, TierUse, TimeoutsInput } from "../runtime/agent.ts";
import { instructed } from "./instructions.ts";
import type { Preset, TierSettings } from "./schema.ts";

/**
 * The small current model of each provider, chosen for its price, and for answering without thinking first where it can be told to.
 * Looked up in November 2026; a test checks that each has a price.
 */
const defaultModels: { readonly [preset in Preset]?: Omit<TierSettings, "provider"> } = {
  openai: { model: "gpt-6-luna", parameters: { reasoning: { effort: "none" } } },
  anthropic: { model: "claude-haiku-4-5" },
  google: { model: "gemini-3.5-flash-lite" },
  groq: { model: "llama-3.3-70b-versatile" },
  together: { model: "meta-llama/Llama-3.3-70B-Instruct-Turbo" },
  fireworks: { model: "accounts/fireworks/models/gpt-oss-120b", parameters: { reasoning_effort: "low" } },
};

/** What a model can produce in one call, where its tier does not say: current models all can. */
const maxOutputTokens = 16_384;

/** FEATURES A7. */
const timeoutsOf = (stream: boolean): Timeouts => ({
  connect: 3_000,
  headers: 10_000,
  firstToken: 10_000,
  idle: 10_000,
  total: stream ? 120_000 : 30_000,
});

export type ConfiguredProvider = {
  readonly provider: Provider;
  /** Undefined for a provider that the program made itself. */
  readonly preset?: Preset;
  /** Not at the preset's own address. */
  readonly elsewhere: boolean;
  /** Speaks OpenAI's chat completions though it could speak responses. */
  readonly chat?: boolean;
};

/**
 * One tier for each provider that has a default model, in the order given, named after the provider. Throws `invalid_request` where
 * none has: then the configuration must say which model to use.
 */
export function defaultTiers(providers: ReadonlyMap<string, ConfiguredProvider>, prices: PriceTable): TierSpec[] {
  const tiers: TierSpec[] = [];
  for (const [name, configured] of providers) {
    const model = configured.preset && defaultModels[configured.preset];
    if (!model) continue;
    // OpenAI's chat completions have another word for the same.
    const parameters = configured.chat ? { parameters: { reasoning_effort: "none" } } : {};
    tiers.push(createTier(name, { ...model, ...parameters, provider: name }, providers, prices));
  }
  if (tiers.length > 0) return tiers;
  const first = [...providers.keys()][0] ?? "";
  throw new EscapementError(
    "invalid_request",
    `tiers: none of the providers (${[...providers.keys()].join(", ")}) has a default model: say which one to use, for example tiers: { main: { provider: "${first}", model: "…" } }`,
    { details: { path: "tiers" } },
  );
}

/** Throws `invalid_request`: unknown provider, or no price for the model, with both ways out. */
export function createTier(
  name: string,
  settings: TierSettings,
  providers: ReadonlyMap<string, ConfiguredProvider>,
  prices: PriceTable,
): TierSpec {
  const configured = providers.get(settings.provider);
  if (!configured) {
    throw new EscapementError(
      "invalid_request",
      `tiers.${name}.provider: there is no provider "${settings.provider}"; there are: ${[...providers.keys()].join(", ") || "none"}. Configure it under providers, or set its API key in the environment`,
      { details: { path: `tiers.${name}.provider` } },
    );
  }
  const price = settings.price ? fromSetting(settings.price) : known(settings, configured, prices);
  if (!price) {
    throw new EscapementError(
      "invalid_request",
      `tiers.${name}: the price of ${settings.provider}/${settings.model} is not known, and without a price no call is made. ` +
        `Give it at the tier (price: { input_usd_per_mtok, output_usd_per_mtok }) or in the table (prices: { "${settings.provider}/${settings.model}": … })`,
      { details: { path: `tiers.${name}.price` } },
    );
  }
  const stream = settings.stream ?? true;
  const context = settings.context_tokens ?? contextTokensOf(configured.preset ?? configured.provider.name, settings.model);
  return {
    name,
    provider: settings.provider,
    model: settings.model,
    price,
    maxOutputTokens: settings.max_output_tokens ?? maxOutputTokens,
    ...(context !== undefined && { contextTokens: context }),
    stream,
    // `z.json()` has checked it.
    ...(settings.parameters && { parameters: settings.parameters as { readonly [key: string]: Json } }),
    timeouts: timeoutsFrom(settings.timeouts ?? {}, timeoutsOf(stream)),
    ...(settings.prompt_cache === false && { promptCache: false }),
  };
}

/** A tier as one agent uses it. */
export function usedTier(tier: TierSpec, use: TierUse): TierSpec {
  const { instructions, parameters, max_output_tokens, timeouts = {}, prompt_cache } = use;
  const { promptCache, ...rest } = tier;
  return {
    ...rest,
    ...((prompt_cache ?? promptCache) === false && { promptCache: false }),
    ...(instructions !== undefined && instructed(instructions)),
    ...(parameters && { parameters: { ...tier.parameters, ...parameters } }),
    ...(max_output_tokens !== undefined && { maxOutputTokens: Math.min(max_output_tokens, tier.maxOutputTokens) }),
    timeouts: timeoutsFrom(timeouts, tier.timeouts),
  };
}

const timeoutsFrom = ({ connect_ms, headers_ms, first_token_ms, idle_ms, total_ms }: TimeoutsInput, defaults: Timeouts): Timeouts => ({
  connect: connect_ms ?? defaults.connect,
  headers: headers_ms ?? defaults.headers,
  firstToken: first_token_ms ?? defaults.firstToken,
  idle: idle_ms ?? defaults.idle,
  total: total_ms ?? defaults.total,
});

/** What a model costs that a provider serves in place of the one that was asked for; null where no price is known. */
export function servedPrices(providers: ReadonlyMap<string, ConfiguredProvider>, prices: PriceTable): PriceOf {
  const found = new Map<string, Price | null>();
  return (provider, model) => {
    const configured = providers.get(provider);
    const key = `${provider}/${model}`;
    let price = found.get(key);
    if (price === undefined) {
      price = configured ? known({ provider, model }, configured, prices) : null;
      if (found.size >= keptPrices) found.clear();
      found.set(key, price);
    }
    return price;
  };
}
const keptPrices = 256;

/** By the provider's name in the configuration, by the name it gives itself, and at its own address by its preset. */
function known(
  { provider: name, model }: TierSettings,
  { provider, preset, elsewhere }: ConfiguredProvider,
  prices: PriceTable,
): Price | null {
  const options = { prices, selfHosted: provider.selfHosted };
  return (
    priceOf(name, model, options) ??
    priceOf(provider.name, model, options) ??
    (preset !== undefined && !elsewhere ? priceOf(preset, model, options) : null)
  );
}

/** The one tier while no provider is configured: the offline server's scripted model, which costs nothing. */
export const offlineTier: TierSpec = {
  name: "offline",
  provider: "offline",
  model: "scripted",
  price: { inputNano: 0, cachedNano: 0, cacheWriteNano: 0, outputNano: 0 },
  maxOutputTokens,
  stream: true,
  timeouts: timeoutsOf(true),
};
