import { agent, defineConfig } from "escapement";
import { support } from "./agents.ts";
import { script } from "./faq.ts";

export default defineConfig({
  tiers: {
    cheap: { provider: "openai", model: "gpt-6-luna", max_output_tokens: 400 },
    strong: { provider: "openai", model: "gpt-6-sol", max_output_tokens: 400 },
  },
  agents: [
    support,
    // For the comparison of costs alone.
    agent({ name: "naive", instructions: support.instructions ?? "", machine: "single", tiers: ["strong"] }),
  ],
  offline: { script, pace_ms: 0 },
});
