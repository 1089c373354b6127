/**
 * OpenAI, and every server that speaks its chat completions (see `presets.ts` for those with a name).
 * Two wires: `chat`, and `responses` for models that are only there or whose reasoning must be kept between steps.
 */
import { type HttpOptions, httpProvider } from "./http-provider.ts";
import { type ChatDialect, chatWire } from "./openai-chat.ts";
import { responsesWire } from "./openai-responses.ts";
import type { Provider } from "./provider.ts";

export type OpenAIOptions = HttpOptions & {
  /** Default: `OPENAI_API_KEY`, read once, when `baseURL` is not given: a key is never sent to a host that it was not meant for. */
  readonly apiKey?: string;
  readonly wire?: "chat" | "responses";
  /** Where a server differs from OpenAI. Default: as OpenAI. */
  readonly dialect?: Partial<ChatDialect>;
};

const openaiURL = "https://api.openai.com/v1";

/** Name `openai`; tokens are counted with `o200k_base` exactly. */
export function openai(options: OpenAIOptions = {}): Provider {
  const isOpenAI = options.baseURL === undefined;
  const apiKey = options.apiKey ?? (isOpenAI ? process.env.OPENAI_API_KEY : undefined);
  const name = options.name ?? "openai";
  const dialect: ChatDialect = {
    maxTokens: isOpenAI ? "max_completion_tokens" : "max_tokens",
    streamOptions: true,
    schema: "json_schema",
    ...options.dialect,
  };
  return httpProvider({
    tokenizer: { encoding: "o200k_base", margin: isOpenAI ? 0 : 0.3 },
    ...options,
    name,
    baseURL: options.baseURL ?? openaiURL,
    wire: options.wire === "responses" ? responsesWire(name) : chatWire(dialect),
    secret: apiKey,
    wireHeaders: apiKey ? { authorization: `Bearer ${apiKey}` } : {},
    missingKey: isOpenAI && !apiKey ? `${name}: no API key. Set OPENAI_API_KEY or give \`apiKey\`.` : undefined,
  });
}
