/** A budget above the run as `GET /v1/budgets` tells it. */

/** How a budget stands in its present window. Money in micro-dollars. */
export type Budget = {
  readonly level: "user" | "key" | "feature" | "system";
  readonly tenant?: string;
  /** A user or a feature, with its tenant; the system has neither. `null`: the runs without a user. */
  readonly subject?: string | null;
  readonly limit: { readonly cost_microusd: number };
  readonly held: { readonly cost_microusd: number };
  readonly spent: { readonly cost_microusd: number };
  /** When the next window begins. */
  readonly resets_at: string;
};
