/**
 * Stages one after another, each an agent or a pattern: what one answers is the question of the next.
 *
 *  1. A stage is begun once, and once more for each time that a reviewer sends it back: `redos` at most in all.
 *  2. Only the last stage's text is for the person.
 *  3. A stage that does not answer ends the chain with what there was, unless it is optional.
 */
import { assign, emit, enqueueActions, setup } from "xstate";
import { type ErrorBody, errorBody } from "../../src/protocol/errors.ts";
import type { Message } from "../../src/protocol/messages.ts";
import { fill } from "../../src/protocol/template.ts";
import { type Answer, type AnswerStatus, ask, type Emitted, personMs, workError } from "../work.ts";
import { withParts } from "./parts.ts";
import {
  answerOf,
  answerText,
  type ChainPlan,
  childInput,
  isAnswered,
  type PartEvents,
  type PatternInput,
  questionOf,
  type Stage,
  slotName,
  slotValues,
} from "./plan.ts";
import { brokenAnswer } from "./pool.ts";

type Context = {
  readonly input: PatternInput<ChainPlan>;
  readonly stage: number;
  /** Of each stage before this one; null where it was skipped. */
  readonly outputs: readonly (string | null)[];
  readonly answer: Answer | null;
  /** Times that a stage was sent back, and what the reviewer said. */
  readonly redone: number;
  readonly feedback: string | null;
  readonly isDegraded: boolean;
  readonly error: ErrorBody | null;
  readonly status: AnswerStatus;
};

const stageOf = ({ input, stage }: Context): Stage => input.plan.stages[stage] as Stage;
const isLast = ({ input, stage }: Context): boolean => stage + 1 >= input.plan.stages.length;
const previousOf = ({ outputs, input }: Context): string =>
  outputs.findLast((output) => output !== null) ?? String(slotValues(input).input);

function messagesOf(context: Context): readonly Message[] {
  const { input, stage, outputs, feedback } = context;
  const { prompt } = stageOf(context);
  const values = {
    ...slotValues(input),
    ...Object.fromEntries(outputs.map((output, i) => [slotName(input.plan.stages[i]?.plan.name ?? ""), output ?? ""])),
    previous: previousOf(context),
  };
  const asked = prompt === undefined && stage === 0 ? input.messages : questionOf(fill(prompt ?? "{{previous}}", values));
  if (feedback === null) return asked;
  const before = answerText(context.answer ?? { text: null });
  return [
    ...asked,
    ...(before === "" ? [] : [{ role: "assistant" as const, content: before }]),
    { role: "user", content: `A reviewer did not agree: ${feedback}\nDo it again.` },
  ];
}

