/**
 * What failures of Postgres and of the way to it mean to a caller of the store. Owns the translation; nobody else reads SQLSTATE codes
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 *
 *  1. A conflict with another transaction is tried again; a value that cannot be stored is a defect of the entry that has it; everything
 *     else is the store's failure, `unavailable`.
 *  2. No error shows the address with its password.
 */
import { DatabaseError } from "pg";
import { EscapementError } from "../../protocol/errors.ts";

/** Serialization failure, deadlock; and a row that another transaction has made meanwhile. */
const conflicts = new Set(["40001", "40P01", "23505"]);
/** Classes: data exception, integrity constraint violation, program limit exceeded. */
const ofValues = new Set(["22", "23", "54"]);
const diskFull = "53100";

const stateOf = (error: unknown): string => (error instanceof DatabaseError ? (error.code ?? "") : "");

/** Whether the whole transaction may go well when it is done again. */
export const isConflict = (error: unknown): boolean => conflicts.has(stateOf(error));

/** Whether a value is to blame, and not the store. */
export const isOfValues = (error: unknown): boolean => ofValues.has(stateOf(error).slice(0, 2));

/** What a statement or a connection failed with: as it is where this file's questions are to be asked of it, else `unavailable`. */
export function failure(error: unknown): Error {
  if (error instanceof EscapementError) return error;
  if (isConflict(error) || isOfValues(error)) return error as DatabaseError;
  const state = stateOf(error);
  return unavailable(wordsOf(error), state === diskFull ? "storage_full" : "store", state);
}

/** The error that the caller gets. */
export function storeError(error: unknown, doing: string): EscapementError {
  const message = `store: ${doing}: ${wordsOf(error)}`;
  if (error instanceof EscapementError)
    return error.code === "unavailable" && !error.message.startsWith("store")
      ? new EscapementError(error.code, message, error.body)
      : error;
  if (isConflict(error)) return unavailable(message, "store", stateOf(error));
  return new EscapementError("internal", message);
}

function unavailable(message: string, reason: "store" | "storage_full", state: string): EscapementError {
  return new EscapementError("unavailable", message, { details: { reason, ...(state && { postgres: state }) } });
}

export const storeGone = (message: string): EscapementError =>
  new EscapementError("unavailable", message, { details: { reason: "store" } });

function wordsOf(error: unknown): string {
  // A host with several addresses fails with one error for each, and no words of its own.
  if (error instanceof AggregateError) return [...new Set(error.errors.map(wordsOf))].join("; ");
  return error instanceof Error ? error.message : String(error);
}
