/**
 * From an accepted start to the input of the run's machine: the conversation, the tiers, what the agent may use.
 * Pure: a replay builds the same from what is stored.
 */
import type { AgentInput } from "../../machines/agent.ts";
import type { PatternInput, Plan } from "../../machines/patterns/plan.ts";
import { policyOf } from "../../machines/request-policy.ts";
import type { RoutingInput } from "../../machines/routing.ts";
import type { SupervisorInput } from "../../machines/supervisor.ts";
import type { Json } from "../protocol/json.ts";
import type { InputMessage, Message } from "../protocol/messages.ts";
import { routeOf, textOf } from "../routing/rules.ts";
import type { RunInfo } from "../stores/store.ts";
import type { AgentSpec, AgentToolSpec, Route } from "./agent.ts";

/** What every machine that runs an agent gets. `input` is what the client sent. */
export type MachineInput = AgentInput & { readonly input: Json };

/** What of an agent's input says how it works; the same for each of its runs. `part`: which of a pattern's parts it is. */
export const agentInput = (spec: AgentSpec, maxSteps: number, part?: string): Omit<AgentInput, "messages"> => ({
  tiers: spec.tiers.map(({ name }) => name),
  maxSteps,
  ...policyOf(spec),
  ...(part !== undefined && { part }),
  ...(spec.outputSchema !== undefined && { structured: true }),
  tools: spec.tools.map((tool) => ({ name: tool.name, ...toolPolicy(spec, tool) })),
  ...(spec.expose && { expose: true }),
  parallelTools: spec.parallelTools,
  ...(spec.supervision && { supervision: spec.supervision }),
});

export function supervisorInput(spec: AgentSpec, info: RunInfo, history: readonly Message[] = []): SupervisorInput {
  const messages = [...history, ...messagesOf(info.input)];
  if (spec.plan) return patternInput(spec, spec.plan, info, messages);
  const input: MachineInput = {
    input: info.input,
    messages,
    ...(spec.context && history.length > 0 && { history: history.length }),
    ...agentInput(spec, info.limits.max_steps),
  };
  // `single` is the request machine itself: it shows no tools, since nothing would answer what they ask for.
  return {
    limits: info.limits,
    agent: spec.machine.startsWith("single@") ? { ...input, tools: undefined } : input,
    ...(spec.supervision && { supervision: spec.supervision }),
    ...(spec.route && { route: routingInput(spec, spec.route, input.messages, info.metadata?.task) }),
    ...confirmOf(spec, info),
    ...(spec.untrustedInput && { isTainted: true }),
  };
}

function patternInput(spec: AgentSpec, plan: Plan, info: RunInfo, messages: readonly Message[]): SupervisorInput {
  const task = info.metadata?.task;
  const input: PatternInput = { plan, messages, given: info.input, ...(typeof task === "string" && { task }) };
  return {
    limits: info.limits,
    // A plan is JSON by construction.
    agent: input as unknown as Json,
    ...(spec.supervision && { supervision: spec.supervision }),
    ...confirmOf(spec, info),
    ...(spec.untrustedInput && { isTainted: true }),
  };
}

const confirmOf = ({ confirmAbove }: AgentSpec, { bounds }: RunInfo): Pick<SupervisorInput, "confirm"> =>
  confirmAbove !== undefined && bounds.cost_microusd > confirmAbove ? { confirm: bounds.cost_microusd } : {};

/** Rules and tasks are matched here, so that the machine has only to decide what follows. */
export function routingInput(
  spec: AgentSpec,
  { rules = [], tasks = {}, classifier, default: otherwise }: Route,
  messages: readonly Message[],
  task?: Json,
): RoutingInput {
  const question = messages.findLast(({ role }) => role === "user")?.content ?? "";
  const found = routeOf(rules, textOf(question as Json));
  const tier = typeof task === "string" && Object.hasOwn(tasks, task) ? tasks[task] : undefined;
  return {
    messages,
    tiers: spec.tiers.map(({ name }) => name),
    ...(found && {
      rule: {
        number: found.number,
        ...(found.rule.tier !== undefined && { tier: found.rule.tier }),
        ...(found.rule.answer !== undefined && { answer: found.rule.answer }),
      },
    }),
    ...(tier !== undefined && { task: { name: task as string, tier } }),
    ...(classifier && {
      classifier: { tier: classifier.tier, labels: Object.entries(classifier.labels).map(([name, label]) => ({ name, ...label })) },
    }),
    ...(otherwise !== undefined && { default: otherwise }),
  };
}

/** What a machine must know of a tool: tools alike in this have the same paths. */
export function toolPolicy(
  { supervision }: AgentSpec,
  { approval, class: kind, plan, isQuestion, compensation, isHidden, consequential }: AgentToolSpec,
): Omit<AgentInput["tools"][number], "name"> {
  return {
    approval,
    ...(plan && { plan }),
    ...(isQuestion && { isQuestion }),
    ...(compensation !== undefined && { compensation }),
    ...(isHidden && { isHidden }),
    ...(consequential && !approval && { mayNeedYes: true }),
    ...(supervision?.tool === "restart" && kind !== "once" && { repeatable: true }),
  };
}

/** A string or `{messages}` is a conversation; any other input is shown to the model as JSON. */
export function messagesOf(input: Json): readonly Message[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (typeof input === "object" && input !== null && "messages" in input && Array.isArray(input.messages))
    return input.messages as readonly InputMessage[];
  return [{ role: "user", content: JSON.stringify(input) }];
}
