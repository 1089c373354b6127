/** Decodes an answer. Which of its three forms was meant is seen by its keys, so that the error speaks of that form. */
import type { AnswerBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import { answerSchemas } from "./command-schemas.ts";
import { decode } from "./decode.ts";

const forms = ["approve", "value", "amount_microusd"] as const;
const known = new Set(["id", "input_hash", "reason", ...forms]);

export function decodeAnswer(body: unknown): AnswerBody {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return decode(answerSchemas.approve, body);
  const form = forms.find((key) => key in body);
  if (form) return decode(answerSchemas[form], body);
  // With none of them, a misspelt key is named before a missing one.
  if (Object.keys(body).some((key) => !known.has(key))) return decode(answerSchemas.approve, body);
  throw new EscapementError("invalid_request", "an answer needs one of approve, value and amount_microusd", {
    details: { path: "approve" },
  });
}
