/** What an operator is alerted to. A webhook gets it as `data`; the WebSocket's `alert` frame has the same fields. */
import type { Json } from "./json.ts";

export const alertKinds = [
  "spend_hour",
  "spend_10_minutes",
  "run_cost",
  "budget",
  "error_rate",
  "step_caps",
  "provider_window",
  "provider_exhausted",
  "breaker_open",
] as const;
export type AlertKind = (typeof alertKinds)[number];

export type Alert = {
  readonly kind: AlertKind;
  /** `recovered`: what an earlier alert told of is over. */
  readonly state: "firing" | "recovered";
  readonly message: string;
  readonly at: string;
  /** The numbers behind it, and `cause`: what it is about, of which there is one alert at a time. */
  readonly details: { readonly cause: string; readonly [name: string]: Json };
};
