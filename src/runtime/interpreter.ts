/**
 * The contract of the interpreter: the only place where work is performed. It is given work that was granted and committed,
 * and says once how it ended; the owner makes that an input of the run.
 */
import * as Cause from "effect/Cause";
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import type { ExposeInput, SplitInput } from "../../machines/work.ts";
import type { Answers } from "../cache/answers.ts";
import type { Limited } from "../limits/rate-limits.ts";
import { loadTokenizer } from "../money/tokens.ts";
import { type ErrorCode, EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Redaction } from "../safety/redaction.ts";
import type { AgentOptions, AgentSpec } from "./agent.ts";
import type { CallDeps } from "./call.ts";
import { callOf } from "./hedged-call.ts";
import type { Account, Ask } from "./run.ts";
import { splitText } from "./split.ts";
import { maxShown, type Tool } from "./tool.ts";
import { performTool } from "./tool-use.ts";

export type Work = {
  readonly run: string;
  readonly ask: Ask;
  readonly spec: AgentSpec;
  readonly sensitive: boolean;
  /** Whose run it is, for limits and caches. */
  readonly who: Limited;
  /** Output tokens that the grant allows; 0 for work without money. */
  readonly maxTokens: number;
  /** Nano-dollars that may be charged at most. */
  readonly holdNano: number;
  /** Milliseconds until the run's deadline. */
  readonly remainingMs: number;
};

export type Outcome = { readonly ok: boolean; readonly value: Json; readonly account?: Account };

export type Reporter = {
  /** Exactly once, unless it was stopped; never before `perform` returned. */
  done(outcome: Outcome): void;
  /** More text of a call, as it is shown. Never splits a surrogate pair. */
  text(text: string): void;
  reasoning(text: string): void;
  /** The object so far, of a structured answer. */
  partial(value: Json): void;
  progress(message: string, done?: number, total?: number): void;
  data(name: string, data: Json): void;
};

export interface Performing {
  /** Interrupts at once (sockets are closed); nothing is reported any more. */
  stop(): void;
  /** What it has cost up to here, for work that was stopped. */
  account(): Account | undefined;
}

export interface Interpreter {
  perform(work: Work, report: Reporter): Performing;
}

/** Performs work for real. Each piece is an Effect on a fiber of its own; a stop interrupts it. */
export function createInterpreter(
  deps: CallDeps & {
    readonly toolOf: (spec: AgentSpec, name: string) => Tool | undefined;
    readonly exposeOf: (spec: AgentSpec) => AgentOptions["expose"];
    readonly cache?: Answers | undefined;
  },
): Interpreter {
  const { cache } = deps;
  return {
    perform(work, report) {
      if (work.ask.kind === "call") {
        const { input } = work.ask;
        if (input.cached)
          return (
            cache?.replay(work, input.cached, report) ?? free(Effect.succeed(failure("unavailable", "this process has no cache")), report)
          );
        const start = (to: Reporter): Performing => {
          const call = callOf(deps, work, input, to);
          if ("effect" in call) return { stop: run(call.effect, to), account: () => call.account() };
          return free(Effect.succeed({ ok: false, value: call }), to);
        };
        return cache && work.spec.caching ? cache.perform(work, input, report, start) : start(report);
      }
      if (work.ask.kind === "tool") {
        const { name, input } = work.ask.input;
        const tool = deps.toolOf(work.spec, name);
        if (!tool) return free(Effect.succeed(failure("tool_not_found", `there is no tool "${name}" in this process`)), report);
        return free(
          recorded(deps.record, (to) => performTool(tool, work, input, to, deps.clock), report),
          report,
        );
      }
      const { ask } = work;
      if (ask.kind === "expose") return free(exposed(work.spec, ask.input, deps.exposeOf(work.spec)), report);
      if (ask.kind === "split") return free(split(ask.input), report);
      if (ask.kind === "lookup") {
        const found = Effect.promise(async () => (cache ? await cache.lookup(work, ask.input) : { hit: null }));
        return free(
          Effect.map(found, (value) => ({ ok: true, value })),
          report,
        );
      }
      if (ask.kind === "remember") cache?.remember(work, ask.input);
      return free(Effect.succeed({ ok: true, value: null }), report);
    },
  };
}

/** What the author's function says, held against what there is. */
const exposed = (spec: AgentSpec, { step, tools, messages }: ExposeInput, expose: AgentOptions["expose"]): Effect.Effect<Outcome> =>
  Effect.sync(() => {
    if (!expose)
      return failure("internal", `agent "${spec.name}" says by a function which tools it shows, and this process does not have it`);
    try {
      const named = [...new Set(expose({ step, tools, messages }))];
      const unknown = named.filter((name) => !tools.includes(name));
      if (unknown.length > 0)
        return failure("internal", `expose() of agent "${spec.name}" names "${unknown[0]}", which is not among its tools`);
      if (named.length > maxShown)
        return failure("internal", `expose() of agent "${spec.name}" names ${named.length} tools, at most ${maxShown} may be shown`);
      return { ok: true, value: { tools: named } };
    } catch (error) {
      return failure("internal", `expose() of agent "${spec.name}" failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  });

/** By the vocabulary of OpenAI's models, with the margin of the others. */
const split = ({ text, tokens, overlap }: SplitInput): Effect.Effect<Outcome> =>
  Effect.promise(async () => {
    try {
      await loadTokenizer();
      const chunks = splitText(text, tokens, overlap);
      return { ok: true, value: { chunks } };
    } catch (error) {
      if (error instanceof EscapementError) return failure(error.code, error.message);
      throw error;
    }
  });

/** Runs an effect to its one report; the result interrupts it. Nothing is reported before this returned. */
function run(effect: Effect.Effect<Outcome>, report: Reporter): () => void {
  let started = false;
  let stopped = false;
  const tell = (outcome: Outcome): void => {
    if (stopped) return;
    if (started) report.done(outcome);
    else queueMicrotask(() => tell(outcome));
  };
  const fiber = Effect.runFork(effect);
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) tell(exit.value);
    else if (!stopped) tell(failure("internal", `performing work failed: ${String(Cause.squash(exit.cause)).slice(0, 300)}`));
  });
  started = true;
  return () => {
    stopped = true;
    fiber.interruptUnsafe();
  };
}

/** What a tool says, without what must not be stored. */
function recorded(
  record: Redaction | undefined,
  perform: (report: Reporter) => Effect.Effect<Outcome>,
  report: Reporter,
): Effect.Effect<Outcome> {
  if (!record) return perform(report);
  const progress: Reporter["progress"] = (message, done, total) => report.progress(record.text(String(message)), done, total);
  const data: Reporter["data"] = (name, value) => report.data(name, record.json(value));
  return Effect.map(perform({ ...report, progress, data }), (outcome) => ({ ...outcome, value: record.json(outcome.value) }));
}

/** Work that costs no money. */
const free = (effect: Effect.Effect<Outcome>, report: Reporter): Performing => ({ stop: run(effect, report), account: () => undefined });

const failure = (code: ErrorCode, message: string): Outcome => ({ ok: false, value: { code, message, retryable: false } });
