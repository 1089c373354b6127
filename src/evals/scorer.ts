/**
 * The contract of scorers: what an eval asks of each answer, of the answers to one case, or of all of them. Owns the words; what is run and
 * what follows from a score is `evaluate.ts` and `baseline.ts`.
 *
 *  1. A score is 0 to 1, higher is better, with a reason that a person can check.
 *  2. `null` says that the scorer has nothing to say about a case (it has no `expect`, no sources): it is not counted.
 *  3. What a scorer throws is a score of 0 with the error as its reason, never a case that is left out.
 *  4. A scorer asks models only through {@link ScorerContext.run}: its runs have the eval's budget, and their cost is told.
 */
import type { Fact } from "../protocol/events.ts";
import type { Json } from "../protocol/json.ts";
import type { Run } from "../protocol/run.ts";
import type { AgentOptions } from "../runtime/agent.ts";

/** One line of a dataset. */
export type Case = {
  readonly id: string;
  readonly input: Json;
  /** What the answer should be, as the scorers read it: a value, a text, a pattern. */
  readonly expect?: Json;
  /** Goes to the run as its metadata: a router reads `task` there, `grounding()` reads `sources`. */
  readonly metadata?: { readonly [key: string]: Json };
};

export type Answer = {
  readonly case: Case;
  readonly run: Run;
  readonly output: Json;
  /** The output as text: an object is JSON. */
  readonly text: string;
  /** What happened in the run, in order. */
  facts(): Promise<readonly Fact[]>;
};

export type Scored = { readonly score: number; readonly pass: boolean; readonly reason: string };

export type ScorerContext = {
  /** Runs one of the scorer's own agents to its end and gives its output. Rejects when it did not answer. */
  run(agent: string, input: Json, about: Answer): Promise<Json>;
  /** What the scorer spent beside runs, in nano-dollars (embeddings). */
  spend(costNano: number): void;
};

export type ScorerOptions = {
  /** In reports and baselines. Default: the scorer's kind. */
  readonly name?: string;
  /** The eval fails when the mean is below. */
  readonly min?: number;
  /** How far the mean may fall below the baseline; 0.02. */
  readonly tolerance?: number;
};

type Base = {
  readonly name: string;
  readonly min?: number;
  readonly tolerance?: number;
  /** Agents that it runs. */
  readonly agents?: readonly AgentOptions[];
  /** Before the first score; what it gives is used in its place. */
  open?(): Promise<Scorer>;
  close?(): Promise<void>;
};

type Result<T> = T | null | Promise<T | null>;

export type AnswerScorer = Base & {
  readonly of: "answer";
  score(answer: Answer, context: ScorerContext): Result<Scored>;
};
/** Of all answers to one case; undefined is one that was not given. */
export type CaseScorer = Base & {
  readonly of: "case";
  score(answers: readonly (Answer | undefined)[], context: ScorerContext): Result<Scored>;
};
/** Of all answers, with what the other scorers said of each. */
export type DatasetScorer = Base & {
  readonly of: "dataset";
  score(answers: readonly JudgedAnswer[]): Result<Scored>;
};
export type Scorer = AnswerScorer | CaseScorer | DatasetScorer;

export type JudgedAnswer = { readonly answer: Answer; readonly scores: { readonly [scorer: string]: Scored } };

export const defaultTolerance = 0.02;

/** What all scorers take, where the scorer's author said it. */
export const settingsOf = (kind: string, { name = kind, min, tolerance }: ScorerOptions): Pick<Base, "name" | "min" | "tolerance"> => ({
  name,
  ...(min !== undefined && { min }),
  ...(tolerance !== undefined && { tolerance }),
});

/** Right or wrong. */
export const verdict = (pass: boolean, reason: string): Scored => ({ score: pass ? 1 : 0, pass, reason });

/** In a reason. */
export const quoted = (value: Json | undefined): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
};
