/**
 * What the runtime puts in the place of a machine's work placeholders: an actor that asks its run for the work and ends
 * when the run gives it the outcome. It performs nothing itself.
 *
 * Machines are provided with it once a process, never per run (that costs 4× the CPU and memory: DESIGN §8); the run is
 * found through the actor's system.
 */
import type { ActorLogic, ActorRefFrom, AnyActorRef, AnyStateMachine, Snapshot } from "xstate";
import { ask, call, delegate, expose, lookup, remember, sleep, split, tool, type WorkError, type WorkKind } from "../../machines/work.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";

/** What a run is to the work in it. */
export type Asks = {
  ask(kind: WorkKind, input: Json, self: AnyActorRef): void;
  stopped(self: AnyActorRef): void;
};

export type OutcomeEvent =
  | { readonly type: "work.done"; readonly value: Json }
  | { readonly type: "work.failed"; readonly error: WorkError };

type AnySystem = AnyActorRef["system"];
type State = Snapshot<Json> & { readonly input: Json };
type Logic = ActorLogic<State, OutcomeEvent | { type: "xstate.stop" }, Json>;
export type WorkRef = ActorRefFrom<Logic>;

const runs = new WeakMap<AnySystem, Asks>();

/** Before the root is started: work asked for in this system belongs to `run`. */
export const bindSystem = (system: AnySystem, run: Asks): void => {
  runs.set(system, run);
};

const logicOf = (kind: WorkKind): Logic => ({
  config: kind,
  getInitialSnapshot: (_scope, input) => ({ status: "active", output: undefined, error: undefined, input }),
  start({ input }, { self, system }) {
    runs.get(system)?.ask(kind, input, self);
  },
  transition(state, event, { self, system }) {
    switch (event.type) {
      case "work.done":
        return { status: "done", output: event.value, error: undefined, input: null };
      case "work.failed":
        return { status: "error", output: undefined, error: event.error, input: null };
      case "xstate.stop":
        runs.get(system)?.stopped(self);
        return { status: "stopped", output: undefined, error: undefined, input: null };
      default:
        return state;
    }
  },
  getPersistedSnapshot: (state) => state,
  restoreSnapshot: (state) => state as State,
});

const provided = new Map<unknown, unknown>([
  [call, logicOf("call")],
  [tool, logicOf("tool")],
  [delegate, logicOf("delegate")],
  [sleep, logicOf("sleep")],
  [ask, logicOf("ask")],
  [lookup, logicOf("lookup")],
  [remember, logicOf("remember")],
  [split, logicOf("split")],
  [expose, logicOf("expose")],
]);

/** The machine with its work, and that of the machines it invokes, provided. The same machine gives the same result. */
export function provideWork<M extends AnyStateMachine>(machine: M): M {
  const known = provided.get(machine);
  if (known) return known as M;
  const result = machine.provide({}) as M;
  // Filled below: machines may hold each other.
  provided.set(machine, result);
  const actors: Record<string, unknown> = {};
  for (const [name, logic] of Object.entries(machine.implementations.actors as Record<string, unknown>)) {
    if (provided.has(logic)) actors[name] = provided.get(logic);
    else if (isMachine(logic)) actors[name] = provideWork(logic);
    else
      throw new EscapementError(
        "invalid_request",
        `machine "${machine.id}" uses the actor "${name}", which is neither work of machines/work.ts nor a machine; that is the only way out of a machine`,
      );
  }
  // What holds this machine already holds this object, so its actors are put into it.
  result.implementations.actors = actors as typeof result.implementations.actors;
  return result;
}

/** The supervisor over a given machine; both with their work provided. */
export function supervise<S extends AnyStateMachine>(supervisor: S, machine: AnyStateMachine): S {
  const own = Object.entries(supervisor.implementations.actors as Record<string, unknown>).flatMap(([name, logic]) =>
    name === "agent" ? [] : [[name, isMachine(logic) ? provideWork(logic) : provided.get(logic)] as const],
  );
  return supervisor.provide({ actors: { ...Object.fromEntries(own), agent: provideWork(machine) } } as never) as S;
}

const isMachine = (logic: unknown): logic is AnyStateMachine =>
  typeof logic === "object" && logic !== null && "implementations" in logic && "root" in logic;
