/**
 * Cards and phone numbers: what people write in groups of digits. A text is read group by group, so that nothing goes over it twice.
 *
 * A card must pass Luhn's check. A phone number is not held against the numbering plans: missing one is worse than hiding too much, and
 * numbers that are made up, as in documents and tests, are in no plan.
 */
import { luhn } from "./checksums.ts";
import { type Detector, eachMatch, type Span } from "./spans.ts";

type Group = { readonly start: number; readonly end: number; readonly digits: string };
const gap = /^(?:[ \u00a0\u202f.\-/]|\)[ -]?|[ -]?\(| - )$/;
const group = /\d+/g;
const maxCard = 19;

export const numbers: Detector = (text, found) => {
  /** Groups that stand together; a longer row is no number of anything. */
  let row: Group[] = [];
  const end = (): void => {
    if (row.length > 0) judge(text, row, found);
    row = [];
  };
  eachMatch(group, text, ({ index, 0: digits }) => {
    const before = row.at(-1);
    if (before && !gap.test(text.slice(before.end, Math.min(index, before.end + 4)))) end();
    row.push({ start: index, end: index + digits.length, digits });
    if (row.length >= 64) end();
  });
  end();
};

/** Cards first: they have a check, and what stands before one may look like the beginning of a phone number. */
function judge(text: string, row: readonly Group[], found: Span[]): void {
  const rest = split(row, (from) => card(text, row, from, found));
  for (const part of rest) split(part, (from) => phone(text, part, from, found));
}

/** Takes from each group on what `take` says, and gives the parts that are left. */
function split(row: readonly Group[], take: (from: number) => number): Group[][] {
  const rest: Group[][] = [[]];
  for (let i = 0; i < row.length; ) {
    const taken = take(i);
    if (taken > 0) rest.push([]);
    else rest.at(-1)?.push(row[i] as Group);
    i += taken || 1;
  }
  return rest;
}

/** How many groups from `from` on are a card; 0 for none. Adds it to `found`. */
function card(text: string, row: readonly Group[], from: number, found: Span[]): number {
  const first = row[from] as Group;
  if (isWordBefore(text, first.start) || !/^[2-6]/.test(first.digits)) return 0;
  let digits = "";
  let taken = 0;
  for (let i = from; i < row.length; i++) {
    const group = row[i] as Group;
    if (i > from && !/^[ \u00a0\u202f-]$/.test(text.slice((row[i - 1] as Group).end, group.start))) break;
    // Cards are written in one, in groups of four, or of four, six and five.
    if (i > from && (first.digits.length !== 4 || group.digits.length > 6)) break;
    digits += group.digits;
    if (digits.length > maxCard) break;
    if (digits.length >= 13 && luhn(digits) && !/[A-Za-z0-9]/.test(text[group.end] ?? "")) taken = i - from + 1;
  }
  if (taken > 0) found.push({ start: first.start, end: (row[from + taken - 1] as Group).end, kind: "card" });
  return taken;
}

const cue = /(?:tel|phone|mobile|cell|fax|handy|whatsapp|sms|telefon|t[ée]l[ée]phone|tlf)\b[^\n\d]{0,12}$/i;
/** Words that may also stand before any other number. */
const weakCue = /\b(?:call|dial|ring|text)(?: me| us| at| on)?:? $/i;

/** As {@link card}: with a plus or 00, in North American groups, with a trunk zero, or behind a word that says so. */
function phone(text: string, row: readonly Group[], from: number, found: Span[]): number {
  const first = row[from] as Group;
  const plus = /(?:\+|%2B)\(?$/i.exec(text.slice(Math.max(0, first.start - 4), first.start));
  const bracket = text[first.start - 1] === "(" ? 1 : 0;
  const start = first.start - (plus ? plus[0].length : bracket);
  if (isWordBefore(text, start)) return 0;
  const take = (groups: number): number => {
    found.push({ start, end: (row[from + groups - 1] as Group).end, kind: "phone" });
    return groups;
  };
  const counts = countsOf(row, from);
  if (plus || /^00[1-9]/.test(first.digits)) {
    const groups = longest(counts, plus ? 7 : 9, plus ? 15 : 17);
    return groups > 0 && !isWordAfter(text, row, from, groups) ? take(groups) : 0;
  }
  const sizes = row.slice(from, from + 4).map(({ digits }) => digits.length);
  const american = sizes[0] === 1 && first.digits === "1" ? 1 : 0;
  const [area, exchange, line] = row.slice(from + american, from + american + 3).map(({ digits }) => digits);
  if (
    area &&
    exchange &&
    line &&
    line.length === 4 &&
    /^[2-9]\d\d$/.test(area) &&
    /^[2-9]\d\d$/.test(exchange) &&
    !isWordAfter(text, row, from, american + 3)
  )
    return take(american + 3);
  if (/^0[1-9]/.test(first.digits) && !isDate(text, row, from)) {
    const groups = longest(counts, 9, 12);
    if (groups > 0 && !isWordAfter(text, row, from, groups)) return take(groups);
  }
  const before = text.slice(Math.max(0, start - 24), start);
  const most = cue.test(before) ? 15 : weakCue.test(before) ? 11 : 0;
  if (most > 0 && !isDate(text, row, from)) {
    const groups = longest(counts, 7, most);
    if (groups > 0 && !isWordAfter(text, row, from, groups)) return take(groups);
  }
  return 0;
}

/** Digits up to and with each group. */
function countsOf(row: readonly Group[], from: number): number[] {
  const counts: number[] = [];
  let sum = 0;
  for (let i = from; i < row.length && sum <= 17; i++) {
    sum += (row[i] as Group).digits.length;
    counts.push(sum);
  }
  return counts;
}

/** The most groups whose digits are within the bounds. */
function longest(counts: readonly number[], least: number, most: number): number {
  for (let i = counts.length - 1; i >= 0; i--) if ((counts[i] as number) >= least && (counts[i] as number) <= most) return i + 1;
  return 0;
}

/** `24.11.2026`, `24-11-2026`, `2026-11-24`, and a time behind it. */
function isDate(text: string, row: readonly Group[], from: number): boolean {
  const [a, b, c] = row.slice(from, from + 3);
  if (!a || !b || !c) return false;
  const between = text.slice(a.end, b.start);
  if (!/^[./-]$/.test(between) || between !== text.slice(b.end, c.start)) return false;
  return (
    (a.digits.length <= 2 && b.digits.length <= 2 && /^(?:\d{2}|\d{4})$/.test(c.digits) && Number(b.digits) <= 31) || a.digits.length === 4
  );
}

const isWordBefore = (text: string, start: number): boolean => {
  const before = text.slice(Math.max(0, start - 3), start);
  // The letter of an escape is none of a word.
  return /[A-Za-z0-9_]$/.test(before) && !/\\[nrt]$|%[0-9A-Fa-f]{2}$/.test(before);
};
const isWordAfter = (text: string, row: readonly Group[], from: number, groups: number): boolean =>
  /[A-Za-z0-9_]/.test(text[(row[from + groups - 1] as Group).end] ?? "");
