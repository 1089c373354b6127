/**
 * What a store holds and nobody can read any more. Trying again does not help: whoever meets it must let go of that run, and of no other.
 * The error is `internal` with `details.reason` `damaged`.
 */
import { EscapementError } from "../protocol/errors.ts";

export function damaged(what: string, cause: unknown, run?: string): EscapementError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new EscapementError("internal", `${what} is damaged: ${why}`, {
    ...(run !== undefined && { run }),
    details: { reason: "damaged" },
  });
}

export const isDamage = (error: unknown): error is EscapementError =>
  error instanceof EscapementError && error.body.details?.reason === "damaged";
