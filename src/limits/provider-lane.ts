/**
 * What stands before the calls to one provider: is its account used up, does the call fit its windows, is a slot free. A call that must
 * wait does so in one queue for all of it.
 *
 *  1. Without a limit that is configured or told by the provider's headers, a call passes at once, in the same tick.
 *  2. A call waits at most as long as it may ({@link Entrant.waitMs}, and the queue's own bound); then, or when it is pushed out, it is
 *     refused. Refusals are not to be retried on the same tier: the wait was the retry.
 *  3. A slot is given back exactly once, whatever ends the call. Who stops waiting leaves the queue at once.
 */
import { type ErrorBody, errorBody } from "../protocol/errors.ts";
import { CallQueue, classOf, type Rank, type Waiting } from "./call-queue.ts";
import type { LimitEvent } from "./events.ts";
import { ConfiguredWindow, type ProviderWindow, ToldWindow } from "./provider-window.ts";

export type LaneLimits = {
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  /** Calls under way at once. */
  readonly concurrent?: number;
};

export type LaneSettings = {
  /** Calls that may wait for one provider. */
  readonly length: number;
  readonly waitMs: number;
  readonly agingMs: number;
  readonly minuteMs: number;
  /** How long a provider whose account is used up is not asked. */
  readonly exhaustedMs: number;
};

/** Monotonic milliseconds, and a timer that the result cancels. */
export type Timing = { readonly clock: () => number; readonly after: (ms: number, task: () => void) => () => void };

export type Entrant = Rank & {
  readonly model: string;
  /** Input and output, as reserved. Asked for only where it is needed. */
  readonly tokens: () => number;
  readonly waitMs: number;
};

type Said = { readonly limit: number; readonly remaining: number; readonly resetMs: number };

/** How a call ended, as far as limits go. */
export type Ending = {
  /** Asked for only where it is needed. */
  readonly usedTokens: () => number;
  readonly limits?: { readonly requests?: Said; readonly tokens?: Said } | undefined;
  readonly error?: ErrorBody | undefined;
};

export type Pass = { readonly waited: boolean; end(ending: Ending): void };
export type Entered = { readonly pass: Pass } | { readonly error: ErrorBody };

type Told = { readonly requests: ToldWindow; readonly tokens: ToldWindow };
type Call = Waiting & { readonly entrant: Entrant; readonly leave: (entered: Entered) => void };

export class ProviderLane {
  private readonly provider: string;
  private readonly settings: LaneSettings;
  private readonly timing: Timing;
  private readonly onEvent: (event: LimitEvent) => void;
  private readonly concurrent: number;
  private readonly requests: ConfiguredWindow | undefined;
  private readonly tokens: ConfiguredWindow | undefined;
  private readonly told = new Map<string, Told>();
  private readonly queue: CallQueue<Call>;
  private readonly loads = new Map<string, number>();
  private running = 0;
  private seq = 0;
  private exhaustedUntil = Number.NEGATIVE_INFINITY;
  /** How long a call takes, smoothed. */
  private meanMs = 1_000;
  private cancelPump: (() => void) | undefined;

  constructor(provider: string, limits: LaneLimits, settings: LaneSettings, timing: Timing, onEvent: (event: LimitEvent) => void) {
    this.provider = provider;
    this.settings = settings;
    this.timing = timing;
    this.onEvent = onEvent;
    this.concurrent = limits.concurrent ?? Number.POSITIVE_INFINITY;
    this.requests = limits.requestsPerMinute === undefined ? undefined : new ConfiguredWindow(limits.requestsPerMinute, settings.minuteMs);
    this.tokens = limits.tokensPerMinute === undefined ? undefined : new ConfiguredWindow(limits.tokensPerMinute, settings.minuteMs);
    this.queue = new CallQueue(settings.length, settings.agingMs, (tenant) => this.loads.get(tenant) ?? 0);
  }

  get waiting(): number {
    return this.queue.size;
  }

