/** A decision as it is read afterwards: what was decided about a run, why, and the numbers that it was decided by. */

export type DecisionKind =
  | "accepted"
  | "granted"
  | "denied"
  /** A call cost more than its hold, and the run more than its limit: nothing more is granted. */
  | "overspent"
  | "retried"
  | "fell_back"
  | "cache_hit"
  | "asked"
  | "approved"
  | "rejected"
  | "answered"
  | "expired"
  | "topped_up"
  | "lost"
  | "ended";

export type Decision = {
  /** Of the fact that it is read from. */
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly decision: DecisionKind;
  /** One sentence. */
  readonly reason: string;
  readonly numbers: { readonly [name: string]: number };
};
