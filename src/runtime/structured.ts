/** Answers that must be an object: parsed loosely (fences, prose around, broken JSON), then validated strictly (FEATURES A3). */
import { jsonrepair } from "jsonrepair";
import { z } from "zod";
import type { Json } from "../protocol/json.ts";

/** Characters of what is wrong with an answer, as the model is told. More would be no help, and the next call pays for it. */
export const maxProblemLength = 1_000;

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
  const fenced = /```(?:json)?\s*\n([\s\S]*?)```/.exec(trimmed)?.[1];
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
  if (from < 0) return undefined;
  try {
    return JSON.parse(jsonrepair(fenced ?? inner ?? trimmed.slice(from))) as Json;
  } catch {
    return undefined;
  }
}
