/**
 * The machine that makes a conversation shorter: decides what goes (context.ts) and has it summarised where the agent says so.
 *
 *  1. At most one call. When it fails, whatever the reason, what would have been summarised is dropped: the bound holds in any case.
 *  2. An earlier summary is extended, never made anew from what it stands for.
 *  3. What went is told (`data` named `context`).
 */
import { assign, emit, setup } from "xstate";
import type { Message } from "../src/protocol/messages.ts";
import {
  type ContextPolicy,
  type Plan,
  planForTokens,
  planForTurns,
  summaryInstructions,
  summaryMessage,
  summaryOf,
  transcriptOf,
  withSummary,
} from "./context.ts";
import { type CallOutput, call, type Emitted, type TooLong, workError } from "./work.ts";

export type CompactionInput = {
  readonly messages: readonly Message[];
  /** How many of them come from earlier runs of the session. */
  readonly history: number;
  readonly policy: ContextPolicy;
  /** Without it: because there are too many turns. */
  readonly tooLong?: TooLong | undefined;
  /** It was compacted before in this request and is still too long: no estimates, and no further call. */
  readonly again: boolean;
  readonly step: number;
  /** The number of its call among those of the request. */
  readonly attempt: number;
};

export type CompactionOutput = {
  readonly status: "done" | "too_long" | "cancelled";
  readonly messages: readonly Message[];
  readonly history: number;
  /** Calls that it made. */
  readonly calls: number;
};

type Context = {
  readonly input: CompactionInput;
  readonly plan: Plan;
  readonly summary: string | null;
  /** Why there is none. */
  readonly error: string | null;
  readonly calls: number;
  readonly status: CompactionOutput["status"];
};

const planOf = ({ messages, history, policy, tooLong, again }: CompactionInput): Plan =>
  tooLong ? planForTokens(messages, history, policy, tooLong, again) : planForTurns(messages, history, policy);

const isSummary = ({ finish, text }: CallOutput): boolean => (finish === "stop" || finish === "length") && text.trim() !== "";

export const compactionMachine = setup({
  types: {
    input: {} as CompactionInput,
    context: {} as Context,
    output: {} as CompactionOutput,
    events: {} as { type: "cancel" },
    emitted: {} as Emitted<"data">,
  },
  actors: { call },
  guards: {
    isTooLong: ({ context }) => !context.plan.fits,
    isToBeSummarised: ({ context: { input, plan } }) => input.policy.summarise !== undefined && !input.again && plan.gone.length > 0,
    isSummary: (_, { output }: { output: CallOutput }) => isSummary(output),
  },
  actions: {
    countCall: assign({ calls: ({ context }) => context.calls + 1 }),
    keepSummary: assign({ summary: (_, { output }: { output: CallOutput }) => output.text }),
    keepReason: assign({ error: (_, { reason }: { reason: string }) => reason }),
    tell: emit(({ context: { input, plan, summary, error } }) => ({
      type: "data",
      name: "context",
      data: {
        reason: input.tooLong ? "tokens" : "turns",
        turns: plan.turns,
        messages: plan.gone.length,
        results_cut: plan.cut,
        summarised: summary !== null,
        ...(input.tooLong && { limit: input.tooLong.limit }),
        ...(error !== null && { error }),
      },
    })),
    end: assign({ status: (_, { status }: { status: CompactionOutput["status"] }) => status }),
  },
}).createMachine({
  id: "compaction",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ input, plan: planOf(input), summary: null, error: null, calls: 0, status: "too_long" }),
  output: ({ context: { plan, summary, calls, status } }) => ({
    status,
    calls,
    ...(summary === null ? { messages: plan.kept, history: plan.history } : withSummary(plan, summaryMessage(summary))),
  }),
  on: { cancel: ".cancelled" },
  initial: "deciding",
  states: {
    deciding: {
      always: [{ guard: "isTooLong", target: "tooLong" }, { guard: "isToBeSummarised", target: "summarising" }, { target: "done" }],
    },
    summarising: {
      entry: "countCall",
      invoke: {
        id: "call",
        src: "call",
        input: ({ context: { input, plan } }) => ({
          for: "internal",
          step: input.step,
          attempt: input.attempt,
          retry: false,
          tier: input.policy.summarise?.tier ?? "",
          messages: [{ role: "user", content: transcriptOf(summaryOf(input.messages), plan.gone) }],
          instructions: summaryInstructions,
          maxTokens: input.policy.summarise?.max_output_tokens,
        }),
        onDone: [
          {
            guard: { type: "isSummary", params: ({ event }) => event },
            target: "done",
            actions: { type: "keepSummary", params: ({ event }) => event },
          },
          { target: "done", actions: { type: "keepReason", params: { reason: "empty" } } },
        ],
        onError: { target: "done", actions: { type: "keepReason", params: ({ event }) => ({ reason: workError(event.error).code }) } },
      },
    },
    done: { type: "final", entry: ["tell", { type: "end", params: { status: "done" } }] },
    /** Nothing that may go makes it short enough. */
    tooLong: { type: "final", entry: { type: "end", params: { status: "too_long" } } },
    cancelled: { type: "final", entry: { type: "end", params: { status: "cancelled" } } },
  },
});
