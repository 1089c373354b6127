/**
 * The machine of one use of a tool: from the model's request to the text that the model gets back.
 *
 * It decides whether a person is asked first and what follows an interruption. Names and arguments were checked when the
 * work was asked for: what is wrong with them reaches it as a denial. Every end is an answer to the model, never a throw.
 *
 *  1. The tool is not asked for before its yes, and never again after it may have taken effect, unless it may be done again.
 */
import { assign, emit, enqueueActions, setup } from "xstate";
import type { Json } from "../src/protocol/json.ts";
import { withParts } from "./patterns/parts.ts";
import { answerText, childInput, isAnswered, type PartEvents, type Plan, questionOf } from "./patterns/plan.ts";
import { restartMs } from "./supervision.ts";
import {
  type Answer,
  asError,
  ask,
  delegate,
  type Emitted,
  personMs,
  sleep,
  type ToolInput,
  type ToolOutput,
  tool,
  type WorkError,
  workError,
} from "./work.ts";

export type ToolUse = {
  /** Of a pattern: whose tool it is. */
  readonly part?: string | undefined;
  /** It is an agent or a pattern: its machine is begun once the supervisor has agreed. */
  readonly plan?: Plan | undefined;
  /** The provider's id of the request. */
  readonly id: string;
  readonly name: string;
  readonly input: Json;
  /** The call that asked for it. */
  readonly call: string;
  readonly needsApproval: boolean;
  /** What is asked for is a person's answer. */
  readonly isQuestion?: boolean | undefined;
  /** It changes something: once the run has read text from outside, the supervisor wants a yes for it. */
  readonly mayNeedYes?: boolean | undefined;
  readonly isCompensation?: boolean | undefined;
  /** What it returned may be needed to take it back. */
  readonly keepsOutput?: boolean | undefined;
  /** How often it may be done again when it failed; 0. */
  readonly restarts?: number | undefined;
};

export type ToolStatus = "returned" | "failed" | "refused" | "cancelled";
export type ToolUseOutput = {
  readonly id: string;
  readonly name: string;
  readonly status: ToolStatus;
  readonly content: string;
  /** What it returned, where it did. */
  readonly output?: Json;
  readonly code?: string;
};

type Context = ToolUse & {
  readonly restarted: number;
  readonly isApproved: boolean;
  readonly result: ToolOutput | null;
  readonly error: WorkError | null;
  readonly status: ToolStatus;
};

const delegatedId = ({ plan }: ToolUse): string => plan?.name ?? "";

const asked = ({ id, name, input, call, part, isCompensation }: ToolUse): ToolInput => ({
  id,
  name,
  input,
  call,
  ...(part !== undefined && { part }),
  ...(isCompensation && { isCompensation }),
});

/** The question that the arguments are. */
const questionIn = ({ input }: ToolUse): string => {
  const { input: question } = (typeof input === "object" && input !== null ? input : {}) as { readonly input?: Json };
  return typeof question === "string" && Object.keys(input as object).length === 1 ? question : JSON.stringify(input);
};

