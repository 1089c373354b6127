/**
 * The runtime: agents, a store and providers joined into runs. `start`, `cancel`, `answer`, `events`, and what can be read.
 * What comes in here was decoded; what it decides about a command (known agent, limits cut, input by schema) it says before
 * anything is stored.
 */
import { hash as digest, randomUUID } from "node:crypto";
import type { AnyStateMachine, InspectionEvent } from "xstate";
import { z } from "zod";
import type { BreakerInput } from "../../machines/breaker.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import type { Answers } from "../cache/answers.ts";
import type { Purge } from "../cache/cache.ts";
import type { Channel } from "../channels/channel.ts";
import { CallGate } from "../limits/call-gate.ts";
import type { LimitEvent } from "../limits/events.ts";
import { Health } from "../limits/health.ts";
import type { Limiter } from "../limits/limiter.ts";
import type { LaneLimits, LaneSettings } from "../limits/provider-lane.ts";
import { ProviderLimits } from "../limits/provider-limits.ts";
import { type RateLimitSettings, RateLimits } from "../limits/rate-limits.ts";
import { RetryBudget, type RetryBudgetSettings } from "../limits/retry-budget.ts";
import { Spread } from "../limits/spread.ts";
import { type BudgetLimits, isOver } from "../money/budgets.ts";
import { unmargined } from "../money/tokens.ts";
import { DecisionReader } from "../observe/decisions.ts";
import { type Observer, observers, type ProcessEvent } from "../observe/observer.ts";
import { Recent, type RecentEvent } from "../observe/recent.ts";
import type { Alert } from "../protocol/alert.ts";
import type { Budget, BudgetChange } from "../protocol/budget.ts";
import type { CacheCounts } from "../protocol/cache-counts.ts";
import type { Caller } from "../protocol/caller.ts";
import { type AnswerBody, defaultInput, type RunsQuery, runsQuery, type StartBody } from "../protocol/commands.ts";
import type { Decision } from "../protocol/decision.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Fact } from "../protocol/events.ts";
import { newRunId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import { type Bounds, type Limits, limitsSchema } from "../protocol/limits.ts";
import type { Message } from "../protocol/messages.ts";
import type { RateLimit } from "../protocol/rate-limit.ts";
import { requirement } from "../protocol/requirement.ts";
import { hasEnded, type Run } from "../protocol/run.ts";
import type { EventReader, EventsOptions, RunHandle, Runs, StartOptions } from "../protocol/runs.ts";
import type { Score, ScoreBody } from "../protocol/score.ts";
import type { UsageQuery, UsageReport } from "../protocol/usage.ts";
import type { Provider } from "../providers/provider.ts";
import { isSensitive, textOf } from "../routing/rules.ts";
import { type Redaction, redaction } from "../safety/redaction.ts";
import { damaged } from "../stores/damage.ts";
import {
  type Correction,
  correctionWords,
  type FactRow,
  type Idempotency,
  type InboxMessage,
  type RunInfo,
  type RunRecord,
  type Store,
} from "../stores/store.ts";
import { type AgentCode, type AgentSpec, type PriceOf, routesOf } from "./agent.ts";
import { agentTool } from "./agent-tool.ts";
import { appraise } from "./appraise.ts";
import { boundsOf } from "./bounds.ts";
import { Budgets } from "./budgets.ts";
import { checkDefinition } from "./definition.ts";
import { estimate } from "./estimate.ts";
import { factOf, storedFact } from "./facts.ts";
import { checkFeature, type Features } from "./features.ts";
import { Host } from "./host.ts";
import { definitionOf, withInput } from "./instructions.ts";
import { createInterpreter, type Interpreter } from "./interpreter.ts";
import type { Journal, Written } from "./journal.ts";
import { machines } from "./machines.ts";
import { allTiersOf } from "./parts.ts";
import { ProcessHold } from "./process-hold.ts";
import { auditPrompts, type PromptAudit } from "./prompt-audit.ts";
import { eachEvent, type ReadingDeps, readEvents } from "./reader.ts";
import { bodyOf, feed, turnsOf } from "./recovery.ts";
import { reserving } from "./reserve.ts";
import type { Input, LiveRun } from "./run.ts";
import { journalEntry, runOf } from "./run-view.ts";
import { realScheduler, type Scheduler } from "./scheduler.ts";
import { keepScore, scoresOf } from "./scores.ts";
import type { Tool } from "./tool.ts";
import { usageReport } from "./usage.ts";
import type { Validator } from "./validator.ts";
import { isVisible, visibleTo } from "./visibility.ts";
import { supervise } from "./work-logic.ts";

const local: Caller = { tenant: "local", scopes: ["tenant", "admin"] };

/** State and context of every machine after one turn. */
export type ReplayedTurn = {
  readonly position: number;
  readonly at_ms: number;
  readonly input: string;
  readonly actors: ReturnType<LiveRun["actors"]>;
};

export type DefinedAgent = {
  readonly spec: AgentSpec;
  readonly options: AgentCode;
  /** Of a pattern, by their path. */
  readonly parts?: ReadonlyMap<string, { readonly spec: AgentSpec; readonly options: AgentCode }>;
};
type KnownAgent = DefinedAgent & { readonly hash: string; readonly bounds: Bounds };

/** The parts, resolved. Programs use `createRuntime` of the entry point, which makes them from a configuration. */
export type RuntimeOptions = {
  readonly store: Store;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly agents: readonly DefinedAgent[];
  readonly tools: { readonly [group: string]: readonly Tool[] };
  /** Further machines, by the name that agents give. Each gets the input of the agent machine. */
  readonly machines?: { readonly [name: string]: AnyStateMachine };
  readonly budgets?: BudgetLimits;
  /** Of models that are served in place of a tier's; without it they cost what the tier's do. */
  readonly priceOf?: PriceOf;
  readonly features?: Features;
  /** What callers may do a minute. Without it nobody is limited. */
  readonly rateLimits?: RateLimitSettings & { readonly limiter: Limiter };
  /** By provider, what it may be sent; and the queue for what must wait. */
  readonly providerLimits?: { readonly [provider: string]: LaneLimits };
  readonly queue?: Partial<Pick<LaneSettings, "length" | "waitMs" | "agingMs">>;
  /** Told once when a limit of a provider is nearly reached or its account used up. */
  readonly onLimit?: (event: LimitEvent) => void;
  /** Runs that may live in this process at once; 20,000. More are refused with `overloaded`. */
  readonly maxRuns?: number;
  /** UTF-8 bytes of a run's input as JSON; 4 MiB. */
  readonly maxInputBytes?: number;
  /** Gets XState's inspection events of each turn after that turn was committed. */
  readonly inspect?: (run: string, event: InspectionEvent) => void;
  readonly onError?: (message: string, run?: string) => void;
  /** Told of committed turns and of what happens to the process. */
  readonly observers?: readonly Observer[];
  /** The door that errors pass through; one that knows no secret by its value by default. */
  readonly redaction?: Redaction;
  /** Tells of alerts; see {@link Runtime.onAlert}. */
  readonly alerts?: { onAlert(listener: (alert: Alert) => void): () => void };
  /** What is kept out of what models and tools say before it is stored or told; nothing by default. */
  readonly record?: Redaction;
  readonly channel: Channel;
  /** Without one nothing is looked up, kept or shared. Closed with the runtime. */
  readonly cache?: Answers;
  /** Only reads and replays: takes no lease, takes over no run, accepts none. */
  readonly passive?: boolean;
  /** Called when the runtime has closed: ends what was started for it. */
  readonly onClosed?: () => Promise<void>;
  // for simulations and tests
  readonly scheduler?: Scheduler;
  readonly interpreter?: Interpreter;
  readonly journal?: new (store: Store, scheduler: Scheduler) => Journal;
  readonly reliability?: Reliability;
};

/** Time constants, for tests that scale time. */
export type Reliability = {
  readonly breaker?: Partial<BreakerInput>;
  readonly retryBudget?: Partial<RetryBudgetSettings>;
  /** How long the minute of rate limits is. */
  readonly minuteMs?: number;
  /** How long a provider whose account is used up is not asked. */
  readonly exhaustedMs?: number;
  /** How long Redis has to answer. */
  readonly redisDeadlineMs?: number;
};

const idempotencyMs = 24 * 3_600_000;
/** Facts and runs live 30 days after a run's end. */
const keepMs = 30 * 24 * 3_600_000;
const purgeEveryMs = 3_600_000;
const stalledMs = 5_000;
const limiterTestMs = 1_000;
const factsPage = 1_000;

export class Runtime implements Runs {
  private readonly options: RuntimeOptions;
  private readonly store: Store;
  private readonly channel: Channel;
  private readonly scheduler: Scheduler;
  private readonly hold: ProcessHold;
  private readonly host: Host;
  private readonly budgetsAbove: Budgets;
  private readonly agentsByName: ReadonlyMap<string, KnownAgent>;
  private readonly specs = new Map<string, AgentSpec>();
  /** What of agents and parts is no data, by their definition as it is now. */
  private readonly code = new WeakMap<AgentSpec, AgentCode>();
  private readonly machines = new Map<string, AnyStateMachine>();
  /** The door that errors pass through: for servers and logs over this runtime. */
  readonly redaction: Redaction;
  /** Circuit breakers of this process. */
  readonly breakers: Health;
  private readonly rates: RateLimits | undefined;
  private readonly gate: CallGate;
  /** Limits are configured, and it has not been seen yet that they refuse. */
  private limiterUntested = false;
  private cancelLimiterTest = (): void => {};
  private readonly observer: Required<Observer> | undefined;
  private readonly onError: RuntimeOptions["onError"];
  private readonly recent = new Recent();
  private draining = false;
  private cancelPurge = (): void => {};

  /** Opens the store, takes over what was left behind, and is ready. Throws when an agent cannot be run. */
  static async create(options: RuntimeOptions): Promise<Runtime> {
    const runtime = new Runtime(options);
    if (options.passive) {
      runtime.draining = true;
      return runtime;
    }
    for (const { spec, hash } of runtime.agentsByName.values()) await runtime.store.putAgent(hash, JSON.stringify(spec));
    await runtime.budgetsAbove.open();
    try {
      await runtime.host.open();
    } catch (error) {
      runtime.budgetsAbove.close();
      throw error;
    }
    runtime.purge();
    // Work need not wait for it; the store says how it is well enough.
    runtime.reconcile(runtime.scheduler.now() - purgeEveryMs).catch((error) => runtime.onError?.(`holds could not be compared: ${error}`));
    await runtime.testLimiter();
    return runtime;
  }

  private constructor(options: RuntimeOptions) {
    this.options = options;
    this.store = options.store;
    this.channel = options.channel;
    this.scheduler = options.scheduler ?? realScheduler;
    this.hold = new ProcessHold(this.scheduler);
    this.budgetsAbove = new Budgets(this.store, options.budgets ?? {}, this.scheduler);
    const clock = (): number => this.scheduler.monotonic();
    const door = options.redaction ?? redaction();
    this.redaction = door;
    const { onError } = options;
    this.onError = onError && ((message, run) => onError(door.text(message), run));
    this.observer = observers(options.observers ?? [], (message) => this.onError?.(message));
    const { rateLimits, reliability = {} } = options;
    const { minuteMs, exhaustedMs } = reliability;
    this.breakers = new Health(clock, reliability.breaker, (change) => this.notice({ type: "breaker", ...change }));
    this.rates = rateLimits && new RateLimits(rateLimits.limiter, rateLimits, minuteMs);
    this.limiterUntested = this.rates !== undefined;
    const timing = { clock, after: this.hold.after };
    const settings = { ...options.queue, ...(minuteMs && { minuteMs }), ...(exhaustedMs && { exhaustedMs }) };
    this.gate = new CallGate(
      new ProviderLimits(options.providerLimits ?? {}, settings, timing, (event) => this.limited(event)),
      this.rates,
      timing,
    );
    for (const [name, machine] of Object.entries({ ...machines, ...options.machines }))
      this.machines.set(`${name}@${machine.version ?? "1"}`, supervise(supervisorMachine, machine));
    this.agentsByName = new Map(
      options.agents.map((defined) => {
        const hash = digest("sha1", JSON.stringify(defined.spec), "base64url");
        if (!this.machines.has(defined.spec.machine))
          throw new EscapementError(
            "invalid_request",
            `agent "${defined.spec.name}" is run by the machine ${defined.spec.machine}, which this runtime does not have (${[...this.machines.keys()].join(", ")})`,
          );
        checkDefinition(defined.spec, defined.options, options.providers);
        for (const part of [defined, ...(defined.parts?.values() ?? [])]) this.code.set(part.spec, part.options);
        this.specs.set(hash, defined.spec);
        return [defined.spec.name, { ...defined, hash, bounds: boundsOf(defined.spec, defined.spec.limits) }];
      }),
    );
    const toolOf = (spec: AgentSpec, name: string): Tool | undefined => {
      const shown = spec.tools.find((tool) => tool.name === name);
      if (shown?.plan) return agentTool(shown);
      return shown && options.tools[shown.group]?.find((tool) => tool.name === name);
    };
    const { inspect } = options;
    this.host = new Host({
      store: this.store,
      channel: this.channel,
      scheduler: this.scheduler,
      hold: this.hold,
      interpreter:
        options.interpreter ??
        createInterpreter({
          providers: options.providers,
          health: this.breakers,
          retries: new RetryBudget(clock, reliability.retryBudget),
          isFree: (provider, model) => this.gate.lanes.isFree(provider, model),
          spread: new Spread(() => this.scheduler.random()),
          answers: new Health(clock, reliability.breaker),
          gate: this.gate,
          answerSchema: (spec) => this.answerSchema(spec),
          validatorsOf: (spec) => this.validators(spec),
          clock,
          toolOf,
          exposeOf: (spec) => this.code.get(definitionOf(spec))?.expose,
          ...(options.priceOf && { priceOf: options.priceOf }),
          cache: options.cache,
          record: options.record,
        }),
      reserving: reserving(options.providers, (info) => this.budgetsAbove.metersOf(info)),
      machineOf: (machine) => this.machines.get(machine),
      machines: [...this.machines.keys()],
      specOf: (hash) => this.specOf(hash),
      appraise: (spec, info) => appraise(spec, info.sensitive === true, options.providers, toolOf),
      ...(inspect && { inspect: (run, events) => tell(inspect, run, events) }),
      observe: this.observer?.turn,
      redaction: door,
      onError: this.onError,
      ...(options.journal && { journal: options.journal }),
    });
  }

  // --- commands

  async start(body: StartBody, options: StartOptions & { readonly caller?: Caller } = {}): Promise<RunHandle> {
    const caller = options.caller ?? local;
    this.checkReady();
    const { defined, input, limits } = this.checkedStart(body);
    checkFeature(this.options.features ?? {}, body.feature, caller);
    const info: RunInfo = {
      agent: body.agent,
      agentHash: defined.hash,
      machine: defined.spec.machine,
      tenant: caller.tenant,
      ...userOf(body, caller),
      ...(caller.key !== undefined && { key: caller.key }),
      ...(caller.plan !== undefined && { plan: caller.plan }),
      ...(body.session !== undefined && { session: body.session }),
      ...(body.feature !== undefined && { feature: body.feature }),
      input,
      ...(isMarked(body, defined.spec, input) && { sensitive: true }),
      limits,
      bounds: this.boundsOfStart(defined, limits, input, body),
      ...(body.metadata && { metadata: body.metadata as NonNullable<RunInfo["metadata"]> }),
      ...(body.webhook && { webhook: body.webhook.url }),
      createdAt: this.scheduler.now(),
    };
    const idempotency = this.idempotency(options.idempotencyKey, "start", body as Json, caller);
    let takeBack: (() => void) | undefined;
    try {
      this.gate.lanes.checkRoom(
        allTiersOf(defined.spec)
          .flatMap(routesOf)
          .map(({ provider }) => provider),
        { isPaid: this.gate.isPaid(info), isBatch: defined.spec.priority === "batch" },
      );
      takeBack = this.rates && (await this.countStart(this.rates, info));
    } catch (refusal) {
      // A repeated start asks for nothing new. It is looked for here alone: others need no read.
      const known = idempotency && (await this.store.keyed(idempotency, info.createdAt));
      if (!known) throw refusal;
      return this.accepted(known.run, { type: "known", ...known }, caller);
    }
    const run = newRunId();
    const accepted = {
      type: "run.accepted",
      at: new Date(info.createdAt).toISOString(),
      actor: "run",
      agent: info.agent,
      limits,
      bounds: info.bounds,
    };
    const result = await this.host.accept(run, info, defined.spec, accepted, idempotency);
    // A repeated start is counted once.
    if (result.type !== "accepted") takeBack?.();
    return this.accepted(run, result, caller);
  }

  async cancel(
    run: string,
    options: { readonly caller?: Caller; readonly reason?: string; readonly idempotencyKey?: string } = {},
  ): Promise<{ run: Run; ended: boolean; replayed: boolean }> {
    const { caller = local, reason } = options;
    const owned = this.host.owns(run);
    // With a key it may be a repeated command, which must change nothing. All cancels of a tick close their sockets before any goes on.
    const hushed = owned && options.idempotencyKey === undefined && isVisible(owned.info, caller) ? owned : undefined;
    hushed?.hush();
    await this.checkVisible(run, caller);
    const value: { reason?: string } = reason === undefined ? {} : { reason };
    const message: InboxMessage = { nonce: randomUUID(), kind: "cancel", value, createdAt: this.scheduler.now() };
    const idempotency = this.idempotency(options.idempotencyKey, `cancel ${run}`, value, caller);
    const result = await this.store.message(run, message, idempotency && { idempotency }).catch((error: unknown) => {
      hushed?.unhush();
      throw error;
    });
    if (result.type !== "stored") hushed?.unhush();
    if (result.type === "not_found") throw notFound(run);
    if (result.type === "conflict") throw new EscapementError("conflict", result.message, { run });
    if (result.type === "known" && !result.sameBody) throw mismatch(run);
    if (result.record.status === "quarantined") {
      await this.host.endQuarantined(run, reason);
      return { run: runOf(await this.find(run, caller)), ended: false, replayed: result.type === "known" };
    }
    if (result.type === "stored") await this.host.deliver(run, message);
    return { run: runOf(result.record), ended: hasEnded(result.record.status), replayed: result.type === "known" };
  }

  async answer(
    run: string,
    answer: AnswerBody,
    options: { readonly caller?: Caller; readonly idempotencyKey?: string } = {},
  ): Promise<{ run: Run; replayed: boolean }> {
    const caller = options.caller ?? local;
    const { progress } = await this.find(run, caller);
    const ordinal = /^q(\d{1,9})$/.exec(answer.id)?.[1];
    if (ordinal === undefined) throw new EscapementError("conflict", `nothing waits for an answer under "${answer.id}"`, { run });
    const asked = progress.waitingFor?.find(({ id }) => id === answer.id);
    if (asked) checkAnswer(asked, answer);
    const { id: _id, ...given } = answer;
    // As the store gives it back.
    const value = JSON.parse(JSON.stringify(given)) as Json;
    const message: InboxMessage = {
      nonce: randomUUID(),
      kind: "answer",
      ordinal: Number(ordinal),
      value,
      createdAt: this.scheduler.now(),
    };
    const idempotency = this.idempotency(options.idempotencyKey, `answer ${run}`, answer as Json, caller);
    const hash = "input_hash" in answer ? answer.input_hash : undefined;
    const result = await this.store.message(run, message, { ...(hash !== undefined && { hash }), ...(idempotency && { idempotency }) });
    if (result.type === "not_found") throw notFound(run);
    if (result.type === "conflict") throw new EscapementError("conflict", result.message, { run });
    if (result.type === "ended")
      throw new EscapementError("conflict", `the run has ended (${result.record.status}); nothing waits for an answer`, { run });
    if (result.type === "known" && !result.sameBody) throw mismatch(run);
    if (result.type === "stored") await this.host.deliver(run, message);
    return { run: runOf(result.record), replayed: result.type === "known" };
  }

  /** Puts a mark on a run, whatever its status; one author's later mark of a name takes the place of the one before. */
  async score(run: string, score: ScoreBody, caller: Caller = local): Promise<Score> {
    await this.checkVisible(run, caller);
    return keepScore(this.store, run, score, caller, this.scheduler.now());
  }

  async scores(run: string, caller: Caller = local): Promise<{ data: Score[]; next: null }> {
    await this.checkVisible(run, caller);
    return { data: await scoresOf(this.store, run), next: null };
  }

  async events(run: string, options: EventsOptions & { readonly caller?: Caller } = {}): Promise<EventReader> {
    const record = await this.find(run, options.caller ?? local);
    return readEvents(record, hasEnded(record.status), this.reading, options);
  }

  // --- reading

  run(id: string, caller: Caller = local): RunHandle {
    return this.handle(id, false, () => this.find(id, caller), caller);
  }

  async get(run: string, caller: Caller = local): Promise<Run> {
    return runOf(await this.find(run, caller));
  }

  async list(query: RunsQuery = {}, caller: Caller = local): Promise<{ data: Run[]; next: string | null }> {
    const { cursor, limit, ...rest } = runsQuery.parse(query);
    const before = cursor === undefined ? undefined : position(cursor);
    const defined = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    const { rows, next } = await this.store.list({ ...visibleTo(caller), ...defined, limit, ...(before !== undefined && { before }) });
    return { data: rows.map(runOf), next: next === null ? null : String(next) };
  }

  async facts(
    run: string,
    options: { readonly caller?: Caller; readonly after?: string; readonly limit?: number } = {},
  ): Promise<{ data: Fact[]; next: string | null }> {
    await this.find(run, options.caller ?? local);
    const { limit = 1_000 } = options;
    const rows = await this.store.facts(run, position(options.after ?? "0"), limit);
    return { data: rows.map(({ seq, json }) => factOf(run, seq, json)), next: rows.length < limit ? null : String(rows.at(-1)?.seq) };
  }

  async journal(
    run: string,
    options: { readonly caller?: Caller; readonly cursor?: string; readonly limit?: number } = {},
  ): Promise<{ data: unknown[]; next: string | null }> {
    const record = await this.find(run, options.caller ?? local);
    const { limit = 1_000 } = options;
    const after = position(options.cursor ?? "0");
    const data: unknown[] = [];
    const work = new Map<number, string>();
    for await (const row of turnsOf(this.store, run)) {
      const entry = journalEntry(record, row, work);
      if (row.n > after) data.push(entry);
      if (data.length === limit) return { data, next: row.n < record.head ? String(row.n) : null };
    }
    return { data, next: null };
  }

  /** Every yes and no about a run with its reason, from what is stored of it. How the budgets above the run stood is for operators. */
  async decisions(run: string, caller: Caller = local): Promise<{ data: Decision[]; next: null }> {
    await this.find(run, caller);
    const reader = new DecisionReader();
    const data: Decision[] = [];
    for (let after = 0; ; ) {
      const rows = await this.store.facts(run, after, factsPage);
      for (const { seq, json } of rows) {
        const decision = reader.take((caller.scopes.includes("admin") ? storedFact : factOf)(run, seq, json));
        if (decision) data.push(decision);
      }
      if (rows.length < factsPage) return { data, next: null };
      after = (rows.at(-1) as FactRow).seq;
    }
  }

  /** What happened lately to this process: breakers that opened, providers that ran out. The last 256. */
  recentEvents(): readonly RecentEvent[] {
    return this.recent.list();
  }

  /** Called with each alert, where alerts are configured. The result ends it. */
  onAlert(listener: (alert: Alert) => void): () => void {
    return this.options.alerts?.onAlert(listener) ?? (() => {});
  }

  /** Something beside the runs has happened: kept for {@link recentEvents} and told to observers. */
  notice(event: ProcessEvent): void {
    this.recent.add(event, this.scheduler.now());
    this.observer?.process(event);
  }

  private limited(event: LimitEvent): void {
    this.options.onLimit?.(event);
    const { type } = event;
    if (type === "provider.near_limit")
      this.notice({ type: "provider.window", provider: event.provider, window: event.which, used: event.used / event.limit });
    else if (type === "provider.exhausted") this.notice({ type, provider: event.provider, isExhausted: true, message: event.message });
  }

  /** Feeds the journal to the machine again, turn by turn. Nothing is performed or released. Throws where it goes otherwise than recorded. */
  async *replay(run: string, caller: Caller = local): AsyncGenerator<ReplayedTurn> {
    const record = await this.find(run, caller);
    const spec = await this.specOf(record.info.agentHash);
    if (!spec) throw new EscapementError("internal", `the definition of agent ${record.info.agent} is not in the store`);
    let live: LiveRun | undefined;
    for await (const row of turnsOf(this.store, run)) {
      const body = bodyOf(row);
      const { input } = body;
      live ??= this.host.liveRun(record.info, spec, input.type === "start" ? (input.history as readonly Message[] | undefined) : undefined);
      feed(live, row, body);
      yield { position: row.n, at_ms: row.at, input: nameOf(input), actors: live.actors() };
    }
  }

  /** What each part of the prompts of the last days took. Nothing is called. */
  async auditPrompts(options: { readonly days: number; readonly agent?: string }): Promise<PromptAudit> {
    return auditPrompts(
      {
        store: this.store,
        specOf: (hash) => this.specOf(hash),
        withInput: (spec, { info }) => withInput(spec, info.input),
        liveRun: ({ info }, spec, history) => this.host.liveRun(info, spec, history),
        tokenizerOf: (provider) => this.options.providers.get(provider)?.tokenizer ?? unmargined,
      },
      { ...options, now: this.scheduler.now() },
    );
  }

  /** The runs of a session, oldest first, and what was said in them. */
  async session(id: string, caller: Caller = local): Promise<{ id: string; runs: Run[]; messages: unknown[] }> {
    const { rows } = await this.store.list({ ...visibleTo(caller), session: id, limit: 1_000 });
    if (rows.length === 0) throw new EscapementError("not_found", `there is no session "${id}"`);
    const oldestFirst = rows.toReversed();
    const messages = oldestFirst.flatMap(({ info, progress }) => [
      ...(typeof info.input === "string"
        ? [{ role: "user", content: info.input }]
        : ((info.input as { messages?: unknown[] } | null)?.messages ?? [{ role: "user", content: JSON.stringify(info.input) }])),
      ...(progress.output === undefined || progress.output === null ? [] : [{ role: "assistant", content: progress.output }]),
    ]);
    return { id, runs: oldestFirst.map(runOf), messages };
  }

  agents(): {
    name: string;
    description: string;
    input_schema: unknown;
    output_schema: unknown;
    limits: Limits;
    tool_groups: string[];
    tiers: string[];
  }[] {
    return [...this.agentsByName.values()].map(({ spec }) => ({
      name: spec.name,
      description: spec.description,
      input_schema: spec.inputSchema ?? null,
      output_schema: spec.outputSchema ?? null,
      limits: spec.limits,
      tool_groups: [...new Set([spec, ...Object.values(spec.parts ?? {})].flatMap(({ tools }) => tools.map(({ group }) => group)))],
      tiers: [...new Set(allTiersOf(spec).map(({ name }) => name))],
    }));
  }

  /** The definition of the machine that runs an agent, under its supervisor: for drawing. */
  machine(agent: string): unknown {
    const machine = this.machines.get(this.defined(agent).spec.machine);
    return machine && describeMachine(machine);
  }

  /** The budgets above the run as they stand: all of the caller's tenant for an operator, else the caller's own. */
  async budgets(caller: Caller = local): Promise<Budget[]> {
    return this.budgetsAbove.list(caller);
  }

  /** Sets the limit of a budget, for the next call on; `subject` is `-` of the system and of runs without a user. */
  async setBudget(level: string, subject: string, change: BudgetChange, caller: Caller = local): Promise<Budget> {
    return this.budgetsAbove.set(level, subject, change, caller);
  }

  /** What calls have cost and how they went: of the caller's tenant for an operator, else of the runs that it sees. */
  usage(query: UsageQuery, caller: Caller = local): Promise<UsageReport> {
    return usageReport(this.store, query, caller, this.scheduler.now());
  }

  /** The worst case of a run that this body would start. Nothing is stored or called. */
  estimate(body: StartBody): Bounds {
    const { defined, input, limits } = this.checkedStart(body);
    return estimate(defined.spec, limits, input, this.options.providers, { inSession: body.session !== undefined });
  }

  /**
   * Purges what fits everything that is said, of the caller's tenant; `{}` is all of it. How many answers went: they are given no more by
   * this process, and by others that share the cache within a second. Needs the scope `admin`.
   */
  async purgeCache(which: Omit<Purge, "tenant"> = {}, caller: Caller = local): Promise<number> {
    if (!caller.scopes.includes("admin")) throw new EscapementError("forbidden", "purging the cache needs the scope `admin`");
    return (await this.options.cache?.purge({ ...which, tenant: caller.tenant })) ?? 0;
  }

  /** What the caches did since this process started; null without one. */
  cacheCounts(): CacheCounts | null {
    return this.options.cache?.counts() ?? null;
  }

  /** What runs and meters hold is compared with what open asks hold, and corrected: see `Store.reconcile`. `onError` is told of each. */
  async reconcile(endedSince = 0): Promise<readonly Correction[]> {
    const corrections = await this.store.reconcile(endedSince);
    for (const one of corrections) this.onError?.(correctionWords(one), one.of === "run" ? one.id : undefined);
    return corrections;
  }

  /** How the caller's rate limits stand; undefined where nobody is limited. */
  rateLimits(caller: Caller, user?: string): Promise<readonly RateLimit[]> | undefined {
    return this.rates?.standing({ ...caller, user: user ?? caller.user });
  }

  bounds(agent: string): Bounds {
    return this.defined(agent).bounds;
  }

  spec(agent: string): AgentSpec {
    return this.defined(agent).spec;
  }

  health(): { readonly ready: boolean; readonly reason?: "draining" | "store" | "storage_full" | "limiter" } {
    if (this.draining) return { ready: false, reason: "draining" };
    const stalled = this.host.journal.stalledMs();
    if (stalled && stalled.ms >= stalledMs) return { ready: false, reason: whyUnstored(stalled.error) };
    // A process that writes nothing else renews its lease.
    if (this.host.unrenewedMs >= stalledMs) return { ready: false, reason: "store" };
    if (this.limiterUntested) return { ready: false, reason: "limiter" };
    return { ready: true };
  }

  /** Runs that live in this process, and topics that are read: for metrics and leak tests. */
  load(): { readonly runs: number; readonly topics: number } {
    return { runs: this.host.size, topics: (this.channel as { size?: number }).size ?? 0 };
  }

  /** New runs are refused from here on; those that live here go on until `close`. */
  drain(): void {
    this.draining = true;
  }

  /**
   * Ends this process's part: what runs is left in the journal and goes on at the next start. Calls and tools under way may end for at
   * most `graceMs` (0) first. Called again, it is the same end.
   */
  close(graceMs = 0): Promise<void> {
    this.closing ??= this.end(graceMs);
    return this.closing;
  }

  private closing: Promise<void> | undefined;

  private async end(graceMs: number): Promise<void> {
    this.draining = true;
    this.cancelPurge();
    this.budgetsAbove.close();
    this.cancelLimiterTest();
    // The scheduler's timers keep no process alive. With nothing else open, a process would end within the wait below.
    const alive = setInterval(() => {}, 1_000);
    try {
      await this.host.close(graceMs);
      await Promise.all([...this.options.providers.values()].map((provider) => provider.close()));
      await this.options.cache?.close();
      await this.store.close();
      await this.rates?.close();
      await this.options.onClosed?.();
    } finally {
      clearInterval(alive);
      this.hold.letGo();
    }
  }

  // --- private

  private get reading(): ReadingDeps {
    return { store: this.store, channel: this.channel, scheduler: this.scheduler, hold: this.hold.take };
  }

  /** What a start body asks for, once everything that can be wrong with it was said. */
  private checkedStart(body: StartBody): { readonly defined: KnownAgent; readonly input: Json; readonly limits: Limits } {
    const defined = this.defined(body.agent, { details: { path: "agent" } });
    // A copy as JSON: what the caller goes on to change is not what was accepted. A string cannot change.
    const input: Json = typeof body.input === "string" ? body.input : (JSON.parse(JSON.stringify(body.input ?? null)) as Json);
    this.checkInput(defined, input);
    if (body.limits) checkLimits(body.limits);
    return { defined, input, limits: cut(defined.spec.limits, body.limits) };
  }

  /** The input is only counted where a person is asked what it may cost: everybody else gets the agent's own bounds, which are there. */
  private boundsOfStart({ spec, bounds }: KnownAgent, limits: Limits, input: Json, { session }: StartBody): Bounds {
    if (spec.confirmAbove !== undefined) return estimate(spec, limits, input, this.options.providers, { inSession: session !== undefined });
    return limits === spec.limits ? bounds : boundsOf(spec, limits);
  }

  private accepted(run: string, result: Written, caller: Caller): RunHandle {
    switch (result.type) {
      case "accepted":
        return this.handle(run, false, () => this.find(run, caller), caller, true);
      case "known":
        if (!result.sameBody) throw mismatch(result.run);
        return this.handle(result.run, true, () => this.find(result.run, caller), caller);
      case "given_up":
        throw new EscapementError("unavailable", "the store does not take writes at the moment, so the run was not accepted; try again", {
          retry_after_ms: 1_000,
          details: { reason: whyUnstored(result.error) },
        });
      default:
        throw new EscapementError("internal", "the run could not be stored");
    }
  }

  /** `isNew`: accepted by this very process. */
  private handle(id: string, replayed: boolean, find: () => Promise<RunRecord>, caller: Caller, isNew = false): RunHandle {
    const deps = this.reading;
    const open = async (options?: EventsOptions): Promise<EventReader> => {
      // While a new run lives with its first owner, its channel has told everything: the store need not be asked (10 % of a short run's CPU).
      if (isNew && this.host.owns(id)?.epoch === 1) return readEvents({ id, seq: 1 }, false, deps, options);
      const record = await find();
      return readEvents(record, hasEnded(record.status), deps, options);
    };
    const events = (options?: EventsOptions): EventReader => lazyReader(() => open(options), options?.after);
    return {
      id,
      replayed,
      events,
      result: async () => {
        const record = await find();
        if (!hasEnded(record.status)) {
          const reader = readEvents(record, false, deps, { after: String(record.seq) });
          while ((await reader.read()) !== null);
        }
        return runOf(await find());
      },
      cancel: async (reason) => (await this.cancel(id, { caller, ...(reason !== undefined && { reason }) })).run,
      answer: async (answer) => (await this.answer(id, answer, { caller })).run,
      [Symbol.asyncIterator]: () => events()[Symbol.asyncIterator](),
    };
  }

  /** A run of another tenant, or of another user, is as one that does not exist. */
  private async find(run: string, caller: Caller): Promise<RunRecord> {
    const record = await this.store.get(run);
    if (!record || !isVisible(record.info, caller)) throw notFound(run);
    return record;
  }

  /** Of a run that lives here its owner knows whose it is: the store need not be asked. */
  private async checkVisible(run: string, caller: Caller): Promise<void> {
    const owned = this.host.owns(run);
    if (!owned) await this.find(run, caller);
    else if (!isVisible(owned.info, caller)) throw notFound(run);
  }

  private defined(agent: string, more?: { readonly details: { readonly path: string } }): KnownAgent {
    const defined = this.agentsByName.get(agent);
    if (!defined)
      throw new EscapementError("not_found", `there is no agent "${agent}"; there are ${[...this.agentsByName.keys()].join(", ")}`, more);
    return defined;
  }

  private async specOf(hash: string): Promise<AgentSpec | null> {
    const known = this.specs.get(hash);
    if (known) return known;
    const json = await this.store.getAgent(hash);
    if (json === null) return null;
    try {
      const spec = JSON.parse(json) as AgentSpec;
      this.specs.set(hash, spec);
      return spec;
    } catch (error) {
      throw damaged(`the definition of an agent (${hash})`, error);
    }
  }

  private checkReady(): void {
    const { ready, reason } = this.health();
    if (!ready) {
      const message = {
        draining: "this process is about to end; start the run again",
        limiter: "rate limits cannot be counted at the moment, so nothing is admitted; try again",
        store: "the store does not take writes at the moment",
        storage_full: "the store does not take writes at the moment",
      }[reason ?? "store"];
      throw new EscapementError("unavailable", message, { retry_after_ms: 1_000, details: { reason } });
    }
    const { maxRuns = 20_000 } = this.options;
    if (this.host.size >= maxRuns)
      throw new EscapementError("overloaded", `${maxRuns} runs live in this process already`, { retry_after_ms: 1_000 });
  }

  private async countStart(rates: RateLimits, info: RunInfo): Promise<() => void> {
    const takeBack = await rates.start(info);
    try {
      this.checkReady();
    } catch (error) {
      takeBack();
      throw error;
    }
    return takeBack;
  }

  private checkInput({ spec, options }: DefinedAgent, input: Json): void {
    const { maxInputBytes = 4 * 1024 * 1024 } = this.options;
    const bytes = typeof input === "string" ? Buffer.byteLength(input) : Buffer.byteLength(JSON.stringify(input) ?? "");
    if (bytes > maxInputBytes)
      throw new EscapementError("too_large", `the input has ${bytes} bytes, at most ${maxInputBytes} are taken`, {
        details: { path: "input" },
      });
    const parsed = (options.input ?? defaultInput).safeParse(input);
    if (parsed.success) return;
    const path = ["input", ...(parsed.error.issues[0]?.path ?? [])].join(".");
    throw new EscapementError("invalid_request", `agent "${spec.name}" takes another input: ${path} ${firstRequirement(parsed.error)}`, {
      details: { path },
    });
  }

  /** The author's own schema for the definition that a run is pinned to; for an older one, what was stored of it. */
  private answerSchema(spec: AgentSpec): z.ZodType | undefined {
    const code = this.code.get(definitionOf(spec));
    if (code) return code.output;
    return spec.outputSchema === undefined ? undefined : z.fromJSONSchema(spec.outputSchema as Parameters<typeof z.fromJSONSchema>[0]);
  }

  /** Validators are code: an older definition has those of its names that are still there. */
  private validators(spec: AgentSpec): readonly Validator[] {
    if (!spec.validators) return [];
    const known = (this.code.get(definitionOf(spec)) ?? this.agentsByName.get(spec.name)?.options)?.validators ?? [];
    return spec.validators.map(
      (name) => known.find((validator) => validator.name === name) ?? { name, check: () => `the check "${name}" is not in this process` },
    );
  }

  private idempotency(key: string | undefined, route: string, body: Json, caller: Caller): Idempotency | undefined {
    if (key === undefined) return undefined;
    return {
      scope: scopeOf(caller, route),
      key,
      bodyHash: digest("sha1", JSON.stringify(body), "base64url"),
      expiresAt: this.scheduler.now() + idempotencyMs,
    };
  }

  /** A limiter that lets everything pass is as none, so until one start that may not pass was refused, none is taken. */
  private async testLimiter(): Promise<void> {
    if (!this.rates || (await this.rates.refuses())) {
      this.limiterUntested = false;
      return;
    }
    this.cancelLimiterTest = this.scheduler.after(limiterTestMs, () => void this.testLimiter());
  }

  private purge(): void {
    this.cancelPurge = this.scheduler.after(purgeEveryMs, () => {
      const now = this.scheduler.now();
      this.deleteOld(now - keepMs, now)
        .catch((error) => this.onError?.(`old runs could not be deleted: ${error}`))
        .then(() => this.reconcile(now - 2 * purgeEveryMs))
        .catch((error) => this.onError?.(`holds could not be compared: ${error}`))
        .finally(() => this.purge());
    });
  }

  /** Runs that ended before `before`, and the meters of windows that did. */
  private async deleteOld(before: number, now: number): Promise<void> {
    await this.store.purge(before, now);
    const over = (await this.store.meters()).filter(({ key, heldNano }) => heldNano === 0 && isOver(key, before));
    if (over.length > 0) await this.store.purgeMeters(over.map(({ key }) => key));
  }
}

/** Who may repeat a command under its key: the user, or where none is named, the API key. As JSON, so that no two are written alike. */
const scopeOf = ({ tenant, user, key }: Caller, route: string): string =>
  JSON.stringify(user === undefined ? [tenant, null, key ?? null, route] : [tenant, user, route]);

const whyUnstored = (error: EscapementError | null): "storage_full" | "store" =>
  error?.body.details?.reason === "storage_full" ? "storage_full" : "store";

function nameOf(input: Input): string {
  if (input.type === "outcome") return `outcome of ${input.ordinal}${input.ok ? "" : " (error)"}`;
  if (input.type === "progress" || input.type === "data") return `${input.type} of ${input.ordinal}`;
  return input.type === "message" ? input.kind : input.type;
}

/** The mark only ever goes up: a client, the agent or one of its rules sets it, and nobody takes it away. */
const isMarked = ({ sensitive }: StartBody, spec: AgentSpec, input: Json): boolean =>
  sensitive === true || spec.sensitive === true || isSensitive(spec.route?.rules ?? [], () => textOf(input));

/** What does not answer the question would only have it asked again. */
function checkAnswer({ id, kind }: { readonly id: string; readonly kind: string }, answer: AnswerBody): void {
  const refused = (path: string, way: string): EscapementError =>
    new EscapementError("invalid_request", `"${id}" asks ${way}`, { details: { path } });
  const isNo = "approve" in answer && !answer.approve;
  if (kind === "budget" && !("amount_microusd" in answer) && !isNo)
    throw refused("amount_microusd", 'for money: say "amount_microusd", so much more in micro-dollars, or "approve": false');
  if (["approval", "confirm"].includes(kind) && !("approve" in answer)) throw refused("approve", 'for a yes or a no: say "approve"');
}

/** A limit that is no positive number would be no limit. */
function checkLimits(limits: NonNullable<StartBody["limits"]>): void {
  const parsed = limitsSchema.safeParse(limits);
  if (parsed.success) return;
  const path = ["limits", ...(parsed.error.issues[0]?.path ?? [])].join(".");
  throw new EscapementError("invalid_request", `${path} ${firstRequirement(parsed.error)}`, { details: { path } });
}

/** A failed check has at least one issue. */
const firstRequirement = (error: z.ZodError): string => requirement(error.issues[0] as z.core.$ZodIssue);

/** What the caller may ask for, cut to what the agent allows. */
function cut(limits: Limits, wanted: StartBody["limits"]): Limits {
  if (!wanted) return limits;
  const result: Record<string, number> = { ...limits };
  for (const [name, value] of Object.entries(wanted)) if (value !== undefined) result[name] = Math.min(value, result[name] ?? value);
  return result as Limits;
}

/** The user is the token's; a key with the scope `users` names its end user. */
function userOf(body: StartBody, caller: Caller): { user?: string } {
  if (body.user === undefined) return caller.user === undefined ? {} : { user: caller.user };
  if (!caller.scopes.includes("users") && caller !== local)
    throw new EscapementError("forbidden", "naming a user needs the scope `users`", { details: { path: "user" } });
  return { user: body.user };
}

function position(cursor: string): number {
  if (!/^\d{1,15}$/.test(cursor))
    throw new EscapementError("invalid_request", `"${cursor.slice(0, 80)}" is no position; send what \`next\` said`, {
      details: { path: "cursor" },
    });
  return Number(cursor);
}

const notFound = (run: string): EscapementError => new EscapementError("not_found", `there is no run "${run.slice(0, 100)}"`);
const mismatch = (run: string): EscapementError =>
  new EscapementError("idempotency_mismatch", "this Idempotency-Key was used with another body; use a new key", { run });

/** User code must not be able to break a run by throwing. */
function tell(inspect: (run: string, event: InspectionEvent) => void, run: string, events: readonly InspectionEvent[]): void {
  for (const event of events) {
    try {
      inspect(run, event);
    } catch {
      return;
    }
  }
}

/** A reader that opens at its first read, so that `events()` need not be awaited. */
function lazyReader(open: () => Promise<EventReader>, after = "0"): EventReader {
  let opening: Promise<EventReader> | undefined;
  let reader: EventReader | undefined;
  let closed = false;
  const opened = async (): Promise<EventReader> => {
    opening ??= open();
    reader = await opening;
    if (closed) reader.close();
    return reader;
  };
  return {
    read: async () => (closed ? null : (await opened()).read()),
    cursor: () => reader?.cursor() ?? after,
    close() {
      closed = true;
      reader?.close();
    },
    [Symbol.asyncIterator]() {
      return eachEvent(this);
    },
  };
}

/** States, transitions, guards and invoked machines, nested, as plain data. Each machine is described once and else only named: they hold each other. */
function describeMachine(machine: AnyStateMachine, described = new Set<object>()): unknown {
  const { id, version, config } = machine;
  if (described.has(config)) return { id, version };
  described.add(config);
  const actors = machine.implementations.actors as Record<string, unknown>;
  const invoked = Object.fromEntries(
    Object.entries(actors).flatMap(([name, logic]) =>
      typeof logic === "object" && logic !== null && "root" in logic ? [[name, describeMachine(logic as AnyStateMachine, described)]] : [],
    ),
  );
  return { id, version, definition: JSON.parse(JSON.stringify(machine.definition)), machines: invoked };
}
