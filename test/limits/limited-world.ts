/** The whole path with limits: a server a caller over one runtime, a provider behind HTTP that a test scripts. */
import { onTestFinished } from "vitest";
import { type Config, createRuntime, type LimitEvent, type Runtime, type RuntimeExtras, sqlite } from "../../src/index.ts";
import { type Caller, createServer } from "../../src/server/server.ts";
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import type { Script } from "../../src/testing/fault-script.ts";
import { type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { single } from "./limited-agent.ts";

export type LimitedWorld = {
  readonly runtime: Runtime;
  readonly provider: FaultServer;
  readonly events: LimitEvent[];
  readonly errors: string[];
  /** The address at which every request is this caller's. */
  as(caller?: Partial<Caller>): Promise<string>;
};

export const price = { input_usd_per_mtok: 1, output_usd_per_mtok: 1 };
export { single };

export async function limitedWorld(
  config: Config & RuntimeExtras,
  answer: (request: FaultRequest) => ChatAnswer | Script | Promise<ChatAnswer | Script> = () => ({ text: "Hello." }),
): Promise<LimitedWorld> {
  const provider = await startFaultServer(async (request) => {
    const given = await answer(request);
    return Array.isArray(given) ? (given as Script) : chatScript(request, given as ChatAnswer);
  });
  const events: LimitEvent[] = [];
  const errors: string[] = [];
  const url = `${provider.url}/v1`;
  const runtime = await createRuntime({
    store: sqlite(":memory:"),
    env: {},
    tiers: { main: { provider: "self", model: "main", price, max_output_tokens: 50 } },
    agents: [single],
    onLimit: (event) => events.push(event),
    onError: (message) => errors.push(message),
    ...config,
    providers: Object.fromEntries(
      Object.entries(config.providers ?? { self: {} }).map(([name, settings]) => [name, { preset: "vllm", base_url: url, ...settings }]),
    ),
  });
  const closing: (() => Promise<void>)[] = [];
  onTestFinished(async () => {
    await Promise.all(closing.map((close) => close()));
    await runtime.close();
    await provider.close();
  });
  return {
    runtime,
    provider,
    events,
    errors,
    as: async (caller = {}) => {
      const listening = await createServer(runtime, { caller: { tenant: "acme", scopes: ["users", "tenant"], ...caller } }).listen({
        port: 0,
      });
      closing.push(() => listening.close(0));
      return listening.url;
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of any shape.
export type Reply = { readonly status: number; readonly headers: Headers; readonly body: any };

export async function post(url: string, body: object = {}, headers: Record<string, string> = {}): Promise<Reply> {
  const response = await fetch(`${url}/v1/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ agent: "single", input: "hello", ...body }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** How many answers had each status. */
export function statuses(replies: readonly Reply[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
