/**
 * The machine of one use of a tool: from the model's request to the text that the model gets back.
 *
 * It decides whether a person is asked first and what follows an interruption. Names and arguments were checked when the
 * work was asked for: what is wrong with them reaches it as a denial. Every end is an answer to the model, never a throw.
 *
 *  1. The tool is not asked for before its yes, and never again after it may have taken effect, unless it may be done again.
 */
import { assign, emit, setup } from "xstate";
import type { Json } from "../src/protocol/json.ts";
import { restartMs } from "./supervision.ts";
import { asError, ask, type Emitted, sleep, type ToolOutput, tool, type WorkError, workError } from "./work.ts";

export type ToolUse = {
  /** The provider's id of the request. */
  readonly id: string;
  readonly name: string;
  readonly input: Json;
  /** The call that asked for it. */
  readonly call: string;
  readonly needsApproval: boolean;
  /** How often it may be done again when it failed; 0. */
  readonly restarts?: number | undefined;
};

export type ToolStatus = "returned" | "failed" | "refused" | "cancelled";
export type ToolUseOutput = {
  readonly id: string;
  readonly name: string;
  readonly status: ToolStatus;
  readonly content: string;
  readonly code?: string;
};

type Context = ToolUse & {
  readonly restarted: number;
  readonly result: ToolOutput | null;
  readonly error: WorkError | null;
  readonly status: ToolStatus;
};

const expiresMs = 24 * 3_600_000;

export const toolMachine = setup({
  types: {
    input: {} as ToolUse,
    context: {} as Context,
    output: {} as ToolUseOutput,
    events: {} as { type: "cancel" },
    emitted: {} as Emitted<"tool.refused">,
  },
  actors: { tool, ask, sleep },
  guards: {
    needsApproval: ({ context }) => context.needsApproval,
    isApproved: (_, { approve }: { approve: boolean | undefined }) => approve === true,
    isUnknown: (_, { error }: { error: unknown }) => workError(error).code === "tool_unknown",
    isDenied: (_, { error }: { error: unknown }) => workError(error).denied === true,
    mayRestart: ({ context: { restarts = 0, restarted } }, { error }: { error: unknown }) =>
      workError(error).code === "tool_failed" && restarted < restarts,
    tookEffect: (_, { value }: { value: Json | undefined }) => tookEffect(value),
  },
  actions: {
    keepResult: assign({ result: (_, { output }: { output: ToolOutput }) => output }),
    keepVerdict: assign({
      result: (_, { value }: { value: Json | undefined }) => ({
        output: value ?? null,
        content: `A person confirmed that it took effect. ${JSON.stringify(value)}`,
      }),
    }),
    countRestart: assign({ restarted: ({ context }) => context.restarted + 1 }),
    keepError: assign({ error: (_, { error }: { error: unknown }) => workError(error) }),
    keepNo: assign({
      error: (_, { reason }: { reason: string | undefined }) => ({
        code: "tool_denied",
        message: reason ?? "a person said no",
        retryable: false,
        denied: true,
      }),
    }),
    /** Refused before it was asked for; the runtime adds the tool's group. */
    tellRefused: emit(({ context: { id, name, error } }) => ({
      type: "tool.refused",
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
  version: "2",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ ...input, restarted: 0, result: null, error: null, status: "failed" }),
  output: ({ context: { id, name, status, result, error } }) => ({
    id,
    name,
    status,
    content: status === "returned" ? (result?.content ?? "") : `Error: ${error?.message ?? "cancelled"}`,
    ...(error && { code: error.code }),
  }),
  on: { cancel: ".cancelled" },
  initial: "deciding",
  states: {
    deciding: { always: [{ guard: "needsApproval", target: "awaitingApproval" }, { target: "running" }] },
    awaitingApproval: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => ({
          kind: "approval",
          message: `May "${context.name}" be run with these arguments?`,
          tool: context.name,
          input: context.input,
          expiresMs,
        }),
        onDone: [
          { guard: { type: "isApproved", params: ({ event }) => event.output as { approve: boolean | undefined } }, target: "running" },
          { target: "refused", actions: [{ type: "keepNo", params: ({ event }) => ({ reason: event.output.reason }) }, "tellRefused"] },
        ],
        onError: { target: "refused", actions: [{ type: "keepError", params: ({ event }) => event }, "tellRefused"] },
      },
    },
    running: {
      invoke: {
        id: "work",
        src: "tool",
        input: ({ context: { id, name, input, call } }) => ({ id, name, input, call }),
        onDone: { target: "returned", actions: { type: "keepResult", params: ({ event }) => event } },
        onError: [
          {
            guard: { type: "isUnknown", params: ({ event }) => event },
            target: "awaitingVerdict",
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
          expiresMs,
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
