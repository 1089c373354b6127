import { expect, test } from "vitest";
import type { Question } from "../../machines/work.ts";
import { type Asker, keyOf } from "../../src/cache/key.ts";
import type { Message } from "../../src/protocol/messages.ts";
import { spec } from "./entries.ts";

const asker: Asker = { who: { tenant: "acme", user: "ada" }, sensitive: false, spec: spec() };
const user = (content: string): Message => ({ role: "user", content });
const question: Question = { tier: "main", messages: [user("Why?")] };
const id = (who: Partial<Asker> = {}, what: Partial<Question> = {}) => keyOf({ ...asker, ...who }, { ...question, ...what })?.id;

test("is the same for the same, however its objects were made", () => {
  const parameters = { temperature: 0, top_p: 1 };
  const turned = { top_p: 1, temperature: 0 };
  const withTier = (given: object) => {
    const { tiers } = spec();
    return spec({ tiers: tiers.map((tier) => ({ ...tier, parameters: given as never })) });
  };
  expect(id({ spec: withTier(parameters) })).toBe(id({ spec: withTier(turned) }));
  expect(id({}, { messages: [user("Why?")] })).toBe(id());
});

test("differs by everything that an answer depends on", () => {
  const tool = { name: "t", group: "g", description: "d", schema: {}, class: "pure", approval: false } as const;
  const { tiers } = spec();
  const keys = [
    id(),
    id({ who: { tenant: "umbrella", user: "ada" } }),
    id({ who: { tenant: "acme", user: "bob" } }),
    id({ who: { tenant: "acme" } }),
    id({ sensitive: true }),
    id({ spec: spec({ name: "other" }) }),
    id({ spec: spec({ instructions: "Be long." }) }),
    id({ spec: spec({ prompt: { name: "guide", version: "1", variables: [] } }) }),
    id({ spec: spec({ prompt: { name: "guide", version: "2", variables: [] } }) }),
    id({ spec: spec({ caching: { ...spec().caching!, version: "2" } }) }),
    id({ spec: spec({ tiers: tiers.map((tier) => ({ ...tier, model: "m2" })) }) }),
    id({ spec: spec({ tiers: tiers.map((tier) => ({ ...tier, parameters: { temperature: 1 } })) }) }),
    id({ spec: spec({ tiers: tiers.map((tier) => ({ ...tier, instructions: "Of this tier." })) }) }),
    id({ spec: spec({ validators: ["polite"] }) }),
    id({ spec: spec({ tools: [tool] }) }, { tools: ["t"] }),
    id({ spec: spec({ tools: [{ ...tool, schema: { type: "object" } }] }) }, { tools: ["t"] }),
    id({ spec: spec({ outputSchema: { type: "object" } }) }, { structured: true }),
    id({}, { tier: "cheap" }),
    id({}, { instructions: "Others." }),
    id({}, { messages: [user("Why not?")] }),
    id({}, { messages: [user("Hi"), user("Why?")] }),
    id({}, { messages: [{ role: "system", content: "Why?" }] }),
    id({}, { messages: [{ role: "user", content: [{ type: "text", text: "Why?" }] }] }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
});

test("does not differ by price, limits of time, nor by the user where the tenant shares", () => {
  const { tiers } = spec();
  const dearer = tiers.map((tier) => ({ ...tier, price: { ...tier.price, outputNano: 9 }, timeouts: { ...tier.timeouts, total: 9 } }));
  expect(id({ spec: spec({ tiers: dearer }) })).toBe(id());
  const shared = spec({ caching: { ...spec().caching!, scope: "tenant" } });
  expect(id({ spec: shared, who: { tenant: "acme", user: "bob" } })).toBe(id({ spec: shared }));
  expect(id({ spec: shared, who: { tenant: "umbrella" } })).not.toBe(id({ spec: shared }));
});

test("knows no ids of tool requests: they are new each time, and say nothing", () => {
  const used = (of: string, result: string): readonly Message[] => [
    user("2+2"),
    { role: "assistant", content: "", tools: [{ id: of, name: "add", input: { a: 2, b: 2 } }], opaque: { provider: "p", value: of } },
    { role: "tool", id: of, name: "add", content: result },
  ];
  expect(id({}, { messages: used("call_1", "4") })).toBe(id({}, { messages: used("call_2", "4") }));
  expect(id({}, { messages: used("call_1", "5") })).not.toBe(id({}, { messages: used("call_1", "4") }));
});

test("only the last words of a user are compared by meaning, and all the rest must be equal", () => {
  const history: readonly Message[] = [user("Hi"), { role: "assistant", content: "Hello" }];
  const of = (messages: readonly Message[]) => keyOf(asker, { ...question, messages });
  const [a, b, c] = [of([...history, user("Why?")]), of([...history, user("How?")]), of([user("Hello"), user("Why?")])];
  expect([a?.question, a?.frame === b?.frame, a?.frame === c?.frame]).toEqual(["Why?", true, false]);
  expect(of(history)?.question).toBeUndefined();
  expect(of([user("x".repeat(3_000))])?.question).toBeUndefined();
  const image = { role: "user", content: [{ type: "image", url: "https://x/y.png" }] } as const;
  expect(of([image])?.question).toBeUndefined();
});
