import { expect, test } from "vitest";
import { findTimeZone } from "../../src/offline/time-zone.ts";

/** Names change with the version of Intl's data (Calcutta, Kolkata): what counts is the clock on the wall there. */
const hourIn = (zone: string): string =>
  new Intl.DateTimeFormat("en", { timeZone: zone, dateStyle: "short", timeStyle: "short" }).format(Date.UTC(2026, 5, 1, 12));

test.each([
  ["What time is it in Tokyo?", "Asia/Tokyo"],
  ["what time is it in new york right now", "America/New_York"],
  ["What time is it in Ho Chi Minh?", "Asia/Saigon"],
  ["What is the time in Kolkata?", "Asia/Calcutta"],
  ["Tell me the time in São Tomé", "Africa/Sao_Tome"],
  ["What time is it in St. Johns?", "America/St_Johns"],
  ["What is the date in Buenos Aires, please?", "America/Argentina/Buenos_Aires"],
  ["What time is it in Japan?", "Asia/Tokyo"],
  ["What time is it, Europe/Berlin?", "Europe/Berlin"],
  ["What is the time for London?", "Europe/London"],
  ["the time in UTC", "UTC"],
])("%s", (question, zone) => {
  expect(hourIn(findTimeZone(question) ?? "none")).toBe(hourIn(zone));
});

test.each([
  "What time is it?",
  "What time is it in general?",
  "What day is it in the office?",
  "What time will I wake?",
  "in",
  "in 5 and/or 6",
])("%s names none", (question) => {
  expect(findTimeZone(question)).toBeUndefined();
});

test("a text without end is not tried for ever", () => {
  const before = performance.now();
  expect(findTimeZone("in a place ".repeat(100_000))).toBeUndefined();
  expect(performance.now() - before).toBeLessThan(5_000);
});
