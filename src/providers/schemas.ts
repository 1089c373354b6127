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
