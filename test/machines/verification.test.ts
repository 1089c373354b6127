import { describe, expect, test } from "vitest";
import { type AnyStateMachine, setup } from "xstate";
import { ask, call, sleep } from "../../machines/work.ts";
import type { AgentSpec } from "../../src/runtime/agent.ts";
import { boundsOf } from "../../src/runtime/bounds.ts";
import { formatReport, verifyAgent } from "../../src/runtime/verification.ts";
import { agents } from "./fuzzed-world.ts";

const named = (name: string): AgentSpec => agents.find((agent) => agent.name === name) as AgentSpec;
const single = named("single");
const tools = named("tools");
const open = { ...single.limits, max_calls: 1_000, max_tool_calls: 1_000, max_cost_microusd: 1e9, deadline_ms: 1e9 };

describe("bounds", () => {
  test("come from the machine where the limits are wide", () => {
    expect(boundsOf(single, open)).toEqual({
      calls: 11,
      // Two lost calls at the tier with the most context.
      input_tokens: 3 * (20_000 + 8_000 + 4_000) + 2 * 20_000,
      output_tokens: 11 * 200,
      tool_calls: 0,
      // The dearest tokens of an input are those that write the cache: 1.25 of its price.
      cost_microusd: Math.ceil(
        (5 * (20_000 * 625 + 200 * 2_000) + 3 * (8_000 * 125 + 200 * 400) + 3 * (4_000 * 2_500 + 200 * 8_000)) / 1_000,
      ),
      wall_ms: 11 * 30_000 + 6 * 37_500,
    });
  });

  test("come from the limits where those are narrow", () => {
    const limits = { ...tools.limits, max_calls: 7, max_tool_calls: 3, max_cost_microusd: 900, deadline_ms: 5_000 };
    expect(boundsOf(tools, limits)).toMatchObject({ calls: 7, tool_calls: 3, cost_microusd: 900, wall_ms: 5_000 });
  });

  test("count the steps of an agent", () => {
    const of = (max_steps: number) => boundsOf(tools, { ...open, max_steps });
    for (const steps of [1, 2, 3, 7, 50]) expect([of(steps).calls, of(steps).tool_calls]).toEqual([steps * 6, steps * 16]);
  });

  test("never say more tokens than the budget pays for, unless somebody may raise it", () => {
    // The cheapest input token is a cached one: a tenth of 100 nano-dollars.
    const limits = { ...open, max_cost_microusd: 10 };
    expect(boundsOf(single, limits)).toMatchObject({ input_tokens: 1_000, output_tokens: 25 });
    expect(boundsOf({ ...single, onBudget: "ask" }, limits).input_tokens).toBeGreaterThan(100_000);
  });

  test("cost microseconds once they are known", () => {
    boundsOf(tools, tools.limits);
    const before = process.cpuUsage();
    for (let i = 0; i < 1_000; i++) boundsOf(tools, { ...tools.limits, max_calls: 1 + i });
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(200);
  });
});

describe("an agent's verification", () => {
  test("says what it can do at most and why", () => {
    const report = verifyAgent(tools);
    expect(report).toMatchObject({ ok: true, bounds: boundsOf(tools, tools.limits) });
    expect(report.machines.map(({ name, problems }) => [name, problems])).toEqual([
      ["agent", []],
      ["request", []],
      ["tool", []],
    ]);
    const text = formatReport(report);
    expect(text).toContain("tools  (agent@2)  verified");
    expect(text).toContain("6 steps of 6 calls: 2 tiers × 2 attempts, and those that were lost");
    expect(text).toContain("limits.max_tool_calls; its machine could reach 96");
  });

  test("says what it assumes", () => {
    const { contextTokens: _unknown, ...tier } = single.tiers[0] as AgentSpec["tiers"][number];
    expect(verifyAgent({ ...single, tiers: [tier], onBudget: "ask" }).assumptions).toEqual([
      'tier "first": 128,000 tokens of input at most; its context is not known',
      "what a person grants on top of the budget is not counted",
    ]);
  });

  test("of a machine that is not known is its limits", () => {
    const report = verifyAgent({ ...single, machine: "other@1" });
    expect(report).toMatchObject({ ok: true, bounds: { calls: single.limits.max_calls, wall_ms: single.limits.deadline_ms } });
    expect(formatReport(report)).toContain('not walked: the machine "other@1" is not known here');
  });

  // A machine of somebody else, of which the types say only that it is one.
  const other = (waiting: object): AnyStateMachine =>
    setup({ actors: { call, sleep, ask } }).createMachine({
      id: "other",
      version: "1",
      on: { cancel: ".ended" },
      initial: "calling",
      states: {
        calling: {
          invoke: { src: "call", id: "call", input: { tier: "second", attempt: 1 }, onDone: "ended", onError: "waiting" },
        },
        waiting,
        ended: { type: "final" },
      },
    } as never) as unknown as AnyStateMachine;

  test("walks another machine that it is given", () => {
    const machine = other({ invoke: { src: "sleep", id: "sleep", input: { ms: 1_000 }, onDone: "ended", onError: "ended" } });
    expect(boundsOf({ ...single, machine: "other@1" }, open, machine)).toMatchObject({ calls: 1, input_tokens: 8_000, wall_ms: 31_000 });
    expect(verifyAgent({ ...single, machine: "other@1" }, open, machine)).toMatchObject({ ok: true });
  });

  test("refuses one that can ask without end", () => {
    const machine = other({ invoke: { src: "sleep", id: "sleep", input: { ms: 1_000 }, onDone: "calling", onError: "ended" } });
    expect(() => boundsOf({ ...single, machine: "other@1" }, open, machine)).toThrow(/can ask for work without end.*count the loop/);
    const report = verifyAgent({ ...single, machine: "other@1" }, open, machine);
    expect(report).toMatchObject({ ok: false });
    expect(formatReport(report)).toContain("PROBLEM  it can ask for work without end");
  });
});
