/** Numbers and times in the page's words, in tabular figures. Money is `money/dollars.ts`. */

/** Whole numbers with thousands separators. */
export const count = (value: number): string => value.toLocaleString("en-US");

/** A figure stays on the line of its unit. */
const unit = (figure: number | string, name: string): string => `${figure}\u00a0${name}`;

export function duration(ms: number): string {
  if (ms < 1_000) return unit(Math.max(0, Math.round(ms)), "ms");
  if (ms < 60_000) return unit((ms / 1_000).toFixed(ms < 10_000 ? 2 : 1), "s");
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.floor((ms % 60_000) / 1_000);
  if (minutes < 60) return seconds === 0 ? unit(minutes, "min") : `${unit(minutes, "min")} ${unit(seconds, "s")}`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? unit(hours, "h") : `${unit(hours, "h")} ${unit(minutes % 60, "min")}`;
}

/** Whole seconds, for a clock that ticks. */
export const ticking = (ms: number): string => (ms < 60_000 ? unit(Math.max(0, Math.floor(ms / 1_000)), "s") : duration(ms));

/** `14:03:22` on the reader's clock; with the day in front when it is another day. */
export function clock(at: string | number, now: number = Date.now()): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB");
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time.slice(0, 5)}`;
}

/** Since the run was accepted: `+0.42`. */
export function sinceStart(at: string, start: string | null): string {
  if (start === null) return "";
  const seconds = (Date.parse(at) - Date.parse(start)) / 1_000;
  if (seconds < 100) return `+${Math.max(0, seconds).toFixed(2)}`;
  if (seconds < 6_000) return `+${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  return `+${Math.floor(seconds / 3_600)}h${String(Math.floor((seconds % 3_600) / 60)).padStart(2, "0")}`;
}

/** A value as the reader should check it: complete, indented, strings as they are. */
export const pretty = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? ""));

/** One line of a value, for where the whole is a click away: fields without braces, a single field without its name. */
export function inline(value: unknown): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return scalar(value);
  const fields = Object.entries(value);
  if (fields.length === 1) return scalar(fields[0]?.[1]);
  return cut(fields.map(([name, field]) => `${name}: ${scalar(field)}`).join(", "));
}

const scalar = (value: unknown): string => cut(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
const cut = (text: string): string => (text.length > 400 ? `${text.slice(0, 399)}…` : text);
