/**
 * What a value must be, in our own words, made of zod's complaint about it: `must be at most 65,535`. Where it stands and what was
 * found there is said by whoever tells it.
 */
import type { z } from "zod";

type Issue = z.core.$ZodIssue;

/** A message given in a schema says what is wanted ("a tool, made by tool()") and is used as it is. */
export function requirement(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${types[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "too_big":
      return most(issue);
    case "too_small":
      return least(issue);
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}`;
    case "invalid_format":
      return `must be ${isZods(issue.message) ? (formats[issue.format] ?? `a valid ${issue.format}`) : issue.message}`;
    case "invalid_union":
      return forms(issue);
    case "invalid_key":
      return `needs another name: it ${issue.issues[0] ? requirement(issue.issues[0]) : "is none"}`;
    case "custom":
      return `must be ${isZods(issue.message) ? "something else" : issue.message}`;
    default:
      return `is wrong: ${issue.message}`;
  }
}

const types: { readonly [expected: string]: string } = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

const formats: { readonly [format: string]: string } = { url: "a URL", datetime: "a time like 2026-11-24T18:00:00Z" };

/** What zod says where a schema gives no message of its own. */
const isZods = (message: string): boolean => message.startsWith("Invalid ");

function most({ origin, maximum, inclusive = true }: Extract<Issue, { code: "too_big" }>): string {
  const counted = countedIn(origin, Number(maximum));
  if (counted !== undefined) return `must have at most ${figure(maximum)} ${counted}`;
  return `must be ${inclusive ? "at most" : "less than"} ${figure(maximum)}`;
}

function least({ origin, minimum, inclusive = true }: Extract<Issue, { code: "too_small" }>): string {
  const counted = countedIn(origin, Number(minimum));
  if (counted !== undefined) return Number(minimum) === 1 ? "must not be empty" : `must have at least ${figure(minimum)} ${counted}`;
  return `must be ${inclusive ? "at least" : "more than"} ${figure(minimum)}`;
}

/** What a size counts; undefined for numbers, which are compared themselves. */
function countedIn(origin: string, size: number): string | undefined {
  if (origin === "string") return size === 1 ? "character" : "characters";
  if (origin === "array" || origin === "set" || origin === "map" || origin === "object") return size === 1 ? "entry" : "entries";
  return undefined;
}

const figure = (value: number | bigint): string => value.toLocaleString("en-US", { maximumFractionDigits: 20 });

/** Of a union, what each of its forms asks for: `must be text or an object`. */
function forms(issue: Extract<Issue, { code: "invalid_union" }>): string {
  const each = issue.errors.flatMap(([first]) => (first && first.path.length === 0 ? [requirement(first).replace(/^must be /, "")] : []));
  return each.length === 0 ? "has none of the forms that are taken here" : `must be ${[...new Set(each)].join(" or ")}`;
}
