/**
 * What to do about a failure of a call or a run, by its code: said behind what happened, where it is told. Codes that are left out say it
 * themselves, or (a refusal) are the model's own words.
 */
import type { ErrorBody, ErrorCode } from "./errors.ts";

const advice: { readonly [code in ErrorCode]?: string } = {
  provider_rate_limited: "Try again later, or give the agent a further tier.",
  provider_unavailable: "Try again later, or give the agent a further tier.",
  provider_rejected: "It is not tried again: check the tier's key, address, model and parameters.",
  interrupted: "Try again; what becomes of text that was shown is the agent's `on_cut`.",
  timeout: "Try again, raise the tier's timeouts, or give the agent a further tier.",
  invalid_output: "Loosen the schema or the checks, or say in the instructions what is wanted.",
  identical_failure: "Change the instructions, the schema or the model: it would fail the same way again.",
  empty: "Try again, or ask in other words.",
  context_too_long: "Send less, or use a tier with a larger context.",
  budget_exceeded: "Raise the budget, or wait until its window is over.",
  limit_hit: "Raise the limit, or ask for less.",
  tool_failed: "Mend the tool, or what it depends on.",
  tool_unknown: "Check whether it took effect before it is done again.",
  internal: "Report it with the run's id.",
};

export function advised<E extends ErrorBody>(error: E): E {
  const what = advice[error.code];
  if (what === undefined || error.message.endsWith(what)) return error;
  const end = /[.!?]$/.test(error.message) ? "" : ".";
  return { ...error, message: `${error.message}${end} ${what}` };
}
