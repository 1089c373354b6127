/**
 * The budgets above the run: on which meters a call is counted, in which window of time, and how those meters stand.
 *
 *  1. A window is a calendar hour or day in UTC; its meter's key ends with it, so the next window begins with a meter of its own and
 *     a call that was reserved before midnight is settled where it was reserved.
 *  2. Runs without a user share one budget of the level `user`: leaving the user out is no way around it.
 *  3. A feature has a budget when one is set for it; a run that names no feature counts on none.
 */
import type { Budget } from "../protocol/budget.ts";
import type { MeterRef, MeterState } from "../stores/store.ts";

/** What may be spent in one window: nano-dollars, tokens (in and out), calls. What is left out has no limit. */
export type Cap = { readonly nano?: number; readonly tokens?: number; readonly calls?: number };

/** Of users and features a day, of the system an hour. A level that is left out has no limit. */
export type BudgetLimits = {
  readonly user?: Cap;
  readonly feature?: { readonly [name: string]: Cap };
  readonly system?: Cap;
};

/** Whose call it is. */
export type Spender = { readonly tenant: string; readonly user?: string | undefined; readonly feature?: string | undefined };

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** `2026-11-24T18` and `2026-11-24`, in UTC. */
const hourOf = (now: number): string => new Date(now).toISOString().slice(0, 13);
const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10);

/** No part of a name can pass for another part of a key. */
const keyOf = (level: string, ...parts: readonly string[]): string =>
  [level, ...parts.map((part) => encodeURIComponent(part.toWellFormed()))].join("/");
const userKey = (tenant: string, user: string | undefined, now: number): string =>
  user === undefined ? keyOf("user", tenant, dayOf(now)) : keyOf("user", tenant, user, dayOf(now));

const meterOf = (key: string, level: MeterRef["level"], { nano = Number.MAX_SAFE_INTEGER, tokens, calls }: Cap): MeterRef => ({
  key,
  level,
  limitNano: nano,
  ...(tokens !== undefined && { limitTokens: tokens }),
  ...(calls !== undefined && { limitCalls: calls }),
});

/** The meters of a call made at `now` (ms since the epoch), the narrowest first: the first that has not enough left is named in the denial. */
export function metersOf(limits: BudgetLimits, { tenant, user, feature }: Spender, now: number): MeterRef[] {
  const meters: MeterRef[] = [];
  if (limits.user) meters.push(meterOf(userKey(tenant, user, now), "user", limits.user));
  const ofFeature = feature !== undefined && limits.feature && Object.hasOwn(limits.feature, feature) ? limits.feature[feature] : undefined;
  if (feature !== undefined && ofFeature) meters.push(meterOf(keyOf("feature", tenant, feature, dayOf(now)), "feature", ofFeature));
  if (limits.system) meters.push(meterOf(`system/${hourOf(now)}`, "system", limits.system));
  return meters;
}

/** Whether a meter's window had ended by `before` (ms since the epoch): nothing is reserved on it any more. */
export function isOver(key: string, before: number): boolean {
  const window = key.slice(key.lastIndexOf("/") + 1);
  const [start, periodMs] = window.length === 13 ? [`${window}:00Z`, hourMs] : [window, dayMs];
  return Date.parse(start) + periodMs <= before;
}

/**
 * The budgets that are set, in the windows that hold at `now`: the system's and each feature's also where nothing was spent yet, users only
 * where something was. `rows` are the store's meters; those of other windows are left out.
 */
export function budgetsAt(limits: BudgetLimits, tenant: string, rows: readonly MeterState[], now: number): Budget[] {
  const found = new Map(rows.map((row) => [row.key, row]));
  const budgets: Budget[] = [];
  const add = (level: MeterRef["level"], key: string, cap: Cap, periodMs: number, who: Pick<Budget, "subject" | "tenant">): void => {
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
    // Hours and days of UTC begin at multiples of their length since the epoch.
    const resetsAt = new Date((Math.floor(now / periodMs) + 1) * periodMs).toISOString();
    budgets.push({ level, ...who, limit, held: amounts(heldNano, "held"), spent: amounts(spentNano, "spent"), resets_at: resetsAt });
  };
  if (limits.system) add("system", `system/${hourOf(now)}`, limits.system, hourMs, {});
  for (const [feature, cap] of Object.entries(limits.feature ?? {}))
    add("feature", keyOf("feature", tenant, feature, dayOf(now)), cap, dayMs, { tenant, subject: feature });
  if (limits.user) {
    const start = `${keyOf("user", tenant)}/`;
    const end = `/${dayOf(now)}`;
    for (const { key } of rows) {
      if (!key.startsWith(start) || !key.endsWith(end)) continue;
      const user = key.slice(start.length, -end.length);
      const subject = key.length === start.length + end.length - 1 ? null : decodeURIComponent(user);
      add("user", key, limits.user, dayMs, { tenant, subject });
    }
  }
  return budgets;
}
