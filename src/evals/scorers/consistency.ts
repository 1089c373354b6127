/** `consistency()`: how far the answers to one case agree with each other; the eval must repeat its cases. */
import { isDeepStrictEqual } from "node:util";
import { cosine, type Embedder } from "../../embeddings/embedder.ts";
import type { Json } from "../../protocol/json.ts";
import { type Answer, type CaseScorer, type ScorerOptions, settingsOf } from "../scorer.ts";
import { sharedWords, textOf } from "../words.ts";
import { memberOf } from "./exact.ts";
import { vectorsOf } from "./similarity.ts";

export type ConsistencyOptions = ScorerOptions & {
  /** `exact` (default): the same answer or not. `lexical`: the words that two share. An embedder: how near they are. */
  readonly by?: "exact" | "lexical" | Embedder;
  /** Only this member of the answers. */
  readonly member?: string;
  /** From this on a case passes; 1 by `exact`, else 0.8. */
  readonly pass?: number;
};

/** The mean over all pairs of answers. One that was not given agrees with none. */
export function consistency(options: ConsistencyOptions = {}): CaseScorer {
  const { by = "exact", member, pass = by === "exact" ? 1 : 0.8 } = options;
  return {
    ...settingsOf("consistency", options),
    of: "case",
    async score(answers, context) {
      if (answers.length < 2) return null;
      const values = answers.map((answer) => answer && comparedOf(answer, member));
      const vectors = typeof by === "object" ? await vectorsOf(by, values.map(textOf), context) : [];
      const agreement = (a: number, b: number): number => {
        const [one, other] = [values[a], values[b]];
        if (one === undefined || other === undefined) return 0;
        if (by === "exact") return isDeepStrictEqual(one, other) ? 1 : 0;
        if (by === "lexical") return sharedWords(textOf(one), textOf(other));
        return Math.min(1, Math.max(0, cosine(vectors[a] as Float32Array, vectors[b] as Float32Array)));
      };
      let sum = 0;
      for (let a = 0; a < values.length; a++) for (let b = 0; b < a; b++) sum += agreement(a, b);
      const pairs = (values.length * (values.length - 1)) / 2;
      const score = sum / pairs;
      const kinds = by === "exact" ? `, ${distinct(values)} different` : "";
      return { score, pass: score >= pass - 1e-9, reason: `${values.length} answers${kinds}: their pairs agree to ${score.toFixed(2)}` };
    },
  };
}

function comparedOf({ output, text }: Answer, member: string | undefined): Json {
  if (member !== undefined) return memberOf(output, member) ?? null;
  return typeof output === "string" ? text.trim() : output;
}

const distinct = (values: readonly (Json | undefined)[]): number =>
  values.filter((value, i) => values.findIndex((other) => isDeepStrictEqual(other, value)) === i).length;
