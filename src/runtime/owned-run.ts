/**
 * One run that this process owns: takes inputs, turns them, has each turn committed, and releases what it allows.
 *
 *  1. Machines may be ahead of the disk; the world may not: facts are published and work is started only by `committed`.
 *     (A stop is the exception: it interrupts at once, since interrupting is always safe.)
 *  2. At most `maxAhead` turns are uncommitted, and none after one that asks for money: whether a call was granted is known
 *     before anything can stop it.
 *  3. An outcome of work that an earlier turn stopped is no input: its cost was settled by that stop.
 *  4. Once dropped (fenced, lease over, quarantined) it does nothing any more.
 */
import type { InspectionEvent } from "xstate";
import type { CallOutput, WorkError } from "../../machines/work.ts";
import type { Channel, OpenCall } from "../channels/channel.ts";
import type { CommittedTurn, EndedWork } from "../observe/observer.ts";
import { advised } from "../protocol/advice.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Fact } from "../protocol/events.ts";
import { askId, callId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import type { RunStatus, Waiting } from "../protocol/run.ts";
import type { Redaction } from "../safety/redaction.ts";
import {
  type AskEntry,
  type CallRow,
  type Close,
  type EntryResult,
  type Grant,
  grantFacts,
  type InboxMessage,
  type OpenAsk,
  type RunInfo,
  type RunProgress,
  type RunRecord,
  type TurnEntry,
} from "../stores/store.ts";
import type { AgentSpec } from "./agent.ts";
import { callRows } from "./call-row.ts";
import { askerOf, endedFact, factOf, groupOf, type NewFact, refusedFact, servedFact, startedFact, stoppedFact, usageOf } from "./facts.ts";
import type { Interpreter, Outcome, Performing } from "./interpreter.ts";
import type { Journal, Written } from "./journal.ts";
import { partOf } from "./parts.ts";
import type { ProcessHold } from "./process-hold.ts";
import type { Reserving } from "./reserve.ts";
import type { Account, Ask, AskOf, Input, LiveRun, OutcomeInput, Turn } from "./run.ts";
import type { Scheduler } from "./scheduler.ts";

const maxAhead = 8;
/** Work ends itself at the run's deadline; what has not by then is ended from here. */
const overdueMs = 1_000;

export type OwnedRunDeps = {
  readonly journal: Journal;
  readonly channel: Channel;
  readonly interpreter: Interpreter;
  readonly scheduler: Scheduler;
  /** Of this process: a sleep holds it, a question to a person does not. */
  readonly hold: ProcessHold;
  /** What a call may cost at most. */
  readonly reserving: Reserving;
  /** False when the lease is over or the process is ending: then nothing may start. */
  readonly mayBegin: () => boolean;
  /** The run is no longer ours; `wakes` names a run that can go on now. */
  readonly onGone: (run: OwnedRun, why: "ended" | "fenced" | "broken" | "parked", wakes?: string) => void;
  /** What an operator should know: a defect, or a call that cost more than was reserved for it. */
  readonly onError: (message: string, run: string) => void;
  /** Everything that it can do now is done and committed. */
  readonly onIdle: (run: OwnedRun) => void;
  readonly inspect?: ((run: string, events: readonly InspectionEvent[]) => void) | undefined;
  /** Told of each turn that is committed; must not throw. */
  readonly observe?: ((turn: CommittedTurn) => void) | undefined;
  /** Errors pass through it before they are stored or told: providers and tools repeat what they were given. */
  readonly redaction: Redaction;
};

/** What is known of a run when it is taken up. */
export type OwnedRecord = Pick<RunRecord, "id" | "info" | "epoch" | "progress" | "spentNano" | "limitNano" | "status">;

/** A turn on its way to the disk. */
type Pending = {
  readonly turn: Turn;
  readonly entry: TurnEntry;
  readonly facts: readonly NewFact[];
  readonly asks: readonly Ask[];
  readonly inspected: readonly InspectionEvent[];
  readonly observed: Pick<CommittedTurn, "ended" | "spentNano" | "limitNano"> | undefined;
};

/** What the owner knows of a piece of open work. One object for all of it: a run in flight is held in memory by the thousand. */
class Open {
  /** It is performed, or was until it was interrupted ({@link hushed}). */
  performing: Performing | undefined;
  /** A call interrupted for a cancel that is on its way to the store. */
  hushed = false;
  /** A call that an earlier owner had begun. */
  lost: OpenAsk | undefined;
  /** A call to a further tier, after the one before had failed. Not known of a call that an earlier owner had begun. */
  fellBack = false;
  /** Refused by the ledger: it was never started, so it has no end to tell of. */
  denied = false;
  /** Cancels the timer of a wait. */
  cancelTimer: (() => void) | undefined;
  /** When a wait ends, in ms since the epoch. */
  due: number | undefined;
  /** A call's text so far. */
  call: OpenCall | undefined;

  get isPerformed(): boolean {
    return this.performing !== undefined && !this.hushed;
  }
}

export class OwnedRun {
  readonly id: string;
  readonly info: RunInfo;
  readonly spec: AgentSpec;
  readonly epoch: number;
  private readonly live: LiveRun;
  private readonly deps: OwnedRunDeps;
  private readonly inputs: Input[] = [];
  private uncommitted = 0;
  /** Uncommitted turns that ask for money: until the ledger has spoken, nothing is taken. */
  private undecided = 0;
  private gone = false;
  private cancelling = false;
  private lastAt = 0;
  /** Work that was begun, here or by an earlier owner, and whose end is not in the store. */
  private begun: number[] = [];
  /** Work that is open and what is known of it here, by ordinal. */
  private readonly open = new Map<number, Open>();
  private readonly seen = new Set<string>();
  private progress: RunProgress;
  private spentNano: number;
  private limitNano: number;
  private status: RunStatus;
  private inspected: InspectionEvent[] = [];
  /** Calls that the turn in hand settles. */
  private calls: CallRow[] = [];
  /** Work that the turn in hand ends, while somebody observes. */
  private ended: EndedWork[] | undefined;
  private lastAnswer: { ordinal: number; text: string } | null = null;

  constructor(record: OwnedRecord, spec: AgentSpec, make: (observe?: (event: InspectionEvent) => void) => LiveRun, deps: OwnedRunDeps) {
    this.id = record.id;
    this.info = record.info;
    this.epoch = record.epoch;
    this.progress = record.progress;
    this.spentNano = record.spentNano;
    this.limitNano = record.limitNano;
    this.status = record.status;
    this.spec = spec;
    this.deps = deps;
    this.live = make(deps.inspect && ((event) => this.inspected.push(event)));
  }

  get run(): LiveRun {
    return this.live;
  }

  /** Head of the journal once everything taken is written. */
  get head(): number {
    return this.live.n;
  }

  get isIdle(): boolean {
    return !this.gone && this.uncommitted === 0 && this.inputs.length === 0 && !this.live.hasEnded;
  }

  get hasInput(): boolean {
    return this.inputs.length > 0;
  }

  /** Waits only for time or people: nothing is being performed. */
  get onlyWaits(): boolean {
    if (this.live.live.size === 0) return false;
    for (const ask of this.live.live.values()) if (ask.kind !== "sleep" && ask.kind !== "ask") return false;
    return true;
  }

  start(history?: Json): void {
    this.push(history === undefined ? { type: "start" } : { type: "start", history });
  }

  /** A message from the inbox; one that was seen already is dropped. */
  message(message: InboxMessage): void {
    if (this.seen.has(message.nonce)) return;
    this.seen.add(message.nonce);
    if (message.kind === "cancel") {
      this.cancelling = true;
      this.push({ type: "message", nonce: message.nonce, kind: "cancel", value: message.value as { reason?: string } });
    } else {
      this.push({ type: "message", nonce: message.nonce, kind: "answer", ordinal: message.ordinal ?? -1, value: message.value });
    }
  }

  /** Kept even when the run is gone: whoever let it go sees that something came ({@link hasInput}). */
  push(input: Input): void {
    this.inputs.push(input);
    this.pump();
  }

  /** Goes on with a recovered run: its messages, and for its open work what was lost, what is done again, what is waited for. */
  resume(open: readonly OpenAsk[], wasBegun: (ordinal: number) => boolean, inbox: readonly InboxMessage[]): void {
    for (const asked of open) {
      if (asked.denied !== undefined) this.of(asked.ordinal).denied = true;
      else if (wasBegun(asked.ordinal)) {
        this.begun.push(asked.ordinal);
        if (asked.kind === "call") this.of(asked.ordinal).lost = asked;
      }
    }
    for (const message of inbox) this.message(message);
    for (const { ordinal, denied, holdNano = 0, maxTokens = 0, holdTokens, due } of open) {
      const ask = this.live.live.get(ordinal);
      if (!ask) continue;
      if (denied !== undefined) this.inputs.push(this.denial(ordinal, denied));
      else if (!wasBegun(ordinal)) this.begin(ask, { ordinal, granted: true, holdNano, maxTokens }, due);
      else if (ask.kind === "call") this.inputs.push(lostCall(ordinal, holdNano, maxTokens, holdTokens));
      else if (ask.kind === "tool" && ask.class === "once") this.inputs.push(unknownTool(ordinal));
      else this.begin(ask, { ordinal, granted: true, holdNano, maxTokens }, due);
    }
    this.pump();
    this.rest();
  }

  /** Calls of an earlier owner whose loss is not settled yet. */
  get hasLost(): boolean {
    for (const { lost } of this.open.values()) if (lost) return true;
    return false;
  }

  /** Of what may be open in the store, all that was begun. */
  get begunWork(): readonly number[] {
    return this.begun;
  }

  get isPerforming(): boolean {
    for (const { isPerformed } of this.open.values()) if (isPerformed) return true;
    return false;
  }

  /** When the first wait ends, in ms since the epoch; infinity where nothing is waited for. */
  get soonestDue(): number {
    let soonest = Number.POSITIVE_INFINITY;
    for (const { due } of this.open.values()) if (due !== undefined && due < soonest) soonest = due;
    return soonest;
  }

  /**
   * A cancel is on its way to the store: its calls are interrupted now (interrupting is always safe), so that closing a socket waits for no
   * disk. The turn that takes the cancel settles them; when it could not be stored, {@link unhush} does.
   */
  hush(): void {
    for (const open of this.open.values()) {
      if (!open.call || !open.isPerformed) continue;
      open.hushed = true;
      open.performing?.stop();
    }
  }

  /** There is no cancel after all: its interrupted calls are lost. */
  unhush(): void {
    for (const [ordinal, open] of [...this.open])
      if (open.hushed) {
        const { performing } = open;
        open.hushed = false;
        open.performing = undefined;
        this.push(interruptedCall(ordinal, "a cancel that could not be stored", performing?.account()));
      }
  }

  /**
   * The process is ending: what is being performed is stopped, and that is how it ended. Work that may be done again is left open.
   * A call is lost, as in a crash, but charged for what was streamed.
   */
  interrupt(): void {
    this.unhush();
    for (const { ask, account } of this.stopPerforming()) {
      if (ask.kind === "call") this.push(interruptedCall(ask.ordinal, "the end of the process", account));
      else if (ask.kind === "tool" && ask.class === "once") this.push(unknownTool(ask.ordinal));
    }
  }

  /** Stops what is still being performed although the run's deadline is over: a provider or tool that keeps no time. */
  stopOverdue(): void {
    if (this.deps.scheduler.now() < this.deadline + overdueMs) return;
    for (const { ask, open, account } of this.stopPerforming()) {
      const { ordinal } = ask;
      if (ask.kind === "call")
        this.push(failure(ordinal, { ...deadlineOver, call: callId(ordinal), shown: open.call?.text.length ?? 0 }, account));
      else if (ask.kind === "tool" && ask.class === "once") this.push(unknownTool(ordinal, "the tool did not end with the run's deadline"));
      else this.push(failure(ordinal, deadlineOver, account));
    }
  }

  /** Stops everything that is being performed, before any of it is settled. */
  private stopPerforming(): { ask: Ask; open: Open; account: Account | undefined }[] {
    const stopped: { ask: Ask; open: Open; account: Account | undefined }[] = [];
    for (const [ordinal, open] of this.open) {
      const ask = this.live.live.get(ordinal);
      const { performing } = open;
      if (!ask || !performing || open.hushed) continue;
      open.performing = undefined;
      performing.stop();
      stopped.push({ ask, open, account: performing.account() });
    }
    return stopped;
  }

  /** Milliseconds since the epoch. */
  private get deadline(): number {
    return this.info.createdAt + this.info.limits.deadline_ms;
  }

  /** No longer ours: interrupts everything and forgets. Nothing is settled; the next owner does that. */
  drop(): void {
    if (this.gone) return;
    this.gone = true;
    for (const { performing, cancelTimer } of this.open.values()) {
      performing?.stop();
      cancelTimer?.();
    }
    this.open.clear();
    this.deps.channel.release(this.id);
  }

  /** Leaves memory when nothing came in between. */
  park(): void {
    this.uncommitted++;
    this.deps.journal.submit({ type: "park", run: this.id, epoch: this.epoch, head: this.head }, (result) => {
      this.uncommitted--;
      if (this.gone) return;
      if (result.type === "fenced" || (result.type === "parked" && result.parked)) {
        this.drop();
        this.deps.onGone(this, result.type === "fenced" ? "fenced" : "parked");
      } else this.pump();
    });
  }

  // --- taking

  private pump(): void {
    while (!this.gone && this.inputs.length > 0 && this.uncommitted < maxAhead && this.undecided === 0 && !this.live.hasEnded) {
      const input = this.inputs.shift() as Input;
      if ((input.type === "outcome" || input.type === "progress" || input.type === "data") && !this.live.live.has(input.ordinal)) continue;
      try {
        this.take(input);
      } catch (error) {
        // The machine is ahead of what was submitted: only a replay can be trusted.
        this.drop();
        this.deps.onGone(this, "broken");
        this.deps.onError(`a turn failed: ${error instanceof Error ? error.message : error}`, this.id);
      }
    }
  }

  private take(input: Input): void {
    const { scheduler } = this.deps;
    const now = scheduler.now();
    const at = Math.max(this.lastAt, now - this.info.createdAt);
    this.lastAt = at;
    const iso = new Date(this.info.createdAt + at).toISOString();
    const facts: NewFact[] = [];
    const closes: Close[] = [];
    this.calls = [];
    if (this.deps.observe) this.ended = [];

    if (input.type === "start") {
      facts.push({ type: "run.started", at: iso, actor: "run" });
      this.progress = { ...this.progress, startedAt: now };
    }
    const spentBefore = this.spentNano;
    const settled =
      input.type === "outcome" || (input.type === "message" && input.kind === "answer") ? this.live.live.get(input.ordinal) : undefined;
    if (settled) this.settle(settled, input as Exclude<Input, { type: "start" }>, iso, facts, closes);
    if (input.type === "progress" || input.type === "data") {
      const { ordinal, type, ...said } = input;
      const ask = this.live.live.get(ordinal);
      if (ask) facts.push({ type, at: iso, actor: ask.path, ...said });
    }

    const turn = this.live.turn(input, at);
    for (const fact of turn.facts) {
      facts.push(this.completed(fact as NewFact, iso));
      // Void for whoever saw it, so no output either.
      if (fact.type === "request.fell_back")
        for (const ask of turn.asks) if (ask.kind === "call" && askerOf(ask) === fact.actor) this.of(ask.ordinal).fellBack = true;
      if (fact.type === "retract" && this.lastAnswer && fact.call === callId(this.lastAnswer.ordinal)) this.lastAnswer = null;
    }
    for (const { ask, error } of turn.refused) {
      const fact = refusedFact(ask, this.specOf(ask), iso, error);
      if (fact) facts.push(fact);
    }
    for (const ask of turn.stops) this.stop(ask, iso, facts, closes);
    const raised = settled?.kind === "ask" ? raise(settled, input) : {};
    // As the ledger raises it.
    this.limitNano = Math.min(this.limitNano + (raised.raiseNano ?? 0), Number.MAX_SAFE_INTEGER);
    // A call cost more than its hold. The ledger grants nothing more.
    if (spentBefore <= this.limitNano && this.spentNano > this.limitNano) facts.push(this.overspent(iso));
    if (turn.end) facts.push(this.finish(turn, iso));
    for (const fact of facts) if (fact.error) Object.assign(fact, { error: this.deps.redaction.error(fact.error as ErrorBody) });
    const waits = this.waitingFor();
    this.status = turn.end ? turn.end.status : waits.length > 0 && this.onlyWaits ? "waiting" : "running";
    this.progress = {
      ...this.progress,
      steps: turn.meters.steps,
      calls: turn.meters.calls,
      toolCalls: turn.meters.tool_calls,
      ...(turn.isTainted && { tainted: true }),
      ...(waits.length > 0 ? { waitingFor: waits } : dropWaiting),
    };

    const entry: TurnEntry = {
      type: "turn",
      run: this.id,
      epoch: this.epoch,
      n: turn.n,
      at,
      body: JSON.stringify({
        input,
        ...(turn.asks.length > 0 && {
          asks: turn.asks.map(({ ordinal, path, kind, class: kindOf, hash }) => [ordinal, path, kind, kindOf, hash]),
        }),
        ...(turn.stops.length > 0 && { stops: turn.stops.map(({ ordinal }) => ordinal) }),
        ...(turn.verdicts.length > 0 && { verdicts: turn.verdicts }),
      }),
      hash: turn.hash,
      facts: facts.map((fact) => JSON.stringify(fact)),
      asks: turn.asks.map((ask) => this.askEntry(ask, now, iso)),
      closes,
      ...(this.calls.length > 0 && { calls: this.calls }),
      ...(input.type === "message" && { consumes: input.nonce }),
      ...raised,
      status: this.status,
      progress: this.progress,
    };
    this.uncommitted++;
    if (entry.asks.some((ask) => ask.reserve)) this.undecided++;
    const pending: Pending = { turn, entry, facts, asks: turn.asks, inspected: this.inspected, observed: this.observed() };
    this.inspected = [];
    this.deps.journal.submit(entry, (result) => this.committed(pending, result));
  }

  /** The ledger's and the readers' side of an outcome. */
  private settle(ask: Ask, input: Exclude<Input, { type: "start" }>, iso: string, facts: NewFact[], closes: Close[]): void {
    const outcome = input.type === "outcome" ? input : undefined;
    const account = outcome?.account;
    closes.push(closed(ask.ordinal, account));
    this.add(account);
    const text = this.open.get(ask.ordinal)?.call?.text;
    const ok = outcome ? outcome.ok : true;
    const value = outcome ? outcome.value : (input as { value: Json }).value;
    const fact = endedFact(ask, this.specOf(ask), iso, { ok, value, account, text });
    if (fact) facts.push(fact);
    if (ok && ask.kind === "call") {
      const { notes = [] } = value as unknown as CallOutput;
      for (const note of notes)
        facts.push({ type: "data", at: iso, actor: askerOf(ask), name: "validation", data: { call: callId(ask.ordinal), ...note } });
      const served = account && servedFact(ask, this.specOf(ask), iso, account.model);
      if (served) facts.push(served);
    }
    if (fact) this.count(ask, fact, account);
    this.ended?.push({ ask, ok, value, account, text });
    if (fact && ask.kind === "call") this.keepText(ask, typeof fact.text === "string" ? fact.text : "");
    this.forget(ask.ordinal);
  }

  private stop(ask: Ask, iso: string, facts: NewFact[], closes: Close[]): void {
    const open = this.open.get(ask.ordinal);
    if (open?.lost) {
      const { lost } = open;
      // Another process had begun it; what of it was shown is not known here.
      const { value, account } = lostCall(ask.ordinal, lost.holdNano ?? 0, lost.maxTokens ?? 0, lost.holdTokens);
      const fact = endedFact(ask, this.specOf(ask), iso, { ok: false, value, account });
      this.ended?.push({ ask, ok: false, value, account });
      if (fact) facts.push(fact, { type: "retract", at: iso, actor: fact.actor, call: callId(ask.ordinal), reason: "lost" });
      if (fact) this.count(ask, fact, account);
      closes.push(closed(ask.ordinal, account));
      this.add(account);
      this.forget(ask.ordinal);
      return;
    }
    const performing = open?.performing;
    performing?.stop();
    // It may have ended already, with its outcome still in the queue: that says what it cost.
    const ended = this.inputs.find((input) => input.type === "outcome" && input.ordinal === ask.ordinal) as OutcomeInput | undefined;
    const account = ended ? ended.account : performing?.account();
    const text = open?.call?.text ?? "";
    closes.push(closed(ask.ordinal, account));
    this.add(account);
    const fact = open?.denied ? null : stoppedFact(ask, this.specOf(ask), iso, account, text);
    if (fact) facts.push(fact);
    if (fact) this.count(ask, fact, account);
    if (!open?.denied) this.ended?.push({ ask, ok: false, account, text, stopped: true });
    if (ask.kind === "call") this.keepText(ask, text);
    this.forget(ask.ordinal);
  }

  private count(ask: Ask, fact: NewFact, account: Account | undefined): void {
    if (ask.kind !== "call") return;
    const fellBack = this.open.get(ask.ordinal)?.fellBack ?? false;
    this.calls.push(...callRows(ask, this.specOf(ask), fact, account, this.info.createdAt + this.lastAt, fellBack));
  }

  private keepText(ask: AskOf<"call">, text: string): void {
    if (ask.input.for === "answer" && text !== "") this.lastAnswer = { ordinal: ask.ordinal, text: (ask.input.continues ?? "") + text };
  }

  private specOf(ask: Ask): AgentSpec {
    return partOf(this.spec, ask.input);
  }

  private of(ordinal: number): Open {
    let open = this.open.get(ordinal);
    if (!open) {
      open = new Open();
      this.open.set(ordinal, open);
    }
    return open;
  }

  private forget(ordinal: number): void {
    this.open.get(ordinal)?.cancelTimer?.();
    this.open.delete(ordinal);
  }

  private add(account: Account | undefined): void {
    if (!account) return;
    const { inputTokens, cachedTokens, outputTokens, estimated } = this.progress;
    this.spentNano += account.costNano;
    this.progress = {
      ...this.progress,
      inputTokens: inputTokens + account.inputTokens,
      cachedTokens: cachedTokens + account.cachedTokens,
      outputTokens: outputTokens + account.outputTokens,
      estimated: estimated || account.estimated,
    };
  }

  /** What only the runtime knows of a fact that a machine emitted. */
  private completed(fact: NewFact, at: string): NewFact {
    return Object.assign(fact, { at }, fact.type === "tool.refused" && { group: groupOf(this.spec, String(fact.tool)) });
  }

  private finish(turn: Turn, iso: string): NewFact {
    const end = turn.end as NonNullable<Turn["end"]>;
    const error = end.error && advised(end.error);
    // A cancelled run gives what there was: the text of the last answer call. The words of a refusal are its error, never an output.
    const output = end.status === "refused" ? null : (end.output ?? (end.status === "done" ? null : (this.lastAnswer?.text ?? null)));
    this.progress = {
      ...this.progress,
      finishedAt: this.info.createdAt + turn.at,
      output,
      ...(error && { error: this.deps.redaction.error(error) }),
      ...(end.tier !== undefined && { tier: end.tier }),
      ...(end.cached && { cached: true }),
      ...(end.history && { history: end.history as unknown as Json }),
    };
    return {
      type: "run.finished",
      at: iso,
      actor: "run",
      status: end.status,
      output,
      ...(error && { error }),
      usage: usageOf(this.progress),
      cost_microusd: this.spentNano / 1_000,
      ...(end.tier !== undefined && { tier: end.tier }),
      steps: turn.meters.steps,
      calls: turn.meters.calls,
    };
  }

  private overspent(at: string): NewFact {
    const [value, limit] = [this.spentNano / 1_000, this.limitNano / 1_000];
    return { type: "limit.hit", at, actor: "run", which: "budget.run", value, limit };
  }

  private waitingFor(): Waiting[] {
    const waits: Waiting[] = [];
    for (const { kind, ordinal, input } of this.live.live.values())
      if (kind === "ask") waits.push({ id: askId(ordinal), kind: input.kind, message: input.message });
    return waits;
  }

  private askEntry(ask: Ask, now: number, iso: string): AskEntry {
    const due = this.dueOf(ask, now);
    if (due !== undefined) this.of(ask.ordinal).due = due;
    const started = startedFact(ask, this.specOf(ask), iso, due);
    const reserve = ask.kind === "call" ? this.deps.reserving(ask, this.specOf(ask), this.info) : undefined;
    return {
      ordinal: ask.ordinal,
      kind: ask.kind,
      hash: ask.hash,
      ...(reserve && { reserve }),
      ...(due !== undefined && { due }),
      ...(started && { started: { json: JSON.stringify(started), hold: ask.kind === "call" } }),
    };
  }

  /** Waits end in time: a sleep with its jitter (upward, a quarter at most), a question with its expiry, both with the run's deadline. */
  private dueOf(ask: Ask, now: number): number | undefined {
    if (ask.kind === "ask") return Math.min(this.deadline, now + ask.input.expiresMs);
    if (ask.kind !== "sleep") return undefined;
    const { ms, jitter } = ask.input;
    return Math.min(this.deadline, Math.round(now + ms * (jitter ? 1 + this.deps.scheduler.random() / 4 : 1)));
  }

  private observed(): Pending["observed"] {
    const { ended } = this;
    this.ended = undefined;
    return ended && { ended, spentNano: this.spentNano, limitNano: this.limitNano };
  }

  // --- releasing

  private committed(pending: Pending, result: Written): void {
    this.uncommitted--;
    if (pending.entry.asks.some((ask) => ask.reserve)) this.undecided--;
    if (this.gone) return;
    if (result.type !== "written") {
      this.drop();
      this.deps.onGone(this, result.type === "fenced" ? "fenced" : "broken");
      if (result.type === "broken") this.deps.onError(`a turn could not be written: ${result.message}`, this.id);
      return;
    }
    for (const { ordinal } of pending.entry.closes) {
      const at = this.begun.indexOf(ordinal);
      if (at >= 0) this.begun.splice(at, 1);
    }
    this.release(pending, result);
    if (this.deps.inspect && pending.inspected.length > 0) this.deps.inspect(this.id, pending.inspected);
    if (pending.turn.end) {
      this.drop();
      this.deps.onGone(this, "ended", result.wakes);
      return;
    }
    this.pump();
    this.rest();
  }

  private release({ entry, facts, asks, observed }: Pending, { firstSeq, grants }: EntryResult & { type: "written" }): void {
    const iso = new Date(this.info.createdAt + entry.at).toISOString();
    const published: Fact[] = [];
    let seq = firstSeq;
    // The facts of the turn are ours and complete: they become events as they are.
    for (const fact of facts) published.push(Object.assign(fact, { run: this.id, seq: seq++ }) as unknown as Fact);
    for (const json of grantFacts(entry.asks, grants, iso)) published.push(factOf(this.id, seq++, json));
    this.deps.channel.publish(this.id, published);
    for (let i = 0; i < asks.length; i++) {
      const ask = asks[i] as Ask;
      const grant = grants[i] as Grant;
      if (!this.live.live.has(ask.ordinal)) continue;
      if (!grant.granted) {
        this.of(ask.ordinal).denied = true;
        this.inputs.push(this.denial(ask.ordinal, grant.level));
      } else if (!this.cancelling) this.begin(ask, grant, (entry.asks[i] as AskEntry).due);
    }
    if (!observed) return;
    const { id: run, info, spec } = this;
    this.deps.observe?.({
      run,
      info,
      spec,
      owner: this,
      n: entry.n,
      facts: published,
      asks,
      grants,
      progress: entry.progress,
      ...observed,
    });
  }

  /** Starts granted work: performs it, or waits for its time. */
  private begin(ask: Ask, grant: Grant & { granted: true }, due: number | undefined): void {
    if (!this.deps.mayBegin()) return;
    if (ask.kind === "sleep" || ask.kind === "ask") {
      if (due === undefined) return;
      const { scheduler, hold } = this.deps;
      const waiting = this.of(ask.ordinal);
      waiting.due = due;
      waiting.cancelTimer = (ask.kind === "sleep" ? hold : scheduler).after(due - scheduler.now(), () => {
        waiting.cancelTimer = undefined;
        this.push(this.timeUp(ask, due));
      });
      return;
    }
    const { ordinal } = ask;
    const open = this.of(ordinal);
    if (ask.kind === "call") {
      const actor = ask.path.slice(0, ask.path.lastIndexOf("/"));
      open.call = { call: callId(ordinal), for: ask.input.for, actor, text: "", reasoning: "" };
      this.deps.channel.openCall(this.id, open.call);
    }
    this.begun.push(ordinal);
    open.performing = this.deps.interpreter.perform(
      {
        run: this.id,
        ask,
        spec: this.specOf(ask),
        sensitive: this.info.sensitive === true || this.spec.sensitive === true || this.specOf(ask).sensitive === true,
        who: this.info,
        maxTokens: grant.maxTokens,
        holdNano: grant.holdNano,
        remainingMs: this.deadline - this.deps.scheduler.now(),
      },
      {
        done: (outcome) => {
          if (this.gone || !open.isPerformed) return;
          open.performing = undefined;
          this.checkHold(ordinal, grant.holdNano, outcome.account);
          this.push({ type: "outcome", ordinal, ...this.told(outcome) });
        },
        text: (text) => {
          if (!open.call) return;
          open.call.text += text;
          this.deps.channel.nudge(this.id);
        },
        reasoning: (text) => {
          if (!open.call) return;
          open.call.reasoning += text;
          this.deps.channel.nudge(this.id);
        },
        partial: (value) => {
          if (!open.call) return;
          open.call.partial = { value, version: (open.call.partial?.version ?? 0) + 1 };
          this.deps.channel.nudge(this.id);
        },
        progress: (message, done, total) =>
          this.push({
            type: "progress",
            ordinal,
            message: String(message),
            ...(done !== undefined && { done: Number(done) }),
            ...(total !== undefined && { total: Number(total) }),
          }),
        data: (name, data) => this.push({ type: "data", ordinal, name: String(name), data }),
      },
    );
  }

  /** An error, before it becomes an input: what it repeats of secrets and personal data is stored nowhere. */
  private told(outcome: Outcome): Outcome {
    if (outcome.ok) return outcome;
    // An outcome that is not ok holds a WorkError by construction of whoever made it: an error and what it says of a call.
    return { ...outcome, value: this.deps.redaction.error(outcome.value as unknown as ErrorBody) as unknown as Json };
  }

  /** Its hold is a call's worst case: more is told, since either the count of its input or the provider is wrong. */
  private checkHold(ordinal: number, holdNano: number, account: Account | undefined): void {
    if (!account || account.costNano <= holdNano) return;
    const { costNano, inputTokens, outputTokens, model } = account;
    this.deps.onError(
      `the call ${callId(ordinal)} of ${model} cost ${costNano / 1_000} micro-dollars (${inputTokens} tokens in, ${outputTokens} out), and ${holdNano / 1_000} were reserved for it`,
      this.id,
    );
  }

  /** A run's own budget is its starter's to know; how those above it stand is not told to whoever has started a run. */
  private denial(ordinal: number, level: string): OutcomeInput {
    const [used, limit] = [this.spentNano / 1_000, this.limitNano / 1_000];
    const own = `the run budget of ${limit} micro-dollars, of which ${used} are spent, does not allow this call`;
    return failure(ordinal, {
      code: "budget_exceeded",
      message: level === "run" ? own : `the ${level} budget does not allow this call`,
      retryable: false,
      denied: true,
      call: callId(ordinal),
      shown: 0,
      details: { level, ...(level === "run" && { unit: "microusd", limit, used }) },
    });
  }

  private timeUp(ask: Ask, due: number): OutcomeInput {
    const { ordinal } = ask;
    if (due >= this.deadline) return failure(ordinal, deadlineOver);
    if (ask.kind === "sleep") return { type: "outcome", ordinal, ok: true, value: { ms: ask.input.ms } };
    return failure(ordinal, { code: "timeout", message: "nobody answered in time", retryable: false });
  }

  private rest(): void {
    if (this.isIdle) this.deps.onIdle(this);
  }
}

const closed = (ordinal: number, account: Account | undefined): Close =>
  account ? { ordinal, costNano: account.costNano, tokens: account.inputTokens + account.outputTokens } : { ordinal, costNano: 0 };

const dropWaiting = { waitingFor: undefined } as unknown as { waitingFor?: never };

const failure = (ordinal: number, error: WorkError, account?: Account): OutcomeInput => ({
  type: "outcome",
  ordinal,
  ok: false,
  value: error,
  ...(account && { account }),
});

/** Ours interrupted it: charged for what was streamed. It takes none of the request's retries, which are for providers. */
const interruptedCall = (ordinal: number, by: string, account?: Account): OutcomeInput =>
  failure(ordinal, { code: "lost", message: `the call was interrupted by ${by}`, retryable: true, call: callId(ordinal) }, account);

/** The process died, or lost the run, during the call: whether it was answered is not known, so its whole hold is charged and marked. */
const lostCall = (ordinal: number, holdNano: number, maxTokens: number, holdTokens = maxTokens): OutcomeInput =>
  failure(
    ordinal,
    {
      code: "lost",
      message: "the process died during this call, or lost the store for so long that it had to give it up",
      retryable: true,
      call: callId(ordinal),
    },
    {
      costNano: holdNano,
      inputTokens: holdTokens - maxTokens,
      cachedTokens: 0,
      outputTokens: maxTokens,
      estimated: true,
      model: "",
      durationMs: 0,
    },
  );

const unknownTool = (ordinal: number, why = "the process died while the tool ran"): OutcomeInput =>
  failure(ordinal, { code: "tool_unknown", message: `${why}; whether it took effect is not known`, retryable: false });

const deadlineOver: WorkError = {
  code: "limit_hit",
  message: "the run's deadline is over",
  retryable: false,
  details: { which: "deadline" },
};

/** A top-up raises the run's own limit. */
function raise(ask: AskOf<"ask">, input: Input): { raiseNano?: number } {
  if (ask.input.kind !== "budget" || input.type !== "message") return {};
  const amount = (input.value as { amount_microusd?: number }).amount_microusd;
  return amount === undefined ? {} : { raiseNano: Math.round(amount * 1_000) };
}
