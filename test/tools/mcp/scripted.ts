/** A folder with the scripted server's definitions, its book and the lock file; removed with the test, its group closed. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { readSecret } from "../../../src/config/secret.ts";
import type { Json } from "../../../src/protocol/json.ts";
import type { Tool, ToolContext } from "../../../src/runtime/tool.ts";
import type { OpenToolGroup, SourceContext } from "../../../src/runtime/tool-group.ts";
import { type McpOptions, mcp } from "../../../tools/mcp/mcp.ts";
import type { ServerPins } from "../../../tools/mcp/pins.ts";

export type Definition = { name: string; description?: string; inputSchema: object; annotations?: object };
export const definition = (name: string, more: Partial<Definition> = {}): Definition => ({
  name,
  description: `does ${name}`,
  inputSchema: { type: "object", properties: { text: { type: "string" } } },
  ...more,
});

export type Scripted = {
  readonly folder: string;
  readonly secrets: Set<string>;
  readonly from: SourceContext;
  options(more?: Partial<McpOptions>): McpOptions;
  /** The same as a configuration has it. */
  settings(): { command: string; args: string[]; protocol: "legacy" };
  tools(definitions: readonly Definition[]): void;
  open(more?: Partial<McpOptions>): Promise<OpenToolGroup>;
  book(): string[];
  /** Whether a process of it is left. */
  isRunning(): boolean;
  /** What the lock file says of it. */
  pins(): ServerPins;
};

export function scripted(definitions: readonly Definition[], env: { [name: string]: string } = {}): Scripted {
  const folder = mkdtempSync(join(tmpdir(), "mcp-"));
  const secrets = new Set<string>();
  const groups: OpenToolGroup[] = [];
  const [file, book] = [join(folder, "tools.json"), join(folder, "book")];
  onTestFinished(async () => {
    await Promise.all(groups.map((group) => group.close()));
    rmSync(folder, { recursive: true, force: true });
  });
  const from: SourceContext = {
    cwd: folder,
    env,
    isPassive: false,
    secret: (value, path) => readSecret(value, path, { cwd: folder, env, secrets }),
  };
  const settings = () => ({
    command: process.execPath,
    args: [join(import.meta.dirname, "scripted-server.ts"), file, book],
    protocol: "legacy" as const,
  });
  const options = (more: Partial<McpOptions> = {}): McpOptions => ({
    name: "scripted",
    ...settings(),
    ...more,
  });
  const write = (tools: readonly Definition[]): void => writeFileSync(file, JSON.stringify(tools));
  write(definitions);
  return {
    folder,
    secrets,
    from,
    options,
    settings,
    tools: write,
    async open(more) {
      const group = await mcp(options(more)).open(from);
      groups.push(group);
      return group;
    },
    book: () => (existsSync(book) ? readFileSync(book, "utf8").trim().split("\n") : []),
    isRunning: () => execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).includes(book),
    pins: () => JSON.parse(readFileSync(join(folder, "escapement.mcp.json"), "utf8")).scripted,
  };
}

export const named = (group: OpenToolGroup, name: string): Tool => group.tools.find((tool) => tool.name === `scripted_${name}`)!;

/** Uses a tool as the interpreter would, with its arguments parsed. */
export async function use(tool: Tool, input: Json = {}, more: Partial<ToolContext> = {}): Promise<unknown> {
  const parsed = tool.parse(input);
  if (!parsed.ok) throw new Error(parsed.message);
  return tool.run(parsed.value, { run: "run", key: "key", signal: new AbortController().signal, progress() {}, data() {}, ...more });
}
