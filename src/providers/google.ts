/** Google's Gemini API. */
import { geminiWire } from "./gemini-content.ts";
import { type HttpOptions, httpProvider } from "./http-provider.ts";
import type { Provider } from "./provider.ts";

export type GoogleOptions = HttpOptions & {
  /** Default: `GEMINI_API_KEY`, else `GOOGLE_API_KEY`, read once, when `baseURL` is not given. */
  readonly apiKey?: string;
  /** `v1`, as the official SDK since 3.0; `v1beta` for what is there only. */
  readonly apiVersion?: string;
};

const googleURL = "https://generativelanguage.googleapis.com";

/** Name `google`; `baseURL` is without the version. Its tokenizer is not at hand: OpenAI's count and 30 % more. */
export function google(options: GoogleOptions = {}): Provider {
  const isGoogle = options.baseURL === undefined;
  const apiKey = options.apiKey ?? (isGoogle ? (process.env.GEMINI_API_KEY ?? process.env.GOOGLE_API_KEY) : undefined);
  const name = options.name ?? "google";
  return httpProvider({
    tokenizer: { encoding: "o200k_base", margin: 0.3 },
    ...options,
    name,
    baseURL: options.baseURL ?? googleURL,
    wire: geminiWire(name, options.apiVersion ?? "v1"),
    secret: apiKey,
    wireHeaders: apiKey ? { "x-goog-api-key": apiKey } : {},
    missingKey: isGoogle && !apiKey ? `${name}: no API key. Set GEMINI_API_KEY or give \`apiKey\`.` : undefined,
  });
}
