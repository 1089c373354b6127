/**
 * A long text: cut into chunks, each mapped by a part, the results reduced by another, level by level, to one answer.
 *
 *  1. Nothing is mapped before the number of chunks is known; more than `maxChunks` end it, more than `confirmAbove` wait for a yes.
 *  2. At most `width` parts run at once; each is begun once, and once more for each retry.
 *  3. Results keep the order of the text. One that was dropped is told to the reduce as missing.
 *  4. A reduce that does not answer ends it. Only the last one's text is for the person.
 */
import { assign, emit, enqueueActions, setup } from "xstate";
import { type ErrorBody, errorBody } from "../../src/protocol/errors.ts";
import { fill } from "../../src/protocol/template.ts";
import { type Answer, type AnswerStatus, asError, ask, type Emitted, personMs, type SplitOutput, split, workError } from "../work.ts";
import { withParts } from "./parts.ts";
import {
  answeredStatus,
  answerOf,
  answerText,
  childInput,
  isAnswered,
  type MapReducePlan,
  type PartEvents,
  type PatternInput,
  questionOf,
  slotValues,
  worstStatus,
} from "./plan.ts";
import {
  bad,
  brokenAnswer,
  countOver,
  failureOf,
  good,
  isIdle,
  isOver,
  mayRetry,
  newPool,
  type Pool,
  toStart,
  withAnswer,
  withRetry,
  withStarted,
} from "./pool.ts";

type Context = {
  readonly input: PatternInput<MapReducePlan>;
  /** What the parts of this level are made from: the chunks, then the results of the level before. */
  readonly texts: readonly string[];
  /** 0: mapping. */
  readonly level: number;
  readonly pool: Pool;
  readonly answer: Answer | null;
  readonly error: ErrorBody | null;
  readonly status: AnswerStatus;
};

/** The groups that one level of reducing takes. */
export const groupsOf = (count: number, fanIn: number): number => Math.ceil(count / fanIn);

/** Reduces that so many chunks need at most. */
export function reducesOf(chunks: number, fanIn: number): number {
  let total = 0;
  for (let count = groupsOf(chunks, fanIn); ; count = groupsOf(count, fanIn)) {
    total += count;
    if (count <= 1) return total;
  }
}

const isLastLevel = ({ input, texts, level }: Context): boolean => level > 0 && texts.length <= input.plan.fanIn;
/** A reduce is always needed. */
const onFailure = ({ input, level }: Context): "fail" | "drop" => (level === 0 ? input.plan.onFailure : "fail");
const isFailing = (context: Context): boolean => onFailure(context) === "fail" && bad(context.pool).length > 0;
const idOf = (context: Context, index: number): string =>
  context.level === 0 ? `map-${index + 1}` : isLastLevel(context) ? "reduce" : `reduce-${context.level}-${index + 1}`;
const indexOf = (id: string): number => Number(/-(\d+)$/.exec(id)?.[1] ?? 1) - 1;

/** The machine and the input of one part of this level. */
function partOf(context: Context, index: number): { readonly kind: MapReducePlan["map"]["kind"]; readonly input: unknown } {
  const { input, texts, level } = context;
  const { plan } = input;
  const values = slotValues(input);
  if (level === 0) {
    const asked = fill(plan.mapPrompt, { ...values, chunk: texts[index] ?? "", index: index + 1, total: texts.length });
    return { kind: plan.map.kind, input: childInput(plan.map, questionOf(asked), input, false) };
  }
  const of = texts.slice(index * plan.fanIn, (index + 1) * plan.fanIn);
  const parts = of.map((text, i) => `<part number="${index * plan.fanIn + i + 1}">\n${text}\n</part>`).join("\n");
  const asked = fill(plan.reducePrompt, { ...values, parts });
  return { kind: plan.reduce.kind, input: childInput(plan.reduce, questionOf(asked), input, isLastLevel(context)) };
}

const missing = "[this part could not be read]";

