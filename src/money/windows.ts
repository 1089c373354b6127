/** Calendar windows of budgets, in UTC, by the name that ends a meter's key: `2026-11-24T18`, `2026-11-24`, `2026-11`. */

export type Period = "hour" | "day" | "month";

const lengths: { readonly [period in Period]: number } = { hour: 13, day: 10, month: 7 };

/** `now` in ms since the epoch. */
export const windowOf = (period: Period, now: number): string => new Date(now).toISOString().slice(0, lengths[period]);

/** When a window ends, in ms since the epoch; NaN for what is no window's name. */
export function endOf(window: string): number {
  const match = /^(\d{4})-(\d\d)(?:-(\d\d)(?:T(\d\d))?)?$/.exec(window);
  if (!match) return Number.NaN;
  const [year, month, day, hour] = match.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
  if (day === undefined) return Date.UTC(year ?? 0, month ?? 0);
  return hour === undefined ? Date.UTC(year ?? 0, (month ?? 1) - 1, day + 1) : Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour + 1);
}
