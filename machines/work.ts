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

export const workKinds = ["call", "tool", "delegate", "sleep", "ask", "lookup", "remember", "split", "expose"] as const;
export type WorkKind = (typeof workKinds)[number];

/** One HTTP call to a model. */
export type CallInput = {
  /** The part of a pattern that it is made for: an agent of its own, with its own tiers and instructions. */
  readonly part?: string | undefined;
  /** Is its text for the person, or for the machine that asks? */
  readonly for: "answer" | "internal";
  /** Turn of the agent loop, from 1; 0 before the first: a call that is no part of a step. */
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
  /** An answer that is less sure than this is not given: another tier answers. The provider is asked how sure the model was. */
  readonly sureFrom?: number | undefined;
  /** What earlier calls of this request have shown of the same answer: this one goes on from there. */
  readonly continues?: string | undefined;
  /** Output tokens at most, where the machine says fewer than the tier. */
  readonly maxTokens?: number | undefined;
  /** Not a call to a provider: this entry of the cache is told like a live answer. */
  readonly cached?: Hit | undefined;
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
  /** What validators that do not block have found. */
  readonly notes?: readonly { readonly validator: string; readonly problem: string }[];
  /** The tier that answered, where it is another than was asked for (a hedge). */
  readonly tier?: string;
  /** How sure the model was, 0 to 1; only where it was asked for and the provider told it. */
  readonly confidence?: number;
  /** It was another run's call, told to this one as well: nothing was charged for it. */
  readonly shared?: boolean;
  /** Its text was held back: nobody has seen it (`stream: "checked"`). */
  readonly unseen?: boolean;
};

/** One use of a tool. Its arguments were validated and the supervisor has agreed before it is performed. */
export type ToolInput = {
  readonly part?: string | undefined;
  readonly id: string;
  readonly name: string;
  readonly input: Json;
  readonly call: string;
  /** It takes back what another tool has done: no cap of tool calls keeps it from that. */
  readonly isCompensation?: boolean | undefined;
};
/** `content` is what the model gets: text, or the result as JSON, cut to the tool's size. */
export type ToolOutput = { readonly output: Json; readonly content: string; readonly truncated?: boolean };

/** Ends when the time is over; the runtime adds the jitter, upward only. */
export type SleepInput = {
  readonly ms: number;
  readonly jitter?: boolean;
  /** The wait before a failed child begins anew: the supervisor counts it, and may say no. */
  readonly restart?: boolean;
};
export type SleepOutput = { readonly ms: number };

/** How long a question waits for a person, in milliseconds, unless its machine says otherwise. */
export const personMs = 24 * 3_600_000;

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

/** What an answer depends on, beside the agent's definition: the same question in the caches. */
export type Question = Pick<CallInput, "part" | "tier" | "messages" | "instructions" | "tools" | "structured">;

/** Looks an answer up in the caches. With `stale` also one that is too old to be given while a model answers. */
export type LookupInput = Question & { readonly stale?: boolean };
export type LookupOutput = { readonly hit: Hit | null };
/** An entry of a cache: which, found how, and the tier that gave it. */
export type Hit = { readonly id: string; readonly kind: "exact" | "semantic"; readonly tier: string; readonly stale?: boolean };

/** Keeps a good answer in the caches. */
export type RememberInput = Question & { readonly answer: Pick<CallOutput, "call" | "text" | "value"> };

/** Text to cut into chunks of at most `tokens`, each beginning with the last `overlap` tokens of the one before. */
export type SplitInput = { readonly part?: string | undefined; readonly text: string; readonly tokens: number; readonly overlap: number };
export type SplitOutput = { readonly chunks: readonly string[] };

/** Which of an agent's tools the next call shows: its author's function says so. */
export type ExposeInput = {
  readonly part?: string | undefined;
  readonly step: number;
  readonly tools: readonly string[];
  readonly messages: readonly Message[];
};
export type ExposeOutput = { readonly tools: readonly string[] };

/** What each kind of work is asked for with. `delegate`: leave to use a tool that is a machine of this run. */
export type WorkInputs = {
  readonly call: CallInput;
  readonly tool: ToolInput;
  readonly delegate: ToolInput;
  readonly sleep: SleepInput;
  readonly ask: AskInput;
  readonly lookup: LookupInput;
  readonly remember: RememberInput;
  readonly split: SplitInput;
  readonly expose: ExposeInput;
};

/**
 * `lost`: the process died during the work; whether it took effect is not known, and it was charged.
 * `limit_hit`, `budget_exceeded`, `forbidden`, `tool_not_found`, `tool_denied` with `denied: true`: it was never started.
 */
export type WorkError = Omit<ErrorBody, "code"> & {
  readonly code: ErrorCode | "lost";
  readonly denied?: boolean;
  /** Of a call: its id and how much of its text was shown; the text itself where the agent goes on from it or keeps it. */
  readonly call?: string;
  readonly shown?: number;
  readonly text?: string;
};

/**
 * `details` of a call refused as `context_too_long`, where the agent says what follows it. Tokens, upper bounds all: of each message that the
 * call would have sent, of the rest (instructions, tools), and what there may be in all.
 */
export type TooLong = { readonly limit: number; readonly rest: number; readonly sizes: readonly number[] };

export const tooLongOf = ({ code, details }: WorkError): TooLong | undefined =>
  // By construction of whoever refused it (src/runtime/too-long.ts).
  code === "context_too_long" && details?.sizes !== undefined ? (details as unknown as TooLong) : undefined;

const work = <Output, Input>(kind: WorkKind): PromiseActorLogic<Output, Input> =>
  fromPromise<Output, Input>(() => Promise.reject(new Error(`work "${kind}" was not provided; run the machine through createRuntime`)));

/** The placeholders, by kind. A machine takes the ones it needs into its `actors`. */
export const call = work<CallOutput, CallInput>("call");
export const tool = work<ToolOutput, ToolInput>("tool");
export const delegate = work<Json, ToolInput>("delegate");
export const sleep = work<SleepOutput, SleepInput>("sleep");
export const ask = work<AskOutput, AskInput>("ask");
export const lookup = work<LookupOutput, LookupInput>("lookup");
export const remember = work<Json, RememberInput>("remember");
export const expose = work<ExposeOutput, ExposeInput>("expose");
export const split = work<SplitOutput, SplitInput>("split");

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
  /** The model tier that answered; `cached` for an old answer from a cache, `degraded` for the configured one. */
  readonly tier?: string;
  /** It came from a cache. */
  readonly cached?: boolean;
  /** The conversation was made shorter: what it is now, and how many of its messages come from earlier runs of the session. */
  readonly compacted?: Compacted;
  readonly error?: ErrorBody;
};
export type Compacted = { readonly messages: readonly Message[]; readonly history: number };

/** The error of work as it is told to the world. */
export function asError(error: WorkError): ErrorBody {
  const { denied: _denied, call: _call, shown: _shown, text: _text, code, ...body } = error;
  const told = { ...body, code: code === "lost" ? ("interrupted" as const) : code };
  if (told.details?.sizes === undefined) return told;
  const { sizes: _sizes, ...details } = told.details;
  return { ...told, details };
}

/** The `error` of an `xstate.error.actor.*` event: a {@link WorkError} from work, anything thrown from a machine that broke. */
export function workError(error: unknown): WorkError {
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) return error as WorkError;
  return { code: "internal", message: `a machine failed: ${error instanceof Error ? error.message : String(error)}`, retryable: false };
}