export const chainMachine = setup({
  types: {
    input: {} as PatternInput<ChainPlan>,
    context: {} as Context,
    output: {} as Answer,
    events: {} as PartEvents,
    emitted: {} as Emitted<"progress">,
  },
  actors: withParts({ ask }),
  guards: {
    needsReview: ({ context }) => stageOf(context).review === true,
    isAnsweredAndLast: ({ context }, { output }: { output: Answer }) => isAnswered(output) && isLast(context),
    isAnswered: (_, { output }: { output: Answer }) => isAnswered(output),
    isSkippedAndLast: ({ context }, { output }: { output: Answer }) =>
      stageOf(context).optional === true && output.status !== "exhausted" && isLast(context),
    isSkipped: ({ context }, { output }: { output: Answer }) => stageOf(context).optional === true && output.status !== "exhausted",
    isYes: (_, { approve }: { approve: boolean | undefined }) => approve === true,
    mayRedo: ({ context }) => context.stage > 0 && context.redone < context.input.plan.redos,
  },
  actions: {
    tellStage: emit(({ context }) => ({
      type: "progress" as const,
      message: stageOf(context).plan.name,
      done: context.stage,
      total: context.input.plan.stages.length,
    })),
    startStage: enqueueActions(({ context, enqueue }) => {
      const { plan } = stageOf(context);
      enqueue.spawnChild(plan.kind, {
        id: plan.name,
        input: childInput(plan, messagesOf(context), context.input, isLast(context)) as never,
      });
    }),
    stopStage: enqueueActions(({ context, enqueue }) => enqueue.stopChild(stageOf(context).plan.name)),
    keepAnswer: assign(({ context }, { output }: { output: Answer }) => ({
      answer: output,
      outputs: [...context.outputs, answerText(output)],
      feedback: null,
      isDegraded: context.isDegraded || output.status === "degraded",
    })),
    skip: assign(({ context }) => ({ outputs: [...context.outputs, null], feedback: null })),
    nextStage: assign({ stage: ({ context }) => context.stage + 1 }),
    sendBack: assign(({ context }, { reason }: { reason: string | undefined }) => ({
      stage: context.stage - 1,
      outputs: context.outputs.slice(0, -1),
      redone: context.redone + 1,
      feedback: reason ?? "no reason was given",
    })),
    keepFailure: assign(({ context }, { output }: { output: Answer }) => ({
      answer: output.text === null && output.value === undefined ? context.answer : output,
      status: output.status,
      error: output.error ?? errorBody("internal", `the stage "${stageOf(context).plan.name}" ended as ${output.status}`),
    })),
    keepNo: assign({
      error: (_, { reason }: { reason: string }) => errorBody("cancelled", `the review ended the run: ${reason}`),
    }),
    end: assign({ status: (_, { status }: { status: AnswerStatus }) => status }),
    endAnswered: assign({ status: ({ context }) => (context.isDegraded ? ("degraded" as const) : ("done" as const)) }),
  },
}).createMachine({
  id: "chain",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({
    input,
    stage: 0,
    outputs: [],
    answer: null,
    redone: 0,
    feedback: null,
    isDegraded: false,
    error: null,
    status: "failed",
  }),
  output: ({ context: { status, answer, error } }) => ({
    ...answerOf(answer),
    status,
    ...(error && status !== "done" && status !== "degraded" && { error }),
  }),
  on: { cancel: ".cancelled" },
  initial: "beginning",
  states: {
    beginning: { always: [{ guard: "needsReview", target: "reviewing" }, { target: "running" }] },
    reviewing: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => ({
          kind: "review",
          message: `May "${stageOf(context).plan.name}" begin with this?`,
          input: { output: previousOf(context) },
          expiresMs: personMs,
        }),
        onDone: [
          { guard: { type: "isYes", params: ({ event }) => ({ approve: event.output.approve }) }, target: "running" },
          {
            guard: "mayRedo",
            target: "running",
            actions: { type: "sendBack", params: ({ event }) => ({ reason: event.output.reason }) },
          },
          {
            target: "cancelled",
            actions: { type: "keepNo", params: ({ event }) => ({ reason: event.output.reason ?? "a person said no" }) },
          },
        ],
        onError: { target: "cancelled", actions: { type: "keepNo", params: ({ event }) => ({ reason: workError(event.error).message }) } },
      },
    },
    running: {
      entry: ["tellStage", "startStage"],
      exit: "stopStage",
      on: {
        "xstate.done.actor.*": [
          {
            guard: { type: "isAnsweredAndLast", params: ({ event }) => event },
            target: "answered",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          {
            guard: { type: "isAnswered", params: ({ event }) => event },
            target: "between",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          { guard: { type: "isSkippedAndLast", params: ({ event }) => event }, target: "answered", actions: "skip" },
          { guard: { type: "isSkipped", params: ({ event }) => event }, target: "between", actions: "skip" },
          { target: "unanswered", actions: { type: "keepFailure", params: ({ event }) => event } },
        ],
        "xstate.error.actor.*": {
          target: "unanswered",
          actions: { type: "keepFailure", params: ({ event }) => ({ output: brokenAnswer(event.error) }) },
        },
      },
    },
    between: { entry: "nextStage", always: "beginning" },
    answered: { type: "final", entry: "endAnswered" },
    unanswered: { type: "final" },
    cancelled: { type: "final", entry: { type: "end", params: { status: "cancelled" } } },
  },
});
