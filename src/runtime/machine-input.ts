/**
 * From an accepted start to the input of the run's machine: the conversation, the tiers, what the agent may use.
 * Pure: a replay builds the same from what is stored.
 */
import type { AgentInput } from "../../machines/agent.ts";
import { policyOf } from "../../machines/request-policy.ts";
import type { SupervisorInput } from "../../machines/supervisor.ts";
import type { Json } from "../protocol/json.ts";
import type { InputMessage, Message } from "../protocol/messages.ts";
import type { RunInfo } from "../stores/store.ts";
import type { AgentSpec, AgentToolSpec } from "./agent.ts";

/** What every machine that runs an agent gets. `input` is what the client sent. */
export type MachineInput = AgentInput & { readonly input: Json };

export function supervisorInput(spec: AgentSpec, info: RunInfo, history: readonly Message[] = []): SupervisorInput {
  const input: MachineInput = {
    input: info.input,
    messages: [...history, ...messagesOf(info.input)],
    ...(spec.context && history.length > 0 && { history: history.length }),
    tiers: spec.tiers.map(({ name }) => name),
    maxSteps: info.limits.max_steps,
    ...policyOf(spec),
    ...(spec.outputSchema !== undefined && { structured: true }),
    tools: spec.tools.map((tool) => ({ name: tool.name, ...toolPolicy(spec, tool) })),
    parallelTools: spec.parallelTools,
    ...(spec.supervision && { supervision: spec.supervision }),
  };
  // `single` is the request machine itself: it shows no tools, since nothing would answer what they ask for.
  return {
    limits: info.limits,
    agent: spec.machine.startsWith("single@") ? { ...input, tools: undefined } : input,
    ...(spec.supervision && { supervision: spec.supervision }),
    ...(spec.confirmAbove !== undefined && info.bounds.cost_microusd > spec.confirmAbove && { confirm: info.bounds.cost_microusd }),
  };
}

/** What a machine must know of a tool: tools alike in this have the same paths. */
export function toolPolicy(
  { supervision }: AgentSpec,
  { approval, class: kind }: AgentToolSpec,
): { readonly approval: boolean; readonly repeatable?: boolean } {
  return { approval, ...(supervision?.tool === "restart" && kind !== "once" && { repeatable: true }) };
}

/** A string or `{messages}` is a conversation; any other input is shown to the model as JSON. */
export function messagesOf(input: Json): readonly Message[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (typeof input === "object" && input !== null && "messages" in input && Array.isArray(input.messages))
    return input.messages as readonly InputMessage[];
  return [{ role: "user", content: JSON.stringify(input) }];
}
