import { expect, test } from "vitest";
import { z } from "zod";
import { defaultInput, runsQuery, startBody } from "../../src/protocol/commands.ts";
import { limitsSchema } from "../../src/protocol/limits.ts";
import { requirement } from "../../src/protocol/requirement.ts";

test.each<[z.ZodType, unknown, string]>([
  [limitsSchema, { max_steps: 1e30 }, "must be at most 9,007,199,254,740,991"],
  [limitsSchema, { max_steps: 0.5 }, "must be a whole number"],
  [limitsSchema, { max_steps: 0 }, "must be more than 0"],
  [limitsSchema, { max_cost_microusd: 1e13 }, "must be at most 9,000,000,000,000"],
  [limitsSchema, { max_cost_microusd: 0.0001 }, "must be a multiple of 0.001"],
  [z.number().lt(3), 3, "must be less than 3"],
  [z.number().min(0.001), 0, "must be at least 0.001"],
  [startBody, { agent: 5, input: 1 }, "must be text"],
  [startBody, { agent: "", input: 1 }, "must not be empty"],
  [startBody, { agent: "a".repeat(201), input: 1 }, "must have at most 200 characters"],
  [startBody, { agent: "a", input: 1, sensitive: "yes" }, "must be true or false"],
  [startBody, { agent: "a", input: 1, webhook: { url: "x" } }, "must be a URL"],
  [runsQuery, { limit: "abc" }, "must be a number"],
  [runsQuery, { limit: 1_001 }, "must be at most 1,000"],
  [z.array(z.string()).min(1), [], "must not be empty"],
  [z.array(z.string()).min(2), ["a"], "must have at least 2 entries"],
  [z.string().length(1), "ab", "must have at most 1 character"],
  [z.enum(["a", "b"]), "c", 'must be one of "a", "b"'],
  [z.literal("a"), "c", 'must be "a"'],
  [z.string().regex(/^a/, "a word that begins with a"), "b", "must be a word that begins with a"],
  [z.custom(() => false, "a tool"), 1, "must be a tool"],
  [defaultInput, 3, "must be text or an object"],
])("of %# is said in our own words", (schema, value, words) => {
  const said = schema.safeParse(value).error?.issues.map(requirement);
  expect(said).toContain(words);
  expect(said?.join()).not.toMatch(/Invalid|expected|received|Too (big|small)/);
});
