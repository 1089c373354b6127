/**
 * The root machine of a run: owns its meters and can always say no.
 *
 * The runtime puts each ask for work before it (`work.asked`) in the same turn, before anything starts. It counts and says
 * nothing, or emits `work.denied`: the work then ends with that error. It knows the agent only as a machine that answers.
 *
 *  1. Meters only grow; every descendant shares them, no retry, restart or sub-agent resets them.
 *  2. A denied ask counts no call; a denied tool use counts as one, so that nagging ends. A step counts when it is asked for, unless a
 *     limit denies it.
 *  3. Where the agent is routed, that comes first; a route that cannot be found changes nothing.
 *  4. After a cancel nothing is asked for any more.
 *  5. A tool that needs a yes is used with exactly the arguments that a person agreed to, once a yes. Once a model has read text from
 *     outside, that holds for every tool that changes something: no summary, stage or sub-agent takes the mark away.
 */
import { assign, enqueueActions, type PromiseActorLogic, setup } from "xstate";
import { type ErrorBody, errorBody } from "../src/protocol/errors.ts";
import type { LimitName } from "../src/protocol/events.ts";
import type { Json } from "../src/protocol/json.ts";
import type { Limits } from "../src/protocol/limits.ts";
import type { Message } from "../src/protocol/messages.ts";
import { agentMachine } from "./agent.ts";
import { type RoutingInput, type RoutingOutput, routingMachine } from "./routing.ts";
import { defaultSupervision, recent, restartMs, type Supervision } from "./supervision.ts";
import { type Answer, type AnswerStatus, asError, ask, type Emitted, personMs, sleep, type WorkKind, workError } from "./work.ts";

/** One ask for work, as the runtime tells it. */
export type WorkAsked = {
  readonly type: "work.asked";
  readonly ordinal: number;
  readonly kind: WorkKind;
  /** Milliseconds since the run's start. */
  readonly at: number;
  /** Actors between the root and the work. */
  readonly depth: number;
  /** A call: the first of its request, so a step of its own. */
  readonly isStep: boolean;
  /** A call that is told from a cache: it reaches no provider, and counts as none. */
  readonly isCached?: boolean;
  /** Calls to providers that it may become: two where it is hedged; 1. */
  readonly calls?: number;
  /** A wait before a failed child begins anew. */
  readonly isRestart?: boolean;
  /** It takes back what a tool has done: as often as something was, so no cap counts it. */
  readonly isCompensation?: boolean;
  /** A use of a tool: what its arguments are, and what the run must know of it. */
  readonly use?: ToolFacts;
  /** What the runtime found wrong with it (no such tool, arguments that do not fit, no price): it will be denied. */
  readonly problem?: ErrorBody;
};
export type ToolFacts = {
  /** Of its name and its exact arguments. */
  readonly hash: string;
  readonly name: string;
  /** A person must have agreed to exactly this. */
  readonly needsApproval: boolean;
  /** Its result is text from outside: who reads it may be misled. */
  readonly untrusted: boolean;
  /** It changes something outside. */
  readonly consequential: boolean;
};
/** A person said yes to one use of a tool with these arguments. */
export type WorkApproved = { readonly type: "work.approved"; readonly hash: string };
/** What the run begins with holds text from outside. */
export type WorkRead = { readonly type: "work.read" };
export type WorkDenied = { readonly type: "work.denied"; readonly ordinal: number; readonly error: ErrorBody };

export type SupervisorInput = {
  readonly limits: Limits;
  readonly agent: Json;
  readonly supervision?: Supervision;
  /** Says where the agent's chain of tiers begins, or answers in its place. */
  readonly route?: RoutingInput;
  /** It may cost as much as this, in micro-dollars, and a person must agree first. */
  readonly confirm?: number;
  /** What it begins with is text from outside. */
  readonly isTainted?: boolean;
};

/** What was used so far. `tool_calls` counts refused uses too. */
export type Meters = { readonly steps: number; readonly calls: number; readonly tool_calls: number };

export type SupervisorOutput = {
  readonly status: AnswerStatus;
  readonly output: Json;
  readonly tier?: string;
  readonly cached?: boolean;
  /** What the next run of the session has before it, where the history of this one was made shorter. */
  readonly history?: readonly Message[];
  readonly error?: ErrorBody;
};

