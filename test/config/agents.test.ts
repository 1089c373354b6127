import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type AgentParts, defaultAgents, resolveAgents } from "../../src/config/agents.ts";
import { offlineTier } from "../../src/config/tiers.ts";
import type { AgentOptions } from "../../src/runtime/agent.ts";
import { clock } from "../../tools/clock/index.ts";
import { compute } from "../../tools/compute/index.ts";

const parts: AgentParts = {
  tiers: [
    { ...offlineTier, name: "fast", maxOutputTokens: 1_000 },
    { ...offlineTier, name: "smart", maxOutputTokens: 4_000 },
  ],
  tools: { compute, clock },
  machines: { agent: "1", single: "3" },
};
const resolve = (options: Partial<AgentOptions>, more: Partial<AgentParts> = {}) =>
  resolveAgents([{ name: "a", ...options }], { ...parts, ...more })[0]!.spec;

describe("resolveAgents", () => {
  it("makes plain data of an agent, with every default said", () => {
    const spec = resolve({});
    expect(spec).toMatchObject({
      name: "a",
      description: "",
      instructions: "",
      machine: "agent@1",
      tools: [],
      limits: {
        max_steps: 10,
        max_calls: 40,
        max_tool_calls: 40,
        max_depth: 4,
        max_cost_microusd: 500_000,
        max_output_tokens: 2_048,
        deadline_ms: 300_000,
      },
      retries: 2,
      onBudget: "stop",
      parallelTools: 4,
    });
    expect(spec.tiers.map(({ name }) => name)).toEqual(["fast", "smart"]);
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
  });

  it("takes limits from the agent, else from the configuration, else ours", () => {
    const { limits } = resolve({ limits: { max_steps: 3 } }, { limits: { max_steps: 7, max_calls: 8, max_depth: 2 } });
    expect(limits).toMatchObject({ max_steps: 3, max_calls: 8, max_depth: 2, max_tool_calls: 40 });
  });

  it("cuts the output of a call to what the tiers can give", () => {
    expect(resolve({ tiers: ["fast"] }).limits.max_output_tokens).toBe(1_000);
    expect(resolve({ limits: { max_output_tokens: 100_000 } }).limits.max_output_tokens).toBe(4_000);
  });

  it("keeps the agent's own order of tiers", () => {
    expect(resolve({ tiers: ["smart", "fast"] }).tiers.map(({ name }) => name)).toEqual(["smart", "fast"]);
  });

  it("turns zod schemas into JSON Schema and keeps them for validation", () => {
    const output = z.object({ city: z.string() });
    const [resolved] = resolveAgents([{ name: "a", output, input: z.object({ q: z.string().default("x") }) }], parts);
    expect(resolved?.spec.outputSchema).toMatchObject({ type: "object", required: ["city"] });
    expect(resolved?.spec.inputSchema).not.toHaveProperty("required");
    expect(resolved?.options.output).toBe(output);
  });

  it.each<[Partial<AgentOptions>, RegExp]>([
    [{ name: "No Good" }, /"No Good" is not/],
    [{ tiers: ["slow"] }, /tier "slow", which is not configured; there are: fast, smart/],
    [{ tiers: ["fast", "fast"] }, /names a tier twice/],
    [{ tools: ["web"] }, /"web", which is not configured; there are: compute, clock/],
    [{ machine: "loop" }, /machine "loop", which is not there; there are: agent, single/],
    [{ machine: "toString" }, /machine "toString"/],
    [{ output: z.string() }, /must be an object/],
    [{ output: z.object({ at: z.date() }) }, /no JSON Schema/],
  ])("refuses %o", (options, reason) => {
    expect(() => resolve(options)).toThrow(reason);
  });

  it("refuses two agents of one name", () => {
    expect(() => resolveAgents([{ name: "a" }, { name: "a" }], parts)).toThrow(/two agents named "a"/);
  });

  it("has the default agents: one with the groups compute and clock, one of a single request", () => {
    const [assistant, single] = resolveAgents(defaultAgents, parts).map(({ spec }) => spec);
    expect(assistant).toMatchObject({ name: "assistant", machine: "agent@1", onBudget: "stop", retries: 2 });
    expect(assistant?.limits.max_steps).toBe(10);
    expect(assistant?.tools.map(({ name }) => name)).toEqual(["calculator", "statistics", "clock"]);
    expect(single).toMatchObject({ name: "single", machine: "single@3", tools: [] });
  });
});
