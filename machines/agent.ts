/**
 * The machine of an agent: think, use tools, think again, until an answer.
 *
 * One turn of it is a step: one request, then the tools that its answer asks for, some at once, results in order.
 * It keeps the conversation; messages are shared and never changed.
 *
 *  1. Requests are at most `maxSteps`. The supervisor's caps come on top and reach it as outcomes.
 *  2. The model gets one result for each use it asked for, in the order it asked.
 *  3. An agent that does not answer takes back what its tools have done, as far as they say how, the last first; a cancelled one asks
 *     for nothing more.
 *  4. The same refused or failed use twice in a row ends the agent (`identical_failure`): FEATURES A5, E3.
 */
import { assign, emit, enqueueActions, setup } from "xstate";
import { type ErrorBody, errorBody } from "../src/protocol/errors.ts";
import type { Json } from "../src/protocol/json.ts";
import type { Message, ToolRequest } from "../src/protocol/messages.ts";
import type { Plan } from "./patterns/plan.ts";
import { type RequestOutput, requestMachine } from "./request.ts";
import { policyOf, type RequestPolicy } from "./request-policy.ts";
import { restartMs, type Supervision } from "./supervision.ts";
import { type ToolUseOutput, toolMachine } from "./tool.ts";
import { type Answer, type AnswerStatus, asError, type Emitted, sleep, workError } from "./work.ts";

export type AgentInput = RequestPolicy & {
  readonly messages: readonly Message[];
  /** How many of them come from earlier runs of the session. */
  readonly history?: number;
  readonly tiers: readonly string[];
  readonly maxSteps: number;
  readonly structured?: boolean;
  /** The tools that the model sees, which of them need a yes, and which may be done again when they failed. */
  readonly tools: readonly {
    readonly name: string;
    readonly approval: boolean;
    readonly repeatable?: boolean;
    /** It is an agent or a pattern of this run. */
    readonly plan?: Plan;
    /** A person answers it. */
    readonly isQuestion?: boolean;
    /** The tool that takes back what this one has done. */
    readonly compensation?: string;
    /** It changes something: the supervisor may want a yes for it. */
    readonly mayNeedYes?: boolean;
    /** No model sees it: it only takes back. */
    readonly isHidden?: boolean;
  }[];
  /** Tools of one step that run at once. */
  readonly parallelTools: number;
  readonly supervision?: Supervision | undefined;
};

/** `messages` grow or are made shorter by a request; what else was given stays in `input`: a context has few keys (see request.ts). */
type Context = {
  readonly input: AgentInput;
  readonly messages: readonly Message[];
  /** How many of them come from earlier runs, once they were made shorter. */
  readonly history: number | null;
  readonly step: number;
  /** What the model asked for in this step, and what came of it, in the same order. */
  readonly uses: readonly ToolRequest[];
  /** The call that asked for them. */
  readonly call: string;
  readonly results: readonly (ToolUseOutput | null)[];
  /** Uses of this step that were started. */
  readonly started: number;
  /** Uses of earlier steps: ids of tools stay unique. */
  readonly usedBefore: number;
  /** The last step's failed uses, and how often they came in a row. */
  readonly failure: string | null;
  readonly failures: number;
  /** Of the last request. */
  readonly answer: Pick<Answer, "text" | "value" | "tier" | "cached">;
  readonly error: ErrorBody | null;
  /** Steps that began anew. */
  readonly restarts: number;
  /** What tools have done that can be taken back, the first first; and with what the agent ends once it was. */
  readonly undo: Undo;
  readonly status: AnswerStatus;
};

type Undo = {
  readonly done: readonly { readonly name: string; readonly input: Json; readonly output: Json; readonly call: string }[];
  readonly ending: "failed" | "exhausted" | null;
};

/** Uses beyond it get an error as result without being asked for (FAULTS P38). */
export const maxUsesPerStep = 16;
const maxIdenticalFailures = 2;

const isOver = ({ results }: Context): boolean => results.every((result) => result !== null);
/** A use of a tool failed, and this agent fails with it. */
const isEscalated = ({ input, results }: Context): boolean =>
  input.supervision?.tool === "escalate" && results.some((result) => result?.status === "failed");
