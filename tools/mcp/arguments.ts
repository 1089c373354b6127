/**
 * Whether arguments fit the schema of an MCP tool. Schemas come from the server, so nothing is compiled from them: `@cfworker/json-schema`,
 * which the client package carries, reads them as data (Ajv, its default on Node, makes a function of their text). A schema's own
 * expressions are not run at all: one made to be slow would stop the process. The server checks those itself.
 */
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/client/validators/cf-worker";
import type { Json } from "../../src/protocol/json.ts";

const interpreter = new CfWorkerJsonSchemaValidator({ shortcircuit: false });

/** For the client, which checks results by the schemas that the server gave for them. */
export const validators = {
  getValidator: <T>(schema: { [key: string]: unknown }) =>
    interpreter.getValidator<T>(withoutExpressions(schema as Schema) as { [key: string]: unknown }),
};

export type Checked = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

/** Throws when the schema is of a dialect that is not known. */
export function argumentsCheck(schema: Json): (input: Json) => Checked {
  // A tool's schema is an object by the protocol; the client has checked it.
  const validate = validators.getValidator<Json>(schema as { [key: string]: Json });
  return (input) => {
    try {
      const result = validate(input);
      return result.valid ? { ok: true, value: input } : { ok: false, message: words(result.errorMessage) };
    } catch (error) {
      // A reference that leads nowhere, or to itself.
      return { ok: false, message: `its schema cannot be followed (${(error as Error).message.slice(0, 200)})` };
    }
  };
}

/** `#/a: …; #: …` with the place of each mistake; the outermost sentence only says that there is one. */
function words(errors: string): string {
  const all = errors.split("; ");
  const own = all.filter((line) => !/ does not match schema\.$/.test(line));
  return (own.length > 0 ? own : all).slice(0, 5).join("; ").slice(0, 1_000);
}

type Schema = { readonly [key: string]: Json };
const isSchema = (value: Json | undefined): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);

/** Keywords whose members are named by the schema's author, and those that are values and no schemas. */
const named = new Set(["properties", "$defs", "definitions", "dependentSchemas", "dependencies"]);
const values = new Set(["const", "enum", "default", "examples", "required"]);

function withoutExpressions(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(withoutExpressions);
  if (!isSchema(schema)) return schema;
  const { pattern: _, patternProperties, ...rest } = schema;
  // What the expressions would have let in is let in.
  if (patternProperties !== undefined) delete (rest as { [key: string]: Json }).additionalProperties;
  return Object.fromEntries(
    Object.entries(rest).map(([key, value]) => {
      if (values.has(key)) return [key, value];
      if (named.has(key) && isSchema(value))
        return [key, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withoutExpressions(one)]))];
      return [key, withoutExpressions(value)];
    }),
  );
}
