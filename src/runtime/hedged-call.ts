/**
 * One ask that may be two calls (FEATURES C10): when the first has given no token after a while, a second of another tier begins. The
 * first that gives a token wins, and the other is aborted at once.
 *
 *  1. It is one ask: one hold for both worst cases, one outcome, one account, which is the sum and names both (a row of usage each). Each call
 *     has its own part of the hold.
 *  2. Only the winner's words are told. Until there is one nobody has said any.
 *  3. A call that fails before its first token leaves the other to win; when none is left, the first one's error is the outcome.
 *  4. Breakers and the retry budget see two calls. The aborted one says nothing about health.
 */
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import type { CallInput, WorkError } from "../../machines/work.ts";
import type { Json } from "../protocol/json.ts";
import { routesOf, type TierSpec } from "./agent.ts";
import { Call, type CallDeps } from "./call.ts";
import type { Outcome, Reporter, Work } from "./interpreter.ts";
import { hedgeOf, holdOf, tierOf } from "./reserve.ts";
import type { Account, LegAccount } from "./run.ts";
import { lengthProblem } from "./too-long.ts";

type Leg = {
  readonly call: Call;
  readonly tier: string;
  readonly startedAt: number;
  interrupt: () => void;
  /** How it ended; not of one that was aborted. */
  outcome?: Outcome;
  /** What one that was aborted had cost. */
  left?: Account;
};

/** The call of an ask, hedged where its tier is. */
export function callOf(deps: CallDeps, work: Work, input: CallInput, report: Reporter): Call | HedgedCall | WorkError {
  const hedge = hedgeOf(input, work.spec);
  return hedge ? HedgedCall.hedged(deps, work, input, report, hedge) : Call.of(deps, work, input, report);
}

type Hedge = { readonly afterMs: number; readonly tier: TierSpec; readonly input: CallInput };

export class HedgedCall {
  private readonly deps: CallDeps;
  private readonly work: Work;
  private readonly report: Reporter;
  private readonly hedge: Hedge;
  private readonly legs: Leg[] = [];
  private winner: Leg | undefined;
  private timer: NodeJS.Timeout | undefined;
  private resume: (outcome: Outcome) => void = () => {};

  /** Ready to begin; or the error as which it ends when its first call may not be made: then the second is none. */
  static hedged(deps: CallDeps, work: Work, input: CallInput, report: Reporter, hedge: Hedge): HedgedCall | WorkError {
    const hedged = new HedgedCall(deps, work, report, hedge);
    const refused = hedged.add(input);
    return refused ?? hedged;
  }

  private constructor(deps: CallDeps, work: Work, report: Reporter, hedge: Hedge) {
    this.deps = deps;
    this.work = work;
    this.report = report;
    this.hedge = hedge;
  }

  readonly effect: Effect.Effect<Outcome> = Effect.suspend(() =>
    Effect.callback<Outcome>((resume) => {
      this.resume = (outcome) => resume(Effect.succeed(outcome));
      this.begin(this.legs[0] as Leg);
      this.timer = setTimeout(() => this.beginSecond(), this.hedge.afterMs);
      return Effect.sync(() => {
        clearTimeout(this.timer);
        for (const leg of this.legs) leg.interrupt();
      });
    }),
  );

  /** What both have cost up to here. */
  account(): Account {
    const first = this.legs[0] as Leg;
    const told = this.winner ?? first;
    const accounts = this.legs.map((leg): LegAccount => ({ ...accountOf(leg), tier: leg.tier, ...(leg !== told && endOf(leg)) }));
    const own = accounts[this.legs.indexOf(told)] as LegAccount;
    const sum = (of: (account: Account) => number): number => accounts.reduce((total, account) => total + of(account), 0);
    return {
      costNano: sum(({ costNano }) => costNano),
      inputTokens: sum(({ inputTokens }) => inputTokens),
      cachedTokens: sum(({ cachedTokens }) => cachedTokens),
      outputTokens: sum(({ outputTokens }) => outputTokens),
      estimated: accounts.some(({ estimated }) => estimated),
      model: own.model,
      ...(own.provider !== undefined && { provider: own.provider }),
      durationMs: Math.round(this.deps.clock() - first.startedAt),
      ...(own.ttftMs !== undefined && { ttftMs: Math.round(told.startedAt - first.startedAt + own.ttftMs) }),
      ...(accounts.length > 1 && { legs: accounts }),
    };
  }

