/** Decodes an answer. Which of its three forms was meant is seen by its keys, so that the error speaks of that form. */
import type { AnswerBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import { answerSchemas } from "./command-schemas.ts";
import { decode } from "./decode.ts";
import { nearestWord } from "./nearest-word.ts";

const forms = ["approve", "value", "amount_microusd"] as const;
const known = new Set(["id", "input_hash", "reason", ...forms]);

export function decodeAnswer(body: unknown): AnswerBody {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return decode(answerSchemas.approve, body);
  const form = forms.find((key) => key in body);
  if (form) return decode(answerSchemas[form], body);
  // With none of them, a misspelt key is named before a missing one.
  const other = Object.keys(body).find((key) => !known.has(key));
  if (other !== undefined && nearestWord(other, [...known])) return decode(answerSchemas.approve, body);
  const needs = "an answer needs one of approve, value and amount_microusd";
  const key = other?.slice(0, 80);
  throw new EscapementError("invalid_request", key === undefined ? needs : `unknown key ${JSON.stringify(key)}: ${needs}`, {
    details: { path: key ?? "approve" },
  });
}
