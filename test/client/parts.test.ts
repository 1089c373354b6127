import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Backoff } from "../../src/client/backoff.ts";
import { Pace } from "../../src/client/pace.ts";
import { Position } from "../../src/client/position.ts";
import type { Event } from "../../src/protocol/events.ts";

const at = "2026-01-01T00:00:00.000Z";
const event = (seq: number, type: string, more: object = {}): Event =>
  // Only the fields that positions look at.
  ({ run: "run_1", actor: "run", at, seq, type, ...more }) as unknown as Event;
const text = (seq: number, offset: number, value: string) => event(seq, "text.delta", { call: "c1", offset, text: value });

test("backoff doubles up to its most, takes any part of it, and begins anew", () => {
  const full = new Backoff(100, 1_000, () => 1);
  expect([1, 2, 3, 4, 5, 6].map(() => full.next())).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  full.reset();
  expect(full.next()).toBe(100);
  expect(new Backoff(100, 1_000, () => 0).next()).toBe(0);
});

test("pace sends a burst at once and the rest in order, and nothing after it was stopped", async () => {
  const sent: string[] = [];
  let done = () => {};
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const pace = new Pace(
    (frame) => {
      sent.push(frame);
      if (sent.length === 6) done();
    },
    3,
    500,
  );
  for (const frame of ["a", "b", "c", "d", "e", "f"]) pace.push(frame);
  expect(sent).toEqual(["a", "b", "c"]);
  await all;
  expect(sent).toEqual(["a", "b", "c", "d", "e", "f"]);
  pace.stop();
  pace.push("g");
  expect(sent).toHaveLength(6);
});

test("a position takes each fact once and says when one is missing", () => {
  const position = new Position("3", false);
  expect(position.advance(event(3, "progress"), false)).toEqual([]);
  expect(position.advance(event(5, "progress"), false)).toBeNull();
  expect(position.advance(event(4, "progress"), false)).toHaveLength(1);
  expect(position.cursor()).toBe("4");
});

test("a position cuts text it has, and knows a call from its start", () => {
  const position = new Position(undefined, false);
  position.advance(event(1, "call.started", { call: "c1", for: "answer" }), false);
  position.advance(event(2, "call.started", { call: "c2", for: "internal" }), false);
  expect(position.cursor()).toBe("2/c1=0");
  expect(position.advance(text(2, 0, "Hello"), false)).toEqual([text(2, 0, "Hello")]);
  expect(position.advance(text(2, 3, "lo world"), false)).toEqual([text(2, 5, " world")]);
  expect(position.advance(text(2, 0, "Hello"), false)).toEqual([]);
  expect(position.advance(text(2, 12, "!"), false)).toBeNull();
  expect(position.cursor()).toBe("2/c1=11");
});

test("text that did not arrive before its call finished is taken from there", () => {
  const position = new Position("2/c1=3", false);
  const finished = event(3, "call.finished", { call: "c1", text: "Hello" });
  expect(position.advance(finished, false)).toEqual([text(2, 3, "lo"), finished]);
  expect(position.cursor()).toBe("3");
  expect(position.advance(text(2, 0, "Hello"), false)).toEqual([]);
});

test("deltas of internal calls for another reader are passed over", () => {
  const position = new Position("2/c1=0", false);
  const internal = event(2, "text.delta", { call: "c2", offset: 0, text: "secret" });
  expect(position.advance(internal, true)).toEqual([]);
  expect(position.advance(event(2, "partial", { call: "c2", value: {} }), true)).toEqual([]);
  expect(position.advance(event(2, "reasoning.delta", { call: "c1", offset: 0, text: "hm" }), true)).toHaveLength(1);
});

test("reasoning starts again after a resume and is given once", () => {
  const position = new Position(undefined, false);
  const reasoning = (offset: number, value: string) => event(0, "reasoning.delta", { call: "c1", offset, text: value });
  expect(position.advance(reasoning(0, "abc"), false)).toHaveLength(1);
  expect(position.advance(reasoning(0, "abcd"), false)).toEqual([reasoning(3, "d")]);
});

test("of the protocol the client uses types only, and nothing else", () => {
  const folder = new URL("../../src/client/", import.meta.url);
  for (const file of readdirSync(folder)) {
    const source = readFileSync(new URL(file, folder), "utf8");
    for (const [statement, from] of source.matchAll(/^(?:import|export) [^;]*? from "([^"]+)"/gm)) {
      if (from?.startsWith("./")) continue;
      expect(`${file}: ${statement}`).toMatch(/: import type [^;]* from "\.\.\/protocol\//);
    }
  }
});
