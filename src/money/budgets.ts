/**
 * The budgets above the run: on which meters a call is counted, in which window of time, and how those meters stand.
 *
 *  1. A window is a calendar hour, day or month in UTC; its meter's key ends with it, so the next window begins with a meter of its own and
 *     a call that was reserved before midnight is settled where it was reserved.
 *  2. Runs without a user share one budget of the level `user`: leaving the user out is no way around it.
 *  3. A feature has a budget when one is set for it; a run that names no feature counts on none. A run that no API key started counts on
 *     no key's.
 */
import type { Budget } from "../protocol/budget.ts";
import type { MeterRef, MeterState } from "../stores/store.ts";
import { endOf, type Period, windowOf } from "./windows.ts";

/** What may be spent in one window: nano-dollars, tokens (in and out), calls. What is left out has no limit. */
export type Cap = { readonly nano?: number; readonly tokens?: number; readonly calls?: number };

/** Of users and features a day, of API keys a month, of the system an hour. A level that is left out has no limit. */
export type BudgetLimits = {
  readonly user?: Cap;
  /** Of each key, or by its id. */
  readonly key?: Cap;
  readonly feature?: { readonly [name: string]: Cap };
  readonly system?: Cap;
};

/** Whose call it is. */
export type Spender = {
  readonly tenant: string;
  readonly user?: string | undefined;
  readonly key?: string | undefined;
  readonly feature?: string | undefined;
};

const periods: { readonly [level in MeterRef["level"]]: Period } = { user: "day", key: "month", feature: "day", system: "hour" };

/** No part of a name can pass for another part of a key. */
const keyOf = (level: MeterRef["level"], names: readonly string[], now: number): string =>
  [level, ...names.map((name) => encodeURIComponent(name.toWellFormed())), windowOf(periods[level], now)].join("/");

const meterOf = (key: string, level: MeterRef["level"], { nano = Number.MAX_SAFE_INTEGER, tokens, calls }: Cap): MeterRef => ({
  key,
  level,
  limitNano: nano,
  ...(tokens !== undefined && { limitTokens: tokens }),
  ...(calls !== undefined && { limitCalls: calls }),
});

/** The meters of a call made at `now` (ms since the epoch), the narrowest first: the first that has not enough left is named in the denial. */
export function metersOf(limits: BudgetLimits, { tenant, user, key, feature }: Spender, now: number): MeterRef[] {
  const meters: MeterRef[] = [];
  const add = (level: MeterRef["level"], names: readonly string[], cap: Cap | undefined): void => {
    if (cap) meters.push(meterOf(keyOf(level, names, now), level, cap));
  };
  add("user", user === undefined ? [tenant] : [tenant, user], limits.user);
  if (key !== undefined) add("key", [tenant, key], limits.key);
  if (feature !== undefined && limits.feature && Object.hasOwn(limits.feature, feature))
    add("feature", [tenant, feature], limits.feature[feature]);
  add("system", [], limits.system);
  return meters;
}

/** Whether a meter's window had ended by `before` (ms since the epoch): nothing is reserved on it any more. */
export const isOver = (key: string, before: number): boolean => endOf(key.slice(key.lastIndexOf("/") + 1)) <= before;

/**
 * The budgets that are set, in the windows that hold at `now`: the system's and each feature's also where nothing was spent yet, users and
 * keys only where something was. `rows` are the store's meters; those of other windows are left out.
 */
export function budgetsAt(limits: BudgetLimits, tenant: string, rows: readonly MeterState[], now: number): Budget[] {
  const found = new Map(rows.map((row) => [row.key, row]));
  const budgets: Budget[] = [];
  const add = (level: MeterRef["level"], key: string, cap: Cap, who: Pick<Budget, "subject" | "tenant">): void => {
    const { spentNano = 0, heldNano = 0, counts } = found.get(key) ?? {};
    const counting = cap.tokens !== undefined || cap.calls !== undefined;
    const amounts = (nano: number, which: "spent" | "held") => ({
      cost_microusd: nano / 1_000,
      ...(counting && { tokens: counts?.tokens[which] ?? 0, calls: counts?.calls[which] ?? 0 }),
    });
    const limit = {
      ...(cap.nano !== undefined && { cost_microusd: cap.nano / 1_000 }),
      ...(cap.tokens !== undefined && { tokens: cap.tokens }),
      ...(cap.calls !== undefined && { calls: cap.calls }),
    };
    const resetsAt = new Date(endOf(windowOf(periods[level], now))).toISOString();
    budgets.push({ level, ...who, limit, held: amounts(heldNano, "held"), spent: amounts(spentNano, "spent"), resets_at: resetsAt });
  };
  /** Of everybody of this level who has spent something. */
  const addEach = (level: "user" | "key", cap: Cap): void => {
    const start = `${level}/${encodeURIComponent(tenant.toWellFormed())}/`;
    const end = windowOf(periods[level], now);
    for (const { key } of rows) {
      if (!key.startsWith(start) || !key.endsWith(`/${end}`)) continue;
      const name = key.slice(start.length, -end.length - 1);
      add(level, key, cap, { tenant, subject: key === start + end ? null : decodeURIComponent(name) });
    }
  };
  if (limits.system) add("system", keyOf("system", [], now), limits.system, {});
  for (const [feature, cap] of Object.entries(limits.feature ?? {}))
    add("feature", keyOf("feature", [tenant, feature], now), cap, { tenant, subject: feature });
  if (limits.key) addEach("key", limits.key);
  if (limits.user) addEach("user", limits.user);
  return budgets;
}
