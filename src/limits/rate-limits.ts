/**
 * What callers may do a minute: requests and tokens, by plan, for each user and each key.
 *
 *  1. A start counts one request before anything is stored, and is refused when a window has no room, also that of tokens.
 *  2. Tokens are taken at each call, as many as are reserved for it, and settled to what it used. A run that was accepted goes on when
 *     tokens cannot be counted: the ledger bounds what it may spend.
 *  3. Whoever has no user counts as its key, whoever has neither as its tenant: leaving the user out is no way around a limit.
 */

import { type ErrorBody, EscapementError, errorBody } from "../protocol/errors.ts";
import type { RateLimit } from "../protocol/rate-limit.ts";
import type { Limiter, Taking, Window } from "./limiter.ts";

export type Plan = {
  readonly isPaid: boolean;
  readonly requests?: number;
  readonly tokens?: number;
  /** Of a key, over all its users. */
  readonly keyRequests?: number;
  readonly keyTokens?: number;
};

export type RateLimitSettings = { readonly plans: { readonly [name: string]: Plan }; readonly defaultPlan: string };

/** Whose limits: made from a caller, or kept with its run. */
export type Limited = {
  readonly tenant: string;
  readonly user?: string | undefined;
  readonly key?: string | undefined;
  readonly plan?: string | undefined;
};

type Unit = "requests" | "tokens";
type Named = { readonly name: string; readonly unit: Unit; readonly window: Window };

export type TakenTokens = { settle(usedTokens: number): void } | { readonly error: ErrorBody };

/** Of the boot test: nothing may pass it. */
const nothing: Plan = { isPaid: false, requests: 0 };

export class RateLimits {
  private readonly limiter: Limiter;
  private readonly settings: RateLimitSettings;
  private readonly minuteMs: number;

  constructor(limiter: Limiter, settings: RateLimitSettings, minuteMs = 60_000) {
    this.limiter = limiter;
    this.settings = settings;
    this.minuteMs = minuteMs;
  }

  isPaid(who: Limited): boolean {
    return this.planOf(who).isPaid;
  }

  limitsTokens(who: Limited): boolean {
    const { tokens, keyTokens } = this.planOf(who);
    return tokens !== undefined || (keyTokens !== undefined && who.key !== undefined);
  }

  /** Counts a start. Throws `rate_limited`, or `unavailable` when limits cannot be counted. The result takes it back. */
  start(who: Limited): Promise<() => void> {
    return this.startOn(who, this.planOf(who), this.planName(who));
  }

  /** Whether a start that may not pass is refused: said once at boot, before a limiter that lets everything pass is trusted. */
  async refuses(): Promise<boolean> {
    try {
      await this.startOn({ tenant: "boot-test" }, nothing, "of the boot test");
      return false;
    } catch (error) {
      return error instanceof EscapementError && error.code === "rate_limited";
    }
  }

  /** Takes a call's tokens. Never rejects. */
  async takeTokens(who: Limited, tokens: number): Promise<TakenTokens> {
    const plan = this.planOf(who);
    // A call larger than the limit passes alone.
    const named = this.windowsOf(who, plan, "tokens", tokens).map((one) => ({
      ...one,
      window: { ...one.window, amount: Math.min(tokens, one.window.limit) },
    }));
    const taken = await this.take(named);
    if (!taken) return { settle: () => {} };
    if (!taken.admitted) return { error: this.refusal(named, taken, this.planName(who)) };
    return {
      settle: (used) => {
        for (const { window } of named) {
          const change = used - window.amount;
          if (change !== 0) void this.limiter.settle({ key: window.key, windowMs: window.windowMs, taken, change });
        }
      },
    };
  }

  /** How the caller's limits stand; empty when it has none, or when that cannot be said. */
  async standing(who: Limited): Promise<readonly RateLimit[]> {
    const plan = this.planOf(who);
    const named = [...this.windowsOf(who, plan, "requests", 0), ...this.windowsOf(who, plan, "tokens", 0)];
    const taken = await this.take(named);
    if (!taken) return [];
    return named.map(({ name, window: { limit, windowMs } }, i) => ({
      name,
      limit,
      windowMs,
      remaining: 0,
      resetMs: 0,
      ...taken.standings[i],
    }));
  }

  close(): Promise<void> {
    return this.limiter.close();
  }

  private async startOn(who: Limited, plan: Plan, planName: string): Promise<() => void> {
    const named = [...this.windowsOf(who, plan, "requests", 1), ...this.windowsOf(who, plan, "tokens", 0)];
    if (named.length === 0) return () => {};
    const taken = await this.limiter.take(named.map(({ window }) => window));
    if (!taken.admitted) throw EscapementError.from(this.refusal(named, taken, planName));
    return () => {
      for (const { unit, window } of named)
        if (unit === "requests") void this.limiter.settle({ key: window.key, windowMs: window.windowMs, taken, change: -1 });
    };
  }

  /** Undefined when there is nothing to take, or limits cannot be counted. */
  private async take(named: readonly Named[]): Promise<Taking | undefined> {
    return named.length === 0 ? undefined : this.limiter.take(named.map(({ window }) => window)).catch(() => undefined);
  }

  private windowsOf({ tenant, user, key }: Limited, plan: Plan, unit: Unit, amount: number): Named[] {
    const windowMs = this.minuteMs;
    const named = (name: string, limit: number | undefined, ...subject: readonly string[]): Named[] =>
      limit === undefined ? [] : [{ name, unit, window: { key: keyOf(unit, ...subject), limit, windowMs, amount } }];
    const subject = user !== undefined ? ["user", tenant, user] : key !== undefined ? ["key", tenant, key] : ["tenant", tenant];
    return [
      ...named(unit, unit === "requests" ? plan.requests : plan.tokens, ...subject),
      ...(key === undefined ? [] : named(`key-${unit}`, unit === "requests" ? plan.keyRequests : plan.keyTokens, "all", tenant, key)),
    ];
  }

  private refusal(named: readonly Named[], taken: Taking & { readonly admitted: false }, plan: string): ErrorBody {
    const { name, unit, window } = named[taken.window] as Named;
    const whose = name === unit ? "" : " of this key";
    return errorBody("rate_limited", `the plan "${plan}" allows ${window.limit} ${unit}${whose} a minute; try again later`, {
      retry_after_ms: taken.retryAfterMs,
      details: { which: name, limit: window.limit, plan },
    });
  }

  private planName({ plan }: Limited): string {
    return plan !== undefined && Object.hasOwn(this.settings.plans, plan) ? plan : this.settings.defaultPlan;
  }

  private planOf(who: Limited): Plan {
    return this.settings.plans[this.planName(who)] as Plan; // the configuration has checked that the default is one
  }
}

/** No part of a name can pass for another part of a key. */
const keyOf = (...parts: readonly string[]): string => parts.map((part) => encodeURIComponent(part.toWellFormed())).join("/");
