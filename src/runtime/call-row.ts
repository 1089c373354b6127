/** A call as usage counts it: made from what its `call.finished` says, so that there is one row for each of those. */
import type { ErrorBody } from "../protocol/errors.ts";
import type { CallRow } from "../stores/store.ts";
import type { AgentSpec } from "./agent.ts";
import type { NewFact } from "./facts.ts";
import { promptVersionOf } from "./instructions.ts";
import { tierOf } from "./reserve.ts";
import type { Account, AskOf } from "./run.ts";

type Finished = { readonly finish: string; readonly model: string; readonly error?: ErrorBody; readonly cached?: boolean };

/** A provider may call its model anything. */
const longestName = 200;

/** `endedAt` in ms since the epoch; `account` is missing for a call that ended before it was sent. */
export function callRow(
  { ordinal, input }: AskOf<"call">,
  spec: AgentSpec,
  finished: NewFact,
  account: Account | undefined,
  endedAt: number,
  fellBack: boolean,
): CallRow {
  const { tier, cached } = input;
  // Fields of `call.finished`, as `facts.ts` makes it.
  const { finish, model, error, cached: isCached = false } = finished as unknown as Finished;
  const prompt = promptVersionOf(input, spec);
  const provider = tierOf(spec, cached?.tier ?? tier)?.provider;
  const code = error?.code ?? (finish === "lost" ? "interrupted" : undefined);
  return {
    ordinal,
    endedAt,
    purpose: input.for,
    ...(provider !== undefined && { provider }),
    ...(model !== "" && { model: model.slice(0, longestName) }),
    tier,
    ...(prompt !== undefined && { prompt }),
    attempt: input.attempt,
    retry: input.retry,
    fellBack,
    cached: isCached,
    inputTokens: account?.inputTokens ?? 0,
    cachedTokens: account?.cachedTokens ?? 0,
    outputTokens: account?.outputTokens ?? 0,
    costNano: account?.costNano ?? 0,
    savedNano: account?.savedNano ?? 0,
    estimated: account?.estimated ?? false,
    finish,
    ...(code !== undefined && { error: code }),
    ...(account?.ttftMs !== undefined && { ttftMs: account.ttftMs }),
    ...(account && finish !== "lost" && { durationMs: account.durationMs }),
  };
}
