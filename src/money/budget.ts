/**
 * The decision of the ledger, apart from any database: may this call be made, and with how many output tokens at most?
 * Stores call it inside their transaction, so that `spent + held <= limit` holds at every instant on every level.
 */
import type { Counts, Grant, LevelState, Reserve } from "../stores/store.ts";

export type Level = {
  readonly level: "run" | "user" | "key" | "feature" | "system";
  readonly limitNano: number;
  readonly spentNano: number;
  readonly heldNano: number;
  /** Where tokens and calls are limited too. */
  readonly counts?: Counts | undefined;
};

/** Cuts the output to what the tightest level has left; denies when less than `minTokens` would remain, naming that level. */
export function decide(ordinal: number, reserve: Reserve, levels: readonly Level[]): Grant {
  let maxTokens = reserve.maxTokens;
  const above = levels.length > 1 && { levels: levels.slice(1).map(stateOf) };
  for (const level of levels) {
    const paid = tokensFor(level.limitNano - level.spentNano - level.heldNano - reserve.inputNano, reserve);
    const fits = level.counts ? Math.min(paid, countedTokens(level.counts, reserve)) : paid;
    if (fits < maxTokens) maxTokens = fits;
    if (maxTokens < reserve.minTokens)
      return { ordinal, granted: false, level: level.level, spentNano: level.spentNano, limitNano: level.limitNano, ...above };
  }
  return { ordinal, granted: true, holdNano: reserve.inputNano + Math.ceil(maxTokens * reserve.outputNanoPerToken), maxTokens, ...above };
}

/** A copy: the meter goes on. */
const stateOf = ({ level, limitNano, spentNano, heldNano, counts }: Level): LevelState => ({
  // The first of the levels is the run, and this is none of it.
  level: level as LevelState["level"],
  usedNano: spentNano + heldNano,
  limitNano,
  ...(counts && { counts: { tokens: { ...counts.tokens }, calls: { ...counts.calls } } }),
});

/** Output tokens that `leftNano` pays for; negative when it does not even pay for the input. */
function tokensFor(leftNano: number, { outputNanoPerToken, maxTokens }: Reserve): number {
  if (outputNanoPerToken === 0) return leftNano >= 0 ? maxTokens : -1;
  const tokens = Math.floor(leftNano / outputNanoPerToken);
  // The quotient of a fractional price can round up to a whole number, and would then cost a nano-dollar too much: 7,867,584 at 10.8.
  return Math.ceil(tokens * outputNanoPerToken) > leftNano ? tokens - 1 : tokens;
}

/** Output tokens that the counts leave; negative when they leave no call, or not even its input. */
function countedTokens({ tokens, calls }: Counts, { inputTokens = 0 }: Reserve): number {
  return calls.spent + calls.held < calls.limit ? tokens.limit - tokens.spent - tokens.held - inputTokens : -1;
}
