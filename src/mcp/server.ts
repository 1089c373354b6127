/**
 * Agents as the tools of an MCP server, in both generations of the protocol. Owns what a client sees of an agent and of its run;
 * `stdio.ts` and `http.ts` own the two wires, the SDK the protocol.
 *
 *  1. A use is a run: accepted, journaled, with its budgets and limits. Its end answers the use, with the run's id in `_meta`.
 *  2. A use that is cancelled, or whose client has gone, cancels its run.
 *  3. Nobody here can answer a run's question. One that waits for a person is cancelled, and the client is told why.
 */
import {
  type CallToolResult,
  type JSONObject,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
  type Tool,
} from "@modelcontextprotocol/server";
import type { StartBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Event } from "../protocol/events.ts";
import type { Json } from "../protocol/json.ts";
import type { Run } from "../protocol/run.ts";
import type { RunHandle } from "../protocol/runs.ts";

/** What is needed of the runtime. */
export type AgentRuntime = {
  agents(): readonly {
    readonly name: string;
    readonly description: string;
    readonly input_schema: unknown;
    readonly output_schema: unknown;
  }[];
  start(body: StartBody): Promise<RunHandle>;
};

export type McpServerOptions = {
  /** Names of the agents that are shown; all without it. */
  readonly agents?: readonly string[];
  /** The door that errors pass through. */
  readonly redact?: (text: string) => string;
  /** Told of what fails and is no fault of a client. */
  readonly onError?: (message: string) => void;
};

/** Makes servers: one for each connection, or each request of a wire without connections. Throws `not_found` for an unknown agent. */
export function mcpServers(runtime: AgentRuntime, options: McpServerOptions = {}): () => Server {
  const all = runtime.agents();
  const unknown = options.agents?.find((name) => !all.some((agent) => agent.name === name));
  if (unknown !== undefined)
    throw new EscapementError("not_found", `there is no agent "${unknown}"; there are ${all.map(({ name }) => name).join(", ")}`);
  const agents = new Map(
    all.filter(({ name }) => options.agents?.includes(name) ?? true).map((agent) => [agent.name, exposed(agent)] as const),
  );
  const tools = [...agents.values()].map(({ tool }) => tool);
  return () => {
    const server = new Server({ name: "escapement", version: "0.1.0" }, { capabilities: { tools: {} } });
    server.setRequestHandler("tools/list", () => ({ tools }));
    server.setRequestHandler("tools/call", async ({ params }, context) => {
      const agent = agents.get(params.name);
      if (!agent) {
        const names = [...agents.keys()].join(", ");
        throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is no tool "${params.name.slice(0, 100)}"; there are ${names}`);
      }
      return use(runtime, agent, (params.arguments ?? {}) as { readonly [name: string]: Json }, context, options);
    });
    return server;
  };
}

type Exposed = {
  readonly tool: Tool;
  readonly inputOf: (given: { readonly [name: string]: Json }) => Json;
  readonly isStructured: boolean;
};

const isObjectSchema = (schema: unknown): schema is Tool["inputSchema"] => (schema as { type?: unknown } | null)?.type === "object";

/** An agent whose input is no object takes it as the member `input`: arguments are always an object. */
function exposed({ name, description, input_schema, output_schema }: ReturnType<AgentRuntime["agents"]>[number]): Exposed {
  const isObject = isObjectSchema(input_schema);
  const isStructured = isObjectSchema(output_schema);
  // JSON Schema by construction.
  const input = (input_schema ?? { type: "string", description: "What to ask." }) as JSONObject;
  const wrapped = { type: "object" as const, properties: { input }, required: ["input"], additionalProperties: false };
  return {
    tool: {
      name,
      description: description || `Asks the agent ${name}.`,
      inputSchema: isObject ? input_schema : wrapped,
      ...(isStructured && { outputSchema: output_schema as NonNullable<Tool["outputSchema"]> }),
    },
    inputOf: (given) => (isObject ? given : (given.input ?? null)),
    isStructured,
  };
}

async function use(
  runtime: AgentRuntime,
  { tool, inputOf, isStructured }: Exposed,
  given: { readonly [name: string]: Json },
  { mcpReq: { signal, notify, _meta } }: ServerContext,
  { redact = (text) => text, onError }: McpServerOptions,
): Promise<CallToolResult> {
  const failed = (message: string, run?: string): CallToolResult => ({
    content: [{ type: "text", text: redact(message) }],
    isError: true,
    ...(run !== undefined && { _meta: { [runKey]: run } }),
  });
  let handle: RunHandle;
  try {
    handle = await runtime.start({ agent: tool.name, input: inputOf(given) as StartBody["input"] });
  } catch (error) {
    if (!(error instanceof EscapementError)) onError?.(`a run of ${tool.name} could not be started: ${error}`);
    return failed(error instanceof EscapementError ? error.message : "the run could not be started");
  }
  const cancel = (reason: string): void => {
    handle.cancel(reason).catch((error) => onError?.(`the run ${handle.id} could not be cancelled: ${error}`));
  };
  const onAbort = (): void => cancel("cancelled by the MCP client");
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const token = _meta?.progressToken;
  let progress = 0;
  let question: string | undefined;
  try {
    for await (const event of handle) {
      if (event.type === "input.requested") {
        question ??= `${event.message}${event.tool === undefined ? "" : ` (tool ${event.tool})`}`;
        cancel("it waits for a person, and nobody can answer over MCP");
      }
      const message = token === undefined ? undefined : progressWords(event);
      if (token === undefined || message === undefined) continue;
      const params = { progressToken: token, progress: ++progress, message };
      // A client that has gone is told nothing; its abort cancels the run.
      await notify({ method: "notifications/progress", params }).catch(() => {});
    }
    const run = await handle.result();
    if (question !== undefined && run.status === "cancelled")
      return failed(`the agent needs a person's answer and nobody can give one here, so its run was cancelled: ${question}`, run.id);
    return run.status === "done" || run.status === "degraded" ? answer(run, isStructured) : failed(endWords(run), run.id);
  } catch (error) {
    onError?.(`the run ${handle.id} could not be followed: ${error}`);
    return failed("the run could not be followed to its end", handle.id);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Where the run's id is in a result's `_meta`. */
const runKey = "escapement/run";

function answer({ id, output }: Run, isStructured: boolean): CallToolResult {
  const text = typeof output === "string" ? output : JSON.stringify(output);
  const isObject = typeof output === "object" && output !== null && !Array.isArray(output);
  return {
    content: [{ type: "text", text }],
    ...(isStructured && isObject && { structuredContent: output }),
    _meta: { [runKey]: id },
  };
}

const endWords = ({ status, error, output }: Run): string => {
  const partial = typeof output === "string" && output !== "" ? ` What there is: ${output}` : "";
  return `the run ended as ${status}${error ? `: ${error.message} (${error.code})` : ""}.${partial}`;
};

/** What people want to see of a run while they wait; the answer itself comes whole. */
function progressWords(event: Event): string | undefined {
  switch (event.type) {
    case "run.started":
      return "started";
    case "call.started":
      return event.for === "answer" ? `asks ${event.model} (step ${event.step})` : `asks ${event.model}`;
    case "tool.started":
      return `uses ${event.tool}`;
    case "progress":
      return event.message;
    case "request.retrying":
      return `tries again: ${event.reason}`;
    case "request.fell_back":
      return `goes on with ${event.to}: ${event.reason}`;
    default:
      return undefined;
  }
}
