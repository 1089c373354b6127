/**
 * Work: what a machine may ask for. There is no other way out of a machine.
 *
 * Here is work declared, as typed placeholders that machines invoke; the runtime provides what performs it.
 * The outcome of work is a value (`onDone`, `event.output`) or a plain error (`onError`, `event.error`, a {@link WorkError}).
 */
import { fromPromise, type PromiseActorLogic } from "xstate";
import type { ErrorBody, ErrorCode } from "../src/protocol/errors.ts";
import type { Fact, FactType, FinishReason } from "../src/protocol/events.ts";
import type { Json } from "../src/protocol/json.ts";
import type { Message, ToolRequest } from "../src/protocol/messages.ts";
import type { InputKind } from "../src/protocol/run.ts";

export const workKinds = ["call", "tool", "sleep", "ask", "lookup"] as const;
export type WorkKind = (typeof workKinds)[number];

/** One HTTP call to a model. */
export type CallInput = {
  /** Is its text for the person, or for the machine that asks? */
  readonly for: "answer" | "internal";
  /** Turn of the agent loop, from 1. */
  readonly step: number;
  /** Calls of this request so far, this one included: 1 is a new step. */
  readonly attempt: number;
  /** The same tier again, after its call failed: counts against the provider's retry budget. */
  readonly retry: boolean;
  /** Name of the tier to use. */
  readonly tier: string;
  readonly messages: readonly Message[];
  /** Instead of the agent's own instructions. */
  readonly instructions?: string | undefined;
  /** Names of the tools that the model may see; none when absent. */
  readonly tools?: readonly string[] | undefined;
  /** The answer must be an object of the agent's output schema. */
  readonly structured?: boolean | undefined;
};
export type CallOutput = {
  readonly call: string;
  readonly finish: Exclude<FinishReason, "error" | "lost" | "cancelled">;
  readonly text: string;
  readonly tools?: readonly ToolRequest[];
  readonly opaque?: { readonly provider: string; readonly value: Json };
  /** The object, when one was asked for and the text held a valid one. */
  readonly value?: Json;
  /** Why the text is not what was asked for, in words for the model. */
  readonly problem?: string;
};

/** One use of a tool. Its arguments were validated and the supervisor has agreed before it is performed. */
export type ToolInput = { readonly id: string; readonly name: string; readonly input: Json; readonly call: string };
/** `content` is what the model gets: text, or the result as JSON, cut to the tool's size. */
export type ToolOutput = { readonly output: Json; readonly content: string; readonly truncated?: boolean };

/** Ends when the time is over; the runtime adds the jitter, upward only. */
export type SleepInput = { readonly ms: number; readonly jitter?: boolean };
export type SleepOutput = { readonly ms: number };

/** A question to a person. It ends by an answer, or as `timeout` when it expires. */
export type AskInput = {
  readonly kind: InputKind;
  readonly message: string;
  readonly tool?: string;
  readonly input?: Json;
  readonly schema?: Json;
  readonly amount_microusd?: number;
  /** Milliseconds; the run's deadline comes first. */
  readonly expiresMs: number;
};
export type AskOutput = { readonly approve?: boolean; readonly reason?: string; readonly value?: Json; readonly amount_microusd?: number };

/** Looks an answer up in the caches. */
export type LookupInput = { readonly tier: string; readonly messages: readonly Message[] };
export type LookupOutput = { readonly hit: CallOutput | null };

/** What each kind of work is asked for with. */
export type WorkInputs = {
  readonly call: CallInput;
  readonly tool: ToolInput;
  readonly sleep: SleepInput;
  readonly ask: AskInput;
  readonly lookup: LookupInput;
};

/**
 * `lost`: the process died during the work; whether it took effect is not known, and it was charged.
 * `limit_hit`, `budget_exceeded`, `forbidden`, `tool_not_found`, `tool_denied` with `denied: true`: it was never started.
 */
export type WorkError = Omit<ErrorBody, "code"> & {
  readonly code: ErrorCode | "lost";
  readonly denied?: boolean;
  /** Of a call: its id and how much of its text was shown. */
  readonly call?: string;
  readonly shown?: number;
};

const work = <Output, Input>(kind: WorkKind): PromiseActorLogic<Output, Input> =>
  fromPromise<Output, Input>(() => Promise.reject(new Error(`work "${kind}" was not provided; run the machine through createRuntime`)));

/** The placeholders, by kind. A machine takes the ones it needs into its `actors`. */
export const call = work<CallOutput, CallInput>("call");
export const tool = work<ToolOutput, ToolInput>("tool");
export const sleep = work<SleepOutput, SleepInput>("sleep");
export const ask = work<AskOutput, AskInput>("ask");
export const lookup = work<LookupOutput, LookupInput>("lookup");

/** A fact as a machine emits it: the runtime adds the actor's path (of a request also its name), the number and the time. */
export type Emitted<T extends FactType> = Fact extends infer F
  ? F extends { type: T }
    ? Omit<F, "run" | "seq" | "at" | "actor" | "request">
    : never
  : never;

/** How a machine that answers can end. */
export type AnswerStatus = "done" | "degraded" | "refused" | "exhausted" | "failed" | "cancelled";

/** What every machine that answers gives its parent, so that patterns nest. */
export type Answer = {
  readonly status: AnswerStatus;
  /** Text of the last answer, also of a partial one. */
  readonly text: string | null;
  /** The object, when one was asked for. */
  readonly value?: Json;
  readonly tier?: string;
  readonly error?: ErrorBody;
};

/** The error of work as it is told to the world. */
export function asError(error: WorkError): ErrorBody {
  const { denied: _denied, call: _call, shown: _shown, code, ...body } = error;
  return { ...body, code: code === "lost" ? "interrupted" : code };
}

/** The `error` of an `xstate.error.actor.*` event: a {@link WorkError} from work, anything thrown from a machine that broke. */
export function workError(error: unknown): WorkError {
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) return error as WorkError;
  return { code: "internal", message: `a machine failed: ${error instanceof Error ? error.message : String(error)}`, retryable: false };
}
