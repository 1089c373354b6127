/**
 * Branches side by side, each an agent or a pattern, on one question; then one answer from theirs: the first, the most frequent, the one
 * that a judge finds best, or one that a model makes of all.
 *
 *  1. At most `width` branches run at once; a branch is begun once, and once more for each retry.
 *  2. What a branch says is internal. Of a merge, the merger's text is for the person.
 *  3. With fewer than `least` answers it fails; with `onFailure: "fail"` at the first branch that did not answer.
 *  4. A judge that fails or names no branch chooses the first.
 */
import { assign, emit, enqueueActions, setup } from "xstate";
import { type ErrorBody, errorBody } from "../../src/protocol/errors.ts";
import type { Json } from "../../src/protocol/json.ts";
import { fill } from "../../src/protocol/template.ts";
import type { Answer, AnswerStatus, Emitted } from "../work.ts";
import { withParts } from "./parts.ts";
import {
  answeredStatus,
  answerOf,
  answerText,
  childInput,
  type FanOutPlan,
  isAnswered,
  lastText,
  type PartEvents,
  type PatternInput,
  type Plan,
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
  readonly input: PatternInput<FanOutPlan>;
  readonly pool: Pool;
  readonly answer: Answer | null;
  readonly reason: string;
  readonly error: ErrorBody | null;
  readonly status: AnswerStatus;
};

const indexOf = ({ input }: Context, id: string): number => input.plan.branches.findIndex(({ name }) => name === id);
const isFailing = ({ input, pool }: Context): boolean => input.plan.onFailure === "fail" && bad(pool).length > 0;
const isFirst = ({ input, pool }: Context): boolean => input.plan.aggregate.by === "first" && good(pool).length >= input.plan.least;
/** Nothing that is not begun yet could change the end. */
const isCertain = (context: Context): boolean => isFailing(context) || isFirst(context);
/** Those that still run are stopped, or have ended. */
const mayEnd = ({ input, pool }: Context): boolean => isIdle(pool) || input.plan.siblings === "cancel";

function branchInput({ input }: Context, branch: Plan): unknown {
  const { plan, messages } = input;
  return childInput(branch, plan.prompt === undefined ? messages : questionOf(fill(plan.prompt, slotValues(input))), input, false);
}

/** The drafts as data for a model. */
const draftsOf = ({ pool }: Context): string =>
  good(pool)
    .map((answer, i) => `<draft number="${i + 1}">\n${answerText(answer)}\n</draft>`)
    .join("\n");
const caseOf = (context: Context, task: string): string =>
  `<question>\n${lastText(context.input.messages)}\n</question>\n${draftsOf(context)}\n${task}`;

/** The most frequent of the answers; of several the earliest. */
export function voted(answers: readonly Answer[], on: string | undefined): { readonly answer: Answer; readonly votes: number } | undefined {
  const ballots = answers.map((answer) => ballotOf(answer, on));
  const votes = ballots.map((ballot) => ballots.filter((other) => other === ballot).length);
  const most = Math.max(...votes);
  const answer = answers[votes.indexOf(most)];
  return answer && { answer, votes: most };
}

function ballotOf(answer: Answer, on: string | undefined): string {
  const { value } = answer;
  const member =
    on !== undefined && typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as { readonly [key: string]: Json | undefined })[on]
      : undefined;
  const said = member ?? value;
  return said === undefined || typeof said === "string" ? plain(typeof said === "string" ? said : (answer.text ?? "")) : canonical(said);
}

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[\s\p{P}]+/gu, " ")
    .trim();

/** As JSON with its members in order. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

/** The only number that a judge names. */
function chosen({ pool }: Context, text: string): Answer | undefined {
  const numbers = new Set(text.match(/\d+/g) ?? []);
  return numbers.size === 1 ? good(pool)[Number([...numbers][0]) - 1] : undefined;
}