  /** Tells at once or later, once, and never after the returned function was called: that gives up waiting. */
  enter(entrant: Entrant, tell: (entered: Entered) => void): () => void {
    const now = this.timing.clock();
    if (now < this.exhaustedUntil) {
      tell({ error: this.exhausted(now) });
      return () => {};
    }
    const windowMs = this.windowMs(entrant, now);
    if (windowMs === 0 && this.running < this.concurrent && this.queue.size === 0) {
      tell({ pass: this.admit(entrant, now, now) });
      return () => {};
    }
    const mostMs = Math.min(entrant.waitMs, this.settings.waitMs);
    if (windowMs > mostMs) {
      tell({ error: this.throttled(entrant, windowMs) });
      return () => {};
    }
    return this.wait(entrant, now, mostMs, tell);
  }

  /** Whether a call of this rank would find the queue too long: 80 % of it for all but the first class. */
  isCrowded(rank: Pick<Rank, "isPaid" | "isBatch">): boolean {
    return this.queue.size >= (classOf(rank) === 0 ? 1 : 0.8) * this.settings.length;
  }

  /** When one more that waits would have its turn, by what calls took lately. */
  get retryAfterMs(): number {
    return Math.min(60_000, Math.max(1_000, Math.ceil((this.meanMs * (this.queue.size + 1)) / Math.min(this.concurrent, 1_000))));
  }

  // --- waiting

  private wait(entrant: Entrant, now: number, mostMs: number, tell: (entered: Entered) => void): () => void {
    let cancelTimer = (): void => {};
    const { isPaid, isBatch, tenant } = entrant;
    const leave = (entered: Entered): void => {
      cancelTimer();
      this.load(tenant, -1);
      tell(entered);
    };
    const call: Call = { isPaid, isBatch, tenant, tokens: entrant.tokens(), at: now, seq: this.seq++, entrant, leave };
    this.load(tenant, 1);
    cancelTimer = this.timing.after(mostMs, () => {
      if (!this.queue.remove(call)) return;
      const windowMs = this.windowMs(entrant, this.timing.clock());
      leave({ error: windowMs > 0 ? this.throttled(entrant, windowMs) : this.overloaded(`waited ${Math.round(mostMs)} ms for its turn`) });
    });
    this.queue.add(call, now)?.leave({ error: this.overloaded("was pushed out of a full queue") });
    this.pump();
    return () => {
      if (!this.queue.remove(call)) return;
      cancelTimer();
      this.load(tenant, -1);
    };
  }

  /** Lets through whoever may go. A model whose window is full holds up only its own calls. */
  private pump(): void {
    this.cancelPump?.();
    this.cancelPump = undefined;
    const held = new Set<string>();
    let soonestMs = Number.POSITIVE_INFINITY;
    while (this.running < this.concurrent) {
      const now = this.timing.clock();
      const call = this.queue.next(now, ({ entrant }) => !held.has(entrant.model));
      if (!call) break;
      const windowMs = this.windowMs(call.entrant, now);
      if (windowMs > 0) {
        held.add(call.entrant.model);
        soonestMs = Math.min(soonestMs, windowMs);
        continue;
      }
      this.queue.remove(call);
      call.leave({ pass: this.admit(call.entrant, now, call.at) });
    }
    if (soonestMs < Number.POSITIVE_INFINITY) this.cancelPump = this.timing.after(soonestMs, () => this.pump());
  }

  // --- passing

