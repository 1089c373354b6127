/**
 * Supervision: what follows when a child of a machine has failed (FEATURES B15; the words are Erlang's and Pekko's).
 * Plain data: it comes with a machine's input.
 *
 *  1. Only outcomes are followed by it, never throws: a machine that throws would throw again.
 *  2. A restart waits first ({@link restartMs}). That wait is work like any other, so the run's supervisor sees each of them: whoever
 *     restarts, `max` in `withinMs` holds for the run as a whole.
 *  3. Each machine counts its own restarts too, so that it has a worst case of its own.
 */

/**
 * `restart`: it begins anew with the same input. `escalate`: its parent fails with its error. `stop`: its parent goes on without it,
 * and a model is told.
 */
export type Supervision = {
  /** The machine that runs the agent, a child of the run's supervisor. */
  readonly agent: "restart" | "escalate";
  /** A request of the agent: one step. */
  readonly request: "restart" | "escalate";
  /** A use of a tool. Tools of the class `once` are never restarted. */
  readonly tool: "restart" | "stop" | "escalate";
  /** Restarts in `within_ms`, of all children of the run together. */
  readonly max_restarts: number;
  readonly within_ms: number;
};
export const defaultSupervision: Supervision = {
  agent: "escalate",
  request: "escalate",
  tool: "stop",
  max_restarts: 3,
  within_ms: 60_000,
};

const firstMs = 100;
const maxMs = 5_000;

/** The wait before the n-th restart (from 1) of a child, in ms. */
export const restartMs = (n: number): number => Math.min(maxMs, firstMs * 2 ** (n - 1));

/** Of restarts at these times (ms), those that still count at `at`. */
export const recent = (restarts: readonly number[], at: number, withinMs: number): readonly number[] =>
  restarts.filter((then) => then > at - withinMs);
