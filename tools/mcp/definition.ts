/** One tool of an MCP server as a tool of ours: its name, its class, its limits. */
import { createHash } from "node:crypto";
import { EscapementError } from "../../src/protocol/errors.ts";
import type { Json } from "../../src/protocol/json.ts";
import type { Tool, ToolClass } from "../../src/runtime/tool.ts";
import { argumentsCheck } from "./arguments.ts";
import type { Connection } from "./connection.ts";
import type { McpOptions } from "./mcp.ts";
import type { Definition } from "./pins.ts";
import { resultOf } from "./result.ts";

/** UTF-8 bytes of a definition, all of which each step of an agent pays for. */
const maxDefinitionBytes = 32 * 1024;

export function toolOf(
  options: McpOptions,
  definition: Definition,
  connection: Connection,
  refusal: () => EscapementError | undefined,
): Tool {
  const { name: server, timeoutMs = 30_000, resultBytes = 32 * 1024, approval = [] } = options;
  const { name: own, description, title, inputSchema } = definition;
  const bytes = Buffer.byteLength(JSON.stringify(definition));
  if (bytes > maxDefinitionBytes)
    throw refused(
      `the tool "${own}" of the MCP server "${server}" is described in ${bytes} bytes, at most ${maxDefinitionBytes} are taken; leave it out by \`tools\``,
    );
  const name = nameOf(server, own);
  const kind = classOf(options, definition);
  return {
    name,
    description: description ?? title ?? own,
    class: kind,
    approval: approval.includes(own),
    untrusted: true,
    consequential: kind !== "pure",
    timeoutMs,
    resultBytes,
    schema: inputSchema,
    parse: checkOf(server, own, inputSchema),
    run: async (input, { signal, progress }) => {
      const result = await connection.use(own, input as Json, {
        refusal,
        signal,
        timeoutMs,
        onProgress: (message, done, total) => progress(message ?? name, done, total),
      });
      return resultOf(result);
    },
  };
}

/** `<server>_<tool>`, of the characters and the length that providers take. What had to be changed is told apart by a hash. */
export function nameOf(server: string, tool: string): string {
  const full = `${server}_${tool}`;
  const allowed = full.replace(/[^a-zA-Z0-9_-]/g, "_");
  if (allowed === full && full.length <= 64) return full;
  return `${allowed.slice(0, 55)}_${createHash("sha256").update(tool).digest("hex").slice(0, 8)}`;
}

/** The operator's word, then, where it is trusted, the server's own. An interrupted tool of which nothing is known is not repeated. */
function classOf({ class: classes = {}, trustAnnotations }: McpOptions, { name, annotations }: Definition): ToolClass {
  if (Object.hasOwn(classes, name)) return classes[name] as ToolClass;
  if (!trustAnnotations) return "once";
  const { readOnlyHint, idempotentHint } = (annotations ?? {}) as { readOnlyHint?: boolean; idempotentHint?: boolean };
  return readOnlyHint === true ? "pure" : idempotentHint === true ? "idempotent" : "once";
}

function checkOf(server: string, tool: string, schema: Json): Tool["parse"] {
  try {
    return argumentsCheck(schema);
  } catch (error) {
    throw refused(
      `the arguments of the tool "${tool}" of the MCP server "${server}" cannot be checked: ${(error as Error).message}; leave it out by \`tools\``,
    );
  }
}

const refused = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "mcp" } });
