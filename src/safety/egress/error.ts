/** What the door refuses, and what failed behind it: one error with a reason that programs can compare. */
import { type ErrorCode, EscapementError } from "../../protocol/errors.ts";

/** reason → code of the error. */
const codes = {
  /** No URL, or one that programs read in different ways. */
  url: "invalid_request",
  scheme: "forbidden",
  credentials: "forbidden",
  port: "forbidden",
  /** A name that is not of the public internet. */
  name: "forbidden",
  /** An address that is not of the public internet. */
  address: "forbidden",
  redirect: "forbidden",
  content_type: "forbidden",
  encoding: "forbidden",
  too_large: "too_large",
  timeout: "timeout",
  /** The name is not known, nobody listens, TLS failed, the connection broke. */
  unreachable: "unavailable",
  cancelled: "cancelled",
} as const satisfies Record<string, ErrorCode>;

export type EgressReason = keyof typeof codes;

export class EgressError extends EscapementError {
  override name = "EgressError";
  readonly reason: EgressReason;

  constructor(reason: EgressReason, message: string) {
    super(codes[reason], message, { details: { reason } });
    this.reason = reason;
  }
}
