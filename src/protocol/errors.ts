/**
 * Errors: one public error whose code says who can fix it. The codes are the wire's.
 * Adapters translate into it where the answer is read; the HTTP status is decided here and nowhere else.
 */
import type { Json } from "./json.ts";

/** code → [HTTP status, retryable by default]. Source: the error table of the protocol. */
const table = {
  // the caller can fix it
  invalid_request: [400, false],
  unauthenticated: [401, false],
  forbidden: [403, false],
  not_found: [404, false],
  conflict: [409, false],
  too_large: [413, false],
  idempotency_mismatch: [422, false],
  // the operator can fix it
  rate_limited: [429, true],
  budget_exceeded: [429, false],
  overloaded: [503, true],
  unavailable: [503, true],
  // the provider
  provider_rate_limited: [502, true],
  provider_unavailable: [502, true],
  provider_rejected: [502, false],
  interrupted: [502, true],
  truncated: [502, false],
  refused: [502, false],
  invalid_output: [502, false],
  identical_failure: [502, false],
  empty: [502, true],
  context_too_long: [502, false],
  // a tool
  tool_not_found: [502, false],
  tool_failed: [502, false],
  tool_denied: [502, false],
  tool_unknown: [502, false],
  // time and will
  timeout: [504, true],
  cancelled: [499, false],
  limit_hit: [429, false],
  // us
  internal: [500, false],
} as const satisfies Record<string, readonly [status: number, retryable: boolean]>;

export type ErrorCode = keyof typeof table;
export const errorCodes = Object.keys(table) as ErrorCode[];

/** The error as it travels: in replies, frames, outcomes and `run.finished.error`. */
export type ErrorBody = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly retry_after_ms?: number;
  readonly run?: string;
  readonly details?: { readonly [key: string]: Json | undefined };
};

export function errorBody(code: ErrorCode, message: string, more: Partial<Omit<ErrorBody, "code" | "message">> = {}): ErrorBody {
  return { code, message, retryable: table[code][1], ...more };
}

export const httpStatus = (code: ErrorCode): number => table[code][0];

/** The one error that Escapement throws. `body` is what a client is told. */
export class EscapementError extends Error {
  readonly body: ErrorBody;
  constructor(code: ErrorCode, message: string, more: Partial<Omit<ErrorBody, "code" | "message">> = {}) {
    super(message);
    this.name = "EscapementError";
    this.body = errorBody(code, message, more);
  }
  get code(): ErrorCode {
    return this.body.code;
  }
  get isRetryable(): boolean {
    return this.body.retryable;
  }
  /** Rebuilds the error that the other side told. */
  static from(body: ErrorBody): EscapementError {
    return new EscapementError(body.code, body.message, body);
  }
}
