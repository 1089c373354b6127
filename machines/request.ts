/**
 * The machine of one LLM request: from a conversation to one checked answer, over as many calls as its policy allows.
 *
 * It decides about retries, order of tiers and what counts as an answer. It knows no time, no provider and no supervisor:
 * a cap or a budget that says no reaches it as the error outcome of a call.
 *
 *  1. Calls are at most tiers × (1 + retries) + 2 for calls that were lost with their process, + 3 that a person topped up.
 *  2. A bad answer is never asked for again with the same words; the same bad answer twice ends the tier.
 *  3. Text that was shown and is void is retracted before the next call.
 */
import { assign, emit, enqueueActions, setup } from "xstate";
import { type ErrorBody, errorBody } from "../src/protocol/errors.ts";
import type { Json } from "../src/protocol/json.ts";
import type { Message, ToolRequest } from "../src/protocol/messages.ts";
import {
  type Answer,
  type AnswerStatus,
  asError,
  ask,
  type CallOutput,
  call,
  type Emitted,
  lookup,
  sleep,
  type WorkError,
  workError,
} from "./work.ts";

export type RequestInput = {
  readonly for?: "answer" | "internal";
  readonly step?: number;
  readonly messages: readonly Message[];
  readonly instructions?: string;
  readonly tools?: readonly string[];
  readonly structured?: boolean;
  readonly tiers: readonly string[];
  /** Further attempts a tier after its first. */
  readonly retries: number;
  readonly onBudget: "stop" | "ask";
  /** Answer of last resort. */
  readonly degraded?: string;
  readonly cache?: boolean;
};

/** Beside the answer: what the model wants to use, its message for the history, and the call that gave it. */
export type RequestOutput = Answer & {
  readonly tools: readonly ToolRequest[];
  readonly message: Message | null;
  readonly call: string | null;
};

/**
 * The input stays one object. XState copies the context with `Object.assign` at each `assign`, and V8 makes an object of 19 keys
 * or more a dictionary by that: 5 µs a copy instead of 0.06. So a context has 16 keys at most.
 */
type Context = {
  readonly input: RequestInput;
  /** What the next call sends: the conversation, and what was said about bad answers. */
  readonly conversation: readonly Message[];
  readonly tier: number;
  /** Attempts at this tier. */
  readonly attempt: number;
  /** Calls of this request. */
  readonly calls: number;
  /** Calls that were lost with their process. */
  readonly lost: number;
  /** Times that a person was asked for more budget and did not say no. */
  readonly topUps: number;
  readonly answer: CallOutput | null;
  readonly error: WorkError | null;
  /** The last bad answer of this tier, to see it come again. */
  readonly badAnswer: string | null;
  readonly status: AnswerStatus;
};

/** Backoff: 250 ms, doubled with each attempt, 8 s at most; jitter is added by the sleep. A longer Retry-After than 30 s falls back (FAULTS P02). */
const firstBackoffMs = 250;
const maxBackoffMs = 8_000;
export const maxRetryAfterMs = 30_000;
const maxLost = 2;
const maxTopUps = 3;

const delayMs = (context: Context): number =>
  Math.max(context.error?.retry_after_ms ?? 0, Math.min(maxBackoffMs, firstBackoffMs * 2 ** (context.attempt - 1)));
const reason = (context: Context): string => (context.error ? context.error.code : badness(context).code);
const tierName = (context: Context): string => context.input.tiers[context.tier] ?? "";

/** What is wrong with an answer that came. */
function badness({ answer, badAnswer }: Context): ErrorBody {
  if (answer?.finish === "length")
    return errorBody("truncated", "the answer was cut at the token limit; raise max_output_tokens or ask for less");
  if (badAnswer !== null && badAnswer === answer?.text) return errorBody("identical_failure", "the same invalid answer came twice");
  if (answer?.problem !== undefined) return errorBody("invalid_output", answer.problem);
  return errorBody("empty", "the model answered with nothing");
}

