/** Decodes an answer. Which of its three forms was meant is seen by its keys, so that the error speaks of that form. */
import { type AnswerBody, answerBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import { decode } from "./decode.ts";

const [approval, value, budget] = answerBody.options;

export function decodeAnswer(body: unknown): AnswerBody {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return decode(approval, body);
  if ("approve" in body) return decode(approval, body);
  if ("value" in body) return decode(value, body);
  if ("amount_microusd" in body) return decode(budget, body);
  // With none of them the id is checked first, then the rest of the first form: a misspelt key is named before a missing one.
  const known = new Set([...answerBody.options.flatMap((option) => Object.keys(option.shape))]);
  if (Object.keys(body).some((key) => !known.has(key))) return decode(approval, body);
  throw new EscapementError("invalid_request", "an answer needs one of approve, value and amount_microusd", {
    details: { path: "approve" },
  });
}
