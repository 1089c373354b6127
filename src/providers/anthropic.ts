/** Anthropic's messages API, and servers that speak it. */
import { anthropicWire } from "./anthropic-messages.ts";
import { type HttpOptions, httpProvider } from "./http-provider.ts";
import type { Provider } from "./provider.ts";

export type AnthropicOptions = HttpOptions & {
  /** Default: `ANTHROPIC_API_KEY`, read once, when `baseURL` is not given. */
  readonly apiKey?: string;
};

const anthropicURL = "https://api.anthropic.com/v1";

/** Name `anthropic`. Its tokenizer is not public: OpenAI's count and 60 % more. */
export function anthropic(options: AnthropicOptions = {}): Provider {
  const isAnthropic = options.baseURL === undefined;
  const apiKey = options.apiKey ?? (isAnthropic ? process.env.ANTHROPIC_API_KEY : undefined);
  const name = options.name ?? "anthropic";
  return httpProvider({
    tokenizer: { encoding: "o200k_base", margin: 0.6 },
    ...options,
    name,
    baseURL: options.baseURL ?? anthropicURL,
    wire: anthropicWire(name),
    secret: apiKey,
    wireHeaders: { "anthropic-version": "2023-06-01", ...(apiKey && { "x-api-key": apiKey }) },
    missingKey: isAnthropic && !apiKey ? `${name}: no API key. Set ANTHROPIC_API_KEY or give \`apiKey\`.` : undefined,
  });
}
