/** The order of calls that wait for a provider, what is pushed out, and that nobody starves. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { CallQueue, type Waiting } from "../../src/limits/call-queue.ts";

type Named = Waiting & { readonly name: string };
const agingMs = 5_000;
let seq = 0;
const call = (name: string, more: Partial<Named> = {}): Named => ({
  name,
  isPaid: false,
  isBatch: false,
  tenant: "one",
  tokens: 100,
  at: 0,
  seq: seq++,
  ...more,
});

function drained(queue: CallQueue<Named>, now = 0): string[] {
  const names: string[] = [];
  for (let next = queue.next(now, () => true); next; next = queue.next(now, () => true)) {
    queue.remove(next);
    names.push(next.name);
  }
  return names;
}

test("paid goes before free, real-time before batch, short before long, first in first out", () => {
  const queue = new CallQueue<Named>(100, agingMs, () => 0);
  for (const one of [
    call("free batch", { isBatch: true }),
    call("free long", { tokens: 4_000 }),
    call("free short, first"),
    call("free short, second", { tokens: 110 }),
    call("paid batch", { isPaid: true, isBatch: true }),
    call("paid long", { isPaid: true, tokens: 4_000 }),
    call("paid short", { isPaid: true }),
  ])
    queue.add(one, 0);
  expect(drained(queue)).toEqual([
    "paid short",
    "paid long",
    "paid batch",
    "free short, first",
    "free short, second",
    "free long",
    "free batch",
  ]);
});

test("within a class the tenant with less under way goes first, so that one tenant does not fill the line", () => {
  const loads: Record<string, number> = { noisy: 900, quiet: 1 };
  const queue = new CallQueue<Named>(100, agingMs, (tenant) => loads[tenant] ?? 0);
  for (let i = 0; i < 5; i++) queue.add(call(`noisy ${i}`, { tenant: "noisy" }), 0);
  queue.add(call("quiet", { tenant: "quiet" }), 0);
  queue.add(call("paid and noisy", { tenant: "noisy", isPaid: true }), 0);
  expect(drained(queue).slice(0, 2)).toEqual(["paid and noisy", "quiet"]);
});

test("a full queue pushes out the last in the order, which may be who came", () => {
  const queue = new CallQueue<Named>(2, agingMs, () => 0);
  expect(queue.add(call("free"), 0)).toBeUndefined();
  expect(queue.add(call("batch", { isBatch: true }), 0)).toBeUndefined();
  expect(queue.add(call("paid", { isPaid: true }), 0)?.name).toBe("batch");
  expect(queue.add(call("late free"), 0)?.name).toBe("late free");
  expect(drained(queue)).toEqual(["paid", "free"]);
});

test("who has waited long enough goes before all who have not: of those that come later at most none goes first", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ isPaid: fc.boolean(), isBatch: fc.boolean(), tokens: fc.integer({ min: 1, max: 9_000 }) }), { maxLength: 60 }),
      (others) => {
        const queue = new CallQueue<Named>(100, agingMs, () => 0);
        queue.add(call("old", { isBatch: true, tokens: 9_000 }), 0);
        for (const [i, one] of others.entries()) queue.add(call(`later ${i}`, { ...one, at: i + 1 }), i + 1);
        expect(queue.next(agingMs, () => true)?.name).toBe("old");
      },
    ),
  );
});

test("only those that may go are looked at, and who left is gone", () => {
  const queue = new CallQueue<Named>(10, agingMs, () => 0);
  const [first, second] = [call("first", { isPaid: true }), call("second")];
  queue.add(first, 0);
  queue.add(second, 0);
  expect(queue.next(0, ({ name }) => name !== "first")?.name).toBe("second");
  expect(queue.remove(first)).toBe(true);
  expect(queue.remove(first)).toBe(false);
  expect(queue.size).toBe(1);
});
