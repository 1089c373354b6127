/** What the page says: figures, reasons, addresses, and the answers made from what a person typed. */
import { describe, expect, test } from "vitest";
import { answerTo } from "../../src/console/answer-to.ts";
import { factWords } from "../../src/console/fact-words.ts";
import { duration, inline, sinceStart, ticking } from "../../src/console/format.ts";
import { promptOf } from "../../src/console/prompt.ts";
import { addressOf, viewOf } from "../../src/console/route.ts";
import type { Fact } from "../../src/protocol/events.ts";

/** With spaces that break. */
const plain = (words: string): string => words.replaceAll("\u00a0", " ");

test("durations are short and never too exact", () => {
  expect([0, 12.4, 999, 1_140, 12_340, 60_000, 83_000, 7_260_000].map((ms) => plain(duration(ms)))).toEqual([
    "0 ms",
    "12 ms",
    "999 ms",
    "1.14 s",
    "12.3 s",
    "1 min",
    "1 min 23 s",
    "2 h 1 min",
  ]);
  expect(plain(ticking(2_900))).toBe("2 s");
  expect(duration(12)).toBe("12\u00a0ms");
  expect(sinceStart("2026-01-01T12:00:00.420Z", "2026-01-01T12:00:00.000Z")).toBe("+0.42");
  expect(sinceStart("2026-01-01T12:02:05.000Z", "2026-01-01T12:00:00.000Z")).toBe("+2:05");
});

test("a value in a line needs no braces", () => {
  expect(inline({ expression: "1 + 1" })).toBe("1 + 1");
  expect(inline({ from: "EUR", amount: 3 })).toBe("from: EUR, amount: 3");
  expect(inline([1, 2])).toBe("[1,2]");
  expect(inline(undefined)).toBe("");
  expect(inline("x".repeat(1_000))).toHaveLength(400);
});

describe("facts", () => {
  const say = (fact: object) => factWords({ run: "r", seq: 1, at: "2026-01-01T12:00:00.000Z", actor: "run/agent", ...fact } as Fact);

  test("give the reason for what went differently", () => {
    expect(say({ type: "request.retrying", request: "request-1", attempt: 2, reason: "429", delay_ms: 640 })).toEqual({
      title: "Retrying in 640\u00a0ms, attempt 2",
      reason: "429",
      tone: "warn",
    });
    expect(say({ type: "request.fell_back", request: "request-1", from: "a", to: "b", reason: "provider_unavailable" })).toEqual({
      title: "Fell back from a to b",
      reason: "the provider is not available",
      tone: "warn",
    });
    expect(say({ type: "retract", call: "c1", reason: "cut" })).toMatchObject({ title: "Took back call c1", reason: "cut" });
    expect(say({ type: "limit.hit", which: "budget.run", value: 50_000, limit: 50_000 })).toEqual({
      title: "Hit the run budget",
      reason: "$0.05 of $0.05",
      tone: "bad",
    });
    expect(say({ type: "limit.hit", which: "budget.system" })).toEqual({ title: "Hit the system budget", tone: "bad" });
  });

  test("name the state that was entered", () => {
    expect(say({ type: "state", machine: "agent", value: { waiting: "approval" }, reason: "a tool needs it" })).toMatchObject({
      title: "agent → waiting.approval",
      reason: "a tool needs it",
    });
  });

  test("say what a person answered", () => {
    const answered = (by: string, answer: unknown) => say({ type: "input.resolved", id: "q1", by, answer });
    expect(answered("user", { approve: true })).toEqual({ title: "Approved", tone: "plain" });
    expect(answered("user", { approve: false, reason: "too many" })).toEqual({ title: "Denied", reason: "too many", tone: "plain" });
    expect(answered("user", { value: "EUR" })).toEqual({ title: "Answered", reason: "EUR", tone: "plain" });
    expect(answered("user", { amount_microusd: 20_000 })).toEqual({ title: "Added $0.02", tone: "plain" });
    expect(answered("expiry", null)).toEqual({ title: "Nobody answered in time", tone: "warn" });
  });

  test("of a newer server are named as they are", () => {
    expect(say({ type: "moon.rose" })).toEqual({ title: "moon.rose", tone: "plain" });
  });
});

describe("addresses", () => {
  test("restore what they were made from", () => {
    const view = { run: "run_a-b_c", facts: "all" } as const;
    expect(viewOf(addressOf(view).slice(2))).toEqual(view);
    expect(addressOf({})).toBe("./");
    expect(viewOf("")).toEqual({ run: null, facts: "main" });
  });

  test("keep odd ids whole", () => {
    expect(viewOf(addressOf({ run: "a&b=c d" }).slice(2)).run).toBe("a&b=c d");
  });
});

describe("answers", () => {
  test("to a question are its text, unless its schema asks for something else", () => {
    expect(answerTo({ id: "q1", kind: "question" }, "42")).toEqual({ id: "q1", value: "42" });
    expect(answerTo({ id: "q1", kind: "question", schema: { type: "number" } }, "42")).toEqual({ id: "q1", value: 42 });
    expect(answerTo({ id: "q1", kind: "question", schema: { type: "integer" } }, "4.2")).toBe(
      'This asks for integer, and "4.2" is number.',
    );
    expect(answerTo({ id: "q1", kind: "question", schema: { type: "object" } }, "{oops")).toBe(
      'This asks for object, and "{oops" is not JSON.',
    );
  });

  test("to a tool are JSON where they are, else text", () => {
    expect(answerTo({ id: "q1", kind: "tool" }, '{"ok":true}')).toEqual({ id: "q1", value: { ok: true } });
    expect(answerTo({ id: "q1", kind: "tool" }, "plain")).toEqual({ id: "q1", value: "plain" });
  });

  test("to a budget are micro-dollars", () => {
    expect(answerTo({ id: "q1", kind: "budget" }, "$0.02")).toEqual({ id: "q1", amount_microusd: 20_000 });
    expect(answerTo({ id: "q1", kind: "budget" }, "0.000000001")).toEqual({ id: "q1", amount_microusd: 0.001 });
    expect(answerTo({ id: "q1", kind: "budget" }, "lots")).toBe('"lots" is no amount; write dollars like 0.50');
    expect(answerTo({ id: "q1", kind: "budget" }, "0")).toContain("is no amount");
  });
});

describe("the prompt", () => {
  test.each([
    ["Hello?", "Hello?"],
    [
      {
        messages: [
          { role: "user", content: "one" },
          { role: "user", content: "two" },
        ],
      },
      "two",
    ],
    [
      {
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: "see" },
              { type: "image", url: "https://a.example/x" },
            ],
          },
        ],
      },
      "see\n[image]",
    ],
    [{ topic: "ants" }, '{\n  "topic": "ants"\n}'],
    [null, "null"],
  ])("of %j", (input, words) => {
    expect(promptOf(input)).toBe(words);
  });
});
