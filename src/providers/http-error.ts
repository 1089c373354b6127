/**
 * Names of failures: from a status, an error object in a body or a stream, or the transport, to the one error that is told.
 *
 * Owns the table from what providers say to `ErrorCode`. The provider's words are shown without its
 * markup, on one line, through the door of `safety/redaction.ts` (providers repeat keys and prompts), and cut to 500 characters only
 * behind it: a key that is cut is no longer known.
 * Whether to try again is decided by machines; `retryable` is the code's default, or the provider's own `x-should-retry: false`.
 */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { ErrorBody, ErrorCode } from "../protocol/errors.ts";
import { errorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Redaction } from "../safety/redaction.ts";
import { first, resetMs, retryAfterMs } from "./rate-limits.ts";
import type { Failure } from "./transport.ts";

/** Who is speaking, for messages and details. */
export type Speaker = { readonly name: string; readonly redaction: Redaction };

/** Error bodies are read up to this many bytes. */
export const maxErrorBytes = 64 * 1024;
const maxWords = 500;

/** An error as providers send it, in its several shapes brought to one. */
type Told = { readonly type: string; readonly code: string; readonly message: string; readonly retryMs: number | undefined };

/** An answer with a status of 300 or more. `body` is what was read of it. */
export function statusError(speaker: Speaker, status: number, headers: IncomingHttpHeaders, body: string): ErrorBody {
  const told = isMarkup(headers, body) ? nothing : toldBy(body);
  const retry = retryAfterMs(headers, Date.now()) ?? told.retryMs;
  return mapped(speaker, status, told, {
    retryMs: retry,
    requestId: requestId(headers, speaker),
    final: first(headers["x-should-retry"]) === "false",
  });
}

/**
 * An error object within a stream or an answer of 200: mapped like the status that it stands for.
 * After text was delivered the call cannot simply be made again, so what would be retryable is `interrupted`, with the code that it stands for as `details.reason`.
 */
export function streamError(speaker: Speaker, value: unknown, requestId: string | undefined, delivered: boolean): ErrorBody {
  const told = toldBy(value);
  const status = statusFor(told);
  const body = mapped(speaker, status, told, { retryMs: told.retryMs, requestId, final: false });
  if (!delivered || !body.retryable) return body;
  const { code, message, retry_after_ms } = body;
  return errorBody("interrupted", message, {
    ...(retry_after_ms !== undefined && { retry_after_ms }),
    details: { ...body.details, reason: code },
  });
}

/** No answer, or one that broke off. `begun`: headers of a good answer had come. */
export function transportError(speaker: Speaker, failure: Failure, begun: boolean, delivered: boolean, requestId?: string): ErrorBody {
  const details = { provider: speaker.name, request_id: requestId, reason: failure.cause };
  switch (failure.kind) {
    case "connect":
      return errorBody("provider_unavailable", `${speaker.name}: no connection (${failure.cause}).`, { details });
    case "certificate":
      return errorBody(
        "provider_rejected",
        `${speaker.name}: its certificate is not trusted (${failure.cause}). Check the address, or add its authority with \`ca\`.`,
        { details },
      );
    case "timeout":
      if (delivered || failure.phase === "idle")
        return errorBody("interrupted", `${speaker.name}: the stream was given up by the ${failure.phase} limit.`, { details });
      return errorBody("timeout", `${speaker.name}: no ${waitedFor[failure.phase]} within the ${failure.phase} limit.`, { details });
    default:
      return begun
        ? errorBody("interrupted", `${speaker.name}: the connection broke within the answer (${failure.cause}).`, { details })
        : errorBody("provider_unavailable", `${speaker.name}: the connection broke before an answer (${failure.cause}).`, { details });
  }
}

const waitedFor = {
  connect: "connection",
  headers: "response headers",
  firstToken: "token",
  idle: "data",
  total: "complete answer",
} as const;

function mapped(
  speaker: Speaker,
  status: number,
  told: Told,
  more: { readonly retryMs: number | undefined; readonly requestId: string | undefined; readonly final: boolean },
): ErrorBody {
  const isExhausted = status === 402 || exhausted.test(told.code) || exhausted.test(told.type) || noCredit.test(told.message);
  const code = isExhausted ? "provider_rejected" : codeFor(status, told);
  const words = clean(told.message, speaker);
  const reason = isExhausted ? "exhausted" : told.code || told.type || undefined;
  return errorBody(code, `${speaker.name} answered ${status}${words ? `: ${words}` : "."}`, {
    ...(more.final && { retryable: false }),
    ...(more.retryMs !== undefined && !isExhausted && { retry_after_ms: Math.ceil(more.retryMs) }),
    details: {
      status,
      provider: speaker.name,
      request_id: more.requestId,
      reason: reason === undefined ? undefined : clean(reason, speaker),
    },
  });
}

