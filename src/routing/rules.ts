/**
 * Rules of routing: which of an agent's rules fit an input. Pure, and the same at a replay.
 *
 * Patterns are in RE2's syntax (no back references, no look-around) and are matched in time that grows with the text only, so what a
 * user writes cannot make an author's pattern take for ever.
 *
 *  1. Of a longer text its first {@link maxMatched} characters are looked at for a route; all of it for sensitivity.
 *  2. A rule fits a text as it is written, or as it reads (`folded.ts`): what a model understands, a rule sees.
 */
import { createRequire } from "node:module";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import { textPart } from "../protocol/messages.ts";
import { folded } from "./folded.ts";

export type Rule = {
  /** A pattern that is found anywhere in the text; begin it with `(?i)` for any case. */
  readonly match?: string | undefined;
  /** Words or phrases, in any case, of which one must stand in the text as a whole. */
  readonly keywords?: readonly string[] | undefined;
  /** Where the chain begins. */
  readonly tier?: string | undefined;
  /** The rule answers by itself, with this. */
  readonly answer?: string | undefined;
  /** A run that fits only reaches self-hosted models. */
  readonly sensitive?: true | undefined;
};

export const maxMatched = 20_000;
export const maxPattern = 1_000;

/** A text as it is written, and as it reads: that is made once for all rules, when the first of them asks. */
type Text = { readonly written: string; readonly read: () => string };
const textFrom = (written: string): Text => {
  let read: string | undefined;
  return {
    written,
    read() {
      read ??= folded(written);
      return read;
    },
  };
};

type Pattern = { readonly test: (text: Text) => boolean };
const compiled = new WeakMap<Rule, Pattern>();

/** Throws `invalid_request` with `path` and the way out: a pattern that is none, or a rule without a condition or an effect. */
export function checkRule(rule: Rule, path: string): void {
  const refused = (message: string): EscapementError =>
    new EscapementError("invalid_request", `${path}: ${message}`, { details: { path } });
  if (rule.match === undefined && !rule.keywords?.length) throw refused("the rule fits nothing; give it match (a pattern) or keywords");
  if (rule.tier === undefined && rule.answer === undefined && !rule.sensitive)
    throw refused("the rule does nothing; give it a tier, an answer, or sensitive: true");
  if (rule.tier !== undefined && rule.answer !== undefined) throw refused("the rule has a tier and an answer; leave one out");
  if ((rule.match?.length ?? 0) > maxPattern) throw refused(`the pattern has more than ${maxPattern} characters; make several rules of it`);
  try {
    patternOf(rule);
  } catch (error) {
    throw refused(
      `the pattern cannot be used: ${(error as Error).message}; patterns are RE2's: without back references and look-around, and (?i) at the beginning for any case`,
    );
  }
}

/** The first rule that says where the chain begins, or answers: by its number from 1. */
export function routeOf(rules: readonly Rule[], text: string): { readonly number: number; readonly rule: Rule } | undefined {
  const looked = textFrom(text.slice(0, maxMatched));
  const index = rules.findIndex((rule) => (rule.tier !== undefined || rule.answer !== undefined) && patternOf(rule).test(looked));
  const rule = rules[index];
  return rule && { number: index + 1, rule };
}

export function isSensitive(rules: readonly Rule[], text: () => string): boolean {
  const marking = rules.filter(({ sensitive }) => sensitive === true);
  if (marking.length === 0) return false;
  const whole = textFrom(text());
  return marking.some((rule) => patternOf(rule).test(whole));
}

/** Names of a conversation's own form: no words of whoever sent it. */
const formal = new Set(["messages", "role", "content", "type", "text"]);

/** All words of an input, keys and values, wherever they stand in it. */
export const textOf = (input: Json): string => wordsIn(input).join("\n");

function wordsIn(value: Json): string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  if (Array.isArray(value)) return value.flatMap((one) => wordsIn(one as Json));
  // Parts of a text are read as one.
  const part = textPart.safeParse(value);
  if (part.success) return [part.data.text];
  return Object.entries(value).flatMap(([key, one]) => [...(formal.has(key) ? [] : [key]), ...wordsIn(one as Json)]);
}

/** Loaded by the first agent with rules: others do not pay for it. */
let engine: typeof import("re2js") | undefined;

function patternOf(rule: Rule): Pattern {
  let pattern = compiled.get(rule);
  if (!pattern) {
    // `require` types as any; the package's own types describe it.
    engine ??= createRequire(import.meta.url)("re2js") as typeof import("re2js");
    const { RE2JS } = engine;
    const words = [...new Set((rule.keywords ?? []).flatMap((word) => [word, folded(word)]))].filter((word) => word !== "");
    const sources = [
      ...(rule.match === undefined ? [] : [rule.match]),
      ...(words.length > 0 ? [`(?i)(?:^|[^\\pL\\pN])(?:${words.map((word) => RE2JS.quote(word)).join("|")})(?:$|[^\\pL\\pN])`] : []),
    ];
    const programs = sources.map((source) => RE2JS.compile(source));
    const fits = (text: string): boolean => programs.some((program) => program.test(text));
    pattern = { test: ({ written, read }) => fits(written) || (read() !== written && fits(read())) };
    compiled.set(rule, pattern);
  }
  return pattern;
}
