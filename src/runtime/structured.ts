/**
 * Answers that must be an object: parsed loosely (fences, prose around, broken JSON), then validated strictly (FEATURES A3).
 *
 *  1. Reading an answer takes as long as it is: a model's words must not block the process, whatever they are.
 */
import { jsonrepair } from "jsonrepair";
import { z } from "zod";
import type { Json } from "../protocol/json.ts";

/** Characters of what is wrong with an answer, as the model is told. More would be no help, and the next call pays for it. */
export const maxProblemLength = 1_000;

/**
 * Characters of a broken text that are mended: that takes quadratic time where quotes are wrong (0.4 s here, 20 s for four times that).
 * What is longer must be JSON as it stands.
 */
const maxMended = 32_768;

export type Parsed = { readonly ok: true; readonly value: Json } | { readonly ok: false; readonly problem: string };

export function parseAnswer(text: string, schema: z.ZodType): Parsed {
  const candidate = looseJson(text);
  if (candidate === undefined) return { ok: false, problem: "The answer holds no JSON. Answer with the JSON value alone." };
  const parsed = schema.safeParse(candidate);
  // What a schema for JSON lets through is JSON.
  return parsed.success
    ? { ok: true, value: parsed.data as Json }
    : { ok: false, problem: `The JSON does not fit the schema:\n${z.prettifyError(parsed.error)}` };
}

/** The JSON in a text, also where it is wrapped in words, fenced, broken or cut off. */
export function looseJson(text: string): Json | undefined {
  const trimmed = text.trim();
  const fenced = fencedIn(trimmed);
  const from = trimmed.search(/[[{]/);
  const to = Math.max(trimmed.lastIndexOf("}"), trimmed.lastIndexOf("]"));
  const inner = from >= 0 && to > from ? trimmed.slice(from, to + 1) : undefined;
  for (const candidate of [trimmed, fenced, inner]) {
    if (candidate === undefined || candidate === "") continue;
    try {
      return JSON.parse(candidate) as Json;
    } catch {
      // the next form
    }
  }
  const broken = from < 0 ? undefined : (fenced ?? inner ?? trimmed.slice(from));
  if (broken === undefined || broken.length > maxMended) return undefined;
  try {
    return JSON.parse(jsonrepair(broken)) as Json;
  } catch {
    return undefined;
  }
}

/** What stands in the first fence. Looked for mark by mark: one pattern for all of it would go back and forth over a run of line breaks. */
function fencedIn(text: string): string | undefined {
  for (let mark = text.indexOf(fence); mark >= 0; mark = text.indexOf(fence, mark + 1)) {
    fenceHead.lastIndex = mark + fence.length;
    if (!fenceHead.test(text)) continue;
    const from = fenceHead.lastIndex;
    const to = text.indexOf(fence, from);
    return to < 0 ? undefined : text.slice(from, to);
  }
  return undefined;
}
const fence = "```";
const fenceHead = /(?:json)?[^\S\n]*\n/y;
