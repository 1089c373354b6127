/** Who asks a provider to keep what begins its calls alike: every agent, unless it or its tier says no. */
import { expect, test } from "vitest";
import { agent, anthropic } from "../../src/index.ts";
import { json } from "../../src/testing/fault-script.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { world } from "./world.ts";

const answer = {
  type: "message",
  model: "m",
  content: [{ type: "text", text: "PASS" }],
  stop_reason: "end_turn",
  usage: { input_tokens: 10, cache_read_input_tokens: 1_000, cache_creation_input_tokens: 500, output_tokens: 5 },
};
const price = { input_usd_per_mtok: 2, cached_usd_per_mtok: 0.2, cache_write_usd_per_mtok: 2.5, output_usd_per_mtok: 10 };

test("an agent's calls carry marks and are charged by what was read and written; a judge's carry none", async () => {
  const server = await startFaultServer(() => json(200, answer));
  const tier = { provider: "claude", model: "m", stream: false, price };
  const guide = { machine: "single", instructions: "Words that stay the same. ".repeat(80) };
  const { runtime } = await world(() => ({ text: "" }), {
    providers: { claude: anthropic({ baseURL: `${server.url}/v1`, apiKey: "k" }) },
    tiers: { main: tier, plain: { ...tier, prompt_cache: false } },
    agents: [
      agent({ name: "kept", tiers: ["main"], judge: { tier: "main", criteria: "True." }, ...guide }),
      agent({ name: "not-kept", tiers: ["main"], prompt_cache: false, ...guide }),
      agent({ name: "by-tier", tiers: ["plain"], ...guide }),
      agent({ name: "over-its-tier", tiers: [{ tier: "plain", prompt_cache: true }], ...guide }),
    ],
  });
  const marks = async (name: string): Promise<boolean[]> => {
    const before = server.book.entries.length;
    const run = await (await runtime.start({ agent: name, input: "What?" })).result();
    const sent = server.book.entries.slice(before).map(({ request }) => request.body.toString().includes("cache_control"));
    expect(run).toMatchObject({ status: "done", cost_microusd: sent.length * (20 + 200 + 1_250 + 50) });
    expect(run.usage).toMatchObject({ input_tokens: sent.length * 1_510, cached_tokens: sent.length * 1_000 });
    return sent;
  };
  expect(await marks("kept")).toEqual([true, false]);
  expect(await marks("not-kept")).toEqual([false]);
  expect(await marks("by-tier")).toEqual([false]);
  expect(await marks("over-its-tier")).toEqual([true]);
  await server.close();
});
