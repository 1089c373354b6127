import { expect, test } from "vitest";
import type { Json } from "../../src/protocol/json.ts";
import { closedSchema, isStrict, plainSchema, schemaName } from "../../src/providers/schemas.ts";

type Schema = { [name: string]: Json };
const object = (properties: { [name: string]: Schema }, required = Object.keys(properties)): Schema => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});

test("strict is what OpenAI takes as strict", () => {
  const inner = object({ a: { type: "string" } });
  expect(isStrict(object({ a: inner, b: { type: "array", items: inner }, c: { anyOf: [inner, { type: "null" }] } }))).toBe(true);
  expect(isStrict(object({}))).toBe(true);
  expect(isStrict(object({ a: { type: "string" } }, []))).toBe(false);
  expect(isStrict({ ...inner, additionalProperties: true })).toBe(false);
  expect(isStrict(object({ a: { type: "array", items: { type: "object", properties: {} } } }))).toBe(false);
  expect(isStrict(object({ a: { oneOf: [inner] } }))).toBe(false);
  expect(isStrict({ ...object({ a: { $ref: "#/$defs/x" } }), $defs: { x: { type: "object" } } })).toBe(false);
});

test("closed is what Anthropic takes: constraints that it refuses become words", () => {
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    description: "A place.",
    properties: {
      name: { type: "string", minLength: 1, format: "date" },
      size: { type: "number", minimum: 0 },
      kind: { enum: ["a", "b"] },
      tags: { type: "array", items: { type: "object", properties: { x: { type: "string" } } }, minItems: 1, maxItems: 3 },
      either: { oneOf: [{ type: "string" }, { type: "null" }] },
      other: { $ref: "#/$defs/other" },
      odd: { type: "string", format: "credit-card" },
    },
    required: ["name"],
    $defs: { other: { type: "object", properties: {} } },
  };
  expect(closedSchema(schema)).toEqual({
    type: "object",
    description: "A place.",
    properties: {
      name: { type: "string", format: "date", description: "{minLength: 1}" },
      size: { type: "number", description: "{minimum: 0}" },
      kind: { enum: ["a", "b"] },
      tags: {
        type: "array",
        items: { type: "object", properties: { x: { type: "string" } }, additionalProperties: false },
        minItems: 1,
        description: "{maxItems: 3}",
      },
      either: { anyOf: [{ type: "string" }, { type: "null" }] },
      other: { $ref: "#/$defs/other" },
      odd: { type: "string", description: '{format: "credit-card"}' },
    },
    required: ["name"],
    additionalProperties: false,
    $defs: { other: { type: "object", properties: {}, additionalProperties: false } },
  });
});

test("names and dialects", () => {
  expect(schemaName("a city's name, long".repeat(9))).toMatch(/^[A-Za-z0-9_-]{64}$/);
  expect(schemaName("")).toBe("answer");
  expect(plainSchema({ $schema: "x", type: "string" })).toEqual({ type: "string" });
});
