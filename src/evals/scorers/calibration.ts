/**
 * `calibration()`: whether answers are as often right as they are sure. The score is 1 less the expected calibration error (the mean gap
 * between confidence and share of right answers, over bins of confidence); the reason also tells the Brier score.
 */
import { type Answer, type DatasetScorer, type ScorerOptions, settingsOf } from "../scorer.ts";
import { memberOf } from "./exact.ts";

export type CalibrationOptions = ScorerOptions & {
  /** Name of the scorer whose `pass` says that an answer was right; `exact`. */
  readonly right?: string;
  /** How sure an answer was, 0 to 1. Default: its member `confidence`, else what the provider told of the run's last answer. */
  readonly confidence?: (answer: Answer) => number | undefined | Promise<number | undefined>;
  /** 10. */
  readonly bins?: number;
  /** From this on it passes; 0.9. */
  readonly pass?: number;
};

export function calibration(options: CalibrationOptions = {}): DatasetScorer {
  const { right = "exact", confidence = told, bins = 10, pass = 0.9 } = options;
  return {
    ...settingsOf("calibration", options),
    of: "dataset",
    async score(answers) {
      const pairs: { sure: number; right: number }[] = [];
      for (const { answer, scores } of answers) {
        const verdict = scores[right];
        const sure = await confidence(answer);
        if (verdict && sure !== undefined && sure >= 0 && sure <= 1) pairs.push({ sure, right: verdict.pass ? 1 : 0 });
      }
      if (pairs.length === 0) return null;
      const { ece, brier } = errorsOf(pairs, bins);
      const score = 1 - ece;
      const reason = `expected calibration error ${ece.toFixed(3)}, Brier ${brier.toFixed(3)}, over ${pairs.length} answers in ${bins} bins`;
      return { score, pass: score >= pass, reason };
    },
  };
}

function errorsOf(pairs: readonly { readonly sure: number; readonly right: number }[], bins: number): { ece: number; brier: number } {
  const sums = Array.from({ length: bins }, () => ({ sure: 0, right: 0 }));
  let brier = 0;
  for (const { sure, right } of pairs) {
    // The last bin holds 1 too.
    const bin = sums[Math.min(bins - 1, Math.floor(sure * bins))] as { sure: number; right: number };
    bin.sure += sure;
    bin.right += right;
    brier += (sure - right) ** 2;
  }
  // A bin's share of the answers times the gap of its means is the gap of its sums over all answers.
  return { ece: sums.reduce((sum, bin) => sum + Math.abs(bin.sure - bin.right), 0) / pairs.length, brier: brier / pairs.length };
}

async function told(answer: Answer): Promise<number | undefined> {
  const own = memberOf(answer.output, "confidence");
  if (typeof own === "number") return own;
  const calls = (await answer.facts()).flatMap((fact) =>
    fact.type === "call.finished" && fact.confidence !== undefined ? [fact.confidence] : [],
  );
  return calls.at(-1);
}
