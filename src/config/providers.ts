/** From a provider's settings to the provider. Owns which factory a preset is, and what its address must look like. */
import { EscapementError } from "../protocol/errors.ts";
import type { Provider } from "../providers/provider.ts";
import type { Preset, ProviderSettings } from "./schema.ts";
import { presets } from "./schema.ts";
import { readSecret, type SecretSource } from "./secret.ts";

type Options = {
  readonly name: string;
  readonly apiKey?: string;
  readonly baseURL?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly selfHosted?: boolean;
};

/** Loaded when used: a process with one provider does not pay for the others. */
const factories: { readonly [preset in Preset]: (options: Options, wire: "chat" | "responses" | undefined) => Promise<Provider> } = {
  openai: async (options, wire) =>
    // OpenAI itself is spoken to in responses, which keeps reasoning between steps; other servers speak chat completions.
    (await import("../providers/openai.ts")).openai({ ...options, wire: wire ?? (options.baseURL ? "chat" : "responses") }),
  anthropic: async ({ baseURL, ...options }) =>
    (await import("../providers/anthropic.ts")).anthropic({ ...options, ...(baseURL && { baseURL: withVersion(baseURL) }) }),
  google: async (options) => (await import("../providers/google.ts")).google(options),
  groq: async (options) => (await import("../providers/presets.ts")).groq(options),
  together: async (options) => (await import("../providers/presets.ts")).together(options),
  fireworks: async (options) => (await import("../providers/presets.ts")).fireworks(options),
  vllm: async (options) => (await import("../providers/presets.ts")).vllm(options),
  tgi: async (options) => (await import("../providers/presets.ts")).tgi(options),
  ollama: async (options) => (await import("../providers/presets.ts")).ollama(options),
  "llama-cpp": async (options) => (await import("../providers/presets.ts")).llamaCpp(options),
  litellm: async (options) => (await import("../providers/presets.ts")).litellm(options),
};

/** The preset that the settings name, or that the provider is named after. Throws `invalid_request` where there is none. */
export function presetOf(name: string, settings: ProviderSettings): Preset {
  if (settings.preset) return settings.preset;
  const named = presets.find((preset) => preset === name);
  if (named) return named;
  throw new EscapementError(
    "invalid_request",
    `providers.${name}: no preset is named "${name}", so say which one it is: preset: ${presets.map((preset) => `"${preset}"`).join(" | ")}`,
    { details: { path: `providers.${name}.preset` } },
  );
}

/** Throws `invalid_request`: unknown preset, a secret that is not there, an address that is none. */
export async function createProvider(name: string, settings: ProviderSettings, from: SecretSource): Promise<Provider> {
  const preset = presetOf(name, settings);
  const path = `providers.${name}`;
  const apiKey = settings.api_key === undefined ? undefined : readSecret(settings.api_key, `${path}.api_key`, from);
  const headers = Object.entries(settings.headers ?? {}).map(([header, secret]) => [
    header,
    readSecret(secret, `${path}.headers.${header}`, from),
  ]);
  return factories[preset](
    {
      name,
      ...(apiKey !== undefined && { apiKey }),
      ...(settings.base_url !== undefined && { baseURL: settings.base_url }),
      ...(headers.length > 0 && { headers: Object.fromEntries(headers) as Record<string, string> }), // pairs of strings, made above
      ...(settings.self_hosted !== undefined && { selfHosted: settings.self_hosted }),
    },
    settings.wire,
  );
}

/** Anthropic's own SDK takes its address without the version, so that is what people have; the provider wants it. */
const withVersion = (baseURL: string): string => (/\/v\d+\/?$/.test(baseURL) ? baseURL : `${baseURL.replace(/\/+$/, "")}/v1`);