export type SupervisorContext = SupervisorInput & {
  readonly meters: Meters;
  /** Uses of tools that a person agreed to and that were not made yet. */
  readonly approvals: readonly string[];
  /** Text from outside: none; a tool is fetching some; a model has read it. It never gets less. */
  readonly taint: Taint;
  /** When children of the run began anew, as far as it still counts. */
  readonly restarts: readonly number[];
  /** Times that the agent itself did. */
  readonly agentRestarts: number;
  readonly answer: Answer | null;
  readonly error: ErrorBody | null;
  readonly status: AnswerStatus;
};
export type Taint = "none" | "fetched" | "read";

const isUse = ({ kind, isCompensation }: WorkAsked): boolean => (kind === "tool" || kind === "delegate") && !isCompensation;

/** Its machine asks a person, and then asks again. */
const unapproved = (name: string, isTainted: boolean): ErrorBody =>
  errorBody(
    "tool_denied",
    isTainted
      ? `"${name}" changes something, and this run has read text from outside: a person must agree to its exact arguments`
      : `a person must agree to the exact arguments of "${name}"`,
    { details: { needs: "approval", reason: isTainted ? "tainted" : "policy" } },
  );

type Denial = { readonly error: ErrorBody; readonly limit?: { readonly which: LimitName; readonly value: number; readonly limit: number } };

/** The one place where a run's caps are held against an ask. Null: granted. */
function denial(
  { limits, meters, restarts, approvals, taint, supervision = defaultSupervision }: SupervisorContext,
  asked: WorkAsked,
): Denial | null {
  const over = (which: LimitName, value: number, limit: number, unit: string): Denial => ({
    limit: { which, value, limit },
    error: errorBody(
      "limit_hit",
      `the run may use ${limit} ${unit}; raise ${which === "restarts" ? "supervision.max_restarts" : `limits.max_${which}`} if that is too few`,
      { details: { which } },
    ),
  });
  if (asked.at >= limits.deadline_ms) {
    return {
      ...over("deadline", asked.at, limits.deadline_ms, "ms"),
      error: errorBody("limit_hit", `the run's deadline of ${limits.deadline_ms} ms is over`, { details: { which: "deadline" } }),
    };
  }
  if (asked.depth > limits.max_depth) return over("depth", asked.depth, limits.max_depth, "levels of machines");
  if (isUse(asked) && meters.tool_calls >= limits.max_tool_calls)
    return over("tool_calls", meters.tool_calls, limits.max_tool_calls, "tool calls");
  if (asked.isRestart) {
    const count = recent(restarts, asked.at, supervision.within_ms).length;
    if (count >= supervision.max_restarts)
      return over("restarts", count, supervision.max_restarts, `restarts in ${supervision.within_ms} ms`);
  }
  if (asked.problem) return { error: asked.problem };
  if (asked.use && !approvals.includes(asked.use.hash)) {
    const { needsApproval, consequential, name } = asked.use;
    if (needsApproval || (consequential && taint === "read")) return { error: unapproved(name, !needsApproval) };
  }
  if (asked.kind === "call") {
    if (asked.isStep && meters.steps >= limits.max_steps) return over("steps", meters.steps, limits.max_steps, "steps");
    if (!asked.isCached && meters.calls + (asked.calls ?? 1) > limits.max_calls)
      return over("calls", meters.calls, limits.max_calls, "calls");
  }
  return null;
}

