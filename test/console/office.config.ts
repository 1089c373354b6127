/**
 * The configuration of the tests' server: two providers, both played by the tests at `OFFICE_URL`, and agents that use a tool which needs
 * a yes, and that ask for money.
 */
import { z } from "zod";
import { defineConfig, tool } from "../../src/index.ts";

const at = (path: string): string => `${process.env.OFFICE_URL}${path}/v1`;
const price = { input_usd_per_mtok: 0.4, output_usd_per_mtok: 1.6 };

const sendMail = tool({
  name: "send_mail",
  description: "Sends a mail.",
  input: z.object({ to: z.array(z.string()), subject: z.string(), body: z.string() }),
  class: "once",
  approval: true,
  run: ({ to }) => ({ sent: to.length }),
});

export default defineConfig({
  providers: {
    north: { preset: "openai", base_url: at("/north"), api_key: { env: "OFFICE_KEY" } },
    south: { preset: "openai", base_url: at("/south"), api_key: { env: "OFFICE_KEY" } },
  },
  tiers: {
    primary: { provider: "north", model: "north-large", price, max_output_tokens: 2_048 },
    // A model of its own, so that its breaker is not the other agents'.
    frail: { provider: "north", model: "north-frail", price, max_output_tokens: 2_048 },
    secondary: { provider: "south", model: "south-small", price, max_output_tokens: 2_048 },
  },
  tools: { mail: [sendMail] },
  agents: [
    { name: "assistant", machine: "agent", tools: ["compute"], tiers: ["primary"] },
    { name: "clerk", machine: "agent", tools: ["compute", "mail"], tiers: ["frail", "secondary"], retries: 1 },
    { name: "thrifty", machine: "single", tiers: ["primary"], on_budget: "ask", limits: { max_cost_microusd: 5 } },
  ],
});
