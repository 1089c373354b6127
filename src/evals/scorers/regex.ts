/** `regex()`: a pattern is found in the answer. RE2's syntax, which takes linear time whatever the pattern; `(?i)` ignores case. */
import { RE2JS } from "re2js";
import { EscapementError } from "../../protocol/errors.ts";
import { type AnswerScorer, type ScorerOptions, settingsOf, verdict } from "../scorer.ts";

export type RegexOptions = ScorerOptions & {
  /** It must not be found. */
  readonly absent?: boolean;
};

/** Without a pattern, the case's `expect` is it. Throws `invalid_request` for a pattern that is none. */
export function regex(pattern?: string, options: RegexOptions = {}): AnswerScorer {
  const own = pattern === undefined ? undefined : compiled(pattern);
  const { absent = false } = options;
  return {
    ...settingsOf("regex", options),
    of: "answer",
    score({ case: { expect }, text }) {
      if (own === undefined && typeof expect !== "string") return null;
      const source = pattern ?? String(expect);
      const found = (own ?? compiled(source)).matcher(text).find();
      return verdict(found !== absent, `/${source}/ is ${found ? "" : "not "}found`);
    },
  };
}

function compiled(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    throw new EscapementError("invalid_request", `/${pattern}/ is no pattern of RE2: ${(error as Error).message}`);
  }
}
