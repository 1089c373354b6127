import { describe, expect, test } from "vitest";
import { type AnyStateMachine, assign, fromPromise, setup } from "xstate";
import { agentMachine } from "../../machines/agent.ts";
import { findings, transitionsOf, Uncapped, Unwalkable, walk, worstOf } from "../../machines/bounds.ts";
import { requestMachine } from "../../machines/request.ts";
import { call, sleep } from "../../machines/work.ts";
import { agent, context, long, messages, request, walked } from "./inputs.ts";

const calls = (work: string): number => (work.startsWith("call/") ? 1 : 0);

describe.each(walked)("the $name machine", ({ machine, walks: make }) => {
  const walks = make();
  const found = walks.map(findings);

  test("has a path through every transition", () => {
    const covered = new Set(walks.flatMap(({ transitions }) => [...transitions.covered]));
    expect(transitionsOf(machine).filter((name) => !covered.has(name))).toEqual([]);
  });

  test("reaches every state", () => {
    const passed = new Set(
      walks
        .flatMap(({ first, situations }) => [first, ...situations.flatMap(({ moves }) => moves.map(({ step }) => step))])
        .flatMap((step) => step.passed),
    );
    expect(Object.keys(machine.root.states).filter((name) => !passed.has(name) && name !== machine.root.config.initial)).toEqual([]);
  });

  test("is never stuck, never breaks, and always finds an end", () => {
    for (const { stuck, broken, endless } of found) expect({ stuck, broken, endless }).toEqual({ stuck: [], broken: [], endless: [] });
  });

  test("can be cancelled wherever it is", () => {
    for (const { uncancellable } of found) expect(uncancellable).toEqual([]);
  });

  test("passes a counter in every loop that asks for work", () => {
    for (const { uncapped } of found) expect(uncapped).toEqual([]);
  });
});

describe("worst cases", () => {
  test("a request calls each tier once and again for each retry, and twice more for calls that were lost", () => {
    expect(worstOf(walk(requestMachine, { input: request }), calls)).toBe(3 * 3 + 2);
  });

  test("a person can grant more budget three times", () => {
    expect(worstOf(walk(requestMachine, { input: { ...request, tiers: ["a"], onBudget: "ask" } }), calls)).toBe(3 + 2 + 3);
  });

  test("an agent of n steps costs n requests and the tools of n steps", () => {
    const worst = (maxSteps: number, price: (work: string) => number): number =>
      worstOf(walk(agentMachine, { input: { ...agent, maxSteps }, extent: "few" }), price);
    const tools = (work: string): number => (work === "tool" ? 1 : 0);
    for (const steps of [1, 2, 3, 6]) expect([worst(steps, calls), worst(steps, tools)]).toEqual([steps * 4, steps * 16]);
  });

  test.each([
    { tiers: ["a"], retries: 0 },
    { tiers: ["a", "b"], retries: 1 },
    { tiers: ["a", "b"], retries: 2, structured: true },
    { tiers: ["a"], retries: 1, onBudget: "ask", degraded: "Sorry.", cache: true },
    { tiers: ["a", "b"], retries: 1, messages: long, context },
    { tiers: ["a"], retries: 1, messages, context },
  ])("few kinds of outcomes are as bad as all: $tiers, $retries retries", (shape) => {
    const input = { ...request, ...shape };
    const [few, all] = [walk(requestMachine, { input, extent: "few" }), walk(requestMachine, { input })];
    for (const kind of ["call/a", "call/b", "call/s", "sleep", "sleep_ms", "ask", "lookup", "step"]) {
      const price = (work: string): number => (work === kind ? 1 : 0);
      expect([kind, worstOf(few, price)]).toEqual([kind, worstOf(all, price)]);
    }
  });

  test("a conversation that is made shorter costs two calls more, and one that summarises it", () => {
    const input = { ...request, messages: long, context };
    const of = (work: string) => worstOf(walk(requestMachine, { input }), (asked) => (asked === work ? 1 : 0));
    expect(worstOf(walk(requestMachine, { input }), calls)).toBe(3 * 3 + 2 + 2 + 1);
    expect([of("call/s"), of("step")]).toEqual([1, 1]);
    // One question alone cannot be made shorter.
    expect(worstOf(walk(requestMachine, { input: { ...input, messages } }), calls)).toBe(3 * 3 + 2);
    const growing = (maxSteps: number): number =>
      worstOf(walk(agentMachine, { input: { ...agent, messages: long, context, maxSteps }, extent: "few" }), calls);
    for (const steps of [1, 2, 3, 5]) expect(growing(steps)).toBe(steps * (2 + 2 + 2 + 1));
  });

  test.each([agent, { ...agent, messages: long, retries: 0, context }])("few kinds of outcomes are as bad as all for an agent", (input) => {
    const [few, all] = [walk(agentMachine, { input, extent: "few" }), walk(agentMachine, { input })];
    for (const price of [calls, (work: string) => (work === "tool" ? 1 : 0), (work: string) => (work === "ask" ? 1 : 0)])
      expect(worstOf(few, price)).toBe(worstOf(all, price));
  });
});