export const requestMachine = setup({
  types: {
    input: {} as RequestInput,
    context: {} as Context,
    output: {} as RequestOutput,
    events: {} as { type: "cancel" },
    emitted: {} as Emitted<"request.retrying" | "request.fell_back" | "retract">,
  },
  actors: { call, sleep, ask, lookup },
  guards: {
    hasNoTier: ({ context }) => context.input.tiers.length === 0,
    usesCache: ({ context }) => context.input.cache === true,
    isHit: (_, { hit }: { hit: CallOutput | null }) => hit !== null,
    // of a failed call
    isLost: ({ context }, { error }: { error: unknown }) => workError(error).code === "lost" && context.lost < maxLost,
    needsBudget: ({ context }, { error }: { error: unknown }) =>
      workError(error).code === "budget_exceeded" &&
      // A top-up raises the run's own limit; of another level it would change nothing.
      (workError(error).details?.level ?? "run") === "run" &&
      context.input.onBudget === "ask" &&
      context.topUps < maxTopUps,
    isNo: (_, { approve }: { approve: boolean | undefined }) => approve === false,
    isLimit: (_, { error }: { error: unknown }) => ["limit_hit", "budget_exceeded"].includes(workError(error).code),
    isOurs: (_, { error }: { error: unknown }) => ["invalid_request", "forbidden", "internal"].includes(workError(error).code),
    canRetry: ({ context }, { error }: { error: unknown }) =>
      workError(error).retryable && context.attempt <= context.input.retries && (workError(error).retry_after_ms ?? 0) <= maxRetryAfterMs,
    hasTierLeft: ({ context }) => context.tier + 1 < context.input.tiers.length,
    hasDegraded: ({ context }) => context.input.degraded !== undefined,
    // of an answer that came
    isRefusal: ({ context }) => context.answer?.finish === "refused" || context.answer?.finish === "filtered",
    isTruncated: ({ context }) => context.answer?.finish === "length",
    isGood: ({ context: { answer, input } }) =>
      answer !== null &&
      (((answer.tools?.length ?? 0) > 0 && input.tools !== undefined && input.tools.length > 0) ||
        (answer.problem === undefined && answer.text.trim() !== "")),
    canReask: ({ context }) => context.attempt <= context.input.retries && context.badAnswer !== context.answer?.text,
  },
  actions: {
    countCall: assign({ calls: ({ context }) => context.calls + 1, answer: null, error: null }),
    keepAnswer: assign({ answer: (_, { answer }: { answer: CallOutput | null }) => answer }),
    keepError: assign({ error: (_, { error }: { error: unknown }) => workError(error) }),
    countLost: assign({ lost: ({ context }) => context.lost + 1 }),
    countTopUp: assign({ topUps: ({ context }) => context.topUps + 1 }),
    nextAttempt: assign({ attempt: ({ context }) => context.attempt + 1 }),
    nextTier: assign({
      tier: ({ context }) => context.tier + 1,
      attempt: 1,
      badAnswer: null,
      conversation: ({ context }) => context.input.messages,
    }),
    /** The bad answer and what is wrong with it become part of the conversation. */
    sayWhatIsWrong: assign({
      badAnswer: ({ context }) => context.answer?.text ?? null,
      conversation: ({ context }): readonly Message[] => [
        ...context.conversation,
        ...(context.answer?.text ? [{ role: "assistant" as const, content: context.answer.text }] : []),
        { role: "user", content: `Your last answer cannot be used: ${badness(context).message}\nAnswer again, correctly.` },
      ],
    }),
    /** What was shown of the last call is void: it failed on the way, or its answer cannot be used. */
    retractShown: enqueueActions(({ context: { error, answer }, enqueue }) => {
      const call = error?.call ?? answer?.call;
      const shown = error ? error.code === "lost" || (error.shown ?? 0) > 0 : answer !== null && answer.text !== "";
      if (call !== undefined && shown) enqueue.emit({ type: "retract", call, reason: error?.code ?? "invalid_output" });
    }),
    tellRetry: emit(({ context }) => ({
      type: "request.retrying",
      attempt: context.attempt + 1,
      reason: reason(context),
      delay_ms: context.error ? delayMs(context) : 0,
    })),
    tellFallback: emit(({ context }) => ({
      type: "request.fell_back",
      from: tierName(context),
      to: context.input.tiers[context.tier + 1] ?? "degraded",
      reason: reason(context),
    })),
    end: assign({ status: (_, { status }: { status: AnswerStatus }) => status }),
  },
}).createMachine({
  id: "request",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({
    input,
    conversation: input.messages,
    tier: 0,
    attempt: 1,
    calls: 0,
    lost: 0,
    topUps: 0,
    answer: null,
    error: null,
    badAnswer: null,
    status: "failed",
  }),
  output: ({ context }) => requestOutput(context),
  on: { cancel: ".cancelled" },
  initial: "validating",
  states: {
    validating: {
      always: [
        {
          guard: "hasNoTier",
          target: "failed",
          actions: {
            type: "keepError",
            params: { error: errorBody("invalid_request", "this request has no model tier; configure a provider") },
          },
        },
        { guard: "usesCache", target: "lookingUp" },
        { target: "calling" },
      ],
    },
    lookingUp: {
      invoke: {
        id: "lookup",
        src: "lookup",
        input: ({ context }) => ({ tier: tierName(context), messages: context.input.messages }),
        onDone: [
          {
            guard: { type: "isHit", params: ({ event }) => event.output },
            target: "done",
            actions: { type: "keepAnswer", params: ({ event }) => ({ answer: event.output.hit }) },
          },
          { target: "calling" },
        ],
        onError: "calling",
      },
    },
    calling: {
      entry: "countCall",
      invoke: {
        id: "call",
        src: "call",
        input: ({ context }) => ({
          for: context.input.for ?? "answer",
          step: context.input.step ?? 1,
          attempt: context.calls,
          retry: context.attempt > 1,
          tier: tierName(context),
          messages: context.conversation,
          instructions: context.input.instructions,
          tools: context.input.tools,
          structured: context.input.structured,
        }),
        onDone: { target: "checking", actions: { type: "keepAnswer", params: ({ event }) => ({ answer: event.output }) } },
        onError: [
          {
            guard: { type: "isLost", params: ({ event }) => event },
            target: "calling",
            reenter: true,
            actions: [{ type: "keepError", params: ({ event }) => event }, "retractShown", "countLost"],
          },
          {
            guard: { type: "needsBudget", params: ({ event }) => event },
            target: "awaitingBudget",
            actions: { type: "keepError", params: ({ event }) => event },
          },
          {
            guard: { type: "isLimit", params: ({ event }) => event },
            target: "exhausted",
            actions: { type: "keepError", params: ({ event }) => event },
          },
          {
            guard: { type: "isOurs", params: ({ event }) => event },
            target: "failed",
            actions: { type: "keepError", params: ({ event }) => event },
          },
          {
            guard: { type: "canRetry", params: ({ event }) => event },
            target: "retrying",
            actions: [{ type: "keepError", params: ({ event }) => event }, "retractShown", "tellRetry"],
          },
          {
            guard: "hasTierLeft",
            target: "fallingBack",
            actions: [{ type: "keepError", params: ({ event }) => event }, "retractShown", "tellFallback"],
          },
          {
            guard: "hasDegraded",
            target: "degraded",
            actions: [{ type: "keepError", params: ({ event }) => event }, "retractShown", "tellFallback"],
          },
          { target: "failed", actions: { type: "keepError", params: ({ event }) => event } },
        ],
      },
    },
    checking: {
      always: [
        { guard: "isRefusal", target: "refused" },
        { guard: "isTruncated", target: "failed" },
        { guard: "isGood", target: "done" },
        { guard: "canReask", target: "calling", actions: ["retractShown", "tellRetry", "sayWhatIsWrong", "nextAttempt"] },
        { guard: "hasTierLeft", target: "fallingBack", actions: ["retractShown", "tellFallback"] },
        { guard: "hasDegraded", target: "degraded", actions: ["retractShown", "tellFallback"] },
        { target: "failed" },
      ],
    },
    retrying: {
      invoke: {
        id: "sleep",
        src: "sleep",
        input: ({ context }) => ({ ms: delayMs(context), jitter: true }),
        onDone: { target: "calling", actions: "nextAttempt" },
        onError: { target: "exhausted", actions: { type: "keepError", params: ({ event }) => event } },
      },
    },
    fallingBack: { entry: "nextTier", always: "calling" },
    awaitingBudget: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => ({
          kind: "budget",
          message: `The budget does not allow the next call: ${context.error?.message ?? ""} Grant more?`,
          expiresMs: 24 * 3_600_000,
        }),
        onDone: [
          { guard: { type: "isNo", params: ({ event }) => ({ approve: event.output.approve }) }, target: "exhausted" },
          { target: "calling", actions: "countTopUp" },
        ],
        onError: "exhausted",
      },
    },
    done: { type: "final", entry: { type: "end", params: { status: "done" } } },
    degraded: { type: "final", entry: { type: "end", params: { status: "degraded" } } },
    refused: { type: "final", entry: { type: "end", params: { status: "refused" } } },
    exhausted: { type: "final", entry: { type: "end", params: { status: "exhausted" } } },
    failed: { type: "final", entry: { type: "end", params: { status: "failed" } } },
    cancelled: { type: "final", entry: { type: "end", params: { status: "cancelled" } } },
  },
});

function requestOutput(context: Context): RequestOutput {
  const { status, answer } = context;
  if (status === "degraded")
    return { status, text: context.input.degraded ?? null, tier: "degraded", tools: [], message: null, call: null };
  const tools = status === "done" ? (answer?.tools ?? []) : [];
  return {
    status,
    text: answer?.text ?? null,
    ...(answer?.value !== undefined && { value: answer.value as Json }),
    ...(status === "done" && { tier: tierName(context) }),
    ...(status !== "done" && { error: endError(context) }),
    tools,
    message: status === "done" && answer ? assistantMessage(answer) : null,
    call: answer?.call ?? null,
  };
}

function endError(context: Context): ErrorBody {
  if (context.status === "cancelled") return errorBody("cancelled", "the request was cancelled");
  if (context.error) return asError(context.error);
  if (context.status === "refused") return errorBody("refused", context.answer?.text || "the model or its filter refused");
  return badness(context);
}

function assistantMessage(answer: CallOutput): Message {
  return {
    role: "assistant",
    content: answer.text,
    ...(answer.tools?.length && { tools: answer.tools }),
    ...(answer.opaque && { opaque: answer.opaque }),
  };
}
