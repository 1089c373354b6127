/**
 * `mcp()`: a server of the Model Context Protocol as a tool group. Here is what its operator writes; `open.ts` connects to it when the
 * configuration is resolved, `connection.ts` owns the connection, `pins.ts` what was accepted of the server's definitions.
 *
 *  1. A tool is shown to a model only as it was accepted: its definition is pinned by a hash at first use.
 *  2. What the server says of itself (its annotations) gives it no trust, unless the operator says so.
 *  3. Whatever it returns is untrusted.
 */
import { EscapementError } from "../../src/protocol/errors.ts";
import type { ToolClass } from "../../src/runtime/tool.ts";
import type { Secret, SourceContext, ToolSource } from "../../src/runtime/tool-group.ts";

export type McpOptions = {
  /** `[a-zA-Z0-9-]{1,32}`. Its tools are named `<name>_<tool>`. */
  readonly name: string;
  /** A program that speaks MCP over its standard input and output. This or `url`. */
  readonly command?: string | undefined;
  readonly args?: readonly string[] | undefined;
  /** Variables of our environment that it gets, beside HOME, LOGNAME, PATH, SHELL, TERM and USER. Their values are kept out of logs. */
  readonly env?: readonly string[] | undefined;
  readonly cwd?: string | undefined;
  /** The address of a streamable HTTP endpoint. Redirects are not followed. */
  readonly url?: string | undefined;
  readonly headers?: { readonly [name: string]: Secret } | undefined;
  /** Its tools that are used, by the server's names; all without it. */
  readonly tools?: readonly string[] | undefined;
  /** Tool → hash of its definition, instead of what the lock file says. */
  readonly pin?: { readonly [tool: string]: string } | undefined;
  /** Tool → class; `once` for those that are not named. */
  readonly class?: { readonly [tool: string]: ToolClass } | undefined;
  /** Tools whose every use a person must allow. */
  readonly approval?: readonly string[] | undefined;
  /** The class of a tool is also taken from its annotations: the server's own claim. */
  readonly trustAnnotations?: boolean | undefined;
  /** `legacy` begins with the handshake of 2025 at once: for a program that does not answer an unknown first question. */
  readonly protocol?: "auto" | "legacy" | undefined;
  /** Milliseconds a use may take; 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds to connect and list its tools; 15,000. */
  readonly connectMs?: number | undefined;
  /** UTF-8 bytes of a result that the model gets; 32 KiB. */
  readonly resultBytes?: number | undefined;
  /** Where accepted definitions are kept, relative to the working folder; `escapement.mcp.json`. */
  readonly lockFile?: string | undefined;
};

/** What pinning did: the tools that are pinned now, and what changed of those that were pinned before. */
export type Pinned = {
  readonly file: string;
  readonly tools: readonly { readonly name: string; readonly changes: readonly string[] | null }[];
};

export type McpSource = ToolSource & {
  readonly kind: "mcp";
  readonly name: string;
  /** Accepts the definitions as the server gives them now: `escapement mcp pin`. */
  pin(from: SourceContext): Promise<Pinned>;
};

export const isMcp = (value: unknown): value is McpSource => (value as McpSource | undefined)?.kind === "mcp";

/** Throws `invalid_request` for options that cannot hold. Nothing is started before the configuration is resolved. */
export function mcp(options: McpOptions): McpSource {
  check(options);
  return {
    kind: "mcp",
    name: options.name,
    open: async (from) => (await import("./open.ts")).open(options, from),
    pin: async (from) => (await import("./open.ts")).pin(options, from),
  };
}

function check({ name, command, args, env, cwd, url, headers }: McpOptions): void {
  if (!/^[a-zA-Z0-9-]{1,32}$/.test(name))
    throw refused(`an MCP server's name is 1 to 32 of A-Z a-z 0-9 - (no _, which parts it from its tools' names); "${name}" is not`);
  if ((command === undefined) === (url === undefined))
    throw refused(`the MCP server "${name}" needs either a command or a url; it has ${command === undefined ? "neither" : "both"}`);
  if (url === undefined) {
    if (headers) throw refused(`the MCP server "${name}" is a command: headers are of a url`);
    return;
  }
  if (args || env || cwd !== undefined) throw refused(`the MCP server "${name}" is a url: args, env and cwd are of a command`);
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password)
    throw refused(`the url of the MCP server "${name}" is an http or https address without user and password (use headers for secrets)`);
}

const refused = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "mcp" } });