const undoId = ({ undo }: Context): string => `undo-${undo.done.length}`;
const useIndex = (id: string, { usedBefore }: Context): number => Number(id.slice("tool-".length)) - usedBefore - 1;

export const agentMachine = setup({
  types: {
    input: {} as AgentInput,
    context: {} as Context,
    output: {} as Answer,
    events: {} as
      | { type: "cancel" }
      | { type: "xstate.done.actor.*"; actorId: string; output: ToolUseOutput }
      | { type: "xstate.error.actor.*"; actorId: string; error: unknown },
    emitted: {} as Emitted<"limit.hit">,
    children: {} as { request: "request" },
  },
  actors: {
    request: requestMachine,
    // Its machine holds agents, as tools: found when it is needed.
    get tool() {
      return toolMachine;
    },
    sleep,
  },
  guards: {
    endedAs: (_, { output, status }: { output: RequestOutput; status: AnswerStatus }) => output.status === status,
    wantsTools: ({ context }, { output }: { output: RequestOutput }) =>
      output.status === "done" && output.tools.length > 0 && context.input.tools.length > 0,
    mayRestart: ({ context: { input, restarts, step } }, { output }: { output: RequestOutput }) =>
      input.supervision?.request === "restart" &&
      restarts < input.supervision.max_restarts &&
      step < input.maxSteps &&
      output.status === "failed" &&
      output.error?.retryable === true,
    isEscalated: ({ context }) => isEscalated(context),
    canThinkAgain: ({ context }) => isOver(context) && context.step < context.input.maxSteps,
    isOver: ({ context }) => isOver(context),
    hasToUndo: ({ context }) => context.undo.done.length > 0,
    hasExhausted: ({ context }) => context.undo.ending === "exhausted",
    isStuck: ({ context }) => isOver(context) && context.failures >= maxIdenticalFailures,
  },
  actions: {
    keepDone: assign({
      undo: ({ context: { undo, input, uses, results, call } }): Undo => {
        const done = results.flatMap((result, i) => {
          const name = input.tools.find((tool) => tool.name === result?.name)?.compensation;
          if (name === undefined || result?.status !== "returned") return [];
          return [{ name, input: uses[i]?.input ?? null, output: result.output ?? null, call }];
        });
        return done.length === 0 ? undo : { ...undo, done: [...undo.done, ...done] };
      },
    }),
    endAfter: assign({ undo: ({ context }, { ending }: { ending: Undo["ending"] }): Undo => ({ ...context.undo, ending }) }),
    startUndo: enqueueActions(({ context, enqueue }) => {
      const { undo, input: given } = context;
      const last = undo.done.at(-1);
      if (!last) return;
      const { name, input, output, call } = last;
      const id = undoId(context);
      enqueue.spawnChild("tool", {
        id,
        input: {
          id,
          name,
          input: { input, output },
          call,
          needsApproval: given.tools.find((tool) => tool.name === name)?.approval ?? false,
          mayNeedYes: true,
          isCompensation: true,
          ...(given.part !== undefined && { part: given.part }),
        },
      });
    }),
    stopUndo: enqueueActions(({ context, enqueue }) => enqueue.stopChild(undoId(context))),
    nextUndo: assign({ undo: ({ context }): Undo => ({ ...context.undo, done: context.undo.done.slice(0, -1) }) }),
    countRestart: assign({ restarts: ({ context }) => context.restarts + 1 }),
    keepEscalated: assign({
      error: ({ context }) => {
        const failed = context.results.find((result) => result?.status === "failed");
        return errorBody("tool_failed", `the tool "${failed?.name}" failed: ${failed?.content}`);
      },
    }),
    nextStep: assign({ step: ({ context }) => context.step + 1 }),
    keepAnswer: assign(({ context }, { output: { text, value, tier, cached, error, compacted } }: { output: RequestOutput }) => ({
      ...compacted,
      answer: {
        text: text ?? context.answer.text,
        ...(value !== undefined && { value }),
        ...(tier !== undefined && { tier }),
        ...(cached && { cached }),
      },
      error: error ?? null,
    })),
    keepRequest: assign(({ context }, { output }: { output: RequestOutput }) => ({
      messages: output.message ? [...context.messages, output.message] : context.messages,
      uses: output.tools,
      call: output.call ?? "",
      results: output.tools.map((use, i) => (i < maxUsesPerStep ? null : tooMany(use))),
      started: 0,
      usedBefore: context.usedBefore + context.uses.length,
    })),
    startTools: enqueueActions(({ context, enqueue }) => {
      if (isEscalated(context)) return;
      let running = context.results.slice(0, context.started).filter((result) => result === null).length;
      let { started } = context;
      for (; started < Math.min(context.uses.length, maxUsesPerStep) && running < context.input.parallelTools; started++, running++) {
        const use = context.uses[started] as ToolRequest;
        const {
          approval = false,
          repeatable,
          plan,
          isQuestion,
          mayNeedYes,
          compensation,
        } = context.input.tools.find((tool) => tool.name === use.name) ?? {};
        enqueue.spawnChild("tool", {
          id: `tool-${context.usedBefore + started + 1}`,
          input: {
            ...use,
            call: context.call,
            needsApproval: approval,
            ...(context.input.part !== undefined && { part: context.input.part }),
            ...(plan && { plan }),
            ...(isQuestion && { isQuestion }),
            ...(mayNeedYes && { mayNeedYes }),
            ...(compensation !== undefined && { keepsOutput: true }),
            ...(repeatable && { restarts: context.input.supervision?.max_restarts }),
          },
        });
      }
      enqueue.assign({ started });
    }),
    stopTools: enqueueActions(({ context, enqueue }) => {
      for (let i = 0; i < context.started; i++) enqueue.stopChild(`tool-${context.usedBefore + i + 1}`);
    }),
    keepResult: assign(({ context }, { id, result }: { id: string; result: ToolUseOutput }) => ({
      results: context.results.with(useIndex(id, context), result),
    })),
    keepBroken: assign(({ context }, { id, error }: { id: string; error: unknown }) => {
      const use = context.uses[useIndex(id, context)] as ToolRequest;
      const broken: ToolUseOutput = {
        id: use.id,
        name: use.name,
        status: "failed",
        content: `Error: ${workError(error).message}`,
        code: "internal",
      };
      return { results: context.results.with(useIndex(id, context), broken) };
    }),
    tellResults: assign(({ context }) => ({
      messages: [
        ...context.messages,
        ...context.results.map((result): Message => {
          const { id, name, content, status } = result as ToolUseOutput;
          return { role: "tool", id, name, content, ...(status !== "returned" && { error: true }) };
        }),
      ],
    })),
    countFailure: assign(({ context }) => {
      const failed = context.results.some((result) => result !== null && result.status !== "returned");
      const failure = failed && isOver(context) ? JSON.stringify(context.uses.map(({ name, input }) => [name, input])) : null;
      if (!isOver(context)) return {};
      return { failure, failures: failure !== null && failure === context.failure ? context.failures + 1 : failure === null ? 0 : 1 };
    }),
    keepStuck: assign({ error: errorBody("identical_failure", "the model repeated the same failing tool use") }),
    keepStepLimit: assign({
      error: ({ context }) =>
        errorBody("limit_hit", `the agent used all its ${context.input.maxSteps} steps`, { details: { which: "steps" } }),
    }),
    tellStepLimit: emit(({ context }) => ({ type: "limit.hit", which: "steps", value: context.step, limit: context.input.maxSteps })),
    keepThrown: assign({ error: (_, { error }: { error: unknown }) => asError(workError(error)) }),
    end: assign({ status: (_, { status }: { status: AnswerStatus }) => status }),
  },
}).createMachine({
  id: "agent",
  version: "2",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({
    input,
    messages: input.messages,
    history: null,
    step: 0,
    uses: [],
    call: "",
    results: [],
    started: 0,
    usedBefore: 0,
    failure: null,
    failures: 0,
    answer: { text: null },
    error: null,
    restarts: 0,
    undo: { done: [], ending: null },
    status: "failed",
  }),
  output: ({ context: { status, answer, error, messages, history } }) => ({
    status,
    ...answer,
    ...(history !== null && { compacted: { messages: messages.slice(0, history), history } }),
    ...(error && status !== "done" && status !== "degraded" && { error }),
  }),
  on: { cancel: ".cancelled" },
  initial: "thinking",
  states: {
    thinking: {
      entry: "nextStep",
      invoke: {
        id: "request",
        src: "request",
        input: ({ context: { input, step, messages, history } }) => ({
          step,
          messages,
          ...(input.context && { history: history ?? input.history ?? 0 }),
          tools: input.tools.flatMap(({ name, isHidden }) => (isHidden ? [] : name)),
          tiers: input.tiers,
          ...policyOf(input),
          ...(input.structured !== undefined && { structured: input.structured }),
        }),
        onDone: [
          {
            guard: { type: "wantsTools", params: ({ event }) => event },
            target: "dispatching",
            actions: [
              { type: "keepAnswer", params: ({ event }) => event },
              { type: "keepRequest", params: ({ event }) => event },
            ],
          },
          {
            guard: { type: "endedAs", params: ({ event }) => ({ output: event.output, status: "done" }) },
            target: "done",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          {
            guard: { type: "endedAs", params: ({ event }) => ({ output: event.output, status: "degraded" }) },
            target: "degraded",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          {
            guard: { type: "endedAs", params: ({ event }) => ({ output: event.output, status: "refused" }) },
            target: "refused",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          {
            guard: { type: "endedAs", params: ({ event }) => ({ output: event.output, status: "exhausted" }) },
            target: "undoing",
            actions: [
              { type: "keepAnswer", params: ({ event }) => event },
              { type: "endAfter", params: { ending: "exhausted" } },
            ],
          },
          {
            guard: { type: "mayRestart", params: ({ event }) => event },
            target: "restarting",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          { target: "undoing", actions: { type: "keepAnswer", params: ({ event }) => event } },
        ],
        onError: { target: "undoing", actions: { type: "keepThrown", params: ({ event }) => event } },
      },
    },
    /** The step failed and begins anew. */
    restarting: {
      entry: "countRestart",
      invoke: {
        id: "sleep",
        src: "sleep",
        input: ({ context }) => ({ ms: restartMs(context.restarts), jitter: true, restart: true }),
        onDone: "thinking",
        // What it failed with says more than that it may not begin anew.
        onError: "undoing",
      },
    },
    dispatching: {
      entry: "startTools",
      exit: "stopTools",
      on: {
        "xstate.done.actor.*": {
          actions: [
            { type: "keepResult", params: ({ event }) => ({ id: event.actorId, result: event.output }) },
            "startTools",
            "countFailure",
          ],
        },
        "xstate.error.actor.*": {
          actions: [
            { type: "keepBroken", params: ({ event }) => ({ id: event.actorId, error: event.error }) },
            "startTools",
            "countFailure",
          ],
        },
      },
      always: [
        { guard: "isEscalated", target: "undoing", actions: ["keepDone", "keepEscalated"] },
        { guard: "isStuck", target: "undoing", actions: ["keepDone", "tellResults", "keepStuck"] },
        { guard: "canThinkAgain", target: "thinking", actions: ["keepDone", "tellResults"] },
        {
          guard: "isOver",
          target: "undoing",
          actions: ["keepDone", "tellResults", "keepStepLimit", "tellStepLimit", { type: "endAfter", params: { ending: "exhausted" } }],
        },
      ],
    },
    /** It has not answered: what its tools have done is taken back, the last first. */
    undoing: {
      always: [{ guard: "hasToUndo", target: "compensating" }, { guard: "hasExhausted", target: "exhausted" }, { target: "failed" }],
    },
    compensating: {
      entry: "startUndo",
      exit: "stopUndo",
      on: {
        "xstate.done.actor.*": { target: "undoing", actions: "nextUndo" },
        "xstate.error.actor.*": { target: "undoing", actions: "nextUndo" },
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

function tooMany(use: ToolRequest): ToolUseOutput {
  return {
    id: use.id,
    name: use.name,
    status: "refused",
    content: `Error: at most ${maxUsesPerStep} tools can be used in one turn; ask for the rest again`,
    code: "tool_denied",
  };
}
