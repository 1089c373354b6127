import { agent, defineConfig } from "escapement";
import { pipeline } from "./agents.ts";
import { keywordDensity } from "./keyword-density.ts";
import { script } from "./script.ts";

export default defineConfig({
  tiers: {
    cheap: { provider: "openai", model: "gpt-6-luna" },
    strong: { provider: "openai", model: "gpt-6-sol" },
  },
  tools: { seo: [keywordDensity] },
  agents: [
    pipeline,
    // For the comparison of costs alone.
    agent({ name: "naive", instructions: "You do it all.", machine: "single", tiers: ["strong"], limits: { max_output_tokens: 1_200 } }),
  ],
  offline: { script, pace_ms: 0 },
});
