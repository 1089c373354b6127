/** The error that the client throws. The same members as the runtime's own, so that code reads the same in process and over the network. */
import type { ErrorBody, ErrorCode } from "../protocol/errors.ts";

/** `body` is what the server told; of errors made here (`timeout`, `unavailable`, `cancelled`) the client wrote it itself. */
export class EscapementError extends Error {
  readonly body: ErrorBody;
  constructor(body: ErrorBody) {
    super(body.message);
    this.name = "EscapementError";
    this.body = body;
  }
  get code(): ErrorCode {
    return this.body.code;
  }
  get isRetryable(): boolean {
    return this.body.retryable;
  }
}

/** An error of the client's own making. */
export function clientError(code: ErrorCode, message: string, retryable: boolean): EscapementError {
  return new EscapementError({ code, message, retryable });
}

/** A server that goes down says so; the same request will be taken by the next one. */
export function isDraining(error: ErrorBody): boolean {
  return error.code === "unavailable" && error.details?.reason === "draining";
}
