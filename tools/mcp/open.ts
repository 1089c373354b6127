/**
 * Opens an MCP server as a tool group: connects, holds its definitions against what was accepted, and makes tools of them.
 * Also {@link pin}, which accepts them as they are now.
 */

import { resolve } from "node:path";
import type { Tool as ServerTool } from "@modelcontextprotocol/client";
import { EscapementError } from "../../src/protocol/errors.ts";
import type { Json } from "../../src/protocol/json.ts";
import type { OpenToolGroup, SourceContext } from "../../src/runtime/tool-group.ts";
import { Connection } from "./connection.ts";
import { toolOf } from "./definition.ts";
import type { McpOptions, Pinned } from "./mcp.ts";
import { type Definition, differences, hashOf, type Pin, pinOf, readPins, writePins } from "./pins.ts";
import { type OpenTransport, overHTTP, overStdio } from "./transport.ts";

const lockName = "escapement.mcp.json";

/** Throws `unavailable` when the server cannot be used, and `invalid_request` when its tools are not those that were accepted. */
export async function open(options: McpOptions, from: SourceContext): Promise<OpenToolGroup> {
  const { name } = options;
  const lock = resolve(from.cwd, options.lockFile ?? lockName);
  const listed = new Map<string, Definition>();
  const connection = connectionOf(options, from, (tools) => replace(listed, tools));
  try {
    const known = from.isPassive ? readPins(lock, name) : undefined;
    if (known) for (const { definition } of Object.values(known)) listed.set(definition.name, definition);
    else await connection.connect();
    const pins = acceptedPins(options, lock, listed);
    const tools = [...pins].map(([tool, pin]) => toolOf(options, pin.definition, connection, () => refusal(name, tool, pin, listed)));
    return { tools, start: () => {}, close: () => connection.close() };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Accepts the definitions of the tools that are used, and says what changed of each; null for one that is new. */
export async function pin(options: McpOptions, from: SourceContext): Promise<Pinned> {
  const file = resolve(from.cwd, options.lockFile ?? lockName);
  const listed = new Map<string, Definition>();
  const connection = connectionOf(options, from, (tools) => replace(listed, tools));
  try {
    await connection.connect();
  } finally {
    await connection.close();
  }
  const before = readPins(file, options.name) ?? {};
  const names = options.tools ?? [...listed.keys()];
  checkNames(options, listed);
  const definitions = names.map((tool) => listed.get(tool) as Definition);
  writePins(file, options.name, Object.fromEntries(definitions.map((one) => [one.name, pinOf(one)])));
  return {
    file,
    tools: definitions.map((one) => ({
      name: one.name,
      changes: Object.hasOwn(before, one.name) ? differences(before[one.name]?.definition as Json, one as Json) : null,
    })),
  };
}

/**
 * The tools that are used, each with what was accepted of it. A tool that nobody has accepted is accepted now where the server was never
 * used, or where it is named in `tools`; one that the server brought in later is left out.
 */
function acceptedPins(options: McpOptions, lock: string, listed: ReadonlyMap<string, Definition>): Map<string, Pin> {
  const { name, tools, pin: given = {} } = options;
  checkNames(options, listed);
  const known = readPins(lock, name);
  const names = tools ?? [...listed.keys()].filter((tool) => !known || Object.hasOwn(known, tool) || Object.hasOwn(given, tool));
  const accepted = new Map<string, Pin>();
  const added: { [tool: string]: Pin } = {};
  for (const tool of names) {
    const definition = listed.get(tool) as Definition;
    const hash = given[tool];
    const pin: Pin =
      hash !== undefined ? { hash, definition } : known && Object.hasOwn(known, tool) ? (known[tool] as Pin) : pinOf(definition);
    if (hash === undefined && !(known && Object.hasOwn(known, tool))) added[tool] = pin;
    const problem = refusal(name, tool, pin, listed);
    if (problem) throw problem;
    accepted.set(tool, { hash: pin.hash, definition });
  }
  if (Object.keys(added).length > 0) writePins(lock, name, { ...known, ...added });
  return accepted;
}

/** Why a tool may not be used now: the server tells another definition than was accepted, or none. */
function refusal(server: string, tool: string, pin: Pin, listed: ReadonlyMap<string, Definition>): EscapementError | undefined {
  const now = listed.get(tool);
  if (!now) return refused("tool_denied", `the MCP server "${server}" has no tool "${tool}" any more`);
  if (hashOf(now) === pin.hash) return undefined;
  const changed = differences(pin.definition as Json, now as Json);
  const what = changed.length > 0 ? changed.join("; ") : `its hash is ${hashOf(now)}, and ${pin.hash} was accepted`;
  return refused(
    "tool_denied",
    `the MCP server "${server}" has changed its tool "${tool}" since it was accepted: ${what}. ` +
      `If that is well, accept it with \`escapement mcp pin ${server}\` (or correct its \`pin\`); it is not used until then`,
  );
}

/** A name that is misspelt would be a rule that never holds. */
function checkNames({ name, ...options }: McpOptions, listed: ReadonlyMap<string, Definition>): void {
  const named = {
    tools: options.tools,
    approval: options.approval,
    class: Object.keys(options.class ?? {}),
    pin: Object.keys(options.pin ?? {}),
  };
  for (const [key, tools] of Object.entries(named)) {
    const unknown = tools?.find((tool) => !listed.has(tool));
    if (unknown !== undefined)
      throw refused(
        "invalid_request",
        `mcp.${name}.${key}: the server has no tool "${unknown}"; it has ${[...listed.keys()].join(", ") || "none"}`,
      );
  }
}

function connectionOf(options: McpOptions, from: SourceContext, onTools: (tools: readonly ServerTool[]) => void): Connection {
  const { name, connectMs = 15_000, protocol = "auto" } = options;
  return new Connection({ server: name, connectMs, protocol, onTools, openTransport: transportOf(options, from) });
}

/** Secrets are read once, where they are missed at once. */
function transportOf(options: McpOptions, from: SourceContext): () => OpenTransport {
  const { name, command, args = [], env = [], cwd, url = "", headers = {} } = options;
  if (command !== undefined) {
    const values = Object.fromEntries(env.map((variable, index) => [variable, from.secret({ env: variable }, `mcp.${name}.env.${index}`)]));
    return () => overStdio(command, args, values, resolve(from.cwd, cwd ?? "."));
  }
  const values = Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, from.secret(value, `mcp.${name}.headers.${key}`)]));
  return () => overHTTP(url, values);
}

/** As JSON has them, without what no model sees. */
function replace(listed: Map<string, Definition>, tools: readonly ServerTool[]): void {
  listed.clear();
  for (const { name, title, description, inputSchema, outputSchema, annotations } of tools) {
    const definition = { name, title, description, inputSchema, outputSchema, annotations };
    listed.set(name, JSON.parse(JSON.stringify(definition)) as Definition);
  }
}

const refused = (code: "invalid_request" | "tool_denied", message: string): EscapementError =>
  new EscapementError(code, message, { details: { path: "mcp" } });
