/** From whatever was thrown to the error that a client is told. */
import { type ErrorBody, EscapementError, errorBody } from "../protocol/errors.ts";
import type { ServerContext } from "./context.ts";

/** An `EscapementError` says itself what it is; anything else is a defect: told as `internal`, its cause only to `onDefect`. */
export function failure(error: unknown, context: Pick<ServerContext, "settings">, doing: string): ErrorBody {
  if (error instanceof EscapementError) return error.body;
  context.settings.onDefect(`${doing} failed`, error);
  return errorBody("internal", "something broke on our side; it was logged");
}
