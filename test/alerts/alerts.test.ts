import { expect, test } from "vitest";
import { Alerts } from "../../src/alerts/alerts.ts";
import { type AlertRules, alertRules } from "../../src/alerts/rules.ts";
import type { CommittedTurn } from "../../src/observe/observer.ts";
import type { Alert } from "../../src/protocol/alert.ts";
import { redaction } from "../../src/safety/redaction.ts";
import type { MeterState } from "../../src/stores/store.ts";
import { TestTime } from "./time.ts";

const minute = 60_000;
const hour = 60 * minute;

function world(rules: Partial<AlertRules> = {}, meters: MeterState[] = []) {
  const time = new TestTime();
  const told: Alert[] = [];
  const errors: string[] = [];
  const alerts = new Alerts({
    rules: { ...alertRules, ...rules },
    cooldownMs: hour,
    scheduler: time,
    redaction: redaction(),
    onError: (message) => errors.push(message),
  });
  alerts.onAlert((alert) => told.push(alert));
  void alerts.watch(async () => meters);
  /** A turn in which a call of a run ended. */
  const turn = (more: { usd?: number; before?: number; facts?: object[]; error?: object } = {}): void => {
    const { usd = 0, before = 0, facts = [], error } = more;
    const ended = [{ ask: { kind: "call", input: { tier: "main" } }, ok: !error, value: error, account: { costNano: usd * 1e9 } }];
    // Of a turn only what the rules look at.
    alerts.turn({
      run: "run_1",
      info: { agent: "a" },
      spec: { tiers: [{ name: "main", provider: "it" }] },
      facts,
      ended,
      spentNano: (usd + before) * 1e9,
    } as unknown as CommittedTurn);
  };
  const kinds = (): string[] => told.map(({ kind, state }) => `${kind} ${state}`);
  return { time, told, errors, alerts, turn, kinds };
}

/** Days of the same spending each hour. */
async function usual(it: ReturnType<typeof world>, hours: number, usd: number): Promise<void> {
  for (let i = 0; i < 6 * hours; i++) {
    it.turn({ usd: usd / 6 });
    await it.time.pass(10 * minute);
  }
}

test("an hour of more than twice the mean, told once, and again when it is over", async () => {
  const it = world({ spend_10_minutes: false, run_cost: false });
  await usual(it, 48, 0.4);
  expect(it.kinds()).toEqual([]);
  it.turn({ usd: 0.6 });
  await it.time.pass(10 * minute);
  it.turn({ usd: 0.6 });
  await it.time.pass(minute);
  expect(it.kinds()).toEqual(["spend_hour firing"]);
  expect(it.told[0]).toMatchObject({
    details: { cause: "system", factor: 2, spent_usd: expect.any(Number) },
    message: expect.stringMatching(/^the last hour cost \$[\d.]+, more than 2 times the \$0\.[34]/),
  });
  await it.time.pass(30 * minute);
  expect(it.kinds()).toHaveLength(1);
  await it.time.pass(40 * minute);
  expect(it.kinds()).toEqual(["spend_hour firing", "spend_hour recovered"]);
});

test("ten minutes of more than five times their share", async () => {
  const it = world({ spend_hour: false });
  await usual(it, 48, 0.4);
  it.turn({ usd: 0.2 });
  await it.time.pass(minute);
  expect(it.kinds()).toEqual([]);
  it.turn({ usd: 0.2 });
  await it.time.pass(minute);
  expect(it.kinds()).toEqual(["spend_10_minutes firing"]);
});

test("a young process has no baseline; one whose store has the system's hours has it at once", async () => {
  const young = world();
  young.turn({ usd: 0.4 });
  await young.time.pass(hour);
  expect(young.kinds()).toEqual([]);
  const meters = Array.from({ length: 30 }, (_, i) => ({
    key: `system/${new Date(Date.UTC(2026, 10, 24, 12) - (i + 1) * hour).toISOString().slice(0, 13)}`,
    level: "system",
    limitNano: 1e12,
    spentNano: 0.1e9,
    heldNano: 0,
  }));
  const old = world({ spend_10_minutes: false }, meters);
  await old.time.pass(minute);
  old.turn({ usd: 0.4 });
  await old.time.pass(minute);
  expect(old.kinds()).toEqual(["spend_hour firing"]);
});

