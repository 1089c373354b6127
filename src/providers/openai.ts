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

/** Name `openai`; tokens are counted with `o200k_base` exactly. With a `baseURL` it is any server that speaks this wire. */
export function openai(options: OpenAIOptions = {}): Provider {
  return openaiCompatible(
    options.baseURL === undefined
      ? {
          name: "openai",
          baseURL: "https://api.openai.com/v1",
          key: { variable: "OPENAI_API_KEY", isRequired: true },
          dialect: { maxTokens: "max_completion_tokens", streamOptions: true, schema: "json_schema", cacheKey: true },
          tokenizer: { encoding: "o200k_base", margin: 0 },
        }
      : { name: "openai", baseURL: options.baseURL, dialect: compatible, tokenizer: foreign },
    options,
  );
}

/** What most servers understand: OpenAI's earlier word for the limit of tokens is the one that all know. */
export const compatible: ChatDialect = { maxTokens: "max_tokens", streamOptions: true, schema: "json_schema" };

/** Counted by OpenAI's tokenizer and half as much again, for models of other makers. */
export const foreign: Provider["tokenizer"] = { encoding: "o200k_base", margin: 0.5 };

/** What a server is before the user's options. */
export type OpenAIServer = {
  readonly name: string;
  readonly baseURL: string;
  /** Read once, and only for the address above. */
  readonly key?: { readonly variable: string; readonly isRequired: boolean };
  readonly dialect: ChatDialect;
  readonly tokenizer: Provider["tokenizer"];
  readonly selfHosted?: boolean;
};

export function openaiCompatible(server: OpenAIServer, options: OpenAIOptions): Provider {
  const isItself = options.baseURL === undefined;
  const { key } = server;
  const apiKey = options.apiKey ?? (isItself && key ? process.env[key.variable] : undefined);
  const name = options.name ?? server.name;
  const dialect = { ...server.dialect, ...options.dialect };
  return httpProvider({
    tokenizer: server.tokenizer,
    selfHosted: server.selfHosted ?? false,
    ...options,
    name,
    baseURL: options.baseURL ?? server.baseURL,
    wire: options.wire === "responses" ? responsesWire(name, dialect.cacheKey ?? false) : chatWire(dialect),
    secret: apiKey,
    wireHeaders: apiKey ? { authorization: `Bearer ${apiKey}` } : {},
    missingKey: isItself && key?.isRequired && !apiKey ? `${name}: no API key. Set ${key.variable} or give \`apiKey\`.` : undefined,
  });
}
