/**
 * Alerts: rules over what is observed, in sliding windows of this process. Owns when a rule holds and who is told; what is told once is
 * `causes.ts`, how a webhook is reached `webhook.ts`.
 *
 *  1. Observing is adding numbers; what compares them runs on the scheduler, and nothing of it reaches a run.
 *  2. One alert a cause and cooldown, and one when it is over.
 *  3. A mean is held against what it is the mean of only once a day of it was seen: a young process has no baseline.
 */
import { SlidingSum } from "../limits/sliding-sum.ts";
import { isOver } from "../money/budgets.ts";
import type { CommittedTurn, Observer, ProcessEvent } from "../observe/observer.ts";
import type { Alert, AlertKind } from "../protocol/alert.ts";
import type { Json } from "../protocol/json.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import type { Redaction } from "../safety/redaction.ts";
import type { MeterState } from "../stores/store.ts";
import { Causes } from "./causes.ts";
import type { AlertRules } from "./rules.ts";

export type AlertListener = (alert: Alert) => void;

export type AlertsOptions = {
  readonly rules: AlertRules;
  readonly cooldownMs: number;
  readonly scheduler: Pick<Scheduler, "now" | "after">;
  readonly redaction: Redaction;
  readonly onError: (message: string) => void;
};

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const weekHours = 7 * 24;
const leastHistoryMs = 24 * hourMs;
const tickMs = 10_000;
/** Budgets are looked at every so many ticks. */
const budgetTicks = 6;
/** Longest window of the rules that count, in minutes. */
const maxMinutes = 60;

export class Alerts implements Observer {
  private readonly options: AlertsOptions;
  private readonly causes: Causes;
  private readonly listeners = new Set<AlertListener>();
  private readonly minutes = new SlidingSum(minuteMs, maxMinutes + 1);
  private readonly hours = new SlidingSum(hourMs, weekHours + 2);
  private readonly ended = new SlidingSum(minuteMs, maxMinutes + 1);
  private readonly failed = new SlidingSum(minuteMs, maxMinutes + 1);
  private readonly capped = new SlidingSum(minuteMs, maxMinutes + 1);
  /** From when on the hours are known. */
  private since: number;
  private ticks = 0;
  private cancel = (): void => {};
  private meters: (() => Promise<readonly MeterState[]>) | undefined;

  constructor(options: AlertsOptions) {
    this.options = options;
    this.causes = new Causes(options.cooldownMs);
    this.since = options.scheduler.now();
  }

  /** Begins to compare. `meters`: the store's; those of the system's hours are the history, where it has them. */
  async watch(meters: () => Promise<readonly MeterState[]>): Promise<void> {
    this.meters = meters;
    this.arm();
    for (const { key, spentNano } of await meters()) {
      const hour = /^system\/(\d{4}-\d\d-\d\dT\d\d)$/.exec(key)?.[1];
      if (hour === undefined || spentNano === 0) continue;
      const at = Date.parse(`${hour}:00Z`);
      this.hours.add(at, spentNano / 1e9);
      this.since = Math.min(this.since, Math.max(at, this.options.scheduler.now() - weekHours * hourMs));
    }
  }

  /** Called with each alert; what it throws is told to `onError`. The result ends it. */
  onAlert(listener: AlertListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): void {
    this.cancel();
    this.listeners.clear();
  }

  // --- what is observed

  turn({ run, info, spec, facts, ended, spentNano }: CommittedTurn): void {
    const now = this.options.scheduler.now();
    const { run_cost, provider_exhausted } = this.options.rules;
    let cost = 0;
    for (const { ask, ok, value, account } of ended) {
      cost += account?.costNano ?? 0;
      if (ask.kind !== "call" || !provider_exhausted) continue;
      const provider = account?.provider ?? spec.tiers.find(({ name }) => name === ask.input.tier)?.provider;
      const error = ok ? undefined : (value as { readonly message?: string; readonly details?: { readonly reason?: unknown } } | undefined);
      if (provider !== undefined && (ok || error?.details?.reason === "exhausted"))
        this.process({
          type: "provider.exhausted",
          provider,
          isExhausted: !ok,
          ...(error?.message !== undefined && { message: error.message }),
        });
    }
    if (cost > 0) {
      this.minutes.add(now, cost / 1e9);
      this.hours.add(now, cost / 1e9);
      if (run_cost && spentNano > run_cost.usd * 1e9 && spentNano - cost <= run_cost.usd * 1e9)
        this.fire("run_cost", info.agent, `a run of ${info.agent} has cost ${usd(spentNano / 1e9)}, more than ${usd(run_cost.usd)}`, {
          run,
          cost_usd: rounded(spentNano / 1e9),
          limit_usd: run_cost.usd,
        });
    }
    for (const fact of facts) {
      if (fact.type === "limit.hit" && fact.which === "steps") this.capped.add(now, 1);
      if (fact.type !== "run.finished") continue;
      this.ended.add(now, 1);
      if (fact.status === "failed") this.failed.add(now, 1);
    }
  }

  process(event: ProcessEvent): void {
    const { rules } = this.options;
    switch (event.type) {
      case "breaker":
        if (!rules.breaker_open) return;
        if (event.state === "open") this.fire("breaker_open", event.key, `the breaker of ${event.key} is open: it is not called`, {});
        else if (event.state === "closed") this.end("breaker_open", event.key, `the breaker of ${event.key} is closed again`);
        return;
      case "provider.window": {
        if (!rules.provider_window) return;
        const { provider, window, used } = event;
        const cause = `${provider} ${window}`;
        if (used >= rules.provider_window.used)
          this.fire("provider_window", cause, `${percent(used)} of ${provider}'s ${window} are used`, {
            used,
            limit: rules.provider_window.used,
          });
        else this.end("provider_window", cause, `${provider}'s ${window} have room again`);
        return;
      }
      case "provider.exhausted":
        if (!rules.provider_exhausted) return;
        if (event.isExhausted)
          this.fire("provider_exhausted", event.provider, `${event.provider} has no credit left: ${event.message ?? ""}`, {});
        else this.end("provider_exhausted", event.provider, `${event.provider} answers again`);
    }
  }