test("a run above $0.50: one alert an agent and cooldown, with how many more there were", async () => {
  const it = world();
  it.turn({ usd: 0.3 });
  for (let i = 0; i < 100; i++) it.turn({ usd: 0.3, before: 0.3 });
  // Above it already.
  it.turn({ usd: 0.1, before: 0.6 });
  expect(it.kinds()).toEqual(["run_cost firing"]);
  await it.time.pass(61 * minute);
  it.turn({ usd: 0.3, before: 0.3 });
  expect(it.told[1]).toMatchObject({ kind: "run_cost", details: { run: "run_1", repeats: 99 } });
});

test("a budget above 80 %, by the fullest of what it limits, in its window", async () => {
  const day = { key: "user/local/anna/2026-11-24", level: "user", limitNano: 100, spentNano: 50, heldNano: 25 };
  const counted = {
    ...day,
    key: "feature/local/search/2026-11-24",
    level: "feature",
    counts: { tokens: { limit: 10, spent: 9, held: 0 }, calls: { limit: 9, spent: 0, held: 0 } },
  };
  const over = { ...day, key: "user/local/anna/2026-11-23", spentNano: 100 };
  const it = world({}, [day, counted, over]);
  await it.time.pass(minute);
  expect(it.told.map(({ message }) => message)).toEqual(["90 % of the budget feature local search 2026-11-24 are spent or held"]);
  await it.time.pass(13 * hour);
  expect(it.kinds()).toContain("budget recovered");
});

test("runs that fail, and runs that hit their cap on steps", async () => {
  const it = world();
  const end = (status: string): void => it.turn({ facts: [{ type: "run.finished", status }] });
  for (let i = 0; i < 15; i++) end("done");
  for (let i = 0; i < 4; i++) end("failed");
  await it.time.pass(minute);
  expect(it.kinds()).toEqual([]);
  end("failed");
  await it.time.pass(minute);
  expect(it.kinds()).toEqual(["error_rate firing"]);
  for (let i = 0; i < 5; i++) it.turn({ facts: [{ type: "limit.hit", which: "steps" }] });
  await it.time.pass(minute);
  expect(it.kinds()).toEqual(["error_rate firing", "step_caps firing"]);
  await it.time.pass(20 * minute);
  expect(it.kinds().slice(2).toSorted()).toEqual(["error_rate recovered", "step_caps recovered"]);
});

test("providers: an open breaker, a window at 80 %, no credit; each with its end", async () => {
  const it = world();
  const breaker = (state: "open" | "probing" | "closed") => it.alerts.process({ type: "breaker", key: "it m host", state });
  for (const state of ["open", "probing", "open", "probing", "closed"] as const) breaker(state);
  it.alerts.process({ type: "provider.window", provider: "it", window: "tokens a minute", used: 0.79 });
  it.alerts.process({ type: "provider.window", provider: "it", window: "tokens a minute", used: 0.8 });
  it.alerts.process({ type: "provider.window", provider: "it", window: "tokens a minute", used: 0.1 });
  it.turn({ error: { message: "it answered 402: pay, anna@example.com", details: { reason: "exhausted" } } });
  it.turn({ error: { message: "it answered 402", details: { reason: "exhausted" } } });
  it.turn({ usd: 0.1 });
  expect(it.kinds()).toEqual([
    ...["breaker_open firing", "breaker_open recovered", "provider_window firing", "provider_window recovered"],
    ...["provider_exhausted firing", "provider_exhausted recovered"],
  ]);
  expect(it.told[4]?.message).toContain("[redacted:mail]");
});

test("what comes and goes is no storm", async () => {
  const it = world();
  for (let i = 0; i < 1_000; i++) {
    it.alerts.process({ type: "breaker", key: "flapping", state: "open" });
    it.alerts.process({ type: "breaker", key: "flapping", state: "closed" });
  }
  expect(it.told).toHaveLength(2);
  for (let i = 0; i < 5_000; i++) it.alerts.process({ type: "breaker", key: `key ${i}`, state: "open" });
  expect(it.told).toHaveLength(5_002);
});

test("a listener that throws costs the others nothing; rules can be off", async () => {
  const it = world({ breaker_open: false });
  it.alerts.onAlert(() => {
    throw new Error("no");
  });
  const heard: Alert[] = [];
  it.alerts.onAlert((alert) => heard.push(alert));
  it.alerts.process({ type: "breaker", key: "k", state: "open" });
  expect(heard).toEqual([]);
  it.turn({ usd: 1 });
  expect([heard.length, it.errors.length]).toEqual([1, 1]);
});
