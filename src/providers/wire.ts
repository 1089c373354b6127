/**
 * What a wire (OpenAI chat, OpenAI responses, Anthropic, Gemini) has to know: how a request is written and how an answer is read.
 * `call.ts` joins it with the transport; a wire opens no socket, keeps no time and throws nothing on purpose.
 */
import type { ErrorBody, ErrorCode } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { ProviderEnd, ProviderRequest, ProviderUsage } from "./provider.ts";
import type { ToolRequests } from "./tool-requests.ts";

export interface Wire {
  /** It can ask for log-probabilities, and reads them. */
  readonly logprobs: boolean;
  /** The path after the base URL and the body, or why the request cannot be made. */
  write(request: ProviderRequest): Written | ErrorBody;
  read(request: ProviderRequest, output: Output): Reader;
}

export type Written = { readonly path: string; readonly body: string };

/** What a reader may say while it reads. */
export interface Output {
  text(text: string): void;
  reasoning(text: string): void;
  /** Output that is not shown, to be counted: arguments of a tool. */
  hidden(text: string): void;
  /** The model is at work though there is nothing to show. Ends the wait for the first token. */
  began(): void;
  /** An error object of the provider within the stream. */
  error(value: unknown): void;
  /** The answer cannot be used. */
  reject(code: ErrorCode, message: string): void;
}

/** Reads one answer. `event` and `answer` may throw on values of another shape than documented: the call then ends as `interrupted`. */
export interface Reader {
  /** An event's data before it is parsed; true when nothing is left to be done. */
  skim?(data: string): boolean;
  /** `data` is what `value` was parsed from. */
  event(value: Answer, data: string): void;
  /** The whole of an unstreamed answer. */
  answer(value: Answer): void;
  /** The provider's end mark was read: the answer stands even if the connection broke now. */
  readonly proven: boolean;
  /** Nothing more will come that matters: end now. Implies `proven`. */
  readonly done: boolean;
  /** Asked once, after `proven`. */
  result(): Result;
}

export type Result = {
  readonly finish: Exclude<ProviderEnd["finish"], "error">;
  readonly tools?: ToolRequests | undefined;
  readonly opaque?: Json | undefined;
  readonly usage?: ProviderUsage | undefined;
  readonly confidence?: number | undefined;
  /** As the provider names it. */
  readonly model?: string | undefined;
};

/** Parsed JSON from outside. Readers look at each member before they use it. */
export type Answer = { readonly [key: string]: unknown };

export function asAnswer(value: unknown): Answer | undefined {
  // An object that is no array has string keys and unknown members: nothing more is claimed.
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Answer) : undefined;
}

/** A count of tokens; anything but a whole number from 0 is as if it were not there. */
export const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

export const string = (value: unknown): string => (typeof value === "string" ? value : "");
