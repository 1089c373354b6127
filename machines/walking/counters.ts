/**
 * What of a machine its next decisions depend on: the counters that, with its state's value, tell two situations apart.
 * Everything else in a context (texts, ids, the conversation) is carried and never looked at by a guard.
 *
 * A machine that is not named here is told apart by its whole context: right for every machine, and small enough for those
 * whose context is counters and kinds.
 */
import type { AnyStateMachine } from "xstate";
import type { Message } from "../../src/protocol/messages.ts";
import { type AgentInput, agentMachine } from "../agent.ts";
import { breakerMachine } from "../breaker.ts";
import { type CompactionInput, type CompactionOutput, compactionMachine } from "../compaction.ts";
import { type ContextPolicy, isBare, tooManyTurns } from "../context.ts";
import { chainMachine } from "../patterns/chain.ts";
import { fanOutMachine } from "../patterns/fan-out.ts";
import { mapReduceMachine } from "../patterns/map-reduce.ts";
import { isAnswered, type PatternInput } from "../patterns/plan.ts";
import { routerMachine } from "../patterns/router.ts";
import { type RequestInput, type RequestOutput, requestMachine } from "../request.ts";
import type { RequestPolicy } from "../request-policy.ts";
import { supervisorMachine } from "../supervisor.ts";
import { type ToolUse, type ToolUseOutput, toolMachine } from "../tool.ts";
import type { Answer } from "../work.ts";

export type Counters = {
  /** Of a context: equal for situations that go on alike. */
  readonly state: (context: never) => unknown;
  /** Of an output: equal for ends that a parent cannot tell apart. */
  readonly end: (output: never) => unknown;
  /** Of an input: equal for machines that have the same paths. */
  readonly shape: (input: never) => unknown;
  /** Of a living child, by its id: what its parent's next decisions depend on beside what it is. The order of children counts then. */
  readonly child?: (context: never, id: string) => unknown;
  /** The same for a walk with few outcomes: equal for ends after which a parent goes on equally long. */
  readonly fewEnds?: (output: never) => unknown;
  /** An input of the same shape with which every path can be walked, where what a path depends on is no counter. */
  readonly widest?: (input: never) => unknown;
  /** An output of one machine as another of the same shape would give it, where it repeats its input. */
  readonly repeat?: (output: never, input: never) => unknown;
};

/** What of a policy its paths depend on. */
const shapeOf = ({
  retries,
  onBudget,
  onLength,
  onCut,
  degraded,
  cache,
  judge,
  escalateBelow,
  backoff,
  context,
  for: reader,
}: RequestPolicy): unknown => [
  retries,
  onBudget,
  onLength,
  onCut,
  degraded !== undefined,
  cache === true,
  judge?.tier,
  escalateBelow,
  backoff,
  context?.summarise?.tier,
  context !== undefined,
  reader,
];

/** Of an answer as a pattern's part: its status and, to a judge's parent, whether it names a number. */
const endOf = ({ status, text, error }: Answer): unknown => [status, text === null, numbered(text), error?.retryable === true];
const numbered = (text: string | null): boolean => /\d/.test(text ?? "");
const patternShape = ({ plan, task, for: reader }: PatternInput): unknown => [plan, task, reader];

/** What of a conversation decides whether it can be made shorter. */
const lengthOf = (messages: readonly Message[], policy: ContextPolicy | undefined): unknown =>
  policy && [isBare(messages), tooManyTurns(messages, policy)];

/** A conversation of which something may go, and then again. */
const wide: readonly Message[] = Array.from({ length: 4 }, () => ({ role: "user", content: "?" }));

type ContextOf<M extends { config: { context?: unknown } }> = M extends { transition: (snapshot: infer S, ...rest: never[]) => unknown }
  ? S extends { context: infer C }
    ? C
    : never
  : never;
type Request = ContextOf<typeof requestMachine>;
type Agent = ContextOf<typeof agentMachine>;
type Supervisor = ContextOf<typeof supervisorMachine>;

