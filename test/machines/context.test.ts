/** What of a conversation is kept, for any conversation: the rules of context.ts as properties. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { isBare, planForTokens, planForTurns, tooManyTurns } from "../../machines/context.ts";
import type { Message } from "../../src/protocol/messages.ts";

const text = fc.integer({ min: 0, max: 3_000 }).map((length) => "x".repeat(length));
const step = fc.array(text, { minLength: 0, maxLength: 4 }).map((results): Message[] => [
  {
    role: "assistant",
    content: "…",
    ...(results.length > 0 && { tools: results.map((_, i) => ({ id: `t${i}`, name: "look", input: {} })) }),
  },
  ...results.map((content, i): Message => ({ role: "tool", id: `t${i}`, name: "look", content })),
]);
const system = fc.constant<Message[]>([{ role: "system", content: "Be brief." }]);
const turn = fc.tuple(text, fc.array(fc.oneof({ weight: 5, arbitrary: step }, { weight: 1, arbitrary: system }), { maxLength: 4 }));
const conversation = fc
  .tuple(fc.boolean(), fc.array(turn, { minLength: 1, maxLength: 6 }))
  .map(([summarised, turns]): Message[] => [
    ...(summarised ? [{ role: "user" as const, content: "What was said", summary: true }] : []),
    ...turns.flatMap(([content, steps]): Message[] => [{ role: "user", content }, ...steps.flat()]),
  ]);
/** As many tokens as bytes: the most that a message can have. */
const size = (message: Message): number => 32 + JSON.stringify(message).length;
const sum = (messages: readonly Message[]): number => messages.reduce((total, message) => total + size(message), 0);

const check = (messages: readonly Message[], kept: readonly Message[], gone: readonly Message[]): void => {
  // In order, each once: kept as it was, cut, or gone.
  let at = -1;
  for (const message of kept) {
    const place = messages.findIndex(
      (one, i) =>
        i > at &&
        (one === message ||
          (one.role === "tool" &&
            message.role === "tool" &&
            one.id === message.id &&
            message.content.startsWith(one.content.slice(0, 100)))),
    );
    expect(place).toBeGreaterThan(at);
    at = place;
  }
  expect(kept.length + gone.length).toBe(messages.length);
  expect(kept.filter(({ role }) => role === "system")).toEqual(messages.filter(({ role }) => role === "system"));
  expect(kept).toContain(messages.findLast((message) => message.role === "user" && !message.summary));
  // Results with their uses, and uses with their results.
  const uses = kept.flatMap((message) => (message.role === "assistant" ? (message.tools ?? []).map(({ id }) => id) : []));
  expect(kept.flatMap((message) => (message.role === "tool" ? [message.id] : []))).toEqual(uses);
};

test("a plan for tokens is within its bound, or says that it is not", () => {
  fc.assert(
    fc.property(conversation, fc.nat(8_000), fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }), (messages, limit, keep) => {
      const policy = { ...(keep !== undefined && { keep_turns: keep }) };
      const plan = planForTokens(messages, 0, policy, { limit, rest: 100, sizes: messages.map(size) }, true);
      check(messages, plan.kept, plan.gone);
      if (plan.fits) expect(sum(plan.kept)).toBeLessThanOrEqual(Math.max(limit - 100, 0));
      else if (sum(messages) > limit - 100) {
        // Nothing is left that could go.
        const rest = plan.kept.filter(({ role }) => role !== "system");
        expect(isBare(plan.kept) || rest.length === 1).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test("a plan for turns keeps the last ones, and is not needed again before as many more", () => {
  fc.assert(
    fc.property(conversation, fc.integer({ min: 1, max: 3 }), (messages, keep_turns) => {
      if (!tooManyTurns(messages, { keep_turns })) return;
      const plan = planForTurns(messages, messages.length, { keep_turns });
      check(messages, plan.kept, plan.gone);
      const turns = plan.kept.filter((message) => message.role === "user" && !message.summary).length;
      expect(turns).toBe(keep_turns);
      expect(plan.fits).toBe(true);
      expect(plan.history).toBe(plan.kept.length);
    }),
    { numRuns: 300 },
  );
});
