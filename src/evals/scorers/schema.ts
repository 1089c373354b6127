/** `schema()`: the answer has a shape. A text is read as JSON first. */
import { z } from "zod";
import { EscapementError } from "../../protocol/errors.ts";
import type { Json } from "../../protocol/json.ts";
import { requirement } from "../../protocol/requirement.ts";
import { type AnswerScorer, type ScorerOptions, settingsOf, verdict } from "../scorer.ts";

/** `shape`: a zod schema or a JSON Schema. Throws `invalid_request` for one that cannot be read. */
export function schema(shape: z.ZodType | { readonly [key: string]: Json }, options: ScorerOptions = {}): AnswerScorer {
  const type = isZod(shape) ? shape : fromJson(shape);
  return {
    ...settingsOf("schema", options),
    of: "answer",
    score({ output }) {
      const value = typeof output === "string" ? parsed(output) : output;
      const result = type.safeParse(value);
      if (result.success) return verdict(true, "fits");
      // A failed check has at least one issue.
      const issue = result.error.issues[0] as z.core.$ZodIssue;
      return verdict(false, `${issue.path.join(".") || "the answer"} ${requirement(issue)}`);
    },
  };
}

const isZod = (shape: object): shape is z.ZodType => "safeParse" in shape && typeof shape.safeParse === "function";

function fromJson(shape: object): z.ZodType {
  try {
    return z.fromJSONSchema(shape as Parameters<typeof z.fromJSONSchema>[0]);
  } catch (error) {
    throw new EscapementError("invalid_request", `the JSON Schema of a schema scorer cannot be read: ${(error as Error).message}`);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
