/** What the processes of the contention agree on: what a call costs, how large the budget is, and what they tell each other. */
import type { Config } from "../../src/index.ts";

export type Budget = "calls" | "money";
export type Place = { readonly path: string } | { readonly url: string; readonly schema: string };

export type Order = {
  readonly store: Place;
  readonly provider: string;
  readonly budget: Budget;
  /** Calls that the budget has room for. */
  readonly admitted: number;
  readonly from: number;
  readonly to: number;
  /** Part of the runs that is cancelled, at a random moment. */
  readonly cancels: number;
  readonly answerMs: number;
};
/** Ends quarantined runs, as an operator does; or the process. */
export type Command = { readonly end: readonly string[] } | "close";
export type Told =
  /** All of its share is accepted; all that it cancels is cancelled. */
  { readonly type: "accepted" | "cancelled" } | { readonly type: "error"; readonly message: string };

/** Below 16 tokens a call would be denied instead of cut, so no call is ever cut to what is left. */
export const maxTokens = 16;
export const inputNano = 400;
export const outputNano = 1_600;

/** With a budget of money every call costs exactly what it holds: the input is free, and the answer as long as it may be. */
export const answerTokens = (budget: Budget): number => (budget === "money" ? maxTokens : 4);
export const usedInput = 10;
export const price = (budget: Budget) => ({
  input_usd_per_mtok: budget === "money" ? 0 : inputNano / 1_000,
  output_usd_per_mtok: outputNano / 1_000,
});

export const budgetOf = (budget: Budget, admitted: number): NonNullable<NonNullable<Config["budgets"]>["user"]> =>
  budget === "calls" ? { per_day_calls: admitted } : { per_day_microusd: (admitted * maxTokens * outputNano) / 1_000 };

/** What the provider asks for an answer of which it sent so many tokens. */
export const invoiceNano = (budget: Budget, tokens: number): number =>
  (budget === "money" ? 0 : usedInput * inputNano) + tokens * outputNano;
