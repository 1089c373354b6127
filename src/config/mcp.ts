/** The MCP servers of a configuration: from its keys to what `mcp()` makes, and those that a program put among its tools. */

import { isMcp, type McpSource, mcp } from "../../tools/mcp/mcp.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { McpSettings } from "./schema.ts";

/** Server → group. Throws `invalid_request` for a name that a group of `tools` has. */
export function mcpGroups(
  servers: { readonly [name: string]: McpSettings },
  tools: { readonly [group: string]: unknown },
): { readonly [name: string]: McpSource } {
  return Object.fromEntries(
    Object.entries(servers).map(([name, settings]) => {
      if (Object.hasOwn(tools, name))
        throw new EscapementError("invalid_request", `mcp.${name}: there is a tool group of that name under tools; rename one`, {
          details: { path: `mcp.${name}` },
        });
      const { trust_annotations, timeout_ms, connect_ms, result_bytes, lock_file, ...rest } = settings;
      return [
        name,
        mcp({
          name,
          ...rest,
          trustAnnotations: trust_annotations,
          timeoutMs: timeout_ms,
          connectMs: connect_ms,
          resultBytes: result_bytes,
          lockFile: lock_file,
        }),
      ];
    }),
  );
}

/** All of them, by the name of the server. */
export function mcpSources(
  servers: { readonly [name: string]: McpSettings },
  tools: { readonly [group: string]: unknown },
): ReadonlyMap<string, McpSource> {
  const all = [...Object.values(mcpGroups(servers, tools)), ...Object.values(tools).filter(isMcp)];
  return new Map(all.map((source) => [source.name, source]));
}
