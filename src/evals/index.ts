/** `escapement/evals`: evals and scorers, for eval files and for the configuration's `evals`. */
export { defineEval, type Eval, type EvalOptions } from "./definition.ts";
export type { Report } from "./report.ts";
export type { Answer, AnswerScorer, Case, CaseScorer, DatasetScorer, Scored, Scorer, ScorerContext, ScorerOptions } from "./scorer.ts";
export { type CalibrationOptions, calibration } from "./scorers/calibration.ts";
export { type ConsistencyOptions, consistency } from "./scorers/consistency.ts";
export { type ExactOptions, exact } from "./scorers/exact.ts";
export { type GroundingOptions, grounding } from "./scorers/grounding.ts";
export { type JudgeOptions, judge } from "./scorers/judge.ts";
export { type RegexOptions, regex } from "./scorers/regex.ts";
export { schema } from "./scorers/schema.ts";
export { type SimilarityOptions, similarity } from "./scorers/similarity.ts";
