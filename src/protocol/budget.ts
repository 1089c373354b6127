/** Budgets above the run, as `GET /v1/budgets` tells them and `PUT /v1/budgets/{level}/{subject}` changes them. */
import { z } from "zod";

export const budgetLevels = ["user", "key", "feature", "system"] as const;
export type BudgetLevel = (typeof budgetLevels)[number];

/** Tokens (in and out) and calls are counted where one of the two is limited. */
export type BudgetAmounts = { readonly cost_microusd: number; readonly tokens?: number; readonly calls?: number };

/** How a budget stands in its present window. Money in micro-dollars. */
export type Budget = {
  readonly level: BudgetLevel;
  readonly tenant?: string;
  /** A user, key or feature, with its tenant; the system has neither. `null`: the runs without a user. */
  readonly subject?: string | null;
  /** What is limited of it. */
  readonly limit: Partial<BudgetAmounts>;
  readonly held: BudgetAmounts;
  readonly spent: BudgetAmounts;
  /** When the next window begins. */
  readonly resets_at: string;
  /** Its limit was set while running. */
  readonly changed?: { readonly by: string; readonly at: string };
};

/** In the path, of what has no name: the system, and the runs without a user. */
export const noSubject = "-";

const amount = z.number().min(0).max(9_000_000_000_000).multipleOf(0.001);
const count = z.int().min(0);
/** Replaces what was set before. A unit that is left out is limited as the configuration says; `null` takes all of it back. */
export const budgetChange = z.strictObject({
  limit: z
    .strictObject({ cost_microusd: amount.optional(), tokens: count.optional(), calls: count.optional() })
    .refine((limit) => Object.values(limit).some((value) => value !== undefined), "one of cost_microusd, tokens and calls, or null")
    .nullable(),
});
export type BudgetChange = z.infer<typeof budgetChange>;
