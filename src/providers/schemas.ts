/** JSON schemas as providers want them. What a provider's subset leaves out is checked on our side when the answer has come. */
import type { Json } from "../protocol/json.ts";

type Schema = { readonly [key: string]: Json | undefined };

const isSchema = (value: Json | undefined): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);

/** OpenAI's rule for `strict`: every object closed and all its properties required. Otherwise the schema is sent as a guide. */
export function isStrict(schema: Json | undefined): boolean {
  if (Array.isArray(schema)) return schema.every(isStrict);
  if (!isSchema(schema)) return true;
  if (isSchema(schema.properties) || schema.type === "object") {
    const names = isSchema(schema.properties) ? Object.keys(schema.properties) : [];
    const required = Array.isArray(schema.required) ? schema.required : [];
    if (schema.additionalProperties !== false || !names.every((name) => required.includes(name))) return false;
    if (isSchema(schema.properties) && !Object.values(schema.properties).every(isStrict)) return false;
  }
  if (isSchema(schema.$defs) && !Object.values(schema.$defs).every(isStrict)) return false;
  return isStrict(schema.items) && isStrict(schema.anyOf) && schema.oneOf === undefined && schema.allOf === undefined;
}

/** OpenAI: letters, digits, `_` and `-`, 64 at most. */
export const schemaName = (name: string): string => name.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "answer";

/**
 * Anthropic's subset: every object closed; constraints that it refuses (of length, size, pattern) are told in the description instead.
 * Follows `transformJSONSchema` of its SDK 1.13.
 */
export function closedSchema(schema: Json): Json {
  if (!isSchema(schema)) return schema;
  const { $schema: _, $defs, $ref, type, enum: values, const: constant, anyOf, oneOf, allOf, description, title, ...rest } = schema;
  const result: { [key: string]: Json | undefined } = {};
  if (isSchema($defs)) result.$defs = closedMembers($defs);
  if ($ref !== undefined) return { ...result, $ref };
  const alternatives = anyOf ?? oneOf;
  if (Array.isArray(values)) result.enum = values;
  if (constant !== undefined) result.const = constant;
  if (Array.isArray(alternatives)) result.anyOf = alternatives.map(closedSchema);
  else if (Array.isArray(allOf)) result.allOf = allOf.map(closedSchema);
  else if (type !== undefined && values === undefined && constant === undefined) result.type = type;
  if (title !== undefined) result.title = title;
  const { properties, additionalProperties, required, items, format, minItems, ...others } = rest;
  const told: { [key: string]: Json | undefined } = { ...others };
  if (properties !== undefined || type === "object") {
    result.properties = isSchema(properties) ? closedMembers(properties) : {};
    result.additionalProperties = false;
    if (required !== undefined) result.required = required;
  }
  if (items !== undefined) result.items = closedSchema(items);
  if (minItems === 0 || minItems === 1) result.minItems = minItems;
  else told.minItems = minItems;
  if (typeof format === "string" && formats.has(format)) result.format = format;
  else told.format = format;
  const words = Object.entries(told).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${JSON.stringify(value)}`]));
  const text = [description, words.length > 0 ? `{${words.join(", ")}}` : undefined]
    .filter((part) => typeof part === "string")
    .join("\n\n");
  return text === "" ? result : { ...result, description: text };
}

const closedMembers = (schemas: Schema): Json =>
  Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, schema === undefined ? schema : closedSchema(schema)]));

const formats = new Set(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]);

/** Gemini's `responseJsonSchema` and `parametersJsonSchema` take standard schemas, but not the name of their dialect. */
export function plainSchema(schema: Json): Json {
  if (!isSchema(schema) || schema.$schema === undefined) return schema;
  const { $schema: _, ...rest } = schema;
  return rest;
}
