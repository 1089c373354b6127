/**
 * Checks a value from outside against a schema of the protocol; past this line it is trusted. What is wrong is told as one
 * `invalid_request` whose `details.path` names the place, and for an unknown key the known one that was probably meant.
 */
import type { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import { requirement } from "../protocol/requirement.ts";
import { nearestWord } from "./nearest-word.ts";

type Issue = z.core.$ZodIssue;

/** `within` is the path of `value` in what the client sent, where it is only a part of it. */
export function decode<S extends z.ZodType>(schema: S, value: unknown, within: readonly PropertyKey[] = []): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalid(schema, value, result.error.issues, within);
}

function invalid(schema: z.ZodType, value: unknown, issues: readonly Issue[], within: readonly PropertyKey[]): EscapementError {
  const unknown = issues.find((issue) => issue.code === "unrecognized_keys");
  if (unknown) {
    const key = unknown.keys[0] ?? "";
    const place = printPath([...within, ...unknown.path]);
    const known = keysAt(schema, unknown.path);
    const meant = nearestWord(key, known);
    const hint =
      meant !== undefined ? `; did you mean ${quoted(meant)}?` : known.length > 0 ? `; the keys here are ${known.join(", ")}` : "";
    return new EscapementError("invalid_request", `unknown key ${quoted(key)}${place === "" ? "" : ` in ${place}`}${hint}`, {
      details: { path: printPath([...within, ...unknown.path, key]) },
    });
  }
  const issue = mostTelling(issues);
  const path = [...within, ...issue.path];
  const place = printPath(path);
  const missing = issue.path.length > 0 && valueAt(value, issue.path) === undefined;
  const message = missing ? `${quoted(place)} is missing: it ${requirement(issue)}` : `${place || "the body"} ${requirement(issue)}`;
  return new EscapementError("invalid_request", message, { details: { path: place } });
}

/** Of a union, the complaint of the branch that came furthest. */
function mostTelling(issues: readonly Issue[]): Issue {
  const issue = issues[0]!;
  if (issue.code !== "invalid_union") return issue;
  let best: Issue | undefined;
  for (const branch of issue.errors) {
    if (branch.length === 0) continue;
    const candidate = mostTelling(branch);
    if (candidate.path.length > (best?.path.length ?? 0)) best = candidate;
  }
  return best === undefined ? issue : { ...best, path: [...issue.path, ...best.path] };
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = Reflect.get(current, key);
  }
  return current;
}

/** The keys that an object schema has at a path; none where it is no object. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  // zod's own description of a schema: `def` is public in its core, only not in the type of the base class.
  const def = schema.def as unknown as { type: string; shape?: Record<string, z.ZodType>; innerType?: z.ZodType; element?: z.ZodType };
  if (def.innerType) return keysAt(def.innerType, path);
  const [head, ...rest] = path;
  if (head === undefined) return Object.keys(def.shape ?? {});
  const next = def.shape?.[String(head)] ?? def.element;
  return next ? keysAt(next, rest) : [];
}

/** `limits.max_steps`, `messages.0.role`; at most 400 characters. */
function printPath(path: readonly PropertyKey[]): string {
  return path.map(String).join(".").slice(0, 400);
}

/** In quotes, control characters escaped, at most 80 characters: what a client sent may be anything. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
