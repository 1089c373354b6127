/** A call as usage counts it: made from what its `call.finished` says, so that there is a row for each of those, and for both of a hedge. */
import type { ErrorBody } from "../protocol/errors.ts";
import type { CallRow } from "../stores/store.ts";
import { type AgentSpec, routesOf, type TierSpec } from "./agent.ts";
import type { NewFact } from "./facts.ts";
import { promptVersionOf } from "./instructions.ts";
import { tierOf } from "./reserve.ts";
import type { Account, AskOf } from "./run.ts";

type Finished = {
  readonly finish: string;
  readonly model: string;
  /** Its code. */
  readonly error?: string | undefined;
  readonly cached?: boolean | undefined;
};

/** A provider may call its model anything. */
const longestName = 200;

/**
 * One, or both calls of an ask that was hedged: the second is no retry and no fallback. `endedAt` in ms since the epoch; `account` is missing
 * for a call that ended before it was sent.
 */
export function callRows(
  ask: AskOf<"call">,
  spec: AgentSpec,
  fact: NewFact,
  account: Account | undefined,
  endedAt: number,
  fellBack: boolean,
): readonly CallRow[] {
  const finished = finishedOf(fact);
  const { legs } = account ?? {};
  if (!legs) return [callRow(ask, spec, finished, account, endedAt, fellBack)];
  return legs.map((leg, index) => {
    const { model, tier, finish = finished.finish, error } = leg;
    // Who was told ended as the ask did.
    const own = leg.finish === undefined ? { ...finished, model } : { finish, model, error };
    const { ordinal, input } = ask;
    return index === 0
      ? callRow({ ...ask, input: { ...input, tier } }, spec, own, leg, endedAt, fellBack)
      : callRow({ ...ask, ordinal: -1 - ordinal, input: { ...input, tier, retry: false } }, spec, own, leg, endedAt, false);
  });
}

function finishedOf(fact: NewFact): Finished {
  // Fields of `call.finished`, as `facts.ts` makes it.
  const { finish, model, error, cached } = fact as unknown as Omit<Finished, "error"> & { readonly error?: ErrorBody };
  return { finish, model, cached, error: error?.code ?? (finish === "lost" ? "interrupted" : undefined) };
}

function callRow(
  { ordinal, input }: AskOf<"call">,
  spec: AgentSpec,
  { finish, model, error, cached = false }: Finished,
  account: Omit<Account, "legs"> | undefined,
  endedAt: number,
  fellBack: boolean,
): CallRow {
  const prompt = promptVersionOf(input, spec);
  const provider = account?.provider ?? onlyProvider(tierOf(spec, input.cached?.tier ?? input.tier));
  return {
    ordinal,
    endedAt,
    purpose: input.for,
    ...(provider !== undefined && { provider }),
    ...(model !== "" && { model: model.slice(0, longestName) }),
    tier: input.tier,
    ...(prompt !== undefined && { prompt }),
    attempt: input.attempt,
    retry: input.retry,
    fellBack,
    cached,
    inputTokens: account?.inputTokens ?? 0,
    cachedTokens: account?.cachedTokens ?? 0,
    outputTokens: account?.outputTokens ?? 0,
    costNano: account?.costNano ?? 0,
    savedNano: account?.savedNano ?? 0,
    estimated: account?.estimated ?? false,
    finish,
    ...(error !== undefined && { error }),
    ...(account?.ttftMs !== undefined && { ttftMs: account.ttftMs }),
    ...(account && finish !== "lost" && { durationMs: account.durationMs }),
  };
}

/** Of a call that took no route, or whose route nobody knows any more: where all its routes are one provider's, that one. */
function onlyProvider(tier: TierSpec | undefined): string | undefined {
  const [first, ...others] = tier ? routesOf(tier) : [];
  return others.every(({ provider }) => provider === first?.provider) ? first?.provider : undefined;
}
