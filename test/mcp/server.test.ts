/** Agents over MCP: the SDK's own client against our two wires, with a real runtime and a scripted provider behind them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { agent, type Config, createRuntime, type RuntimeExtras, tool } from "../../src/index.ts";
import { type ServedHTTP, serveOverHTTP } from "../../src/mcp/http.ts";
import { mcpServers } from "../../src/mcp/server.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { type Model, type World, world } from "../runtime/world.ts";
import { mainFile, newFolder } from "../whole-path/served.ts";

const problems: string[] = [];

async function served(model: Model, more: Config & RuntimeExtras): Promise<World & { http: ServedHTTP; client: Client }> {
  const made = await world(model, more);
  const http = await serveOverHTTP(mcpServers(made.runtime), 0, (message) => problems.push(message));
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "auto" } });
  onTestFinished(async () => {
    await client.close();
    await http.close();
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(http.url)));
  return { ...made, http, client };
}

const asker = agent({ name: "asker", description: "answers" });

test("agents are tools: what has no schema takes text, an object's schema is the tool's", async () => {
  const { client } = await served(() => ({ text: "hi" }), {
    agents: [
      asker,
      agent({ name: "sorter", input: z.strictObject({ items: z.array(z.string()) }), output: z.object({ first: z.string() }) }),
      agent({ name: "picker", input: z.enum(["a", "b"]) }),
    ],
  });
  expect(client.getProtocolEra()).toBe("modern");
  const { tools } = await client.listTools();
  expect(tools.map(({ name, description }) => [name, description])).toEqual([
    ["asker", "answers"],
    ["sorter", "Asks the agent sorter."],
    ["picker", "Asks the agent picker."],
  ]);
  expect(tools[0]?.inputSchema).toEqual({
    type: "object",
    properties: { input: { type: "string", description: "What to ask." } },
    required: ["input"],
    additionalProperties: false,
  });
  expect(tools[1]?.inputSchema).toMatchObject({ type: "object", required: ["items"] });
  expect(tools[1]?.outputSchema).toMatchObject({ type: "object", required: ["first"] });
  expect(tools[2]?.inputSchema).toMatchObject({ type: "object", properties: { input: { enum: ["a", "b"] } } });
});

test("a use is a run: its progress is told, its answer is the result, its id is beside it", async () => {
  const { client, runtime } = await served(() => ({ text: "forty-two" }), { agents: [asker] });
  const seen: (string | undefined)[] = [];
  const result = await client.callTool(
    { name: "asker", arguments: { input: "what is it?" } },
    { onprogress: ({ message }) => void seen.push(message) },
  );
  expect(result.content).toEqual([{ type: "text", text: "forty-two" }]);
  expect(seen).toEqual(["started", "asks m (step 1)"]);
  const run = await runtime.get(String(result._meta?.["escapement/run"]));
  expect(run).toMatchObject({ agent: "asker", status: "done" });
});

test("an agent with an output schema gives structured content", async () => {
  const { client } = await served(() => ({ text: '{"first":"a"}' }), {
    agents: [agent({ name: "sorter", input: z.strictObject({ items: z.array(z.string()) }), output: z.object({ first: z.string() }) })],
  });
  const result = await client.callTool({ name: "sorter", arguments: { items: ["b", "a"] } });
  expect(result.structuredContent).toEqual({ first: "a" });
  expect(result.content).toEqual([{ type: "text", text: '{"first":"a"}' }]);
  const wrong = await client.callTool({ name: "sorter", arguments: { items: "b" } });
  expect(wrong).toMatchObject({ isError: true, content: [{ text: expect.stringMatching(/takes another input: input\.items/) }] });
});

test("a run that fails is told in words, an unknown agent as wrong parameters", async () => {
  const { client } = await served(() => ({ text: "cut", finish: "content_filter" }), { agents: [asker] });
  const result = await client.callTool({ name: "asker", arguments: { input: "x" } });
  expect(result).toMatchObject({ isError: true, content: [{ text: expect.stringMatching(/^the run ended as (refused|failed)/) }] });
  await expect(client.callTool({ name: "nobody", arguments: {} })).rejects.toThrow(/there is no tool "nobody"; there are asker/);
});

test("a use that its client gives up cancels the run", async () => {
  const { client, provider, runtime } = await served(() => ({ text: "slow answer", firstTokenDelayMs: 30_000 }), { agents: [asker] });
  const stop = new AbortController();
  const using = client.callTool({ name: "asker", arguments: { input: "x" } }, { signal: stop.signal }).catch((error) => error);
  await provider.book.entry(0);
  stop.abort();
  await using;
  await provider.book.idle();
  const ended = async (): Promise<string | undefined> => (await runtime.list()).data[0]?.status;
  await expect.poll(ended).toBe("cancelled");
});

test("a client of 2025 over HTTP, where there is no session, cancels the run by closing its request", async () => {
  const { http, provider, runtime } = await served(() => ({ text: "slow answer", firstTokenDelayMs: 30_000 }), { agents: [asker] });
  const stop = new AbortController();
  const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "asker", arguments: { input: "x" } } };
  const using = fetch(http.url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
    body: JSON.stringify(call),
    signal: stop.signal,
  })
    .then((response) => response.text())
    .catch(() => {});
  await provider.book.entry(0);
  stop.abort();
  await using;
  await expect.poll(async () => (await runtime.list()).data[0]?.status, { timeout: 5_000 }).toBe("cancelled");
});

test("a run that needs a person is cancelled, and the client is told what was asked", async () => {
  const pay = tool({ name: "pay", description: "pays", input: z.strictObject({}), class: "once", approval: true, run: () => "paid" });
  const { client, runtime } = await served(() => ({ tools: [{ name: "pay", input: {} }] }), {
    tools: { money: [pay] },
    agents: [agent({ name: "payer", tools: ["money"] })],
  });
  const result = await client.callTool({ name: "payer", arguments: { input: "pay" } });
  expect(result).toMatchObject({ isError: true, content: [{ text: expect.stringMatching(/needs a person's answer.*pay/) }] });
  expect((await runtime.list()).data[0]?.status).toBe("cancelled");
});

test("requests for another host's name, from another origin, to another path and too large ones are refused", async () => {
  const { http } = await served(() => ({ text: "x" }), { agents: [asker] });
  const post = (headers: { [name: string]: string }, body = "{}", url = http.url): Promise<Response> =>
    fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
      body,
    });
  expect((await post({ origin: "https://evil.example" })).status).toBe(403);
  expect((await post({}, "{}", http.url.replace("/mcp", "/other"))).status).toBe(404);
  expect((await post({}, `"${"x".repeat(5_000_000)}"`)).status).toBe(413);
  const { request } = await import("node:http");
  const status = await new Promise((resolve) => {
    request(http.url, { method: "POST", headers: { host: "evil.example" } }, (response) => resolve(response.statusCode)).end("{}");
  });
  expect(status).toBe(403);
});

test("escapement mcp over standard input and output, to a client of 2025", async () => {
  const cwd = newFolder();
  const client = new Client({ name: "test", version: "1" });
  const env = { PATH: process.env.PATH ?? "", HOME: cwd };
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [mainFile, "mcp", "--agent", "assistant"],
    cwd,
    env,
    stderr: "pipe",
  });
  onTestFinished(() => client.close());
  await client.connect(transport);
  expect(client.getProtocolEra()).toBe("legacy");
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["assistant"]);
  const seen: unknown[] = [];
  const result = await client.callTool(
    { name: "assistant", arguments: { input: "What is 17 times 23?" } },
    { onprogress: ({ message }) => seen.push(message) },
  );
  expect(result.content).toEqual([{ type: "text", text: expect.stringContaining("391") }]);
  expect(seen).toContain("uses calculator");
});

test("a client that goes away over standard input leaves no run that goes on", async () => {
  const cwd = newFolder();
  const provider = await startFaultServer((request) => chatScript(request, { text: "slow answer", firstTokenDelayMs: 60_000 }));
  onTestFinished(() => provider.close());
  const config = {
    providers: { self: { preset: "vllm", base_url: `${provider.url}/v1` } },
    tiers: { main: { provider: "self", model: "m", price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
    agents: [{ name: "asker" }],
  };
  writeFileSync(join(cwd, "escapement.config.json"), JSON.stringify(config));
  const client = new Client({ name: "test", version: "1" });
  const env = { PATH: process.env.PATH ?? "", HOME: cwd };
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [mainFile, "mcp"], cwd, env, stderr: "pipe" }));
  const using = client.callTool({ name: "asker", arguments: { input: "x" } }).catch((error) => error);
  await provider.book.entry(0);
  await client.close();
  await using;
  await provider.book.idle();
  const runtime = await createRuntime({ cwd, env: {}, ...config, onError: () => {} } as Config & RuntimeExtras);
  onTestFinished(() => runtime.close());
  await expect.poll(async () => (await runtime.list()).data.map(({ status }) => status)).toEqual(["cancelled"]);
  expect(provider.book.entries).toHaveLength(1);
});