  // --- what is compared

  private arm(): void {
    this.cancel = this.options.scheduler.after(tickMs, () => {
      this.arm();
      this.compare();
      if (this.ticks++ % budgetTicks === 0)
        this.compareBudgets().catch((error) => this.options.onError(`budgets could not be looked at for alerts: ${error}`));
    });
  }

  private compare(): void {
    const { rules, scheduler } = this.options;
    const now = scheduler.now();
    const seenMs = now - this.since;
    if (seenMs >= leastHistoryMs) {
      const hours = Math.min(weekHours, Math.floor(seenMs / hourMs));
      // The hour that is judged is no part of what it is held against.
      const mean = this.hours.sum(now, hours + 2, 2) / hours;
      this.spend("spend_hour", rules.spend_hour, this.minutes.sum(now, 60), mean, "the last hour");
      this.spend("spend_10_minutes", rules.spend_10_minutes, this.minutes.sum(now, 10), mean / 6, "the last 10 minutes");
    }
    const { error_rate, step_caps } = rules;
    if (error_rate) {
      const ended = this.ended.sum(now, error_rate.minutes);
      const rate = ended === 0 ? 0 : this.failed.sum(now, error_rate.minutes) / ended;
      const details = { rate, limit: error_rate.rate, runs: ended, minutes: error_rate.minutes };
      if (ended >= error_rate.min_runs && rate > error_rate.rate)
        this.fire("error_rate", "runs", `${percent(rate)} of ${ended} runs failed in the last ${error_rate.minutes} minutes`, details);
      else this.end("error_rate", "runs", "runs fail no more than they may");
    }
    if (!step_caps) return;
    const capped = this.capped.sum(now, step_caps.minutes);
    if (capped >= step_caps.count)
      this.fire("step_caps", "runs", `${capped} runs hit their cap on steps in the last ${step_caps.minutes} minutes`, {
        count: capped,
        limit: step_caps.count,
        minutes: step_caps.minutes,
      });
    else this.end("step_caps", "runs", "runs hit their cap on steps no more than they may");
  }

  private spend(
    kind: "spend_hour" | "spend_10_minutes",
    rule: AlertRules["spend_hour"],
    spent: number,
    baseline: number,
    when: string,
  ): void {
    if (!rule) return;
    const details = { spent_usd: rounded(spent), baseline_usd: rounded(baseline), factor: rule.factor };
    if (spent > rule.min_usd && spent > rule.factor * baseline)
      this.fire(
        kind,
        "system",
        `${when} cost ${usd(spent)}, more than ${rule.factor} times the ${usd(baseline)} of the last 7 days' mean`,
        details,
      );
    else this.end(kind, "system", `${when} cost ${usd(spent)}, as usual`);
  }

  private async compareBudgets(): Promise<void> {
    const rule = this.options.rules.budget;
    if (!rule || !this.meters) return;
    const now = this.options.scheduler.now();
    const present = new Set<string>();
    for (const meter of await this.meters()) {
      if (isOver(meter.key, now)) continue;
      const used = usedOf(meter);
      const name = meter.key.split("/").map(decodeURIComponent).join(" ");
      present.add(`budget ${name}`);
      if (used > rule.used)
        this.fire("budget", name, `${percent(used)} of the budget ${name} are spent or held`, {
          used,
          limit: rule.used,
          level: meter.level,
        });
      else this.end("budget", name, `the budget ${name} has room again`);
    }
    // With its window a budget is over.
    for (const cause of this.causes.firing())
      if (cause.startsWith("budget ") && !present.has(cause))
        this.end("budget", cause.slice(7), `the window of the budget ${cause.slice(7)} is over`);
  }

  // --- who is told

  private fire(kind: AlertKind, cause: string, message: string, details: { readonly [name: string]: Json }): void {
    const told = this.causes.fire(`${kind} ${cause}`, this.options.scheduler.now());
    if (told) this.tell(kind, "firing", message, { cause, ...details, ...(told.repeats > 0 && { repeats: told.repeats }) });
  }

  private end(kind: AlertKind, cause: string, message: string): void {
    if (this.causes.end(`${kind} ${cause}`)) this.tell(kind, "recovered", message, { cause });
  }

  private tell(kind: AlertKind, state: Alert["state"], message: string, details: Alert["details"]): void {
    const { redaction, scheduler, onError } = this.options;
    const shown: Alert = {
      kind,
      state,
      message: redaction.line(message),
      at: new Date(scheduler.now()).toISOString(),
      details: redaction.json(details),
    };
    for (const listener of this.listeners) {
      try {
        listener(shown);
      } catch (error) {
        onError(`whoever was told of an alert failed: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
}

/** The fullest of what a meter limits. */
function usedOf({ limitNano, spentNano, heldNano, counts }: MeterState): number {
  const shares = [(spentNano + heldNano) / limitNano];
  if (counts) for (const { spent, held, limit } of [counts.tokens, counts.calls]) shares.push((spent + held) / limit);
  return Math.max(...shares.filter(Number.isFinite), 0);
}

const usd = (amount: number): string => `$${amount.toFixed(amount < 1 ? 4 : 2)}`;
/** To the micro-dollar. */
const rounded = (amount: number): number => Math.round(amount * 1e6) / 1e6;
const percent = (share: number): string => `${Math.round(share * 100)} %`;
