/** Answers of the HTTP routes: JSON, and errors in the protocol's shape with their status and `Retry-After`. */
import { type ErrorBody, httpStatus } from "../protocol/errors.ts";
import { dataHeaders } from "./security-headers.ts";

export type Headers = { readonly [name: string]: string };

export function jsonReply(status: number, body: unknown, headers: Headers = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { ...dataHeaders, "content-type": "application/json", ...headers } });
}

/** `status` only where the protocol's table has no code of its own for it (405, 426). */
export function errorReply(error: ErrorBody, headers: Headers = {}, status = httpStatus(error.code)): Response {
  return jsonReply(status, { error }, { ...retryHeaders(error, status), ...headers });
}

/** 429 and 503 always say when to come back: what the error says, or in a second. */
export function retryHeaders(error: ErrorBody, status: number): Headers {
  if (status !== 429 && status !== 503) return {};
  return { "retry-after": String(Math.max(1, Math.ceil((error.retry_after_ms ?? 1_000) / 1_000))) };
}