export const toolMachine = setup({
  types: {
    input: {} as ToolUse,
    context: {} as Context,
    output: {} as ToolUseOutput,
    events: {} as PartEvents,
    emitted: {} as Emitted<"tool.refused">,
  },
  actors: withParts({ tool, delegate, ask, sleep }),
  guards: {
    needsApproval: ({ context }) => context.needsApproval,
    /** The supervisor wants a yes that nobody was asked for. */
    lacksApproval: ({ context }, { error }: { error: unknown }) =>
      context.mayNeedYes === true && workError(error).details?.needs === "approval" && !context.isApproved && !context.needsApproval,
    isDelegated: ({ context }) => context.plan !== undefined || context.isQuestion === true,
    isQuestion: ({ context }) => context.isQuestion === true,
    isAnswered: (_, { output }: { output: Answer }) => isAnswered(output),
    isApproved: (_, { approve }: { approve: boolean | undefined }) => approve === true,
    isUnknown: (_, { error }: { error: unknown }) => workError(error).code === "tool_unknown",
    isDenied: (_, { error }: { error: unknown }) => workError(error).denied === true,
    mayRestart: ({ context: { restarts = 0, restarted } }, { error }: { error: unknown }) =>
      workError(error).code === "tool_failed" && restarted < restarts,
    tookEffect: (_, { value }: { value: Json | undefined }) => tookEffect(value),
  },
  actions: {
    keepResult: assign({ result: (_, { output }: { output: ToolOutput }) => output }),
    startPart: enqueueActions(({ context, enqueue }) => {
      const { plan } = context;
      if (!plan) return;
      enqueue.spawnChild(plan.kind, {
        id: plan.name,
        input: childInput(plan, questionOf(questionIn(context)), { given: context.input }, false) as never,
      });
    }),
    stopPart: enqueueActions(({ context, enqueue }) => enqueue.stopChild(delegatedId(context))),
    keepPart: assign({
      result: (_, { output }: { output: Answer }): ToolOutput => ({ output: output.value ?? output.text, content: answerText(output) }),
    }),
    keepReply: assign({
      result: (_, { value }: { value: Json | undefined }): ToolOutput => ({
        output: value ?? null,
        content: typeof value === "string" ? value : JSON.stringify(value ?? null),
      }),
    }),
    keepUnanswered: assign({
      error: ({ context }, { output }: { output: Answer }): WorkError => ({
        code: "tool_failed",
        message: `${context.name} ended as ${output.status}${output.error ? `: ${output.error.message}` : ""}`,
        retryable: false,
      }),
    }),
    keepVerdict: assign({
      result: (_, { value }: { value: Json | undefined }) => ({
        output: value ?? null,
        content: `A person confirmed that it took effect. ${JSON.stringify(value)}`,
      }),
    }),
    countRestart: assign({ restarted: ({ context }) => context.restarted + 1 }),
    keepError: assign({ error: (_, { error }: { error: unknown }) => workError(error) }),
    keepYes: assign({ isApproved: true }),
    keepNo: assign({
      error: (_, { reason }: { reason: string | undefined }): WorkError => ({
        code: "tool_denied",
        message: reason ?? "a person said no",
        retryable: false,
        denied: true,
      }),
    }),
    /** Refused before it was asked for; the runtime adds the tool's group. */
    tellRefused: emit(({ context: { id, name, error } }) => ({
      type: "tool.refused" as const,
      id,
      tool: name,
      group: "",
      // What the schema of facts describes; only its arrays are not readonly there.
      error: asError(error ?? { code: "tool_denied", message: "refused", retryable: false }) as Emitted<"tool.refused">["error"],
    })),
    end: assign({ status: (_, { status }: { status: ToolStatus }) => status }),
  },
}).createMachine({
  id: "tool",
  version: "3",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ ...input, restarted: 0, isApproved: false, result: null, error: null, status: "failed" }),
  output: ({ context: { id, name, status, result, error, keepsOutput } }) => ({
    id,
    name,
    status,
    content: status === "returned" ? (result?.content ?? "") : `Error: ${error?.message ?? "cancelled"}`,
    ...(status === "returned" && result && keepsOutput && { output: result.output }),
    ...(error && status !== "returned" && { code: error.code }),
  }),
  on: { cancel: ".cancelled" },
  initial: "deciding",
  states: {
    deciding: {
      always: [
        { guard: "needsApproval", target: "awaitingApproval" },
        { guard: "isDelegated", target: "delegating" },
        { target: "running" },
      ],
    },
    awaitingApproval: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => ({
          kind: "approval",
          message:
            context.error === null
              ? `May "${context.name}" be run with these arguments?`
              : `${context.error.message}. May it be run with these?`,
          tool: context.name,
          input: context.input,
          expiresMs: personMs,
        }),
        onDone: [
          {
            guard: { type: "isApproved", params: ({ event }) => event.output as { approve: boolean | undefined } },
            target: "approved",
            actions: "keepYes",
          },
          { target: "refused", actions: [{ type: "keepNo", params: ({ event }) => ({ reason: event.output.reason }) }, "tellRefused"] },
        ],
        onError: { target: "refused", actions: [{ type: "keepError", params: ({ event }) => event }, "tellRefused"] },
      },
    },
    approved: { always: [{ guard: "isDelegated", target: "delegating" }, { target: "running" }] },
    running: {
      invoke: {
        id: "work",
        src: "tool",
        input: ({ context }) => asked(context),
        onDone: { target: "returned", actions: { type: "keepResult", params: ({ event }) => event } },
        onError: [
          {
            guard: { type: "isUnknown", params: ({ event }) => event },
            target: "awaitingVerdict",
            actions: { type: "keepError", params: ({ event }) => event },
          },
          {
            guard: { type: "lacksApproval", params: ({ event }) => event },
            target: "awaitingApproval",
            actions: { type: "keepError", params: ({ event }) => event },
          },
          {
            guard: { type: "isDenied", params: ({ event }) => event },
            target: "refused",
            actions: { type: "keepError", params: ({ event }) => event },
          },
          {
            guard: { type: "mayRestart", params: ({ event }) => event },
            target: "restarting",
            actions: { type: "keepError", params: ({ event }) => event },
          },
          { target: "failed", actions: { type: "keepError", params: ({ event }) => event } },
        ],
      },
    },
    /** The supervisor says whether the machine of an agent may begin: it counts as any use of a tool. */
    delegating: {
      invoke: {
        id: "delegate",
        src: "delegate",
        input: ({ context }) => asked(context),
        onDone: [{ guard: "isQuestion", target: "asking" }, { target: "answering" }],
        onError: { target: "refused", actions: { type: "keepError", params: ({ event }) => event } },
      },
    },
    /** A person's answer is the tool's result. */
    asking: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => {
          const { question, schema } = context.input as { readonly question: string; readonly schema?: Json };
          return { kind: "question", message: question, tool: context.name, ...(schema !== undefined && { schema }), expiresMs: personMs };
        },
        onDone: { target: "returned", actions: { type: "keepReply", params: ({ event }) => ({ value: event.output.value }) } },
        onError: { target: "failed", actions: { type: "keepError", params: ({ event }) => event } },
      },
    },
    answering: {
      entry: "startPart",
      exit: "stopPart",
      on: {
        "xstate.done.actor.*": [
          {
            guard: { type: "isAnswered", params: ({ event }) => event },
            target: "returned",
            actions: { type: "keepPart", params: ({ event }) => event },
          },
          { target: "failed", actions: { type: "keepUnanswered", params: ({ event }) => event } },
        ],
        "xstate.error.actor.*": { target: "failed", actions: { type: "keepError", params: ({ event }) => event } },
      },
    },
    restarting: {
      entry: "countRestart",
      invoke: {
        id: "sleep",
        src: "sleep",
        input: ({ context }) => ({ ms: restartMs(context.restarted), jitter: true, restart: true }),
        onDone: "running",
        // What it failed with says more than that it may not be done again.
        onError: "failed",
      },
    },
    /** It was interrupted and may have taken effect: a person says what happened. */
    awaitingVerdict: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => ({
          kind: "question",
          message: `"${context.name}" was interrupted. Did it take effect?`,
          tool: context.name,
          input: context.input,
          schema: { type: "object", properties: { took_effect: { type: "boolean" }, output: {} }, required: ["took_effect"] },
          expiresMs: personMs,
        }),
        onDone: [
          {
            guard: { type: "tookEffect", params: ({ event }) => ({ value: event.output.value }) },
            target: "returned",
            actions: { type: "keepVerdict", params: ({ event }) => ({ value: event.output.value }) },
          },
          { target: "failed" },
        ],
        onError: "failed",
      },
    },
    returned: { type: "final", entry: { type: "end", params: { status: "returned" } } },
    failed: { type: "final", entry: { type: "end", params: { status: "failed" } } },
    refused: { type: "final", entry: { type: "end", params: { status: "refused" } } },
    cancelled: { type: "final", entry: { type: "end", params: { status: "cancelled" } } },
  },
});

function tookEffect(value: Json | undefined): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) && (value as { took_effect?: Json }).took_effect === true;
}
