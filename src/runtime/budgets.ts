/**
 * The budgets above the run: the configuration's limits, and over them what was set while running. Owns the memory of the latter; the
 * arithmetic is `src/money/budgets.ts`, the ledger is the store's.
 *
 *  1. What is set here holds for the next reserve here; in other processes of the same store within {@link pollMs} and the time of a read.
 *     While the store does not answer, what was known holds.
 *  2. A change is durable before it is answered. Nothing is taken back: a limit below what is spent denies the next call.
 *  3. An admin changes the budgets of its own tenant; the system's only an operator does.
 */
import { type BudgetLimits, budgetOf, budgetsAt, metersOf, type Override, type Spender, subjectOf } from "../money/budgets.ts";
import { type Budget, type BudgetChange, type BudgetLevel, budgetChange, budgetLevels, noSubject } from "../protocol/budget.ts";
import type { Caller } from "../protocol/caller.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { MeterRef, Store } from "../stores/store.ts";
import type { Scheduler } from "./scheduler.ts";
import { isOperator } from "./visibility.ts";

const pollMs = 2_000;
/** Subjects whose limit was ever set while running (300 bytes each in memory). */
const maxOverrides = 100_000;

export class Budgets {
  readonly #store: Store;
  readonly #limits: BudgetLimits;
  readonly #scheduler: Scheduler;
  readonly #overrides = new Map<string, Override>();
  /** Of the last change that was read. */
  #position = 0;
  /** Reads go one after another, so that none puts an older change over a newer one. */
  #reading: Promise<void> = Promise.resolve();
  #cancelPoll = (): void => {};
  #isClosed = false;

  constructor(store: Store, limits: BudgetLimits, scheduler: Scheduler) {
    this.#store = store;
    this.#limits = limits;
    this.#scheduler = scheduler;
  }

  /** Knows all that was set, and hears of more. Rejects when the store does not answer: without its limits nothing may be spent. */
  async open(): Promise<void> {
    await this.#read();
    this.#poll();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelPoll();
  }

  metersOf(spender: Spender): MeterRef[] {
    return metersOf(this.#limits, spender, this.#scheduler.now(), this.#overrides);
  }

  /** As they stand: all of the caller's tenant for an admin, else the caller's own. */
  async list(caller: Caller): Promise<Budget[]> {
    await this.#read();
    const all = budgetsAt(this.#limits, caller.tenant, await this.#store.meters(), this.#scheduler.now(), this.#overrides);
    if (caller.scopes.includes("admin")) return all;
    const own: { readonly [level: string]: string | null | undefined } = { user: caller.user ?? null, key: caller.key };
    return all.filter(({ level, subject }) => subject !== undefined && subject === own[level]);
  }

  /** Sets a limit, or takes back what was set; how the budget stands then. */
  async set(named: string, subject: string, change: BudgetChange, caller: Caller): Promise<Budget> {
    const level = levelOf(named);
    if (!(level === "system" ? isOperator(caller) : caller.scopes.includes("admin")))
      throw new EscapementError(
        "forbidden",
        `changing the budget of ${level === "system" ? "the system is the operator's" : "others needs the scope `admin`"}`,
      );
    const key = subjectOf(level, namesOf(level, subject, caller.tenant));
    const { limit } = budgetChange.parse(change);
    if (!this.#overrides.has(key) && this.#overrides.size >= maxOverrides)
      throw new EscapementError(
        "conflict",
        `${maxOverrides} budgets were changed while running: put further limits into the configuration`,
      );
    await this.#store.setOverride({
      subject: key,
      ...(limit?.cost_microusd !== undefined && { limitNano: Math.round(limit.cost_microusd * 1_000) }),
      ...(limit?.tokens !== undefined && { limitTokens: limit.tokens }),
      ...(limit?.calls !== undefined && { limitCalls: limit.calls }),
      by: caller.user ?? caller.key ?? caller.tenant,
      at: this.#scheduler.now(),
    });
    await this.#read();
    const rows = new Map((await this.#store.meters()).map((row) => [row.key, row]));
    return budgetOf(this.#limits, level, key, rows, this.#scheduler.now(), this.#overrides);
  }

  #read(): Promise<void> {
    const read = this.#reading.then(async () => {
      const { rows, position } = await this.#store.overrides(this.#position);
      for (const { subject, limitNano, limitTokens, limitCalls, by, at } of rows) {
        const cap = {
          ...(limitNano !== undefined && { nano: limitNano }),
          ...(limitTokens !== undefined && { tokens: limitTokens }),
          ...(limitCalls !== undefined && { calls: limitCalls }),
        };
        if (Object.keys(cap).length > 0) this.#overrides.set(subject, { cap, by, at });
        else this.#overrides.delete(subject);
      }
      this.#position = position;
    });
    this.#reading = read.catch(() => {});
    return read;
  }

  #poll(): void {
    if (this.#isClosed) return;
    this.#cancelPoll = this.#scheduler.after(pollMs, () => {
      // A store that does not answer is told of by whoever writes to it.
      this.#read()
        .catch(() => {})
        .finally(() => this.#poll());
    });
  }
}

function levelOf(named: string): BudgetLevel {
  const level = budgetLevels.find((one) => one === named);
  if (level) return level;
  const hint = named === "run" ? ": a run's own limit is raised by an answer to its question" : "";
  throw new EscapementError(
    "invalid_request",
    `there is no budget of the level "${named.slice(0, 80)}", only of ${budgetLevels.join(", ")}${hint}`,
    {
      details: { path: "level" },
    },
  );
}

const longestName = 200;

function namesOf(level: BudgetLevel, subject: string, tenant: string): readonly string[] {
  const wrong = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "subject" } });
  if (level === "system") {
    if (subject !== noSubject) throw wrong(`the system has no subject: write ${noSubject} in its place`);
    return [];
  }
  if (subject === "" || subject.length > longestName || !subject.isWellFormed())
    throw wrong(`the subject must be the name of a ${level}: 1 to ${longestName} characters`);
  if (subject !== noSubject) return [tenant, subject];
  if (level === "user") return [tenant];
  throw wrong(`runs without a ${level} have no budget of that level: name one in the place of ${noSubject}`);
}