const known: readonly (readonly [AnyStateMachine, Counters])[] = [
  [
    requestMachine,
    {
      state: ({ input, tier, attempt, lost, topUps, calls, continuations, parts, hit, badAnswer, compacted }: Request) => [
        input.tools?.length,
        compacted?.times,
        compacted && isBare(compacted.messages),
        tier,
        attempt,
        lost,
        topUps,
        calls > 0,
        continuations,
        parts.length > 0,
        hit !== null,
        badAnswer,
      ],
      end: ({ status, text, tools, error, compacted }: RequestOutput) => [
        compacted !== undefined,
        status,
        error?.retryable === true,
        text === null,
        tools.length,
        tools[0]?.name,
        tools[0]?.input,
        numbered(text),
      ],
      shape: ({ tiers, structured, tools, messages, ...policy }: RequestInput) => [
        tiers,
        structured === true,
        tools,
        shapeOf(policy),
        lengthOf(messages, policy.context),
      ],
    },
  ],
  [
    compactionMachine,
    {
      state: ({ calls }: ContextOf<typeof compactionMachine>) => calls,
      end: ({ status, calls, messages }: CompactionOutput) => [status, calls, isBare(messages)],
      shape: ({ messages, policy, tooLong, again, attempt }: CompactionInput) => [
        isBare(messages),
        policy.summarise?.tier,
        tooLong !== undefined,
        again,
        attempt === 1,
      ],
      widest: (input: CompactionInput) =>
        isBare(input.messages)
          ? input
          : {
              ...input,
              messages: wide,
              history: 0,
              policy: { ...input.policy, keep_turns: wide.length - 1 },
              ...(input.tooLong && { tooLong: { limit: 1_000_000, rest: 0, sizes: wide.map(() => 1) } }),
            },
    },
  ],
  [
    agentMachine,
    {
      state: ({ input, messages, step, uses, started, results, restarts, failures, failure, undo }: Agent) => [
        undo.done.length,
        undo.ending,
        input.tools.some(({ compensation }) => compensation !== undefined) &&
          results.filter((result) => result?.status === "returned").length,
        lengthOf(messages, input.context),
        step,
        uses.length,
        uses[0]?.name,
        uses[0]?.input,
        started,
        results.filter((result) => result !== null).length,
        results.some((result) => result !== null && result.status !== "returned"),
        restarts,
        failures,
        failure?.slice(0, 80),
        failure?.length,
      ],
      end: endOf,
      shape: ({ tiers, maxSteps, structured, tools, parallelTools, supervision, messages, ...policy }: AgentInput) => [
        lengthOf(messages, policy.context),
        supervision,
        tiers,
        maxSteps,
        structured === true,
        tools,
        parallelTools,
        shapeOf(policy),
      ],
    },
  ],
  [
    toolMachine,
    {
      state: ({ error, restarted, isApproved }: ContextOf<typeof toolMachine>) => [
        error?.code,
        error?.details?.needs,
        restarted,
        isApproved,
      ],
      end: ({ status }: { status: string }) => status,
      shape: ({ needsApproval, restarts, plan, isQuestion, mayNeedYes, keepsOutput }: ToolUse) => [
        needsApproval,
        restarts,
        plan,
        isQuestion,
        mayNeedYes,
        keepsOutput,
      ],
      fewEnds: ({ status }: ToolUseOutput) => status === "returned",
      repeat: (output: ToolUseOutput, { id, name }: ToolUse) => ({ ...output, id, name }),
    },
  ],
  [
    supervisorMachine,
    {
      state: ({ meters, restarts, agentRestarts, approvals, taint }: Supervisor) => [
        meters,
        restarts,
        agentRestarts,
        approvals.length > 0,
        taint,
      ],
      end: ({ status }: { status: string }) => status,
      shape: ({ limits, supervision, confirm, route }: Supervisor) => [limits, supervision, confirm !== undefined, route !== undefined],
    },
  ],
  [
    chainMachine,
    {
      state: ({ stage, outputs, redone, feedback, isDegraded, answer, status }: ContextOf<typeof chainMachine>) => [
        stage,
        outputs.map((output) => output !== null),
        redone,
        feedback !== null,
        isDegraded,
        answer !== null,
        status,
      ],
      end: endOf,
      shape: patternShape,
    },
  ],
  [routerMachine, { state: ({ route, status }: ContextOf<typeof routerMachine>) => [route, status], end: endOf, shape: patternShape }],
  [
    fanOutMachine,
    {
      state: ({ pool, status }: ContextOf<typeof fanOutMachine>) => [pool.started, pool.answers.map((answer) => answer?.status), status],
      child: ({ pool, input }: ContextOf<typeof fanOutMachine>, id) => [
        id,
        pool.retries[input.plan.branches.findIndex(({ name }) => name === id)],
      ],
      end: endOf,
      shape: patternShape,
    },
  ],
  [
    mapReduceMachine,
    {
      // Chunks are alike: how many have answered, and how the others ended.
      state: ({ level, texts, pool, status }: ContextOf<typeof mapReduceMachine>) => [
        level,
        texts.length,
        pool.started,
        pool.answers.filter((answer) => answer === null).length,
        pool.answers.some((answer) => answer !== null && isAnswered(answer)),
        pool.answers.length === 1 && pool.answers[0]?.status,
        [...new Set(pool.answers.flatMap((answer) => (answer === null || isAnswered(answer) ? [] : [answer.status])))].sort(),
        status,
      ],
      child: ({ pool }: ContextOf<typeof mapReduceMachine>, id) => pool.retries[Number(/-(\d+)$/.exec(id)?.[1] ?? 1) - 1],
      end: endOf,
      shape: patternShape,
    },
  ],
  [breakerMachine, { state: () => null, end: () => null, shape: () => null }],
];

const whole: Counters = {
  state: (context) => context,
  end: (output) => output,
  shape: (input: { messages?: unknown } | null) => (input && typeof input === "object" ? { ...input, messages: undefined } : input),
};

/** By the machine's definition: a machine with its work provided is another object with the same one. */
export const countersOf = (machine: AnyStateMachine): Counters =>
  known.find(([candidate]) => candidate.config === machine.config)?.[1] ?? whole;
