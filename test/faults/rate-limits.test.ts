/** P01 to P06: a provider says how much it takes, and when again. */
import { expect } from "vitest";
import { chatError } from "../../src/testing/fault-chat.ts";
import type { FaultEntry } from "../../src/testing/fault-server.ts";
import { many, pending, row } from "./row.ts";
import { backoff } from "./world.ts";

const limited = (headers: { readonly [name: string]: string }) =>
  chatError(429, "Slow down.", { type: "rate_limit_error", code: "rate_limit_exceeded", headers });
const waited = (entries: readonly FaultEntry[]): number => (entries[1]?.at ?? 0) - (entries[0]?.at ?? 0);

row("P01", "429 with Retry-After in seconds", { injected: "429, Retry-After: 1 (2 in the whole suite)", repeat: 1 }, async (world) => {
  const seconds = many(2, 1);
  world.answers("primary", [limited({ "retry-after": String(seconds) }), { text: "Now it works." }]);
  const waiting = world.run("alone");
  await world.primary.book.entry(0);
  const other = await world.run("other");
  const { run, transcript, entries } = await waiting;
  expect(other.run.status).toBe("done");
  expect(other.entries[0]?.at).toBeLessThan(entries[1]?.at ?? 0);
  expect(run).toMatchObject({ status: "done", output: "Now it works.", calls: 2 });
  expect(transcript.of("request.retrying")).toMatchObject([{ reason: "provider_rate_limited", attempt: 2, delay_ms: seconds * 1_000 }]);
  expect(waited(entries)).toBeGreaterThanOrEqual(seconds * 1_000);
  expect(waited(entries)).toBeLessThan(seconds * 1_250 + 1_000);
  return `waited ${Math.round(waited(entries))} ms, 1 retry; another provider answered meanwhile`;
});

row("P02", "429 with Retry-After as a date", { injected: "429, Retry-After: a past date, in 3 s, in 2099", repeat: 1 }, async (world) => {
  const date = (ms: number) => new Date(ms).toUTCString();
  world.answers("primary", [limited({ "retry-after": date(0) }), { text: "At once." }]);
  const past = await world.run("chain");
  expect(past.run).toMatchObject({ status: "done", output: "At once.", tier: "first" });
  expect(past.transcript.of("request.retrying")).toMatchObject([{ delay_ms: backoff.first_ms }]);
  expect(waited(past.entries)).toBeGreaterThanOrEqual(backoff.first_ms);

  const soon = Math.ceil(Date.now() / 1_000) * 1_000 + many(3_000, 1_000);
  world.answers("primary", [limited({ "retry-after": date(soon) }), { text: "In time." }]);
  const future = await world.run("chain");
  expect(future.run).toMatchObject({ status: "done", output: "In time.", tier: "first" });
  expect(Date.now()).toBeGreaterThanOrEqual(soon);

  world.answers("primary", [limited({ "retry-after": "Fri, 01 Jan 2099 00:00:00 GMT" })]);
  const beyond = await world.run("chain");
  expect(beyond.run).toMatchObject({ status: "done", tier: "second", calls: 2 });
  expect(beyond.transcript.of("request.retrying")).toEqual([]);
  const alone = await world.run("alone");
  expect(alone.run).toMatchObject({ status: "failed", calls: 1, error: { code: "provider_rate_limited" } });
  expect((alone.run.error as { retry_after_ms?: number }).retry_after_ms).toBeGreaterThan(1e12);
  return "past: own backoff; future: waited for; 2099: the next tier, or told to the client with its value";
});

row("P03", "retry-after-ms against Retry-After", { injected: "429, retry-after-ms: 150, Retry-After: 9" }, async (world) => {
  world.answers("primary", [limited({ "retry-after-ms": "150", "retry-after": "9" }), { text: "Fine." }]);
  const { run, transcript, entries } = await world.run("alone");
  expect(run).toMatchObject({ status: "done", calls: 2 });
  expect(transcript.of("request.retrying")).toMatchObject([{ delay_ms: 150 }]);
  expect(waited(entries)).toBeGreaterThanOrEqual(150);
  expect(waited(entries)).toBeLessThan(5_000);
  return `waited ${Math.round(waited(entries))} ms`;
});

row("P05", "429 that says the credit is used up", { injected: "429 insufficient_quota" }, async (world) => {
  world.answers("primary", [
    chatError(429, "You exceeded your current quota.", { type: "insufficient_quota", code: "insufficient_quota" }),
  ]);
  const { run, transcript, entries } = await world.run("chain");
  expect(run).toMatchObject({ status: "done", tier: "second", calls: 2 });
  expect(transcript.of("request.retrying")).toEqual([]);
  expect(transcript.of("call.finished")[0]?.error).toMatchObject({
    code: "provider_rejected",
    retryable: false,
    details: { reason: "exhausted" },
  });
  expect(entries).toHaveLength(2);
  return "not retried, reason `exhausted`, the next tier answered";
});

pending(
  "P06",
  "reset headers, throttle from 90 %",
  "waits for the provider windows (B11); that the headers are read is tested in test/providers/rate-limits.test.ts",
);
