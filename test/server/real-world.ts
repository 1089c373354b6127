/** The whole path: a server on a free port over the real runtime and store, with a provider behind HTTP that a test scripts. */
import { onTestFinished } from "vitest";
import { z } from "zod";
import { memoryChannel } from "../../src/channels/memory.ts";
import { openai } from "../../src/providers/openai.ts";
import type { AgentSpec, AgentToolSpec } from "../../src/runtime/agent.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { type Tool, tool } from "../../src/runtime/tool.ts";
import { createServer, type Listening, type ServerOptions } from "../../src/server/server.ts";
import { sqliteInThread } from "../../src/stores/sqlite.ts";
import type { Store } from "../../src/stores/store.ts";
import { type FaultHandler, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";

export type RealWorld = {
  readonly url: string;
  readonly listening: Listening;
  readonly runtime: Runtime;
  readonly provider: FaultServer;
  readonly store: Store;
  readonly defects: unknown[];
};

export const upper = tool({
  name: "upper",
  description: "Writes in capitals.",
  class: "pure",
  input: z.strictObject({ text: z.string() }),
  run: ({ text }) => text.toUpperCase(),
});

export const deploy = tool({
  name: "deploy",
  description: "Deploys.",
  class: "once",
  approval: true,
  input: z.strictObject({ to: z.string() }),
  run: ({ to }) => `deployed to ${to}`,
});

const timeouts = { connect: 3_000, headers: 10_000, firstToken: 10_000, idle: 10_000, total: 60_000 };
const toolSpec = ({ name, description, schema, class: kind, approval }: Tool): AgentToolSpec => ({
  name,
  group: "hands",
  description,
  schema,
  class: kind,
  approval,
});

function spec(name: string, more: Partial<AgentSpec> = {}): AgentSpec {
  return {
    name,
    description: "",
    instructions: "",
    machine: "agent@2",
    tiers: [
      {
        name: "fast",
        provider: "openai",
        model: "gpt-4.1-mini",
        price: { inputNano: 400, cachedNano: 100, cacheWriteNano: 400, outputNano: 1_600 },
        maxOutputTokens: 1_000,
        stream: true,
        timeouts,
      },
    ],
    tools: [toolSpec(upper), toolSpec(deploy)],
    limits: {
      max_steps: 10,
      max_calls: 20,
      max_tool_calls: 20,
      max_depth: 4,
      max_cost_microusd: 1_000_000,
      max_output_tokens: 1_000,
      deadline_ms: 60_000,
    },
    retries: 0,
    onBudget: "stop",
    parallelTools: 4,
    ...more,
  };
}

export async function realRuntime(providerUrl: string, store: Store): Promise<Runtime> {
  return Runtime.create({
    store,
    channel: memoryChannel(),
    providers: new Map([["openai", openai({ baseURL: `${providerUrl}/v1`, apiKey: "sk-test" })]]),
    agents: [
      { spec: spec("assistant"), options: {} },
      { spec: spec("single", { machine: "single@2", tools: [] }), options: {} },
    ],
    tools: { hands: [upper, deploy] },
  });
}

export async function realWorld(handler: FaultHandler, options: ServerOptions = {}): Promise<RealWorld> {
  const provider = await startFaultServer(handler);
  const store = sqliteInThread(":memory:");
  const runtime = await realRuntime(provider.url, store);
  const defects: unknown[] = [];
  const server = createServer(runtime, { onDefect: (_, cause) => defects.push(cause), ...options });
  const listening = await server.listen({ port: 0 });
  onTestFinished(async () => {
    await listening.close(0);
    await runtime.close();
    await provider.close();
  });
  return { url: listening.url, listening, runtime, provider, store, defects };
}
