/** What stands before a provider: slots, windows by our count and by its headers, the account. Time is the test's. */
import { expect, test } from "vitest";
import type { LimitEvent } from "../../src/limits/events.ts";
import { type Ending, type Entered, type Entrant, type LaneLimits, type Pass, ProviderLane } from "../../src/limits/provider-lane.ts";
import { laneDefaults } from "../../src/limits/provider-limits.ts";
import type { ErrorBody } from "../../src/protocol/errors.ts";

class Time {
  now = 1_000_000;
  private timers: { at: number; task: () => void }[] = [];
  readonly clock = (): number => this.now;
  readonly after = (ms: number, task: () => void): (() => void) => {
    const timer = { at: this.now + ms, task };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  };
  get pending(): number {
    return this.timers.length;
  }
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.now = Math.max(this.now, next.at);
      next.task();
    }
    this.now = end;
  }
}

/** One call and what became of it. */
class Caller {
  entered: Entered | undefined;
  enteredAt = 0;
  readonly leave: () => void;
  constructor(lane: ProviderLane, time: Time, more: Partial<Omit<Entrant, "tokens">> & { tokens?: number } = {}) {
    const { tokens = 100, ...rest } = more;
    const entrant = { model: "m", tenant: "one", isPaid: false, isBatch: false, waitMs: 60_000, ...rest, tokens: () => tokens };
    this.leave = lane.enter(entrant, (entered) => {
      expect(this.entered).toBeUndefined();
      this.entered = entered;
      this.enteredAt = time.now;
    });
  }
  get passed(): boolean {
    return this.entered !== undefined && "pass" in this.entered;
  }
  get error(): ErrorBody | undefined {
    return this.entered && "error" in this.entered ? this.entered.error : undefined;
  }
  end(ending: Partial<Omit<Ending, "usedTokens">> & { usedTokens?: number } = {}): void {
    const { usedTokens = 100, ...rest } = ending;
    (this.entered as { pass: Pass }).pass.end({ usedTokens: () => usedTokens, ...rest });
  }
}

function world(limits: LaneLimits = {}, settings: Partial<typeof laneDefaults> = {}) {
  const time = new Time();
  const events: LimitEvent[] = [];
  const lane = new ProviderLane("self", limits, { ...laneDefaults, ...settings }, time, (event) => events.push(event));
  const call = (more?: ConstructorParameters<typeof Caller>[2]) => new Caller(lane, time, more);
  return { time, events, lane, call };
}

test("without a limit a call passes in the same tick, and its tokens are not even counted", () => {
  const { lane, time } = world();
  for (let i = 0; i < 1_000; i++) {
    let passed = false;
    const tokens = (): number => expect.unreachable();
    lane.enter({ model: "m", tenant: "one", isPaid: false, isBatch: false, waitMs: 1, tokens }, () => {
      passed = true;
    });
    expect(passed).toBe(true);
  }
  expect(time.pending).toBe(0);
});

test("slots: so many at once, the next as one ends; a stopped wait leaves at once", () => {
  const { lane, call, time } = world({ concurrent: 2 });
  const [a, b, c, d] = [call(), call(), call(), call({ isPaid: true })] as const;
  expect([a, b, c, d].map((one) => one.passed)).toEqual([true, true, false, false]);
  a.end();
  a.end();
  expect([c.passed, d.passed]).toEqual([false, true]);
  c.leave();
  expect(lane.waiting).toBe(0);
  b.end();
  d.end();
  expect(c.entered).toBeUndefined();
  expect(time.pending).toBe(0);
  expect(call().passed).toBe(true);
});

test("a wait has an end: then, and when pushed out of a full queue, it is overloaded and not for another try here", () => {
  const { call, time } = world({ concurrent: 1 }, { length: 2, waitMs: 8_000 });
  call();
  const [free, batch] = [call(), call({ isBatch: true })];
  const paid = call({ isPaid: true });
  expect(batch.error).toMatchObject({ code: "overloaded", retryable: false, details: { reason: "queue" } });
  expect(batch.error?.retry_after_ms).toBeGreaterThanOrEqual(1_000);
  time.pass(7_999);
  expect([free.entered, paid.entered]).toEqual([undefined, undefined]);
  time.pass(1);
  expect([free.error?.code, paid.error?.code]).toEqual(["overloaded", "overloaded"]);
  const hurried = call({ waitMs: 10 });
  time.pass(10);
  expect(hurried.error?.code).toBe("overloaded");
  expect(time.pending).toBe(0);
});

test("a configured window: one warning at 80 %, calls from 90 % on wait until they fit, in no window more than that", () => {
  const { call, time, events } = world({ requestsPerMinute: 100 }, { waitMs: 120_000 });
  const callers: Caller[] = [];
  for (let i = 0; i < 79; i++) callers.push(call());
  expect(events).toEqual([]);
  for (let i = 0; i < 11; i++) callers.push(call());
  expect(events).toEqual([{ type: "provider.near_limit", provider: "self", which: "requests", used: 80, limit: 100 }]);
  expect(callers.every((one) => one.passed)).toBe(true);
  const late = Array.from({ length: 50 }, () => call({ waitMs: 120_000 }));
  expect(late.some((one) => one.passed)).toBe(false);
  time.pass(120_000);
  expect(late.every((one) => one.passed)).toBe(true);
  const times = [...callers, ...late].map((one) => one.enteredAt).toSorted((a, b) => a - b);
  for (let i = 90; i < times.length; i++) expect((times[i] as number) - (times[i - 90] as number)).toBeGreaterThanOrEqual(60_000);
});

