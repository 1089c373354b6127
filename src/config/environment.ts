/**
 * What the environment says: which providers there are, where the server listens, where data is kept. An empty variable is an unset one.
 * The table of variables is the protocol's ("Starting").
 */
import { EscapementError } from "../protocol/errors.ts";
import type { ProviderSettings } from "./schema.ts";
import type { Environment } from "./secret.ts";

/** Providers that a key configures, in the order in which default tiers take them. */
const keys = [
  ["openai", "OPENAI_API_KEY"],
  ["anthropic", "ANTHROPIC_API_KEY"],
  ["google", "GEMINI_API_KEY"],
  ["groq", "GROQ_API_KEY"],
  ["together", "TOGETHER_API_KEY"],
  ["fireworks", "FIREWORKS_API_KEY"],
] as const;

const baseURLs: { readonly [provider: string]: string | undefined } = { openai: "OPENAI_BASE_URL", anthropic: "ANTHROPIC_BASE_URL" };

/** `name` → settings, in order. A base URL alone counts as well: then no key is sent. */
export function providersOf(env: Environment): Map<string, ProviderSettings> {
  const found = new Map<string, ProviderSettings>();
  for (const [provider, keyName] of keys) {
    const key = env[keyName];
    const urlName = baseURLs[provider];
    const url = urlName === undefined ? undefined : env[urlName];
    if (!key && !url) continue;
    found.set(provider, { preset: provider, ...(key && { api_key: key }), ...(url && { base_url: url }) });
  }
  return found;
}

export type ServerEnvironment = {
  readonly host?: string;
  readonly port?: number;
  readonly origins: readonly string[];
  readonly apiKeys: readonly string[];
  readonly data: string;
  readonly redisURL?: string;
  readonly qdrant?: { readonly url: string; readonly apiKey?: string };
};

/** Throws `invalid_request` when `PORT` is no port or `REDIS_URL` no address. */
export function serverOf(env: Environment): ServerEnvironment {
  const { HOST, PORT, REDIS_URL, QDRANT_URL, QDRANT_API_KEY } = env;
  if (PORT && !(/^\d{1,5}$/.test(PORT) && Number(PORT) <= 65_535)) {
    throw new EscapementError("invalid_request", `PORT is a number from 0 to 65535 (0 takes any free port), not ${JSON.stringify(PORT)}`, {
      details: { path: "PORT" },
    });
  }
  // It may hold a password, so it is not shown.
  if (REDIS_URL && !/^rediss?:\/\/[^/]/.test(REDIS_URL)) {
    throw new EscapementError("invalid_request", "REDIS_URL is an address like redis://host:6379, or rediss:// for TLS", {
      details: { path: "REDIS_URL" },
    });
  }
  return {
    ...(HOST && { host: HOST }),
    ...(PORT && { port: Number(PORT) }),
    origins: list(env.ESCAPEMENT_ORIGINS),
    apiKeys: list(env.ESCAPEMENT_API_KEYS),
    data: env.ESCAPEMENT_DATA || ".escapement",
    ...(REDIS_URL && { redisURL: REDIS_URL }),
    ...(QDRANT_URL && { qdrant: { url: QDRANT_URL, ...(QDRANT_API_KEY && { apiKey: QDRANT_API_KEY }) } }),
  };
}

const list = (value: string | undefined): string[] =>
  (value ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