export const fanOutMachine = setup({
  types: {
    input: {} as PatternInput<FanOutPlan>,
    context: {} as Context,
    output: {} as Answer,
    events: {} as PartEvents,
    emitted: {} as Emitted<"progress">,
  },
  actors: withParts({}),
  guards: {
    mayRetry: ({ context }, { id, answer }: { id: string; answer: Answer }) =>
      !isCertain(context) && mayRetry(context.pool, indexOf(context, id), answer, context.input.plan.retries),
    hasFailed: ({ context }) =>
      (isFailing(context) && mayEnd(context)) || (isOver(context.pool) && good(context.pool).length < context.input.plan.least),
    hasFirst: ({ context }) => isFirst(context) && mayEnd(context),
    isToBeVoted: ({ context }) => isOver(context.pool) && context.input.plan.aggregate.by === "vote",
    isToBeJudged: ({ context }) => isOver(context.pool) && context.input.plan.aggregate.by === "best" && good(context.pool).length > 1,
    isToBeMerged: ({ context }) => isOver(context.pool) && context.input.plan.aggregate.by === "merge",
    isOver: ({ context }) => isOver(context.pool),
    isAnswered: (_, { output }: { output: Answer }) => isAnswered(output),
    isChoice: ({ context }, { output }: { output: Answer }) => isAnswered(output) && chosen(context, answerText(output)) !== undefined,
  },
  actions: {
    startBranches: enqueueActions(({ context, enqueue }) => {
      const { branches, width } = context.input.plan;
      if (isCertain(context)) return;
      const next = toStart(context.pool, width);
      for (const index of next) {
        const branch = branches[index] as Plan;
        enqueue.spawnChild(branch.kind, { id: branch.name, input: branchInput(context, branch) as never });
      }
      enqueue.assign({ pool: withStarted(context.pool, next.length) });
    }),
    stopBranches: enqueueActions(({ context, enqueue }) => {
      for (const { name } of context.input.plan.branches.slice(0, context.pool.started)) enqueue.stopChild(name);
    }),
    retryBranch: enqueueActions(({ context, enqueue }, { id }: { id: string }) => {
      const index = indexOf(context, id);
      const branch = context.input.plan.branches[index] as Plan;
      enqueue.stopChild(id);
      enqueue.spawnChild(branch.kind, { id, input: branchInput(context, branch) as never });
      enqueue.assign({ pool: withRetry(context.pool, index) });
    }),
    keepBranch: assign({
      pool: ({ context }, { id, answer }: { id: string; answer: Answer }) => withAnswer(context.pool, indexOf(context, id), answer),
    }),
    tellBranch: emit(({ context }, { id }: { id: string }) => ({
      type: "progress" as const,
      message: id,
      done: countOver(context.pool),
      total: context.input.plan.branches.length,
    })),
    keepFirst: assign({ answer: ({ context }) => good(context.pool)[0] ?? null }),
    keepVoted: assign(({ context }) => {
      const { aggregate } = context.input.plan;
      const answers = good(context.pool);
      const found = voted(answers, aggregate.by === "vote" ? aggregate.on : undefined);
      return { answer: found?.answer ?? null, reason: `${found?.votes} of ${answers.length} agree` };
    }),
    startJudge: enqueueActions(({ context, enqueue }) => {
      const { aggregate } = context.input.plan;
      if (aggregate.by !== "best") return;
      const { judge } = aggregate;
      const asked = questionOf(caseOf(context, "Which draft answers best? Say its number and nothing else."));
      enqueue.spawnChild(judge.kind, { id: judge.name, input: childInput(judge, asked, context.input, false) as never });
    }),
    startMerger: enqueueActions(({ context, enqueue }) => {
      const { aggregate } = context.input.plan;
      if (aggregate.by !== "merge") return;
      const { merger } = aggregate;
      const asked = questionOf(caseOf(context, "Answer the question once, with the best of these drafts."));
      enqueue.spawnChild(merger.kind, { id: merger.name, input: childInput(merger, asked, context.input, true) as never });
    }),
    stopAggregator: enqueueActions(({ context, enqueue }) => {
      const { aggregate } = context.input.plan;
      if (aggregate.by === "best") enqueue.stopChild(aggregate.judge.name);
      if (aggregate.by === "merge") enqueue.stopChild(aggregate.merger.name);
    }),
    keepChosen: assign(({ context }, { output }: { output: Answer }) => ({
      answer: chosen(context, answerText(output)) ?? null,
      reason: `the judge chose ${answerText(output).slice(0, 40)}`,
    })),
    keepMerged: assign({ answer: (_, { output }: { output: Answer }) => output }),
    keepFailure: assign(({ context }) => ({
      status: worstStatus(bad(context.pool)),
      error: failureOf(context.pool, context.input.plan.onFailure === "fail" ? null : context.input.plan.least),
      answer: good(context.pool)[0] ?? null,
    })),
    keepUnmerged: assign((_, { output }: { output: Answer }) => ({
      status: output.status,
      answer: output,
      error: output.error ?? errorBody("internal", `the merger ended as ${output.status}`),
    })),
    explain: assign({ reason: (_, { why }: { why: string }) => why }),
    end: assign({ status: (_, { status }: { status: AnswerStatus }) => status }),
    endAnswered: assign({ status: ({ context }) => answeredStatus(context.answer) }),
  },
}).createMachine({
  id: "fan-out",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({
    input,
    pool: newPool(input.plan.branches.length),
    answer: null,
    reason: "",
    error: null,
    status: "failed",
  }),
  output: ({ context: { status, answer, error } }) => ({
    ...answerOf(answer),
    status,
    ...(error && { error }),
  }),
  on: { cancel: ".cancelled" },
  initial: "drafting",
  states: {
    drafting: {
      entry: "startBranches",
      exit: "stopBranches",
      on: {
        "xstate.done.actor.*": [
          {
            guard: { type: "mayRetry", params: ({ event }) => ({ id: event.actorId, answer: event.output }) },
            actions: { type: "retryBranch", params: ({ event }) => ({ id: event.actorId }) },
          },
          {
            actions: [
              { type: "keepBranch", params: ({ event }) => ({ id: event.actorId, answer: event.output }) },
              { type: "tellBranch", params: ({ event }) => ({ id: event.actorId }) },
              "startBranches",
            ],
          },
        ],
        "xstate.error.actor.*": {
          actions: [
            {
              type: "keepBranch",
              params: ({ event }) => ({ id: event.actorId, answer: brokenAnswer(event.error) }),
            },
            { type: "tellBranch", params: ({ event }) => ({ id: event.actorId }) },
            "startBranches",
          ],
        },
      },
      always: [
        { guard: "hasFailed", target: "unanswered", actions: "keepFailure" },
        { guard: "hasFirst", target: "answered", actions: "keepFirst" },
        { guard: "isToBeVoted", target: "answered", actions: "keepVoted" },
        { guard: "isToBeJudged", target: "judging" },
        { guard: "isToBeMerged", target: "merging" },
        { guard: "isOver", target: "answered", actions: "keepFirst" },
      ],
    },
    judging: {
      entry: "startJudge",
      exit: "stopAggregator",
      on: {
        "xstate.done.actor.*": [
          {
            guard: { type: "isChoice", params: ({ event }) => event },
            target: "answered",
            actions: { type: "keepChosen", params: ({ event }) => event },
          },
          {
            target: "answered",
            actions: ["keepFirst", { type: "explain", params: { why: "the judge named no draft; the first stands" } }],
          },
        ],
        "xstate.error.actor.*": {
          target: "answered",
          actions: ["keepFirst", { type: "explain", params: { why: "the judge broke; the first stands" } }],
        },
      },
    },
    merging: {
      entry: "startMerger",
      exit: "stopAggregator",
      on: {
        "xstate.done.actor.*": [
          {
            guard: { type: "isAnswered", params: ({ event }) => event },
            target: "answered",
            actions: { type: "keepMerged", params: ({ event }) => event },
          },
          { target: "unanswered", actions: { type: "keepUnmerged", params: ({ event }) => event } },
        ],
        "xstate.error.actor.*": {
          target: "unanswered",
          actions: { type: "keepUnmerged", params: ({ event }) => ({ output: brokenAnswer(event.error) }) },
        },
      },
    },
    answered: { type: "final", entry: "endAnswered" },
    unanswered: { type: "final" },
    cancelled: { type: "final", entry: { type: "end", params: { status: "cancelled" } } },
  },
});
