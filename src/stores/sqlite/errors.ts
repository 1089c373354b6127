/**
 * What SQLite's failures mean to a caller of the store. Owns the translation; nobody else reads SQLite's result codes.
 * A failure of the store (disk, lock, file) ends the whole call; any other exception is a defect of the one entry that caused it.
 */
import { EscapementError } from "../../protocol/errors.ts";

/** Primary result codes that are about an entry's values, not about the file. Source: https://sqlite.org/rescode.html */
const entryCodes = new Set([
  1, // ERROR
  18, // TOOBIG
  19, // CONSTRAINT
  20, // MISMATCH
  21, // MISUSE
  25, // RANGE
]);
const full = 13;

/** SQLite's extended result code, or null for an exception of any other origin. */
function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !("errcode" in error)) return null;
  return typeof error.errcode === "number" ? error.errcode : null;
}

/** Whether nothing can be written or read at the moment, whatever the entry. */
export function isStoreFailure(error: unknown): boolean {
  if (error instanceof EscapementError) return error.code === "unavailable";
  const code = resultCode(error);
  return code !== null && !entryCodes.has(code & 0xff);
}

/** The error that the caller gets: `unavailable` with `details.reason` `store` or `storage_full`, or `internal` for a defect. */
export function storeError(error: unknown, doing: string): EscapementError {
  if (error instanceof EscapementError) return error;
  const code = resultCode(error);
  const message = error instanceof Error ? error.message : String(error);
  if (code === null || entryCodes.has(code & 0xff)) return new EscapementError("internal", `${doing}: ${message}`);
  const reason = (code & 0xff) === full ? "storage_full" : "store";
  return new EscapementError("unavailable", `${doing}: ${message}`, { details: { reason, sqlite: code } });
}

export const storeGone = (message: string): EscapementError =>
  new EscapementError("unavailable", message, { details: { reason: "store" } });
