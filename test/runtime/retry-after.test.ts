/** A provider that asks for a longer wait than the run has left is left for the next tier. */
import { expect, test } from "vitest";
import { agent } from "../../src/index.ts";
import { chatError } from "../../src/testing/fault-chat.ts";
import { world } from "./world.ts";

const tier = (model: string) => ({
  provider: "self",
  model,
  max_output_tokens: 20,
  price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 },
});

test("a wait beyond the deadline is not slept out", async () => {
  const { runtime, provider } = await world(
    (request) => (request.json().model === "busy" ? chatError(429, "slow down", { headers: { "retry-after": "25" } }) : { text: "yes" }),
    {
      tiers: { busy: tier("busy"), free: tier("free") },
      agents: [agent({ name: "a", machine: "single", limits: { deadline_ms: 20_000 } })],
    },
  );
  const result = await (await runtime.start({ agent: "a", input: "?" })).result();
  expect(result).toMatchObject({ status: "done", tier: "free" });
  expect(provider.book.entries.map(({ request }) => request.json().model)).toEqual(["busy", "free"]);
});
