/**
 * What a pattern is made of, as data: a tree whose leaves are agents. It comes with a run's input, so that a run is pinned to it.
 *
 * Every machine of the tree gets {@link PatternInput} (a leaf: what its own machine takes) and ends with an `Answer`, so patterns nest.
 *
 *  1. A child's text is for the person only where its answer is the pattern's own; all else is internal.
 *  2. Templates are filled once: what a model said is data, and braces in it mean nothing.
 */
import type { Json } from "../../src/protocol/json.ts";
import type { Message } from "../../src/protocol/messages.ts";
import type { AgentInput } from "../agent.ts";
import type { RequestInput } from "../request.ts";
import type { Answer, AnswerStatus } from "../work.ts";

export type Plan = LeafPlan | ChainPlan | RouterPlan | FanOutPlan | MapReducePlan;
export type LeafPlan = AgentPlan | SinglePlan;
export type PlanKind = Plan["kind"];

/** Names are unique among siblings: they are the ids of actors. */
type Named = { readonly name: string };

export type AgentPlan = Named & { readonly kind: "agent"; readonly input: Omit<AgentInput, "messages" | "history"> };
export type SinglePlan = Named & { readonly kind: "single"; readonly input: Omit<RequestInput, "messages" | "history"> };

export type ChainPlan = Named & {
  readonly kind: "chain";
  readonly stages: readonly Stage[];
  /** How often a reviewer may send a stage back. */
  readonly redos: number;
};
export type Stage = {
  readonly plan: Plan;
  /** Its question; slots are `input`, `previous`, earlier stages by name, and the members of the run's input. Default: `{{previous}}`. */
  readonly prompt?: string;
  /** A person must agree to what there is before this stage begins. */
  readonly review?: boolean;
  /** When it fails, the chain goes on without it. */
  readonly optional?: boolean;
};

export type RouterPlan = Named & {
  readonly kind: "router";
  readonly routes: readonly Route[];
  /** Task that a run may name → route. */
  readonly tasks?: { readonly [task: string]: string };
  readonly classifier?: { readonly part: string; readonly tier: string; readonly sureFrom?: number };
  readonly default: string;
};
export type Route = { readonly description: string; readonly plan: Plan };

/** What follows a part that did not answer, after its retries: the whole fails, or goes on without it. */
export type OnFailure = "fail" | "drop";

export type FanOutPlan = Named & {
  readonly kind: "fan-out";
  readonly branches: readonly Plan[];
  /** The question of each; slots are `input` and the members of the run's input. */
  readonly prompt?: string;
  /** Branches that run at once. */
  readonly width: number;
  readonly onFailure: OnFailure;
  readonly retries: number;
  /** When the end is certain: those that still run are stopped, or waited for. */
  readonly siblings: "cancel" | "drain";
  /** Answers that it needs. */
  readonly least: number;
  readonly aggregate:
    | { readonly by: "first" }
    /** The most frequent answer; of an object this member of it. */
    | { readonly by: "vote"; readonly on?: string }
    | { readonly by: "best"; readonly judge: LeafPlan }
    | { readonly by: "merge"; readonly merger: LeafPlan };
};

export type MapReducePlan = Named & {
  readonly kind: "map-reduce";
  /** The text to split; slots as of a fan-out's prompt. */
  readonly text: string;
  /** Tokens of a chunk, of which the first `overlap` are the last of the chunk before. */
  readonly tokens: number;
  readonly overlap: number;
  readonly maxChunks: number;
  /** More chunks than this wait for a person's yes. */
  readonly confirmAbove?: number;
  readonly map: Plan;
  /** Slots: `chunk`, `index`, `total`, `input` and the members of the run's input. */
  readonly mapPrompt: string;
  readonly reduce: Plan;
  /** Slots: `parts`, `input` and the members of the run's input. */
  readonly reducePrompt: string;
  /** Texts that one reduce takes. */
  readonly fanIn: number;
  readonly width: number;
  readonly onFailure: OnFailure;
  readonly retries: number;
  readonly siblings: "cancel" | "drain";
};

/** What every machine of a pattern gets. */
export type PatternInput<P extends Plan = Plan> = {
  readonly plan: P;
  readonly messages: readonly Message[];
  /** What the client sent. */
  readonly given?: Json;
  /** The task that the run names. */
  readonly task?: string;
  readonly for?: "answer" | "internal";
};

/** What every machine that begins parts hears. */
export type PartEvents =
  | { type: "cancel" }
  | { type: "xstate.done.actor.*"; actorId: string; output: Answer }
  | { type: "xstate.error.actor.*"; actorId: string; error: unknown };

/** What a child machine gets to answer `messages` by its plan. */
export function childInput(
  plan: Plan,
  messages: readonly Message[],
  { given, task, for: reader }: Pick<PatternInput, "given" | "task" | "for">,
  isShown: boolean,
): unknown {
  const hidden = isShown && reader !== "internal" ? {} : { for: "internal" };
  return plan.kind === "agent" || plan.kind === "single"
    ? { ...plan.input, messages, ...hidden }
    : { plan, messages, ...(given !== undefined && { given }), ...(task !== undefined && { task }), ...hidden };
}

export const questionOf = (text: string): readonly Message[] => [{ role: "user", content: text }];

/** The values of slots that every template has: what the pattern was asked, and the members of the run's input. */
export function slotValues({ messages, given }: Pick<PatternInput, "messages" | "given">): { readonly [name: string]: Json } {
  const members = typeof given === "object" && given !== null && !Array.isArray(given) ? given : {};
  return { ...(members as { readonly [name: string]: Json }), input: lastText(messages) };
}

/** The last question in words. */
export function lastText(messages: readonly Message[]): string {
  const { content = "" } = messages.findLast(({ role }) => role === "user") ?? {};
  return typeof content === "string" ? content : content.map((part) => (part.type === "text" ? part.text : "[image]")).join("\n");
}

/** What an answer is to the next part. */
export const answerText = ({ value, text }: Pick<Answer, "value" | "text">): string =>
  value === undefined ? (text ?? "") : JSON.stringify(value);

/** What of a part's answer is its pattern's own. How the part's conversation was made shorter says nothing of the session's. */
export const answerOf = (answer: Answer | null): Pick<Answer, "text" | "value" | "tier" | "cached"> => {
  const { text = null, value, tier, cached } = answer ?? {};
  return { text, ...(value !== undefined && { value }), ...(tier !== undefined && { tier }), ...(cached && { cached }) };
};

/** Of a pattern that has an answer. */
export const answeredStatus = (answer: Answer | null): AnswerStatus => (answer?.status === "degraded" ? "degraded" : "done");

export const isAnswered = ({ status }: Pick<Answer, "status">): boolean => status === "done" || status === "degraded";

/** How a pattern ends whose part ended so. */
export const worstStatus = (answers: readonly Pick<Answer, "status">[]): AnswerStatus =>
  (["cancelled", "exhausted", "refused"] as const).find((status) => answers.some((answer) => answer.status === status)) ?? "failed";

/** A stage's or branch's name as a slot: dashes are no part of one. */
export const slotName = (name: string): string => name.replaceAll("-", "_");