/** OpenAI, Groq and others: a code; Anthropic: 402 `billing_error`, or a 400 that says so only in words. */
const exhausted =
  /^(insufficient_quota|insufficient_credits?|billing_(error|hard_limit_reached|not_active)|credits?_exhausted|quota_exhausted)$/;
const noCredit = /credit balance is too low|insufficient (credits|balance|funds)/i;

/** Words of OpenAI, vLLM, Anthropic (two), Gemini, llama.cpp, in this order. */
const tooLong =
  /context_length_exceeded|maximum context length|prompt is too long|exceed context limit|input token count.*exceeds|exceed(s|ed)? the available context size|exceed_context_size/i;

function codeFor(status: number, told: Told): ErrorCode {
  if (status === 429) return "provider_rate_limited";
  if (status === 408 || status === 409 || status >= 500) return "provider_unavailable";
  if (tooLong.test(told.code) || tooLong.test(told.type) || tooLong.test(told.message)) return "context_too_long";
  return "provider_rejected";
}

/** Statuses that words stand for where an error comes within a stream: OpenAI's, Anthropic's, Google's, TGI's. */
const statuses: { readonly [word: string]: number } = {
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  RESOURCE_EXHAUSTED: 429,
  insufficient_quota: 429,
  billing_error: 402,
  overloaded_error: 529,
  overloaded: 529,
  UNAVAILABLE: 503,
  timeout_error: 504,
  DEADLINE_EXCEEDED: 504,
  invalid_request_error: 400,
  invalid_prompt: 400,
  context_length_exceeded: 400,
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  authentication_error: 401,
  UNAUTHENTICATED: 401,
  permission_error: 403,
  PERMISSION_DENIED: 403,
  not_found_error: 404,
  NOT_FOUND: 404,
  request_too_large: 413,
};

function statusFor(told: Told): number {
  const numeric = Number(told.code);
  if (Number.isInteger(numeric) && numeric >= 400 && numeric < 600) return numeric;
  // OpenAI's responses name what is wrong with the input: `invalid_image`, `unsupported_image_media_type`, …
  if (/^(invalid|unsupported|empty)_/.test(told.code)) return 400;
  return statuses[told.code] ?? statuses[told.type] ?? 500;
}

const nothing: Told = { type: "", code: "", message: "", retryMs: undefined };

/** Reads `{error: {…}}`, `{error: "…"}`, `{message}`, `{detail}`, a Google error, or plain words. */
function toldBy(body: unknown): Told {
  let value = body;
  if (typeof body === "string") {
    try {
      value = JSON.parse(body);
    } catch {
      return { ...nothing, message: body };
    }
  }
  if (Array.isArray(value)) value = value[0];
  const outer = record(value);
  if (!outer) return typeof value === "string" ? { ...nothing, message: value } : nothing;
  const inner = record(outer.error) ?? outer;
  const message = [inner.message, outer.error, outer.message, outer.detail].find((words) => typeof words === "string");
  return {
    type: text(inner.type ?? inner.status ?? outer.error_type),
    code: text(inner.code),
    message: text(message),
    retryMs: googleRetryMs(inner.details),
  };
}

/** `google.rpc.RetryInfo`: Gemini sends no `retry-after`. */
function googleRetryMs(details: unknown): number | undefined {
  if (!Array.isArray(details)) return undefined;
  for (const detail of details) {
    const delay = record(detail)?.retryDelay;
    if (typeof delay === "string") return resetMs(delay, 0);
  }
  return undefined;
}

function isMarkup(headers: IncomingHttpHeaders, body: string): boolean {
  return /html|xml/.test(first(headers["content-type"]) ?? "") || /^\s*</.test(body);
}

/** What could be cut before it is looked at is far behind what is shown. */
function clean(words: string, { redaction }: Speaker): string {
  const shown = redaction.text(words.slice(0, maxErrorBytes)).replace(/[\u0000-\u001f\u007f]+/g, " ");
  return shown.length > maxWords ? `${shown.slice(0, maxWords)}…` : shown;
}

export function requestId(headers: IncomingHttpHeaders, { redaction }: Speaker): string | undefined {
  const id = first(headers["x-request-id"] ?? headers["request-id"]);
  return id === undefined ? undefined : redaction.line(id).slice(0, 200);
}

function record(value: unknown): { readonly [key: string]: Json | undefined } | undefined {
  // JSON.parse made it: an object that is no array is a record of JSON.
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as { [key: string]: Json }) : undefined;
}

const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");
