/** A runtime in memory whose one provider is the fault server: real wire, real store. Both close with the test. */
import { onTestFinished } from "vitest";
import { type Config, createRuntime, type Runtime, type RuntimeExtras, sqlite, vllm } from "../../src/index.ts";
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import type { Script } from "../../src/testing/fault-script.ts";
import { type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";

export type World = { runtime: Runtime; provider: FaultServer; config: Config & RuntimeExtras };
export type Model = (request: FaultRequest) => ChatAnswer | Script | Promise<ChatAnswer | Script>;

export async function world(model: Model, more: Config & RuntimeExtras = {}): Promise<World> {
  const provider = await startFaultServer(async (request) => {
    const answer = await model(request);
    return Array.isArray(answer) ? (answer as Script) : chatScript(request, answer as ChatAnswer);
  });
  const config = {
    store: sqlite(":memory:"),
    env: {},
    providers: { self: vllm({ baseURL: `${provider.url}/v1` }) },
    tiers: { main: { provider: "self", model: "m", max_output_tokens: 100, price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
    ...more,
  };
  const runtime = await createRuntime(config);
  onTestFinished(async () => {
    await runtime.close();
    await provider.close();
  });
  return { runtime, provider, config };
}
