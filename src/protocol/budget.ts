/** A budget above the run as `GET /v1/budgets` tells it. */

/** Tokens (in and out) and calls are counted where one of the two is limited. */
export type BudgetAmounts = { readonly cost_microusd: number; readonly tokens?: number; readonly calls?: number };

/** How a budget stands in its present window. Money in micro-dollars. */
export type Budget = {
  readonly level: "user" | "key" | "feature" | "system";
  readonly tenant?: string;
  /** A user or a feature, with its tenant; the system has neither. `null`: the runs without a user. */
  readonly subject?: string | null;
  /** What is limited of it. */
  readonly limit: Partial<BudgetAmounts>;
  readonly held: BudgetAmounts;
  readonly spent: BudgetAmounts;
  /** When the next window begins. */
  readonly resets_at: string;
};