test("a call that would wait too long for its window is refused at once, for the next tier", () => {
  const { call, time } = world({ requestsPerMinute: 10 });
  for (let i = 0; i < 9; i++) expect(call().passed).toBe(true);
  const { error } = call();
  expect(error).toMatchObject({ code: "provider_rate_limited", retryable: false, details: { reason: "throttled", provider: "self" } });
  time.pass((error?.retry_after_ms ?? 0) - 1);
  expect(call({ waitMs: 0 }).passed).toBe(false);
  time.pass(1);
  expect(call().passed).toBe(true);
});

test("tokens count as reserved and are settled to what was used; a call larger than the limit passes alone", () => {
  const { call, time } = world({ tokensPerMinute: 1_000 });
  const first = call({ tokens: 800 });
  expect(call({ tokens: 300 }).error?.code).toBe("provider_rate_limited");
  first.end({ usedTokens: 100 });
  const second = call({ tokens: 700 });
  expect(second.passed).toBe(true);
  expect(call({ tokens: 5_000 }).passed).toBe(false);
  time.pass(63_000);
  expect(call({ tokens: 5_000 }).passed).toBe(true);
  expect(call({ tokens: 1 }).passed).toBe(false);
});

test("what headers say counts, with what was sent since, for that model alone", () => {
  const { call, time, events } = world({}, { waitMs: 20_000 });
  const first = call();
  first.end({ limits: { requests: { limit: 100, remaining: 15, resetMs: 60_000 } } });
  expect(events).toEqual([{ type: "provider.near_limit", provider: "self", model: "m", which: "requests", used: 85, limit: 100 }]);
  const more = Array.from({ length: 7 }, () => call());
  expect(more.map((one) => one.passed)).toEqual([true, true, true, true, true, false, false]);
  expect(call({ model: "other" }).passed).toBe(true);
  // 85 in 60 s flow off: one in about 0.7 s.
  time.pass(800);
  expect(more.map((one) => one.passed)).toEqual([true, true, true, true, true, true, false]);
  time.pass(800);
  expect(more.at(-1)?.passed).toBe(true);
  // At the time that was told all of it is there again.
  time.pass(58_500);
  for (let i = 0; i < 200; i++) expect(call().passed).toBe(true);
  expect(events).toHaveLength(1);
});

test("nothing left by the headers: calls wait or fall back until it is told to be there again", () => {
  const { call, time } = world();
  call().end({ limits: { tokens: { limit: 40_000, remaining: 0, resetMs: 6_000 } } });
  const waits = call({ tokens: 3_000 });
  expect(waits.passed).toBe(false);
  time.pass(6_000);
  expect(waits.passed).toBe(true);
  call({ model: "slow" }).end({ limits: { tokens: { limit: 40_000, remaining: 0, resetMs: 600_000 } } });
  expect(call({ model: "slow", tokens: 30_000 }).error).toMatchObject({ code: "provider_rate_limited", retryable: false });
});

test("an answer that was overtaken does not undo what a later call was told", () => {
  const { call } = world();
  call().end({ limits: { requests: { limit: 100, remaining: 90, resetMs: 60_000 } } });
  const [early, later] = [call(), call()];
  later.end({ limits: { requests: { limit: 100, remaining: 10, resetMs: 60_000 } } });
  early.end({ limits: { requests: { limit: 100, remaining: 89, resetMs: 60_000 } } });
  expect(call({ waitMs: 0 }).passed).toBe(false);
});

test("an account that is used up: told once, nobody is sent there for a time, and whoever waits is told at once", () => {
  const { call, time, events } = world({ concurrent: 2 });
  const [first, second, waits] = [call(), call(), call({ model: "other" })];
  const error: ErrorBody = {
    code: "provider_rejected",
    message: "self answered 429: no credit",
    retryable: false,
    details: { reason: "exhausted" },
  };
  first.end({ error });
  second.end({ error });
  const refusal = { code: "provider_rejected", retryable: false, details: { reason: "exhausted" } };
  expect(waits.error).toMatchObject(refusal);
  expect(call().error).toMatchObject(refusal);
  expect(events).toEqual([{ type: "provider.exhausted", provider: "self", message: error.message, ms: 300_000 }]);
  time.pass(300_000);
  expect(call().passed).toBe(true);
});

test("a model whose window is full holds up only its own calls", () => {
  const { call } = world({ concurrent: 1 }, { waitMs: 60_000 });
  const running = call();
  running.end({ limits: { requests: { limit: 10, remaining: 0, resetMs: 60_000 } } });
  const [busy, free] = [call({ isPaid: true }), call({ model: "other" })];
  expect([busy.passed, free.passed]).toEqual([false, true]);
});

test("crowded: the first class sees a full queue, the others one that is four fifths full", () => {
  const { lane, call } = world({ concurrent: 1 }, { length: 10 });
  for (let i = 0; i < 8; i++) call();
  expect(lane.isCrowded({ isPaid: false, isBatch: false })).toBe(false);
  call();
  expect(lane.isCrowded({ isPaid: false, isBatch: false })).toBe(true);
  expect(lane.isCrowded({ isPaid: true, isBatch: true })).toBe(true);
  expect(lane.isCrowded({ isPaid: true, isBatch: false })).toBe(false);
});
