import { describe, expect, test } from "vitest";
import { enter, isOver, leavesOf, silentActor, tree } from "../../src/console/state-visits.ts";
import type { Json } from "../../src/protocol/json.ts";

const machine = "request";
const through = (...values: readonly Json[]) =>
  values.reduce(
    (actor: ReturnType<typeof silentActor>, value, at) => enter(actor, { seq: at + 1, machine, value }),
    silentActor("run/request-1"),
  );
const visits = (...values: readonly Json[]) => through(...values).visits.map(({ state, count, active }) => [state, count, active]);

describe("the leaves of a state value", () => {
  test.each<[Json, string[]]>([
    ["calling", ["calling"]],
    [{ waiting: "approval" }, ["waiting.approval"]],
    [{ open: { deep: "inside" } }, ["open.deep.inside"]],
    [{ left: "a", right: { b: "c" } }, ["left.a", "right.b.c"]],
    [{ idle: {} }, ["idle"]],
    [{}, []],
  ])("of %j", (value, leaves) => {
    expect(leavesOf(value)).toEqual(leaves);
  });
});

describe("visits", () => {
  test("count entries and know what is active", () => {
    expect(visits("validating", "calling", "retrying", "calling")).toEqual([
      ["validating", 1, false],
      ["calling", 2, true],
      ["retrying", 1, false],
    ]);
  });

  test("count a state that was entered again at once", () => {
    expect(visits("calling", "calling")).toEqual([["calling", 2, true]]);
  });

  test("count only the region that moved", () => {
    expect(visits({ left: "a", right: "x" }, { left: "b", right: "x" })).toEqual([
      ["left.a", 1, false],
      ["right.x", 1, true],
      ["left.b", 1, true],
    ]);
  });

  test("remember the fact that entered a state last", () => {
    const actor = through("a", "b", "a");
    expect(actor.enteredAt).toBe(3);
    expect(actor.visits.find((visit) => visit.state === "a")?.enteredAt).toBe(3);
    expect(actor.visits.find((visit) => visit.state === "b")?.enteredAt).toBe(2);
  });

  test("know an end by its name", () => {
    expect(through("calling").end).toBeNull();
    expect(through("calling", "done").end).toBe("done");
    expect(through("running", "returned").end).toBe("returned");
    expect(through("done", "validating").end).toBeNull();
    expect(through({ inner: "done" }).end).toBeNull();
  });
});

test("what an ended machine had started is over with it", () => {
  const at = (path: string, value: Json) => [path, enter(silentActor(path), { seq: 1, machine: "m", value })] as const;
  const actors = new Map([
    at("run", "running"),
    at("run/agent", "cancelled"),
    at("run/agent/request", "calling"),
    at("run/other", "calling"),
  ]);
  expect([...actors.keys()].map((path) => isOver(path, actors))).toEqual([false, true, true, false]);
});

test("actors are listed parents first, with the parents that never spoke", () => {
  expect(tree(["run", "run/fan/request-1", "run/agent", "run/fan/request-2", "run/agent/request-1"])).toEqual([
    "run",
    "run/fan",
    "run/fan/request-1",
    "run/fan/request-2",
    "run/agent",
    "run/agent/request-1",
  ]);
});
