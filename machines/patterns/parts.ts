/**
 * The machines that a part of a pattern can be, by the kind of its plan. Patterns hold each other, so they are found when they are needed.
 */
import type { PromiseActorLogic } from "xstate";
import { agentMachine } from "../agent.ts";
import { requestMachine } from "../request.ts";
import type { Answer } from "../work.ts";
import { chainMachine } from "./chain.ts";
import { fanOutMachine } from "./fan-out.ts";
import { mapReduceMachine } from "./map-reduce.ts";
import type { PlanKind } from "./plan.ts";
import { routerMachine } from "./router.ts";

/** Any machine that answers; the type says only what is relied on. */
export type Parts = { readonly [kind in PlanKind]: PromiseActorLogic<Answer, unknown> };

/** With the machines of all parts beside a pattern's own actors. A function, since it is called while the modules of the patterns are still being read. */
export function withParts<T extends object>(own: T): T & Parts {
  const machines = {
    agent: () => agentMachine,
    single: () => requestMachine,
    chain: () => chainMachine,
    router: () => routerMachine,
    "fan-out": () => fanOutMachine,
    "map-reduce": () => mapReduceMachine,
  } satisfies Record<PlanKind, () => unknown>;
  for (const [kind, get] of Object.entries(machines)) Object.defineProperty(own, kind, { get, enumerable: true, configurable: true });
  return own as T & Parts;
}
