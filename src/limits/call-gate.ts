/**
 * All that stands before a call: the tokens that its caller may use a minute, then the lane of its provider.
 * A call that was refused here is not to be retried on the same tier: its wait was the retry.
 */
import type { Ending, Entered, Entrant, Timing } from "./provider-lane.ts";
import type { ProviderLimits } from "./provider-limits.ts";
import type { Limited, RateLimits, TakenTokens } from "./rate-limits.ts";

/** Whose call it is, and for which kind of agent. */
export type CallRank = { readonly who: Limited; readonly isBatch: boolean };
export type GatedCall = Pick<Entrant, "model" | "tokens" | "waitMs"> & CallRank;

/** Longest that a call waits for its caller's tokens. */
const tokensMs = 10_000;

export class CallGate {
  readonly lanes: ProviderLimits;
  private readonly rates: RateLimits | undefined;
  private readonly timing: Timing;

  constructor(lanes: ProviderLimits, rates: RateLimits | undefined, timing: Timing) {
    this.lanes = lanes;
    this.rates = rates;
    this.timing = timing;
  }

  isPaid(who: Limited): boolean {
    return this.rates?.isPaid(who) ?? false;
  }

  /** Tells once, in the same tick where nothing has to be waited for, and never after the returned function was called. */
  enter(provider: string, call: GatedCall, tell: (entered: Entered) => void): () => void {
    if (!this.rates?.limitsTokens(call.who)) return this.enterLane(provider, call, call.waitMs, tell);
    const stop = new AbortController();
    void this.enterLimited(this.rates, provider, call, stop.signal, tell);
    return () => stop.abort();
  }

  private enterLane(provider: string, call: GatedCall, waitMs: number, tell: (entered: Entered) => void): () => void {
    const { model, who, isBatch, tokens } = call;
    return this.lanes.enter(provider, { model, tokens, waitMs, isBatch, tenant: who.tenant, isPaid: this.isPaid(who) }, tell);
  }

  private async enterLimited(
    rates: RateLimits,
    provider: string,
    call: GatedCall,
    stopped: AbortSignal,
    tell: (entered: Entered) => void,
  ): Promise<void> {
    const until = this.timing.clock() + call.waitMs;
    const taken = await this.takeTokens(rates, call, Math.min(until, this.timing.clock() + tokensMs), stopped);
    if ("error" in taken) {
      if (!stopped.aborted) tell(taken);
      return;
    }
    if (stopped.aborted) return taken.settle(0);
    let isTold = false;
    const leave = this.enterLane(provider, call, until - this.timing.clock(), (entered) => {
      isTold = true;
      if ("error" in entered) taken.settle(0);
      tell(settling(entered, taken));
    });
    stopped.addEventListener("abort", () => {
      if (isTold) return;
      leave();
      taken.settle(0);
    });
  }

  private async takeTokens(rates: RateLimits, call: GatedCall, until: number, stopped: AbortSignal): Promise<TakenTokens> {
    for (;;) {
      const taken = await rates.takeTokens(call.who, call.tokens());
      if (!("error" in taken)) return taken;
      const waitMs = taken.error.retry_after_ms ?? 0;
      if (stopped.aborted || this.timing.clock() + waitMs > until) return { error: { ...taken.error, retryable: false } };
      await new Promise<void>((resolve) => {
        const cancel = this.timing.after(waitMs, resolve);
        stopped.addEventListener("abort", () => {
          cancel();
          resolve();
        });
      });
      if (stopped.aborted) return taken;
    }
  }
}

function settling(entered: Entered, taken: { settle(usedTokens: number): void }): Entered {
  if ("error" in entered) return entered;
  const { pass } = entered;
  return {
    pass: {
      waited: true,
      end: (ending: Ending) => {
        pass.end(ending);
        taken.settle(ending.usedTokens());
      },
    },
  };
}
