/**
 * The contract of providers: one function that streams one answer of one model over one HTTP call.
 *
 *  1. Nothing is thrown and nothing is retried: the last element, `end`, says how it ended, also for errors.
 *  2. Exactly one `end`, after all text; none after the returned abort was called. Abort closes the socket at once.
 *  3. A stream without the provider's own end mark ends as `error` (`interrupted`), never as success.
 *  4. Text elements are merged per read of the socket.
 */
import type { ErrorBody } from "../protocol/errors.ts";
import type { FinishReason } from "../protocol/events.ts";
import type { Json } from "../protocol/json.ts";
import type { Message, ToolRequest } from "../protocol/messages.ts";

export type ToolSpec = { readonly name: string; readonly description: string; readonly schema: Json };

/** Milliseconds. Defaults: 3,000 / 10,000 / 10,000 / 10,000 / 30,000 unstreamed, 120,000 streamed (FEATURES A7). */
export type Timeouts = {
  readonly connect: number;
  readonly headers: number;
  readonly firstToken: number;
  readonly idle: number;
  readonly total: number;
};

export type ProviderRequest = {
  readonly model: string;
  readonly instructions?: string;
  readonly messages: readonly Message[];
  readonly tools?: readonly ToolSpec[];
  readonly maxOutputTokens: number;
  /** The object that the answer must be; used natively where the provider can, by instruction elsewhere. */
  readonly schema?: { readonly name: string; readonly schema: Json };
  readonly stream: boolean;
  /** Have the end say how sure the model was, where the provider can ({@link Provider.logprobs}). */
  readonly logprobs?: boolean;
  /** What comes again in later calls may be kept by the provider. Calls with the same key are likely to begin alike. */
  readonly promptCache?: { readonly key: string };
  /** Further parameters in the provider's own words (`temperature`, `reasoning_effort`, …), merged into the body. */
  readonly parameters?: { readonly [key: string]: Json | undefined };
  readonly timeouts: Timeouts;
};

/** Tokens as the provider said. Cached input is part of `inputTokens`. */
export type ProviderUsage = {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly cacheWriteTokens: number;
  readonly outputTokens: number;
};

/** Rate limits as the response's headers said; reset in ms from now. */
export type RateLimits = {
  readonly requests?: { readonly limit: number; readonly remaining: number; readonly resetMs: number };
  readonly tokens?: { readonly limit: number; readonly remaining: number; readonly resetMs: number };
};

export type ProviderEnd = {
  readonly type: "end";
  readonly finish: Exclude<FinishReason, "lost" | "cancelled">;
  readonly tools?: readonly ToolRequest[];
  /** To be sent back unread with the assistant's message. */
  readonly opaque?: { readonly provider: string; readonly value: Json };
  /** The model that answered, as the provider names it. */
  readonly model: string;
  /** Missing when the provider said none. */
  readonly usage?: ProviderUsage;
  /** With `finish: "error"`; `details` hold `status`, `provider`, `request_id` where known. */
  readonly error?: ErrorBody;
  readonly limits?: RateLimits;
  /** Of the answer's text, 0 to 1; only where it was asked for and told. */
  readonly confidence?: number;
  /** Nothing left this machine: no connection, so nothing can have been charged. */
  readonly unsent?: boolean;
  /** Answered by an error status instead of an answer: nothing was produced. */
  readonly rejected?: boolean;
};

/** `hidden` text is output that is not shown (names and arguments of tools): it is only counted, for calls that are stopped or cut. */
export type ProviderElement =
  | { readonly type: "hidden"; readonly text: string }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | ProviderEnd;

export interface Provider {
  /** `openai`, `anthropic`, `google`, `groq`, `vllm`, …: prices, breaker and log go by it. */
  readonly name: string;
  /** Host and path of the service: breakers are kept per provider, model and endpoint. */
  readonly endpoint: string;
  /** Data stays with us: may be given sensitive runs. */
  readonly selfHosted: boolean;
  /** It can tell log-probabilities of what it answers. */
  readonly logprobs?: boolean;
  /**
   * How input is counted before a call: by OpenAI's tokenizer, by it with a margin, or by UTF-8 bytes (always an upper bound). Without a
   * margin the model decides: earlier models of OpenAI have the vocabulary `cl100k_base`, for which there is a bound.
   */
  readonly tokenizer: { readonly encoding: "o200k_base" | "cl100k_base" | "bytes"; readonly margin: number };
  /** Values that must never be shown: its key. A function, so that no printing of a provider shows them. */
  secrets?(): readonly string[];
  /** Starts at once; the returned function aborts. Elements come asynchronously, never before this function returned. */
  stream(request: ProviderRequest, sink: (element: ProviderElement) => void): () => void;
  /** Closes idle connections. */
  close(): Promise<void>;
}