describe("what a walk says of a machine that is wrong", () => {
  const actors = { call, sleep };
  const calling = (more: object): object => ({
    invoke: { src: "call", id: "call", input: { tier: "a", attempt: 1 }, ...more },
  });
  // Machines that the types of `setup` would refuse in part: only their shape matters.
  const machine = (states: object, more: object = {}): AnyStateMachine =>
    setup({ actors }).createMachine({
      id: "wrong",
      on: { cancel: ".ended" },
      initial: "calling",
      states: { ...states, ended: { type: "final" } },
      ...more,
    } as never) as unknown as AnyStateMachine;
  const of = (wrong: AnyStateMachine) => findings(walk(wrong, { input: {} }));

  test("it waits for nothing", () => {
    const stuck = machine({ calling: calling({ onDone: "ended", onError: "limbo" }), limbo: {} });
    expect(of(stuck)).toMatchObject({ stuck: ["limbo"], endless: ["limbo"], uncapped: [] });
  });

  test("it tries again without end", () => {
    const uncapped = machine({
      calling: calling({ onDone: "ended", onError: "waiting" }),
      waiting: { invoke: { src: "sleep", id: "sleep", input: { ms: 1 }, onDone: "calling", onError: "ended" } },
    });
    expect(of(uncapped).uncapped.length).toBeGreaterThan(0);
    expect(() => worstOf(walk(uncapped, { input: {} }), calls)).toThrow(Uncapped);
  });

  test("it has no answer to a failure", () => {
    expect(of(machine({ calling: calling({ onDone: "ended" }) })).broken).toContain("calling, call: timeout");
  });

  test("it throws", () => {
    const throwing = machine({
      calling: calling({
        onDone: {
          target: "ended",
          actions: assign(() => {
            throw new Error("no");
          }),
        },
        onError: "ended",
      }),
    });
    expect(of(throwing).broken).toContain("calling, call: good");
  });

  test("it cannot be cancelled", () => {
    expect(of(machine({ calling: calling({ onDone: "ended", onError: "ended" }) }, { on: {} })).uncancellable).toEqual(["calling"]);
  });

  test("it counts without a cap", () => {
    const counting = machine(
      {
        calling: calling({
          onDone: "ended",
          onError: { target: "calling", reenter: true, actions: assign({ times: ({ context }) => context.times + 1 }) },
        }),
      },
      { context: { times: 0 } },
    );
    expect(() => walk(counting, { input: {}, maxStates: 100 })).toThrow(Unwalkable);
  });

  test("it starts what is not work", () => {
    const other = setup({ actors: { other: fromPromise(async () => 1) } }).createMachine({
      id: "wrong",
      invoke: { src: "other" },
    } as never) as unknown as AnyStateMachine;
    expect(() => walk(other, { input: {} })).toThrow(/neither work/);
  });
});