  private admit({ model, tenant, tokens }: Entrant, now: number, cameAt: number): Pass {
    this.running++;
    this.load(tenant, 1);
    const told = this.told.get(model);
    const sent = this.tokens || told ? tokens() : 0;
    this.requests?.send(1, now);
    this.tokens?.send(sent, now);
    told?.requests.send(1);
    told?.tokens.send(sent);
    this.warn(now, model);
    const [requestsAt, tokensAt] = [told?.requests.position ?? 0, told?.tokens.position ?? 0];
    let ended = false;
    return {
      waited: now > cameAt,
      end: ({ usedTokens, limits, error }) => {
        if (ended) return;
        ended = true;
        const then = this.timing.clock();
        this.running--;
        this.load(tenant, -1);
        this.meanMs += (then - now - this.meanMs) / 16;
        this.tokens?.settle(now, usedTokens() - sent, then);
        if (limits) {
          const windows = this.toldOf(model);
          if (limits.requests) windows.requests.told(limits.requests, now, requestsAt);
          if (limits.tokens) windows.tokens.told(limits.tokens, now, tokensAt);
          this.warn(then, model);
        }
        if (error?.details?.reason === "exhausted") this.exhaust(then, error.message);
        if (this.queue.size > 0) this.pump();
      },
    };
  }

  private load(tenant: string, change: 1 | -1): void {
    const load = (this.loads.get(tenant) ?? 0) + change;
    if (load === 0) this.loads.delete(tenant);
    else this.loads.set(tenant, load);
  }

  // --- windows

  /** How long until the call fits all windows; 0: it fits. */
  private windowMs({ model, tokens }: Entrant, now: number): number {
    const told = this.told.get(model);
    if (!told && !this.requests && !this.tokens) return 0;
    const ofRequests = Math.max(this.requests?.waitMs(1, now) ?? 0, told?.requests.waitMs(1, now) ?? 0);
    if (!this.tokens && !told?.tokens.limit) return ofRequests;
    const amount = tokens();
    return Math.max(ofRequests, this.tokens?.waitMs(amount, now) ?? 0, told?.tokens.limit ? told.tokens.waitMs(amount, now) : 0);
  }

  private toldOf(model: string): Told {
    let told = this.told.get(model);
    if (!told) {
      told = { requests: new ToldWindow(), tokens: new ToldWindow() };
      this.told.set(model, told);
    }
    return told;
  }

  private warn(now: number, model: string): void {
    const told = this.told.get(model);
    const look = (which: "requests" | "tokens", window: ProviderWindow | undefined, of: { model?: string }): void => {
      if (!window || window.limit === 0 || !window.isWarning(now)) return;
      const used = Math.round(window.used(now));
      this.onEvent({ type: "provider.near_limit", provider: this.provider, ...of, which, used, limit: window.limit });
    };
    look("requests", this.requests, {});
    look("tokens", this.tokens, {});
    look("requests", told?.requests, { model });
    look("tokens", told?.tokens, { model });
  }

  // --- refusing

  private exhaust(now: number, message: string): void {
    const { exhaustedMs } = this.settings;
    if (now >= this.exhaustedUntil) this.onEvent({ type: "provider.exhausted", provider: this.provider, message, ms: exhaustedMs });
    this.exhaustedUntil = now + exhaustedMs;
    // Whoever waits need not wait for it.
    for (let call = this.queue.next(now, () => true); call; call = this.queue.next(now, () => true)) {
      this.queue.remove(call);
      call.leave({ error: this.exhausted(now) });
    }
  }

  private exhausted(now: number): ErrorBody {
    return errorBody("provider_rejected", `the account with ${this.provider} is used up; it is not asked for a while`, {
      retry_after_ms: Math.ceil(this.exhaustedUntil - now),
      details: { provider: this.provider, reason: "exhausted" },
    });
  }

  private throttled({ model }: Entrant, waitMs: number): ErrorBody {
    return errorBody("provider_rate_limited", `what ${this.provider} allows for ${model} is nearly used; this call would have to wait`, {
      retryable: false,
      retry_after_ms: Math.ceil(waitMs),
      details: { provider: this.provider, reason: "throttled" },
    });
  }

  private overloaded(what: string): ErrorBody {
    return errorBody("overloaded", `the call to ${this.provider} ${what}`, {
      retryable: false,
      retry_after_ms: this.retryAfterMs,
      details: { provider: this.provider, reason: "queue" },
    });
  }
}
