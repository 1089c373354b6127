/**
 * The budgets above the run: on which meters a call is counted, in which window of time, and how those meters stand.
 *
 *  1. A window is a calendar hour, day or month in UTC; its meter's key ends with it, so the next window begins with a meter of its own and
 *     a call that was reserved before midnight is settled where it was reserved.
 *  2. Runs without a user share one budget of the level `user`: leaving the user out is no way around it.
 *  3. A feature has a budget when one is set for it; a run that names no feature counts on none. A run that no API key started counts on
 *     no key's.
 *  4. What was set while running ({@link Override}) holds over the configuration, unit by unit; it may limit a subject that the
 *     configuration does not, and it cannot take a limit away.
 */
import type { Budget, BudgetLevel } from "../protocol/budget.ts";
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

/** A cap of one subject that was set while running, by whom and when (ms since the epoch). */
export type Override = { readonly cap: Cap; readonly by: string; readonly at: number };
/** By {@link subjectOf}. */
export type Overrides = ReadonlyMap<string, Override>;
const none: Overrides = new Map();

/** Whose call it is. */
export type Spender = {
  readonly tenant: string;
  readonly user?: string | undefined;
  readonly key?: string | undefined;
  readonly feature?: string | undefined;
};

const periods: { readonly [level in BudgetLevel]: Period } = { user: "day", key: "month", feature: "day", system: "hour" };

/** A meter's key without its window. No part of a name can pass for another part; the system has no names, runs without a user only the tenant. */
export const subjectOf = (level: BudgetLevel, names: readonly string[]): string =>
  [level, ...names.map((name) => encodeURIComponent(name.toWellFormed()))].join("/");

const keyOf = (level: BudgetLevel, subject: string, now: number): string => `${subject}/${windowOf(periods[level], now)}`;

/** What holds of a subject: undefined where it has no limit. */
const capOf = (cap: Cap | undefined, override: Override | undefined): Cap | undefined => (override ? { ...cap, ...override.cap } : cap);

const meterOf = (key: string, level: BudgetLevel, { nano = Number.MAX_SAFE_INTEGER, tokens, calls }: Cap): MeterRef => ({
  key,
  level,
  limitNano: nano,
  ...(tokens !== undefined && { limitTokens: tokens }),
  ...(calls !== undefined && { limitCalls: calls }),
});

/** The meters of a call made at `now` (ms since the epoch), the narrowest first: the first that has not enough left is named in the denial. */
export function metersOf(
  limits: BudgetLimits,
  { tenant, user, key, feature }: Spender,
  now: number,
  overrides: Overrides = none,
): MeterRef[] {
  const meters: MeterRef[] = [];
  const add = (level: BudgetLevel, names: readonly string[], configured: Cap | undefined): void => {
    if (!configured && overrides.size === 0) return;
    const subject = subjectOf(level, names);
    const cap = capOf(configured, overrides.get(subject));
    if (cap) meters.push(meterOf(keyOf(level, subject, now), level, cap));
  };
  add("user", user === undefined ? [tenant] : [tenant, user], limits.user);
  if (key !== undefined) add("key", [tenant, key], limits.key);
  if (feature !== undefined) add("feature", [tenant, feature], ofFeature(limits, feature));
  add("system", [], limits.system);
  return meters;
}

const ofFeature = ({ feature = {} }: BudgetLimits, name: string): Cap | undefined =>
  Object.hasOwn(feature, name) ? feature[name] : undefined;

/** Whether a meter's window had ended by `before` (ms since the epoch): nothing is reserved on it any more. */
export const isOver = (key: string, before: number): boolean => endOf(key.slice(key.lastIndexOf("/") + 1)) <= before;

/**
 * The budgets that are set, in the windows that hold at `now`: the system's, each feature's and each that was set while running also where
 * nothing was spent yet, users and keys else only where something was. `rows` are the store's meters; those of other windows are left out.
 */
export function budgetsAt(limits: BudgetLimits, tenant: string, rows: readonly MeterState[], now: number, overrides = none): Budget[] {
  const found = new Map(rows.map((row) => [row.key, row]));
  const ofTenant = (level: BudgetLevel): string => subjectOf(level, [tenant]);
  const subjects = (level: BudgetLevel): string[] => {
    const isOf = (subject: string): boolean => subject === ofTenant(level) || subject.startsWith(`${ofTenant(level)}/`);
    const window = `/${windowOf(periods[level], now)}`;
    const spent = rows.flatMap(({ key }) => (key.endsWith(window) ? [key.slice(0, -window.length)] : []));
    return [...new Set([...spent, ...overrides.keys()])].filter(isOf).sort();
  };
  const standing = (level: BudgetLevel, all: readonly string[]): Budget[] =>
    all
      .filter((subject) => overrides.has(subject) || configured(limits, level, subject))
      .map((subject) => budgetOf(limits, level, subject, found, now, overrides));
  const named = Object.keys(limits.feature ?? {}).map((name) => subjectOf("feature", [tenant, name]));
  return [
    ...standing("system", ["system"]),
    ...standing("feature", [...new Set([...named, ...subjects("feature")])]),
    ...standing("key", subjects("key")),
    ...standing("user", subjects("user")),
  ];
}

/** How one stands, also where it has no limit. */
export function budgetOf(
  limits: BudgetLimits,
  level: BudgetLevel,
  subject: string,
  rows: ReadonlyMap<string, MeterState>,
  now: number,
  overrides: Overrides,
): Budget {
  const { tenant, name } = namesOf(subject);
  const override = overrides.get(subject);
  const cap = capOf(configured(limits, level, subject), override) ?? {};
  const { spentNano = 0, heldNano = 0, counts } = rows.get(keyOf(level, subject, now)) ?? {};
  const counting = cap.tokens !== undefined || cap.calls !== undefined;
  const amounts = (nano: number, which: "spent" | "held") => ({
    cost_microusd: nano / 1_000,
    ...(counting && { tokens: counts?.tokens[which] ?? 0, calls: counts?.calls[which] ?? 0 }),
  });
  return {
    level,
    ...(tenant !== undefined && { tenant, subject: name }),
    limit: {
      ...(cap.nano !== undefined && { cost_microusd: cap.nano / 1_000 }),
      ...(cap.tokens !== undefined && { tokens: cap.tokens }),
      ...(cap.calls !== undefined && { calls: cap.calls }),
    },
    held: amounts(heldNano, "held"),
    spent: amounts(spentNano, "spent"),
    resets_at: new Date(endOf(windowOf(periods[level], now))).toISOString(),
    ...(override && { changed: { by: override.by, at: new Date(override.at).toISOString() } }),
  };
}

function namesOf(subject: string): { readonly tenant?: string | undefined; readonly name: string | null } {
  const [, tenant, name = null] = subject.split("/").map(decodeURIComponent);
  return { tenant, name };
}

const configured = (limits: BudgetLimits, level: BudgetLevel, subject: string): Cap | undefined =>
  level === "feature" ? ofFeature(limits, namesOf(subject).name ?? "") : limits[level];
