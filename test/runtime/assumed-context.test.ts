/** A tier that does not say how much it takes: what bounds assume of it holds for its calls too. */
import { expect, test } from "vitest";
import { agent } from "../../src/index.ts";
import { loadTokenizer } from "../../src/money/tokens.ts";
import { assumedContextTokens } from "../../src/runtime/too-long.ts";
import { world } from "./world.ts";

const tier = { provider: "self", model: "m", max_output_tokens: 20, price: { input_usd_per_mtok: 1, output_usd_per_mtok: 1 } };

test("a call above what bounds assume is not sent, and the error says what to set", async () => {
  await loadTokenizer();
  const { runtime, provider } = await world(() => ({ text: "yes" }), {
    tiers: { unknown: tier, known: { ...tier, context_tokens: 1_000_000 } },
    agents: ["unknown", "known"].map((name) => agent({ name, machine: "single", tiers: [name], retries: 0 })),
  });
  const input = "The quick brown fox. ".repeat(30_000);
  const { calls, input_tokens } = runtime.bounds("unknown");
  expect(input_tokens).toBe(calls * assumedContextTokens);
  const refused = await (await runtime.start({ agent: "unknown", input })).result();
  expect(refused).toMatchObject({ status: "failed", cost_microusd: 0, error: { code: "context_too_long" } });
  expect(refused.error?.message).toContain("set its context_tokens");
  expect(provider.book.entries).toHaveLength(0);
  expect((await (await runtime.start({ agent: "known", input })).result()).status).toBe("done");
});
