/**
 * Words for what is wrong in a configuration: the key's path, the value, the way out.
 * Values under `providers`, `store`, of a webhook and of how an MCP server is reached are never shown, since a key, a header or an address with its password may stand in any
 * place of them by mistake.
 */
import { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import { requirement } from "../protocol/requirement.ts";
import { nearestWord } from "../server/nearest-word.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

const shown = 5;

/** One error for all that is wrong; the first five are told. */
export function configError(source: string, error: z.ZodError, value: unknown, schema: z.ZodType): EscapementError {
  const known = z.toJSONSchema(schema, { unrepresentable: "any", io: "input" });
  const found = error.issues.flatMap((issue) => flat(issue, []));
  // One complaint a place: a number that is too large for a limit is often no safe integer either.
  const places = new Set<string>();
  const issues = found.filter(({ path }) => !places.has(dotted(path)) && places.add(dotted(path)));
  const lines = issues.slice(0, shown).map(({ issue, path }) => sentence(issue, path, value, known));
  const more = issues.length > shown ? [`and ${issues.length - shown} more`] : [];
  return new EscapementError("invalid_request", `${source}: ${[...lines, ...more].join("; ")}`, {
    details: { path: dotted(issues[0]?.path ?? []) },
  });
}

/** Of a union, the complaints of the member that fits best: not those of "is it an object with methods". */
function flat(issue: Issue, before: Path): { issue: Issue; path: Path }[] {
  const path = [...before, ...issue.path];
  if (issue.code !== "invalid_union") return [{ issue, path }];
  const members = issue.errors.filter((issues) => issues.every(({ code, path }) => code !== "custom" || path.length > 0));
  const best = members.toSorted((a, b) => badness(a) - badness(b))[0];
  return best ? best.flatMap((inner) => flat(inner, path)) : [{ issue, path }];
}

/** A member of another type fits worse than one of which some keys are wrong; a union inside fits as well as the best of it. */
const badness = (issues: readonly Issue[]): number => issues.reduce((sum, issue) => sum + badnessOf(issue), 0);

function badnessOf(issue: Issue): number {
  if (issue.code === "invalid_union" && issue.errors.length > 0) return Math.min(...issue.errors.map(badness));
  if (issue.code === "unrecognized_keys") return issue.keys.length;
  return issue.path.length === 0 && (issue.code === "invalid_type" || issue.code === "custom") ? 101 : 1;
}

function sentence(issue: Issue, path: Path, value: unknown, known: unknown): string {
  if (issue.code === "unrecognized_keys") {
    const keys = keysAt(known, path);
    return issue.keys
      .map((key) => {
        const meant = nearestWord(key, keys);
        return `${dotted([...path, key])} is not a key${meant ? `: did you mean "${meant}"?` : `; there are ${keys.join(", ")}`}`;
      })
      .join("; ");
  }
  const found = at(value, path);
  const place = dotted(path) || "the configuration";
  if (issue.code === "invalid_key") return `${place} ${requirement(issue)}`;
  return found === undefined ? `${place} is missing: it ${requirement(issue)}` : `${place} ${requirement(issue)}, not ${say(found, path)}`;
}

function say(value: unknown, path: Path): string {
  if (typeof value === "function") return "a function";
  if (
    (path[0] === "providers" ||
      path[0] === "store" ||
      (path[0] === "tools" && path[1] === "web" && path[2] === "search") ||
      (path[0] === "mcp" && (path.length < 3 || ["args", "url", "headers"].includes(String(path[2])))) ||
      (path[0] === "alerts" && (path.length === 1 || path[1] === "webhook"))) &&
    !(typeof value === "number" || typeof value === "boolean") &&
    !["preset", "wire", "schema"].includes(String(path.at(-1)))
  )
    return Array.isArray(value) ? "a list" : typeof value === "object" && value !== null ? "an object" : `a ${typeof value} (not shown)`;
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

const dotted = (path: Path): string => path.map(String).join(".");

function at(value: unknown, path: Path): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Record<PropertyKey, unknown>)[key];
  }
  return found;
}

/** Keys that the schema knows at a path: walks its JSON Schema. */
function keysAt(schema: unknown, path: Path): string[] {
  let nodes = [schema];
  for (const key of path) nodes = nodes.flatMap(members).flatMap((node) => child(node, key));
  return [...new Set(nodes.flatMap(members).flatMap((node) => Object.keys(asObject(asObject(node).properties))))];
}

const asObject = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}; // of an object any key may be asked for

function members(node: unknown): unknown[] {
  const { anyOf } = asObject(node);
  return Array.isArray(anyOf) ? anyOf.flatMap(members) : [node];
}

function child(node: unknown, key: PropertyKey): unknown[] {
  const { properties, additionalProperties, items } = asObject(node);
  const property = asObject(properties)[String(key)];
  return [property ?? additionalProperties ?? items].filter((found) => found !== undefined);
}
