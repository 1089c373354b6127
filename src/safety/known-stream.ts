/**
 * Known secrets in a text that comes in pieces, found as they are or as JSON writes them. Only what is the beginning of one is kept
 * back, so a text without any passes as it came: a model's answer goes through here token by token.
 */
import type { RedactionStream } from "./redaction-stream.ts";
import { maskOf } from "./spans.ts";

/** `known`: at least one. Each is also found as JSON writes it: an answer may be an object. */
export function knownStream(known: readonly string[]): RedactionStream {
  const values = [...new Set(known.flatMap((value) => [value, JSON.stringify(value).slice(1, -1)]))];
  const longest = Math.max(...values.map((value) => value.length));
  const shortest = Math.min(...values.map((value) => value.length));
  const firsts = new Set(values.map((value) => value.charCodeAt(0)));
  let held = "";

  /** Where the beginning of a value stands at the text's end; its length where there is none. */
  const beginning = (text: string): number => {
    for (let at = Math.max(0, text.length - longest + 1); at < text.length; at++) {
      if (!firsts.has(text.charCodeAt(at))) continue;
      const end = text.slice(at);
      if (values.some((value) => value.length > end.length && value.startsWith(end))) return at;
    }
    return text.length;
  };
  const masked = (text: string): string =>
    values.reduce((shown, value) => (shown.includes(value) ? shown.replaceAll(value, maskOf("secret")) : shown), text);

  return {
    push(text) {
      const said = held === "" ? text : held + text;
      const all = said.length < shortest ? said : masked(said);
      const at = beginning(all);
      held = all.slice(at);
      return held === "" ? all : all.slice(0, at);
    },
    end() {
      const rest = held;
      held = "";
      return rest;
    },
  };
}
