/** `exact()`: the answer is what the case expects. */
import { isDeepStrictEqual } from "node:util";
import type { Json } from "../../protocol/json.ts";
import { type AnswerScorer, quoted, type ScorerOptions, settingsOf, verdict } from "../scorer.ts";

export type ExactOptions = ScorerOptions & {
  /** Compares this member of the answer, with the same member of an expected object or with the expected value itself. */
  readonly member?: string;
  readonly ignore_case?: boolean;
};

export function exact(options: ExactOptions = {}): AnswerScorer {
  const { member, ignore_case = false } = options;
  return {
    ...settingsOf("exact", options),
    of: "answer",
    score({ case: { expect }, output }) {
      if (expect === undefined) return null;
      const wanted = plain(memberOf(expect, member) ?? expect, ignore_case);
      const found = plain(member === undefined ? output : (memberOf(output, member) ?? null), ignore_case);
      return isDeepStrictEqual(found, wanted) ? verdict(true, "as expected") : verdict(false, `${quoted(found)} is not ${quoted(wanted)}`);
    },
  };
}

/** Of an object; undefined elsewhere. */
export function memberOf(value: Json, member: string | undefined): Json | undefined {
  if (member === undefined || typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, member) ? (value as { readonly [key: string]: Json | undefined })[member] : undefined;
}

/** Spaces around a text, and where it is asked for its case, are the writer's. */
const plain = (value: Json, ignoreCase: boolean): Json => {
  if (typeof value !== "string") return value;
  const text = value.trim();
  return ignoreCase ? text.toLowerCase() : text;
};
