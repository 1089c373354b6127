/**
 * Reads JSON from outside: nesting is measured on the text before anything is built from it, and keys that can change an object's
 * prototype are refused wherever they stand. Throws `invalid_request`.
 */
import { EscapementError } from "../protocol/errors.ts";

const quote = 34;
const backslash = 92;
const openBrace = 123;
const closeBrace = 125;
const openBracket = 91;
const closeBracket = 93;

const forbidden = new Set(["__proto__", "constructor", "prototype"]);
/** Text that matches none of this cannot hold a forbidden key; `\u` since a key may be written in escapes. */
const mayHoldForbiddenKey = /__proto__|constructor|prototype|\\u/;

export function parseJson(text: string, maxDepth: number): unknown {
  if (exceedsDepth(text, maxDepth)) {
    throw new EscapementError("invalid_request", `nested deeper than ${maxDepth} levels`, { details: { path: "" } });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // The parser's own sentence quotes the input, which may be anything; only the place in it is told.
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1];
    throw new EscapementError(
      "invalid_request",
      position === undefined ? "not JSON" : `not JSON: the text is wrong at position ${position}`,
      {
        details: { path: "" },
      },
    );
  }
  const path = mayHoldForbiddenKey.test(text) ? forbiddenKey(value) : undefined;
  if (path !== undefined) {
    throw new EscapementError("invalid_request", `the key "${path.at(-1)}" is not allowed`, {
      details: { path: path.join(".").slice(0, 400) },
    });
  }
  return value;
}

/** One pass over the text; strings are skipped by searching for their end. Counts brackets only, whether the text is JSON or not. */
function exceedsDepth(text: string, maxDepth: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at + 1);
      if (at === -1) return false;
    } else if (code === openBrace || code === openBracket) {
      if (++depth > maxDepth) return true;
    } else if (code === closeBrace || code === closeBracket) {
      depth--;
    }
  }
  return false;
}

/** Index of the quote that ends the string which began before `from`; -1 where it never ends. */
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === backslash && at - 1 - escapes >= from) escapes++;
    if (escapes % 2 === 0) return at;
  }
  return -1;
}

/** The path to the first forbidden key. Recursion is bounded by the depth that was checked before. */
function forbiddenKey(value: unknown): string[] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const path = forbiddenKey(value[index]);
      if (path) return [String(index), ...path];
    }
    return undefined;
  }
  for (const key of Object.keys(value)) {
    if (forbidden.has(key)) return [key];
    const path = forbiddenKey((value as Record<string, unknown>)[key]);
    if (path) return [key, ...path];
  }
  return undefined;
}
