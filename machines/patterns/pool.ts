/**
 * Parts that run side by side, a few at once: who runs, who has answered, who is tried again. Data and pure functions; the machine that
 * holds it starts and stops the actors.
 *
 *  1. A part is begun once, and once more for each of its retries; each has one last answer.
 */
import { type ErrorBody, errorBody } from "../../src/protocol/errors.ts";
import { type Answer, asError, workError } from "../work.ts";
import { isAnswered } from "./plan.ts";

export type Pool = {
  /** Parts that were begun: the first ones. */
  readonly started: number;
  /** The last answer of each; null while it runs or waits. */
  readonly answers: readonly (Answer | null)[];
  /** Times that each was begun again. */
  readonly retries: readonly number[];
};

export const newPool = (size: number): Pool => ({ started: 0, answers: Array(size).fill(null), retries: Array(size).fill(0) });

/** Parts to begin now, so that `width` run. */
export function toStart({ started, answers }: Pool, width: number): readonly number[] {
  const running = answers.slice(0, started).filter((answer) => answer === null).length;
  const count = Math.max(0, Math.min(width - running, answers.length - started));
  return Array.from({ length: count }, (_, i) => started + i);
}

export const withStarted = (pool: Pool, count: number): Pool => ({ ...pool, started: pool.started + count });

/** It ended without an answer, and may be begun again. A cap or a budget that said no would say it again. */
export const mayRetry = ({ retries }: Pool, index: number, answer: Answer, most: number): boolean =>
  !isAnswered(answer) && answer.status === "failed" && (retries[index] ?? 0) < most;

export const withRetry = (pool: Pool, index: number): Pool => ({
  ...pool,
  retries: pool.retries.with(index, (pool.retries[index] ?? 0) + 1),
});

export const withAnswer = (pool: Pool, index: number, answer: Answer): Pool => ({ ...pool, answers: pool.answers.with(index, answer) });

/** None runs: those that were begun have all ended. */
export const isIdle = ({ started, answers }: Pool): boolean => answers.slice(0, started).every((answer) => answer !== null);

export const isOver = ({ answers }: Pool): boolean => answers.every((answer) => answer !== null);

export const countOver = ({ answers }: Pool): number => answers.filter((answer) => answer !== null).length;

/** In the order of the parts. */
export const good = ({ answers }: Pool): readonly Answer[] => answers.filter((answer) => answer !== null && isAnswered(answer)) as Answer[];

export const bad = ({ answers }: Pool): readonly Answer[] => answers.filter((answer) => answer !== null && !isAnswered(answer)) as Answer[];

/** Why a whole has failed: of `needed` answers some are missing; null where each part had to answer. */
export function failureOf(pool: Pool, needed: number | null): ErrorBody {
  const first = bad(pool)[0]?.error;
  const count = good(pool).length;
  if (needed === null) return first ?? errorBody("internal", "a part ended without an answer and without an error");
  const why = first ? `; the first of the others failed with: ${first.message}` : "";
  return errorBody(first?.code ?? "provider_unavailable", `${count} of ${pool.answers.length} parts answered, ${needed} are needed${why}`);
}

/** Of a machine that broke. */
export const brokenAnswer = (thrown: unknown): Answer => ({ status: "failed", text: null, error: asError(workError(thrown)) });
