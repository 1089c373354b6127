/** Bounds are promises: what fuzzed runs of the real runtime did is held against what was said when they were accepted. */
import { expect, test } from "vitest";
import type { AgentSpec } from "../../src/runtime/agent.ts";
import { agents, type Ended, FuzzedWorld, patterns } from "./fuzzed-world.ts";
import { chance } from "./inputs.ts";

/** A larger number for a long run: `FUZZ_RUNS=100000 npx vitest run test/machines/fuzz.test.ts`. */
const runs = Number(process.env.FUZZ_RUNS ?? 2_000);
const seed = Number(process.env.FUZZ_SEED ?? 1);

test(`${runs} fuzzed runs stay within their bounds and their limits`, { timeout: 60_000 + runs * 300 }, async () => {
  const ended = await new FuzzedWorld(chance(seed)).play(runs);
  expect(ended).toHaveLength(runs);
  for (const one of ended) expect(exceeded(one), `${one.run.agent} ${one.run.id} ${JSON.stringify(one)}`).toEqual([]);
  // The fuzz must be worth something: every end of every agent's kind, and runs that came far.
  for (const { name } of agents)
    expect(ended.filter(({ run }) => run.agent === name && run.status === "done").length, name).toBeGreaterThan(0);
  expect(new Set(ended.map(({ run }) => run.status))).toEqual(new Set(["done", "degraded", "exhausted", "refused", "cancelled", "failed"]));
  expect(Math.max(...ended.map(({ performed }) => performed.calls))).toBeGreaterThan(15);
  expect(Math.max(...ended.map(({ performed }) => performed.tools))).toBeGreaterThan(10);
  expect(ended.filter(({ run, performed }) => performed.calls === run.limits.max_calls).length).toBeGreaterThan(0);
});

test(`${runs / 10} fuzzed runs of patterns stay within their bounds and their limits`, { timeout: 60_000 + runs * 300 }, async () => {
  const ended = await new FuzzedWorld(chance(seed)).play(runs / 10, (i) => patterns[i % patterns.length] as AgentSpec);
  expect(ended).toHaveLength(runs / 10);
  for (const one of ended) expect(exceeded(one), `${one.run.agent} ${one.run.id} ${JSON.stringify(one)}`).toEqual([]);
  const kindOf = new Map(patterns.map(({ name, machine }) => [name, machine.replace(/@.*/, "")]));
  for (const [kind, runs] of Map.groupBy(ended, ({ run }) => kindOf.get(run.agent))) {
    expect([kind, runs.some(({ run }) => run.status === "done")]).toEqual([kind, true]);
    expect(Math.max(...runs.map(({ performed }) => performed.calls)), kind).toBeGreaterThan(5);
  }
  expect(new Set(kindOf.values()).size).toBe(5);
  expect(Math.max(...ended.map(({ performed }) => performed.calls))).toBeGreaterThan(15);
});

test("the bound of calls is reached, so it is no larger than it must be", async () => {
  const single = agents[0] as AgentSpec;
  const world = new FuzzedWorld(chance(2), (calls) => (calls < 2 ? "lost" : "unavailable"));
  const ended = await world.play(40, () => single);
  const uncut = ended.filter(({ run }) => run.bounds.calls === 11 && run.status === "failed");
  expect(uncut.length).toBeGreaterThan(0);
  for (const { performed } of uncut) expect(performed.calls).toBe(11);
});

/** Names of the promises that were not kept. */
function exceeded({ run, performed }: Ended): readonly string[] {
  const { bounds, limits, usage } = run;
  const money = bounds.cost_microusd + performed.grantedMicrousd;
  const wallMs = Date.parse(run.finished_at ?? "") - Date.parse(run.created_at);
  const kept: readonly (readonly [name: string, kept: boolean])[] = [
    ["calls performed", performed.calls <= bounds.calls],
    ["calls counted", run.calls <= bounds.calls && performed.calls <= run.calls],
    ["calls limited", bounds.calls <= limits.max_calls],
    ["steps", run.steps <= limits.max_steps],
    ["tools performed", performed.tools <= bounds.tool_calls],
    ["tools counted", run.tool_calls <= bounds.tool_calls && performed.tools <= run.tool_calls],
    ["input tokens", usage.input_tokens <= bounds.input_tokens && usage.input_tokens === performed.inputTokens],
    ["output tokens", usage.output_tokens <= bounds.output_tokens && usage.output_tokens === performed.outputTokens],
    ["money", run.cost_microusd <= money && performed.costNano <= money * 1_000],
    ["money told", Math.abs(run.cost_microusd * 1_000 - performed.costNano) < 1],
    ["nothing held", run.held_microusd === 0],
    ["time", wallMs <= bounds.wall_ms],
  ];
  return kept.filter(([, isKept]) => !isKept).map(([name]) => name);
}
