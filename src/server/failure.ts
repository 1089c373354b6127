/** From whatever was thrown to the error that a client is told. */
import { type ErrorBody, EscapementError, errorBody } from "../protocol/errors.ts";
import type { ServerContext } from "./context.ts";

/** An `EscapementError` says itself what it is; anything else is a defect: told as `internal`, its cause only to `onDefect`. */
export function failure(error: unknown, context: Pick<ServerContext, "settings">, doing: string): ErrorBody {
  // It may repeat what was sent.
  if (error instanceof EscapementError) return context.settings.redaction.error(error.body);
  // The client left while it was sending: nobody's defect, and nobody is there to be told.
  if (isAborted(error)) return errorBody("invalid_request", "the request was not sent to its end");
  context.settings.onDefect(`${doing} failed`, error);
  return errorBody("internal", "something broke on our side; it was logged");
}

/** What Node says of a request whose connection closed before its body was complete. */
const isAborted = (error: unknown): boolean =>
  error instanceof Error && error.message === "aborted" && (error as NodeJS.ErrnoException).code === "ECONNRESET";
