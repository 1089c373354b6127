/**
 * The structured log: one line of JSON a call, a step, a decision and a run's end, and what operators should know. Owns the fields
 * (docs/logging.md lists them); everything in them passes through the door.
 *
 *  1. One event is one line, whatever it holds.
 *  2. What repeats is limited (`line-limit.ts`), so that a failure does not fill a disk.
 */
import pino, { type Logger } from "pino";
import type { AskOutput, CallInput, CallOutput, ToolOutput, WorkError } from "../../machines/work.ts";
import type { Alert } from "../protocol/alert.ts";
import type { Fact } from "../protocol/events.ts";
import { callId, toolId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import { hasEnded, type RunStatus } from "../protocol/run.ts";
import type { Ask, AskOf } from "../runtime/run.ts";
import type { Redaction } from "../safety/redaction.ts";
import { type RedactionOptions, redaction } from "../safety/redaction.ts";
import { type LedgerEntry, ledgerEntry } from "../stores/store.ts";
import { DecisionReader } from "./decisions.ts";
import { LineLimit } from "./line-limit.ts";
import type { CommittedTurn, EndedWork, Observer, ProcessEvent } from "./observer.ts";
import { type LogDestination, logSink } from "./sink.ts";

export type LogLevel = "silent" | "error" | "warn" | "info" | "debug";

export type LogOptions = {
  readonly level: LogLevel;
  /** Prompts, answers and what tools got and gave. */
  readonly content: boolean;
  readonly destination: LogDestination;
  readonly redaction: RedactionOptions;
};

/** Characters of one text in a line. */
const maxText = 4_096;

export class Log implements Observer {
  private readonly pino: Logger;
  private readonly door: Redaction;
  private readonly limit: LineLimit;
  private readonly isOn: boolean;
  private readonly content: boolean;
  private readonly sink: ReturnType<typeof logSink>;
  private readonly readers = new WeakMap<object, DecisionReader>();

  constructor({ level, content, destination, redaction: options }: LogOptions, clock: () => number = () => performance.now()) {
    this.sink = logSink(destination);
    // Errors were made plain by the door.
    this.pino = pino({ level, serializers: { err: (value) => value } }, { write: (line) => this.sink.write(line) });
    this.door = redaction({ ...options, maxLength: maxText });
    this.isOn = this.pino.isLevelEnabled("info");
    this.content = content;
    this.limit = new LineLimit(clock, (key, left) =>
      this.pino.warn({ type: "repeated", left_out: left }, `${left} more lines like this were left out: ${key}`),
    );
  }

  // --- what the process says

  error(message: string, more: { readonly run?: string | undefined; readonly cause?: unknown } = {}): void {
    this.say("error", message, more);
  }

  warn(message: string, more: object = {}): void {
    this.say("warn", message, more);
  }

  info(message: string, more: object = {}): void {
    this.say("info", message, more);
  }

  alert(alert: Alert): void {
    const { state, message } = alert;
    this.say(state === "firing" ? "warn" : "info", message, { type: "alert", ...alert });
  }

  /** Says what was left out, and hands over what waits. */
  close(): void {
    this.limit.flush();
    this.sink.close();
  }

  // --- what is observed

  turn(turn: CommittedTurn): void {
    if (!this.isOn) return;
    for (const ended of turn.ended) {
      if (ended.ask.kind === "call") this.call(turn, ended, ended.ask);
      else if (ended.ask.kind === "tool") this.tool(turn, ended, ended.ask);
    }
    this.decisions(turn);
    const { finishedAt, output, error, tier, cached } = turn.progress;
    if (finishedAt === undefined) return;
    const end = endOf(turn);
    this.line(
      {
        type: "run",
        request_id: turn.run,
        ...who(turn),
        status: end,
        response: this.shown(output ?? null),
        tier: tier ?? null,
        cached: cached ?? false,
        estimated: turn.progress.estimated,
        tokens_in: turn.progress.inputTokens,
        tokens_out: turn.progress.outputTokens,
        latency_ms: finishedAt - turn.info.createdAt,
        total_cost_usd: turn.spentNano / 1e9,
        loop_count: turn.progress.steps,
        calls: turn.progress.calls,
        tool_calls: turn.progress.toolCalls,
        terminated_early: isEarly(end),
        parent_request_id: turn.info.forkedFrom ?? null,
        ...failure(error as unknown as WorkError | undefined),
      },
      `run ${end}`,
    );
  }

  process(event: ProcessEvent): void {
    const { type, ...more } = event;
    this.say(type === "breaker" && event.state !== "open" ? "info" : "warn", processWords(event), {
      type: "decision",
      decision: type,
      ...more,
    });
  }

  // --- lines

  private call(turn: CommittedTurn, { ok, value, account, text, stopped }: EndedWork, ask: AskOf<"call">): void {
    const { input } = ask;
    const tier = turn.spec.tiers.find(({ name }) => name === input.tier);
    const error = ok || stopped ? undefined : (value as unknown as WorkError);
    // It was never made, and has no line of its own but the decision's.
    if (error?.denied) return;
    const output = ok ? (value as unknown as CallOutput) : undefined;
    const finish = output?.finish ?? (stopped ? "cancelled" : error?.code === "lost" ? "lost" : "error");
    const request_id = `${turn.run}/${callId(ask.ordinal)}`;
    const response = output ? responseOf(output) : (text ?? "");
    const common = {
      ...who(turn),
      tokens_in: account?.inputTokens ?? 0,
      tokens_out: account?.outputTokens ?? 0,
      latency_ms: account?.durationMs ?? 0,
      ttft_ms: account?.ttftMs ?? null,
      model: account?.model || tier?.model || null,
      provider: account?.provider ?? tier?.provider ?? null,
      tier: input.tier,
      retries: input.attempt - 1,
      fallback_triggered: input.attempt > 1 && input.tier !== turn.spec.tiers[0]?.name,
      cost_usd: (account?.costNano ?? 0) / 1e9,
      cached: input.cached !== undefined || output?.shared === true,
      estimated: account?.estimated ?? false,
      finish,
      ...failure(error),
    };
    const key = `call ${common.provider} ${error?.code ?? ""}`;
    this.line(
      { type: "call", request_id, prompt: this.shown(promptOf(input)), response: this.shown(response), ...common },
      `call ${finish}`,
      error && key,
    );
    this.step(turn, ask, { step_type: "llm_call", intermediate_output: this.shown(response) }, error);
    if (input.structured && output) {
      const { value: valid, problem } = output;
      const said = problem === undefined ? (valid ?? null) : problem;
      this.step(turn, ask, { step_type: "validate", intermediate_output: this.shown(said), valid: problem === undefined });
    }
  }

  private tool(turn: CommittedTurn, { ok, value, stopped, account }: EndedWork, ask: AskOf<"tool">): void {
    const error = ok || stopped ? undefined : (value as unknown as WorkError);
    const output = ok ? (value as unknown as ToolOutput).output : null;
    this.step(
      turn,
      ask,
      {
        step_type: "tool_call",
        tool_name: ask.input.name,
        tool_input: this.shown(ask.input.input),
        tool_output: this.shown(output),
        latency_ms: account?.durationMs ?? 0,
        ...(stopped && { stopped: true }),
      },
      error,
    );
  }

  private step(
    turn: CommittedTurn,
    ask: Ask,
    fields: { readonly step_type: string; readonly [name: string]: unknown },
    error?: WorkError,
  ): void {
    const end = endOf(turn);
    this.line(
      {
        type: "step",
        request_id: `${turn.run}/${ask.kind === "tool" ? toolId(ask.ordinal) : callId(ask.ordinal)}`,
        parent_request_id: turn.run,
        ...who(turn),
        step_index: ask.ordinal,
        tool_name: null,
        tool_input: null,
        tool_output: null,
        intermediate_output: null,
        ...fields,
        total_cost_usd: turn.spentNano / 1e9,
        loop_count: loopsOf(turn),
        terminated_early: hasEnded(end) && isEarly(end),
        ...failure(error),
      },
      `step ${fields.step_type}`,
      error && `step ${fields.step_type} ${error.code}`,
    );
  }

  private decisions(turn: CommittedTurn): void {
    let reader = this.readers.get(turn.owner);
    if (!reader) {
      // Before this turn, whose own facts tell what it settled and raised.
      let { spentNano, limitNano } = turn;
      for (const { ask, value, account } of turn.ended) {
        spentNano -= account?.costNano ?? 0;
        if (ask.kind === "ask" && ask.input.kind === "budget") limitNano -= 1e3 * ((value as AskOutput | undefined)?.amount_microusd ?? 0);
      }
      reader = new DecisionReader(spentNano / 1e3, limitNano / 1e3);
      this.readers.set(turn.owner, reader);
    }
    const ledgerOf = ledgersOf(turn);
    for (const fact of turn.facts) {
      const ledger = ledgerOf(fact);
      const decision = reader.take(ledger ? { ...fact, ledger } : fact);
      if (!decision) continue;
      const { reason, decision: what, numbers, seq, actor } = decision;
      const repeats = ["denied", "retried", "fell_back"].includes(what);
      this.line(
        { type: "decision", parent_request_id: turn.run, ...who(turn), seq, actor, decision: what, reason, numbers },
        `${what}: ${reason}`,
        repeats ? `decision ${what}` : undefined,
      );
    }
  }

  private shown(value: Json | undefined): Json {
    return this.content ? (value ?? null) : null;
  }

  /** `key`: of a line that a failure may repeat. */
  private line(fields: { readonly error_code?: string | null; readonly [name: string]: unknown }, message: string, key?: string): void {
    if (key !== undefined && !this.limit.allows(key)) return;
    const shown = this.door.value(fields) as object;
    this.pino[fields.error_code ? "warn" : "info"](shown, this.door.line(message));
  }

  private say(level: "error" | "warn" | "info", message: string, more: object): void {
    if (!this.pino.isLevelEnabled(level)) return;
    const shown = this.door.line(message);
    // The same sentence about other runs, times and amounts is the same.
    if (level !== "info" && !this.limit.allows(shown.replace(/\b[\w-]*\d[\w-]*\b/g, "#").slice(0, 200))) return;
    const { cause, ...rest } = more as { cause?: unknown };
    this.pino[level](this.door.value({ ...rest, ...(cause !== undefined && { err: cause }) }) as object, shown);
  }
}

const who = ({ run, info }: CommittedTurn) => ({
  run,
  agent: info.agent,
  tenant: info.tenant,
  user_id: info.user ?? null,
  session: info.session ?? null,
  feature: info.feature ?? null,
});

/** What the call adds to the conversation: its last message. */
function promptOf({ messages }: CallInput): Json {
  const last = messages.at(-1);
  return last === undefined ? "" : typeof last.content === "string" ? last.content : (JSON.parse(JSON.stringify(last.content)) as Json);
}

const responseOf = ({ text, tools }: CallOutput): Json =>
  tools?.length ? { text, tools: tools.map(({ name, input }) => ({ name, input })) } : text;

const failure = (error: WorkError | undefined) => ({
  error_code: error?.code ?? null,
  ...(error && { error: error.message, retryable: error.retryable, ...(error.details && { error_details: error.details }) }),
});

/** Turns of the agent's loop up to what ended here: without those that this turn begins. */
const loopsOf = ({ progress, asks }: CommittedTurn): number =>
  progress.steps - asks.filter((ask) => ask.kind === "call" && ask.input.attempt === 1).length;

/** The status with which the turn ended the run; `running` for one that goes on. */
function endOf({ facts }: CommittedTurn): RunStatus {
  const last = facts.findLast(({ type }) => type === "run.finished");
  return last?.type === "run.finished" ? last.status : "running";
}

const isEarly = (status: RunStatus): boolean => status === "exhausted" || status === "cancelled" || status === "failed";

/** How the budgets above the run stood, by the fact that a grant or its denial made. */
function ledgersOf({ asks, grants }: CommittedTurn): (fact: Fact) => readonly LedgerEntry[] | undefined {
  const ledgers = new Map<string, readonly LedgerEntry[]>();
  grants.forEach((grant, i) => {
    const name = grant.granted ? callId((asks[i] as Ask).ordinal) : `budget.${grant.level}`;
    if (grant.levels) ledgers.set(name, grant.levels.map(ledgerEntry));
  });
  return (fact) =>
    fact.type === "call.started" ? ledgers.get(fact.call) : fact.type === "limit.hit" ? ledgers.get(fact.which) : undefined;
}

function processWords(event: ProcessEvent): string {
  switch (event.type) {
    case "breaker":
      return `the breaker of ${event.key} is ${event.state === "probing" ? "half-open: one call may pass" : event.state}`;
    case "provider.window":
      return `${Math.round(event.used * 100)} % of ${event.provider}'s ${event.window} are used`;
    case "provider.exhausted":
      return event.isExhausted
        ? `${event.provider} has no credit left${event.message ? `: ${event.message}` : ""}`
        : `${event.provider} answers again`;
  }
}
