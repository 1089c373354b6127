/** Short ways to say entries and keys. */
import type { CacheEntry } from "../../src/cache/cache.ts";
import type { AgentSpec } from "../../src/runtime/agent.ts";

export const t0 = Date.UTC(2026, 10, 1, 12);

export const entry = (id: string, more: Partial<CacheEntry> = {}): CacheEntry => ({
  id,
  tenant: "acme",
  agent: "helper",
  version: "1",
  tags: [],
  tier: "main",
  model: "m",
  text: `answer of ${id}`,
  createdAt: t0,
  expiresAt: t0 + 1_000,
  keepUntil: t0 + 60_000,
  ...more,
});

const tier: AgentSpec["tiers"][number] = {
  name: "main",
  provider: "self",
  model: "m",
  price: { inputNano: 0, cachedNano: 0, cacheWriteNano: 0, outputNano: 1 },
  maxOutputTokens: 100,
  stream: true,
  timeouts: { connect: 1, headers: 1, firstToken: 1, idle: 1, total: 1 },
};

export const spec = (more: Partial<AgentSpec> = {}): AgentSpec => ({
  name: "helper",
  description: "",
  instructions: "Be brief.",
  machine: "single@1",
  tiers: [tier, { ...tier, name: "cheap", model: "s" }],
  tools: [],
  limits: {
    max_steps: 1,
    max_calls: 1,
    max_tool_calls: 1,
    max_depth: 1,
    max_cost_microusd: 1,
    max_output_tokens: 100,
    deadline_ms: 1_000,
  },
  retries: 0,
  onBudget: "stop",
  cache: true,
  caching: { answers: { ttlMs: 1_000, staleMs: 1_000 }, version: "1", tags: [], scope: "user" },
  parallelTools: 1,
  ...more,
});