  // --- private

  /** A call with its part of the hold; the error as which it is not made. */
  private add(input: CallInput): WorkError | undefined {
    const { deps, work } = this;
    const tier = tierOf(work.spec, input.tier);
    const part = tier ? holdOf(input, work.spec, tier, deps.providers, work.maxTokens) : undefined;
    const own: Work = part ? { ...work, maxTokens: part.maxTokens, holdNano: Math.min(part.holdNano, work.holdNano) } : work;
    let leg: Leg | undefined;
    const mine = (tell: () => void): void => {
      if (this.winner === leg) tell();
    };
    const call = Call.of(
      deps,
      own,
      input,
      {
        ...this.report,
        text: (text) => mine(() => this.report.text(text)),
        reasoning: (text) => mine(() => this.report.reasoning(text)),
        partial: (value) => mine(() => this.report.partial(value)),
      },
      () => this.win(leg as Leg),
    );
    if (!(call instanceof Call)) return call;
    leg = { call, tier: input.tier, startedAt: deps.clock(), interrupt: () => {} };
    this.legs.push(leg);
    return undefined;
  }

  private begin(leg: Leg): void {
    const fiber = Effect.runFork(leg.call.effect);
    leg.interrupt = () => fiber.interruptUnsafe();
    fiber.addObserver((exit) => {
      if (Exit.isSuccess(exit)) this.ended(leg, exit.value);
      else if (!this.winner || this.winner === leg) this.ended(leg, broken);
    });
  }

  private beginSecond(): void {
    if (this.winner || this.isTooLong() || this.add(this.hedge.input)) return;
    this.begin(this.legs[1] as Leg);
  }

  /** The supervisor has asked of the first alone, and a bound counts no more than a tier's context. */
  private isTooLong(): boolean {
    const { deps, work, hedge } = this;
    return routesOf(hedge.tier).some(({ provider, model }) => {
      const there = deps.providers.get(provider);
      return there !== undefined && lengthProblem(hedge.input, work.spec, hedge.tier, there, model) !== null;
    });
  }

  private win(leg: Leg): void {
    if (this.winner) return;
    this.winner = leg;
    clearTimeout(this.timer);
    for (const other of this.legs) {
      if (other === leg || other.outcome) continue;
      other.interrupt();
      other.left = other.call.account();
    }
  }

  private ended(leg: Leg, outcome: Outcome): void {
    if (this.winner && this.winner !== leg) return;
    leg.outcome = outcome;
    // An answer without a token is an answer.
    if (outcome.ok) this.win(leg);
    const others = this.legs.filter((other) => other !== leg);
    if (!this.winner && others.some((other) => !other.outcome)) return;
    clearTimeout(this.timer);
    const told = this.winner ?? (this.legs[0] as Leg);
    const { ok, value } = told.outcome as Outcome;
    this.resume({ ok, value: ok ? { ...(value as { [key: string]: Json }), tier: told.tier } : value, account: this.account() });
  }
}

const accountOf = ({ call, outcome, left }: Leg): Account => outcome?.account ?? left ?? call.account();

/** How a call that lost ended: by itself, or aborted. */
const endOf = ({ outcome }: Leg): Pick<LegAccount, "finish" | "error"> =>
  outcome ? { finish: "error", error: (outcome.value as unknown as WorkError).code } : { finish: "cancelled" };

const broken: Outcome = { ok: false, value: { code: "internal", message: "performing a call failed", retryable: false } };
