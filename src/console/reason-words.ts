/** Reasons that travel as codes, in words. What is no code is told as it came. */

const words: Readonly<Record<string, string>> = {
  provider_rate_limited: "the provider limits the rate",
  provider_unavailable: "the provider is not available",
  provider_rejected: "the provider rejected the request",
  interrupted: "the stream broke off",
  truncated: "it was cut off at its output limit",
  refused: "the model refused",
  invalid_output: "it did not pass its checks",
  identical_failure: "it failed the same way again",
  empty: "it was empty",
  context_too_long: "the conversation is too long for the model",
  tool_failed: "a tool failed",
  tool_denied: "a tool was denied",
  timeout: "it took too long",
  cancelled: "it was cancelled",
  limit_hit: "a limit was hit",
  budget_exceeded: "the budget does not allow it",
  lost: "its process ended in the middle of it",
  internal: "something inside failed",
};

export const reasonWords = (reason: string): string => words[reason] ?? reason;