export const supervisorMachine = setup({
  types: {
    input: {} as SupervisorInput,
    context: {} as SupervisorContext,
    output: {} as SupervisorOutput,
    events: {} as WorkAsked | WorkApproved | WorkRead | { type: "cancel"; reason?: string },
    emitted: {} as WorkDenied | Emitted<"limit.hit" | "data">,
  },
  // Any machine that answers fits: the runtime provides the one that the agent names. The type says only what is relied on.
  actors: { agent: agentMachine as unknown as PromiseActorLogic<Answer, Json>, routing: routingMachine, ask, sleep },
  guards: {
    isDenied: ({ context }, { asked }: { asked: WorkAsked }) => denial(context, asked) !== null,
    needsYes: ({ context }) => context.confirm !== undefined,
    isRouted: ({ context }) => context.route !== undefined,
    isAnswered: (_, { output }: { output: RoutingOutput }) => output.status === "answered",
    isYesAndRouted: ({ context }, { approve }: { approve: boolean | undefined }) => approve === true && context.route !== undefined,
    isYes: (_, { approve }: { approve: boolean | undefined }) => approve === true,
    mayRestart: ({ context: { supervision, agentRestarts } }, { output }: { output: Answer }) =>
      supervision?.agent === "restart" &&
      agentRestarts < supervision.max_restarts &&
      output.status === "failed" &&
      output.error?.retryable === true,
    endedAs: (_, { output, status }: { output: Answer; status: AnswerStatus }) => output.status === status,
  },
  actions: {
    count: assign({
      meters: ({ context: { meters } }, { asked }: { asked: WorkAsked }) => {
        const { kind, isStep, isCached, calls = 1 } = asked;
        return kind === "call"
          ? { ...meters, calls: meters.calls + (isCached ? 0 : calls), steps: meters.steps + (isStep ? 1 : 0) }
          : isUse(asked)
            ? { ...meters, tool_calls: meters.tool_calls + 1 }
            : meters;
      },
      restarts: ({ context: { restarts, supervision = defaultSupervision } }, { asked: { isRestart, at } }) =>
        isRestart ? [...recent(restarts, at, supervision.within_ms), at] : restarts,
    }),
    /** Each yes is for one use; a model reads what tools have fetched with its next call. */
    mark: enqueueActions(({ context, enqueue }, { asked: { kind, use } }: { asked: WorkAsked }) => {
      const { approvals, taint } = context;
      if (use) {
        const at = approvals.indexOf(use.hash);
        if (at >= 0) enqueue.assign({ approvals: approvals.toSpliced(at, 1) });
        if (use.untrusted && taint === "none") {
          enqueue.assign({ taint: "fetched" });
          enqueue.emit({ type: "data" as const, name: "taint", data: { tool: use.name } });
        }
      }
      if (kind === "call" && taint === "fetched") enqueue.assign({ taint: "read" });
    }),
    taint: assign({ taint: "read" as const }),
    keepApproval: assign({ approvals: ({ context }, { hash }: { hash: string }) => [...context.approvals, hash] }),
    countRestart: assign({ agentRestarts: ({ context }) => context.agentRestarts + 1 }),
    /** Its chain begins elsewhere. Agents are objects: what else is in them is theirs. */
    keepRoute: assign({
      agent: ({ context }, { output }: { output: RoutingOutput }) => ({
        ...(context.agent as { [key: string]: Json }),
        tiers: output.tiers,
      }),
    }),
    keepRuleAnswer: assign({
      answer: (_, { output }: { output: RoutingOutput }): Answer => ({ status: "done", text: output.answer ?? null, tier: "rule" }),
    }),
    keepNo: assign({
      error: (_, { reason }: { reason: string }) => errorBody("cancelled", `the run was not confirmed: ${reason}`),
    }),
    deny: enqueueActions(({ context, enqueue }, { asked }: { asked: WorkAsked }) => {
      const denied = denial(context, asked);
      if (!denied) return;
      if (denied.limit) enqueue.emit({ type: "limit.hit", ...denied.limit });
      enqueue.emit({ type: "work.denied", ordinal: asked.ordinal, error: denied.error });
      if (denied.limit !== undefined) return;
      const { meters } = context;
      if (isUse(asked)) enqueue.assign({ meters: { ...meters, tool_calls: meters.tool_calls + 1 } });
      // Its request may ask again, with another tier or a shorter conversation.
      else if (asked.isStep) enqueue.assign({ meters: { ...meters, steps: meters.steps + 1 } });
    }),
    keepAnswer: assign({ answer: (_, { output }: { output: Answer }) => output, error: (_, { output }) => output.error ?? null }),
    keepThrown: assign({ error: (_, { error }: { error: unknown }) => asError(workError(error)) }),
    keepCancel: assign({
      error: (_, { reason }: { reason: string | undefined }) => errorBody("cancelled", reason ?? "the run was cancelled"),
    }),
    end: assign({ status: (_, { status }: { status: AnswerStatus }) => status }),
  },
}).createMachine({
  id: "supervisor",
  version: "2",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({
    ...input,
    meters: { steps: 0, calls: 0, tool_calls: 0 },
    approvals: [],
    taint: input.isTainted ? "read" : "none",
    restarts: [],
    agentRestarts: 0,
    answer: null,
    error: null,
    status: "failed",
  }),
  output: ({ context: { status, answer, error } }) => ({
    status,
    output: answer?.value ?? answer?.text ?? null,
    ...(answer?.tier !== undefined && { tier: answer.tier }),
    ...(answer?.cached && { cached: true }),
    ...(answer?.compacted && { history: answer.compacted.messages.slice(0, answer.compacted.history) }),
    ...(error && { error }),
  }),
  on: {
    "work.asked": [
      {
        guard: { type: "isDenied", params: ({ event }) => ({ asked: event }) },
        actions: { type: "deny", params: ({ event }) => ({ asked: event }) },
      },
      {
        actions: [
          { type: "count", params: ({ event }) => ({ asked: event }) },
          { type: "mark", params: ({ event }) => ({ asked: event }) },
        ],
      },
    ],
    "work.read": { actions: "taint" },
    "work.approved": { actions: { type: "keepApproval", params: ({ event }) => event } },
    cancel: { target: ".cancelled", actions: { type: "keepCancel", params: ({ event }) => ({ reason: event.reason }) } },
  },
  initial: "deciding",
  states: {
    deciding: { always: [{ guard: "needsYes", target: "confirming" }, { guard: "isRouted", target: "routing" }, { target: "running" }] },
    /** Nothing is asked for before a person has agreed to what it may cost. */
    confirming: {
      invoke: {
        id: "ask",
        src: "ask",
        input: ({ context }) => ({
          kind: "confirm",
          message: `This run may cost up to ${((context.confirm ?? 0) / 1_000_000).toFixed(2)} USD. Start it?`,
          amount_microusd: context.confirm ?? 0,
          expiresMs: personMs,
        }),
        onDone: [
          { guard: { type: "isYesAndRouted", params: ({ event }) => ({ approve: event.output.approve }) }, target: "routing" },
          { guard: { type: "isYes", params: ({ event }) => ({ approve: event.output.approve }) }, target: "running" },
          {
            target: "cancelled",
            actions: { type: "keepNo", params: ({ event }) => ({ reason: event.output.reason ?? "a person said no" }) },
          },
        ],
        onError: { target: "cancelled", actions: { type: "keepNo", params: ({ event }) => ({ reason: workError(event.error).message }) } },
      },
    },
    routing: {
      invoke: {
        id: "routing",
        src: "routing",
        // There is one: only a routed run comes here.
        input: ({ context }) => context.route as RoutingInput,
        onDone: [
          {
            guard: { type: "isAnswered", params: ({ event }) => event },
            target: "done",
            actions: { type: "keepRuleAnswer", params: ({ event }) => event },
          },
          { target: "running", actions: { type: "keepRoute", params: ({ event }) => event } },
        ],
        onError: "running",
      },
    },
    running: {
      invoke: {
        id: "agent",
        src: "agent",
        input: ({ context }) => context.agent,
        onDone: [
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
            target: "exhausted",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          {
            guard: { type: "endedAs", params: ({ event }) => ({ output: event.output, status: "cancelled" }) },
            target: "cancelled",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          {
            guard: { type: "mayRestart", params: ({ event }) => event },
            target: "restarting",
            actions: { type: "keepAnswer", params: ({ event }) => event },
          },
          { target: "failed", actions: { type: "keepAnswer", params: ({ event }) => event } },
        ],
        onError: { target: "failed", actions: { type: "keepThrown", params: ({ event }) => event } },
      },
    },
    restarting: {
      entry: "countRestart",
      invoke: {
        id: "sleep",
        src: "sleep",
        input: ({ context }) => ({ ms: restartMs(context.agentRestarts), jitter: true, restart: true }),
        onDone: "running",
        // What it failed with says more than that it may not begin anew.
        onError: "failed",
      },
    },
    done: { type: "final", entry: { type: "end", params: { status: "done" } } },
    degraded: { type: "final", entry: { type: "end", params: { status: "degraded" } } },
    refused: { type: "final", entry: { type: "end", params: { status: "refused" } } },
    exhausted: { type: "final", entry: { type: "end", params: { status: "exhausted" } } },
    cancelled: { type: "final", entry: { type: "end", params: { status: "cancelled" } } },
    failed: { type: "final", entry: { type: "end", params: { status: "failed" } } },
  },
});
