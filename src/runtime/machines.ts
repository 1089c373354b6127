/** Our own machines that can run an agent or a pattern, by the name that a definition says. */
import type { AnyStateMachine } from "xstate";
import { agentMachine } from "../../machines/agent.ts";
import { chainMachine } from "../../machines/patterns/chain.ts";
import { fanOutMachine } from "../../machines/patterns/fan-out.ts";
import { mapReduceMachine } from "../../machines/patterns/map-reduce.ts";
import { routerMachine } from "../../machines/patterns/router.ts";
import { requestMachine } from "../../machines/request.ts";

export const machines: { readonly [name: string]: AnyStateMachine } = {
  agent: agentMachine,
  single: requestMachine,
  chain: chainMachine,
  router: routerMachine,
  "fan-out": fanOutMachine,
  "map-reduce": mapReduceMachine,
};