export const mapReduceMachine = setup({
  types: {
    input: {} as PatternInput<MapReducePlan>,
    context: {} as Context,
    output: {} as Answer,
    events: {} as PartEvents,
    emitted: {} as Emitted<"progress" | "data">,
  },
  actors: withParts({ split, ask }),
  guards: {
    isTooMuch: ({ context }) => context.texts.length > context.input.plan.maxChunks,
    isEmpty: ({ context }) => context.texts.length === 0,
    needsYes: ({ context }) => context.texts.length > (context.input.plan.confirmAbove ?? Number.POSITIVE_INFINITY),
    isYes: (_, { approve }: { approve: boolean | undefined }) => approve === true,
    mayRetry: ({ context }, { id, answer }: { id: string; answer: Answer }) =>
      !isFailing(context) && mayRetry(context.pool, indexOf(id), answer, context.input.plan.retries),
    hasFailed: ({ context }) =>
      (isFailing(context) && (isIdle(context.pool) || context.input.plan.siblings === "cancel")) ||
      (isOver(context.pool) && good(context.pool).length === 0),
    isLast: ({ context }) => isOver(context.pool) && isLastLevel(context),
    hasGaps: ({ context }) => isOver(context.pool) && bad(context.pool).length > 0,
    isOver: ({ context }) => isOver(context.pool),
  },
  actions: {
    keepChunks: assign({ texts: (_, { output }: { output: SplitOutput }) => output.chunks }),
    newLevel: assign({
      pool: ({ context: { level, texts, input } }) => newPool(level === 0 ? texts.length : groupsOf(texts.length, input.plan.fanIn)),
    }),
    startParts: enqueueActions(({ context, enqueue }) => {
      if (isFailing(context)) return;
      const next = toStart(context.pool, context.input.plan.width);
      for (const index of next) {
        const { kind, input } = partOf(context, index);
        enqueue.spawnChild(kind, { id: idOf(context, index), input: input as never });
      }
      enqueue.assign({ pool: withStarted(context.pool, next.length) });
    }),
    stopParts: enqueueActions(({ context, enqueue }) => {
      for (let index = 0; index < context.pool.started; index++)
        if (context.pool.answers[index] === null) enqueue.stopChild(idOf(context, index));
    }),
    retryPart: enqueueActions(({ context, enqueue }, { id }: { id: string }) => {
      const { kind, input } = partOf(context, indexOf(id));
      enqueue.stopChild(id);
      enqueue.spawnChild(kind, { id, input: input as never });
      enqueue.assign({ pool: withRetry(context.pool, indexOf(id)) });
    }),
    keepPart: enqueueActions(({ context, enqueue }, { id, answer }: { id: string; answer: Answer }) => {
      enqueue.assign({ pool: withAnswer(context.pool, indexOf(id), answer) });
      // A thousand that are over would be carried along with every step.
      enqueue.stopChild(id);
    }),
    tellPart: emit(({ context }) => ({
      type: "progress" as const,
      message: context.level === 0 ? "map" : "reduce",
      done: countOver(context.pool),
      total: context.pool.answers.length,
    })),
    tellDropped: emit(({ context }) => ({
      type: "data" as const,
      name: "dropped",
      data: {
        chunks: context.pool.answers.flatMap((answer, i) => (answer && !isAnswered(answer) ? [i + 1] : [])),
        of: context.texts.length,
      },
    })),
    nextLevel: assign(({ context }) => ({
      texts: context.pool.answers.map((answer) => (answer && isAnswered(answer) ? answerText(answer) : missing)),
      level: context.level + 1,
    })),
    keepAnswer: assign({ answer: ({ context }) => context.pool.answers[0] ?? null }),
    keepFailure: assign(({ context }) => ({
      status: worstStatus(bad(context.pool)),
      error: failureOf(context.pool, onFailure(context) === "fail" ? null : 1),
      answer: context.pool.answers.length === 1 ? (context.pool.answers[0] ?? null) : null,
    })),
    keepTooMuch: assign({
      error: ({ context: { texts, input } }) =>
        errorBody(
          "too_large",
          `the text has ${texts.length} chunks of ${input.plan.tokens} tokens, at most ${input.plan.maxChunks} are taken; raise chunk.max or chunk.tokens, or send less`,
        ),
    }),
    keepEmpty: assign({ error: errorBody("invalid_request", "there is no text to split") }),
    keepError: assign({ error: (_, { error }: { error: unknown }) => asError(workError(error)) }),
    keepNo: assign({ error: (_, { reason }: { reason: string }) => errorBody("cancelled", `it was not confirmed: ${reason}`) }),
    end: assign({ status: (_, { status }: { status: AnswerStatus }) => status }),
    endAnswered: assign({ status: ({ context }) => answeredStatus(context.answer) }),
  },
}).createMachine({
  id: "map-reduce",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ input, texts: [], level: 0, pool: newPool(0), answer: null, error: null, status: "failed" }),
  output: ({ context: { status, answer, error } }) => ({
    ...answerOf(answer),
    status,
    ...(error && { error }),
  }),
  on: { cancel: ".cancelled" },
  initial: "splitting",
  states: {
    splitting: {
      invoke: {
        id: "split",
        src: "split",
        input: ({ context: { input } }) => ({
          text: fill(input.plan.text, slotValues(input)),
          tokens: input.plan.tokens,
          overlap: input.plan.overlap,
        }),
        onDone: { target: "deciding", actions: { type: "keepChunks", params: ({ event }) => event } },
        onError: { target: "failed", actions: { type: "keepError", params: ({ event }) => event } },
      },
    },
    deciding: {
      always: [
        { guard: "isEmpty", target: "failed", actions: "keepEmpty" },
        { guard: "isTooMuch", target: "failed", actions: "keepTooMuch" },
        { guard: "needsYes", target: "confirming" },
        { target: "working" },
      ],
    },
    confirming: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context: { texts, input } }) => ({
          kind: "confirm",
          message: `The text has ${texts.length} chunks of up to ${input.plan.tokens} tokens: ${texts.length} answers and ${reducesOf(texts.length, input.plan.fanIn)} more to put them together. Go on?`,
          expiresMs: personMs,
        }),
        onDone: [
          { guard: { type: "isYes", params: ({ event }) => ({ approve: event.output.approve }) }, target: "working" },
          {
            target: "cancelled",
            actions: { type: "keepNo", params: ({ event }) => ({ reason: event.output.reason ?? "a person said no" }) },
          },
        ],
        onError: { target: "cancelled", actions: { type: "keepNo", params: ({ event }) => ({ reason: workError(event.error).message }) } },
      },
    },
    /** One level: mapping, or one level of reducing. */
    working: {
      entry: ["newLevel", "startParts"],
      exit: "stopParts",
      on: {
        "xstate.done.actor.*": [
          {
            guard: { type: "mayRetry", params: ({ event }) => ({ id: event.actorId, answer: event.output }) },
            actions: { type: "retryPart", params: ({ event }) => ({ id: event.actorId }) },
          },
          {
            actions: [{ type: "keepPart", params: ({ event }) => ({ id: event.actorId, answer: event.output }) }, "tellPart", "startParts"],
          },
        ],
        "xstate.error.actor.*": {
          actions: [
            { type: "keepPart", params: ({ event }) => ({ id: event.actorId, answer: brokenAnswer(event.error) }) },
            "tellPart",
            "startParts",
          ],
        },
      },
      always: [
        { guard: "hasFailed", target: "unanswered", actions: "keepFailure" },
        { guard: "isLast", target: "answered", actions: "keepAnswer" },
        { guard: "hasGaps", target: "between", actions: "tellDropped" },
        { guard: "isOver", target: "between" },
      ],
    },
    between: { entry: "nextLevel", always: "working" },
    answered: { type: "final", entry: "endAnswered" },
    unanswered: { type: "final" },
    failed: { type: "final", entry: { type: "end", params: { status: "failed" } } },
    cancelled: { type: "final", entry: { type: "end", params: { status: "cancelled" } } },
  },
});
