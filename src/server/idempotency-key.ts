/** The `Idempotency-Key` header: bare, or a quoted string as in the IETF draft (structured fields, RFC 9651). */
import { EscapementError } from "../protocol/errors.ts";

/** At most 200 characters, like `idempotency_key` in a frame. Throws `invalid_request`. */
export function parseIdempotencyKey(header: string | null | undefined): string | undefined {
  if (header === null || header === undefined) return undefined;
  const text = header.trim();
  const key = /^"(?:[^"\\]|\\["\\])*"$/.test(text) ? text.slice(1, -1).replace(/\\(["\\])/g, "$1") : text;
  if (key.length === 0 || key.length > 200) {
    throw new EscapementError("invalid_request", `Idempotency-Key must have 1 to 200 characters, not ${key.length}`, {
      details: { path: "Idempotency-Key" },
    });
  }
  return key;
}
