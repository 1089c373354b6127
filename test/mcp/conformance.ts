/**
 * The server scenarios of the official conformance package against our MCP endpoint over HTTP. Its scenarios call tools by names of
 * their own (`test_simple_text`), which no agent can have: here agents stand under those names, as far as what a scenario asks for is
 * something that an agent does. The rest is in `conformance.yml`, with the reason; the package fails when one of those passes.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { agent, createRuntime, sqlite, tool, vllm } from "../../src/index.ts";
import { serveOverHTTP } from "../../src/mcp/http.ts";
import { type AgentRuntime, mcpServers } from "../../src/mcp/server.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";

const program = fileURLToPath(new URL("../../node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url));
const baseline = fileURLToPath(new URL("conformance.yml", import.meta.url));

/** Scenarios give no arguments, so these agents take any object. */
const anything = z.looseObject({});
const address = z.object({ street: z.string(), city: z.string() }).partial().meta({ id: "address" });
const agents = [
  agent({ name: "test-simple-text", input: anything }),
  agent({ name: "test-error-handling", input: anything }),
  agent({ name: "test-tool-with-progress", input: anything, tools: ["steps"] }),
  agent({ name: "json-schema-2020-12-tool", input: z.strictObject({ name: z.string(), address, other: address }).partial() }),
];

/** Exit code and output of the package. */
export async function conformance(): Promise<{ readonly code: number | null; readonly output: string }> {
  const provider = await startFaultServer((request) => {
    const { messages, tools } = request.json();
    if (tools && messages.at(-1).role !== "tool") return chatScript(request, { tools: [{ name: "steps", input: {} }] });
    const model: string = request.json().model;
    return chatScript(
      request,
      model === "broken" ? { text: "no", finish: "content_filter" } : { text: "This is a simple text response for testing." },
    );
  });
  const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
  const runtime = await createRuntime({
    store: sqlite(":memory:"),
    env: {},
    providers: { self: vllm({ baseURL: `${provider.url}/v1` }) },
    tiers: { main: { provider: "self", model: "m", price }, broken: { provider: "self", model: "broken", price } },
    tools: {
      steps: [
        tool({
          name: "steps",
          description: "walks",
          class: "pure",
          input: z.strictObject({}),
          run: (_, { progress }) => {
            progress("half", 50, 100);
            return "walked";
          },
        }),
      ],
    },
    agents: agents.map((one) => ({ ...one, tiers: [one.name === "test-error-handling" ? "broken" : "main"] })),
  });
  const renamed: AgentRuntime = {
    agents: () => runtime.agents().map((one) => ({ ...one, name: one.name.replaceAll("-", "_") })),
    start: (body) => runtime.start({ ...body, agent: body.agent.replaceAll("_", "-") }),
  };
  const http = await serveOverHTTP(mcpServers(renamed), 0, () => {});
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  try {
    const args = [program, "server", "--url", http.url, "--suite", "all", "--expected-failures", baseline];
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => {
        output += chunk;
      });
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { code, output: output.slice(Math.max(0, output.indexOf("=== SUMMARY"))) };
  } finally {
    await http.close();
    await runtime.close();
    await provider.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { code, output } = await conformance();
  process.stdout.write(output);
  process.exitCode = code ?? 1;
}
