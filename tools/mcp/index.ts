/** Tool group `mcp`: the tools of a Model Context Protocol server, as those of an agent. */
export { type McpOptions, type McpSource, mcp } from "./mcp.ts";
