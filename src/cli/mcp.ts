/** `escapement mcp`: this machine's agents as an MCP server; `escapement mcp pin`: accepts the tools of somebody else's. */

import { readSettings, sourceContext } from "../config/config.ts";
import { mcpSources } from "../config/mcp.ts";
import { runtimeOf } from "../index.ts";
import { serveOverHTTP } from "../mcp/http.ts";
import { mcpServers } from "../mcp/server.ts";
import { serveOverStdio } from "../mcp/stdio.ts";
import { EscapementError } from "../protocol/errors.ts";
import { localConfig } from "./local.ts";
import { printable } from "./progress.ts";

const say = (line: string): void => void process.stderr.write(`${printable(line)}\n`);

export async function serveMcp(options: { config?: string; agent?: string[]; http?: boolean; port?: string }): Promise<void> {
  const port = portOf(options.port);
  const resolved = await localConfig(options.config);
  const runtime = await runtimeOf(resolved, { onError: say });
  try {
    const servers = mcpServers(runtime, {
      ...(options.agent && { agents: options.agent }),
      redact: (text) => runtime.redaction.text(text),
      onError: say,
    });
    const signalled = new Promise<void>((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => resolve());
    });
    if (options.http) {
      const served = await serveOverHTTP(servers, port, say);
      process.stdout.write(`Escapement's agents are ready at ${served.url}\n`);
      await signalled;
      await served.close();
    } else {
      const served = serveOverStdio(servers, say);
      if (resolved.offline) say("No model is connected: answers are scripted. Set OPENAI_API_KEY, ANTHROPIC_API_KEY, …");
      await Promise.race([served.ended, signalled]);
      await served.close();
    }
  } finally {
    await runtime.close(cancelMs);
  }
  // Standard input may still be open.
  process.exit();
}

/** Runs that their client has left are being cancelled. */
const cancelMs = 1_000;

export async function pinMcp(server: string, options: { config?: string }): Promise<void> {
  const cwd = process.cwd();
  const { mcp = {}, tools = {} } = await readSettings(options.config === undefined ? { cwd } : { cwd, path: options.config });
  const sources = mcpSources(mcp, tools);
  const source = sources.get(server);
  if (!source)
    throw new EscapementError("not_found", `there is no MCP server "${server}"; there are ${[...sources.keys()].join(", ") || "none"}`);
  const { file, tools: pinned } = await source.pin(sourceContext({ cwd, env: process.env }));
  for (const { name, changes } of pinned) {
    const what = changes === null ? "new" : changes.length === 0 ? "as before" : changes.join("\n    ");
    process.stdout.write(`${printable(`${name}: ${what}`)}\n`);
  }
  process.stdout.write(`Accepted, in ${file}\n`);
}

function portOf(text = "8788"): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new EscapementError("invalid_request", `--port is a number from 0 to 65535 (0 takes any free port), not ${JSON.stringify(text)}`);
}
