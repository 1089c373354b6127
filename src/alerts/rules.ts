/** The rules as data: what an operator is alerted to, from which number on. `false` turns one off. Source of the figures: FEATURES B13. */

export type AlertRules = {
  /** The last 60 minutes cost more than `factor` times the mean hour of the last 7 days, and more than `min_usd`. */
  readonly spend_hour: { readonly factor: number; readonly min_usd: number } | false;
  /** The last 10 minutes cost more than `factor` times their share of the mean hour. */
  readonly spend_10_minutes: { readonly factor: number; readonly min_usd: number } | false;
  /** One run has cost more than this. */
  readonly run_cost: { readonly usd: number } | false;
  /** So much of a budget above the run is spent or held, in money, tokens or calls; 0 to 1. */
  readonly budget: { readonly used: number } | false;
  /** Runs of the last `minutes` that ended as `failed`, of at least `min_runs` that ended; 0 to 1. */
  readonly error_rate: { readonly rate: number; readonly min_runs: number; readonly minutes: number } | false;
  /** So many runs hit the cap on their steps in the last `minutes`. */
  readonly step_caps: { readonly count: number; readonly minutes: number } | false;
  /** So much of a provider's window of requests or tokens is used; 0 to 1. */
  readonly provider_window: { readonly used: number } | false;
  readonly provider_exhausted: boolean;
  readonly breaker_open: boolean;
};

export const alertRules: AlertRules = {
  spend_hour: { factor: 2, min_usd: 0.1 },
  spend_10_minutes: { factor: 5, min_usd: 0.1 },
  run_cost: { usd: 0.5 },
  budget: { used: 0.8 },
  error_rate: { rate: 0.2, min_runs: 20, minutes: 10 },
  step_caps: { count: 5, minutes: 10 },
  provider_window: { used: 0.8 },
  provider_exhausted: true,
  breaker_open: true,
};
