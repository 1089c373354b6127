/**
 * The runs that live in this process: accepts, claims, recovers, delivers messages, lets go.
 *
 *  1. A run is advanced only by the owner of its current epoch; every commit checks it. Past the lease nothing is started
 *     and everything is dropped: another process may own it.
 *  2. A hint (a wake, a message) may be lost; the sweep finds within a second what it would have said.
 *  3. A run that only waits leaves memory; its timer and its inbox bring it back.
 */
import type { AnyStateMachine, InspectionEvent } from "xstate";
import type { Channel } from "../channels/channel.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Fact } from "../protocol/events.ts";
import type { Message } from "../protocol/messages.ts";
import { hasEnded } from "../protocol/run.ts";
import type { Redaction } from "../safety/redaction.ts";
import { isDamage } from "../stores/damage.ts";
import {
  type AcceptEntry,
  type Idempotency,
  type InboxMessage,
  noProgress,
  type RunInfo,
  type RunRecord,
  type Store,
} from "../stores/store.ts";
import type { AgentSpec } from "./agent.ts";
import type { NewFact } from "./facts.ts";
import { withInput } from "./instructions.ts";
import type { Interpreter } from "./interpreter.ts";
import { Journal, type Written } from "./journal.ts";
import { messagesOf, supervisorInput } from "./machine-input.ts";
import { type OwnedRecord, OwnedRun, type OwnedRunDeps } from "./owned-run.ts";
import type { ProcessHold } from "./process-hold.ts";
import { isGone, newProcessName } from "./process-name.ts";
import { lastTurn } from "./quarantine.ts";
import { Divergence, replay } from "./recovery.ts";
import type { Reserving } from "./reserve.ts";
import { type Appraise, LiveRun } from "./run.ts";
import type { Scheduler } from "./scheduler.ts";

export type HostOptions = {
  readonly store: Store;
  readonly channel: Channel;
  readonly interpreter: Interpreter;
  readonly scheduler: Scheduler;
  readonly hold: ProcessHold;
  readonly reserving: Reserving;
  /** The supervisor over the machine `name@revision`; undefined where this process does not carry it. */
  readonly machineOf: (machine: string) => AnyStateMachine | undefined;
  readonly machines: readonly string[];
  readonly specOf: (hash: string) => Promise<AgentSpec | null>;
  readonly appraise: (spec: AgentSpec, info: RunInfo) => Appraise;
  readonly inspect?: ((run: string, events: readonly InspectionEvent[]) => void) | undefined;
  readonly observe?: OwnedRunDeps["observe"];
  readonly redaction: Redaction;
  readonly onError?: ((message: string, run?: string) => void) | undefined;
  /** The class that writes; a test may give one that breaks a rule on purpose. */
  readonly journal?: new (
    store: Store,
    scheduler: Scheduler,
  ) => Journal;
};

const leaseMs = 10_000;
const heartbeatMs = 3_000;
const sweepMs = 1_000;
/** Runs that one sweep takes over, so that the next one is not long in coming. */
const claimedAtOnce = 256;
/** How long a graceful end waits for the last commits. */
const settleMs = 2_000;
/** A wait shorter than this is waited for in memory. */
const parkAfterMs = 5_000;
/** Runs of a session whose turns are shown to the next one; of an agent that makes long conversations shorter, as many as it can take in. */
const sessionRuns = 20;
const longSessionRuns = 200;
const sessionPage = 100;

export class Host {
  readonly owner = newProcessName();
  readonly journal: Journal;
  private readonly options: HostOptions;
  /** What every owned run gets. */
  private readonly owning: OwnedRunDeps;
  private readonly runs = new Map<string, OwnedRun>();
  private readonly claiming = new Map<string, Promise<void>>();
  /** The lease ended: what the store still has under our name is given up before the next lease begins. */
  private lapsed = false;
  /** Of runs that were dropped as the lease ended: all that was begun and may be open, and the epoch in which they were ours. */
  private readonly dropped = new Map<string, { readonly epoch: number; readonly begun: readonly number[] }>();
  /** Runs that the store says are ours and that are not in memory: a turn could not be written, or (with the record) recovery failed. */
  private readonly strays = new Map<string, RunRecord | null>();
  /** Claims and recoveries under way. */
  private recovering = 0;
  private leaseUntil = 0;
  /** When the lease was last renewed, and whether it could not be since. */
  private renewedAt = 0;
  private unrenewed = false;
  private cancelTimers: (() => void)[] = [];
  /** Ending: what runs goes on, nothing new is begun. */
  private closing = false;
  private closed = false;
  private sweeping = false;
  private dueTimer: { at: number; cancel: () => void } | null = null;

  constructor(options: HostOptions) {
    this.options = options;
    const { channel, interpreter, scheduler, hold, reserving, inspect, observe, redaction } = options;
    // What waits for the store to be written is not left behind.
    this.journal = new (options.journal ?? Journal)(options.store, { ...scheduler, after: hold.after });
    this.owning = {
      journal: this.journal,
      channel,
      interpreter,
      scheduler,
      hold,
      reserving,
      mayBegin: () => !this.closing && this.mayAct(),
      onGone: (gone, why, wakes) => this.gone(gone, why, wakes),
      onError: (message, run) => options.onError?.(message, run),
      onIdle: (idle) => this.rest(idle),
      inspect,
      observe,
      redaction,
    };
  }

  get size(): number {
    return this.runs.size;
  }

  /** For how long the lease could not be renewed; 0 while it can. */
  get unrenewedMs(): number {
    return this.unrenewed ? this.options.scheduler.monotonic() - this.renewedAt : 0;
  }

  owns(run: string): OwnedRun | undefined {
    return this.runs.get(run);
  }

  /** Takes the lease and what was left behind by owners that are gone. Where that fails, nothing of it stays. */
  async open(): Promise<void> {
    try {
      await this.takeUp();
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  private async takeUp(): Promise<void> {
    await this.beat();
    const every = (ms: number, task: () => Promise<void>): void => {
      let cancel = (): void => {};
      // A failure is told when it begins, not each time.
      let failure = "";
      const tell = (error: unknown): void => {
        if (failure !== String(error)) this.options.onError?.(String(error));
        failure = String(error);
      };
      const again = (): void => {
        cancel = this.options.scheduler.after(ms, () => {
          task()
            .then(() => {
              failure = "";
            }, tell)
            .finally(() => !this.closing && !this.closed && again());
        });
      };
      again();
      this.cancelTimers.push(() => cancel());
    };
    every(heartbeatMs, () => this.beat());
    every(sweepMs, () => this.sweep());
    await this.sweep().catch((error) => this.options.onError?.(`what was left behind is taken up later: ${error}`));
  }

  /** Stores a run and, unless its session is busy, starts it; both in one transaction where it can be. */
  accept(run: string, info: RunInfo, spec: AgentSpec, fact: NewFact, idempotency?: Idempotency): Promise<Written> {
    const entry: AcceptEntry = {
      type: "accept",
      run,
      info,
      limitNano: limitNano(info),
      owner: this.owner,
      facts: [JSON.stringify(fact)],
      ...(idempotency && { idempotency }),
    };
    // A run with a session sees the turns before it, which are known only once it is its turn.
    const owned = info.session === undefined ? this.adopt(newRecord(run, info, 1, false), spec, undefined) : undefined;
    return new Promise((resolve) => {
      this.journal.submit(entry, (result) => {
        // Dropped on its way, because the lease had ended: nobody but the store knows that it is ours.
        if (result.type === "accepted" && owned && !this.runs.has(run) && !this.closed) this.strays.set(run, null);
        if (result.type === "accepted") this.options.channel.publish(run, [Object.assign(fact, { run, seq: 1 }) as unknown as Fact]);
        else {
          owned?.drop();
          this.runs.delete(run);
          if (result.type === "broken") this.options.onError?.(`a run could not be stored: ${result.message}`, run);
        }
        if (result.type === "accepted" && !owned) {
          // A queued run is told of by whoever will own it.
          if (result.status === "queued") this.options.channel.release(run);
          else this.begin(run, info, spec, result.epoch).catch((error) => this.options.onError?.(String(error), run));
        }
        resolve(result);
      });
      owned?.start();
    });
  }

  /** A message that is durable: to the run if it lives here, else it is claimed. */
  async deliver(run: string, message: InboxMessage): Promise<void> {
    const owned = this.runs.get(run);
    if (owned) owned.message(message);
    else {
      await this.claim(run);
      this.runs.get(run)?.message(message);
    }
  }

  /** Ends a quarantined run for an operator: its money is settled, its session goes on, its readers hear of it. */
  async endQuarantined(run: string, reason: string | undefined): Promise<void> {
    const { store, scheduler, machines, channel } = this.options;
    const [record] = await store.claim(this.owner, { now: scheduler.now(), limit: 1, machines, run, quarantined: true });
    if (!record) return;
    const { entry, facts } = lastTurn(record, reason, scheduler.now() - record.info.createdAt);
    const result = await new Promise<Written>((resolve) => this.journal.submit(entry, resolve));
    if (result.type !== "written")
      throw new EscapementError("unavailable", `the run could not be ended (${result.type}); try again`, { run });
    channel.publish(
      run,
      facts.map((fact, i) => Object.assign(fact, { run, seq: result.firstSeq + i }) as unknown as Fact),
    );
    channel.release(run);
    if (result.wakes !== undefined) void this.claim(result.wakes);
  }

  /** Takes over one run that may need an owner. */
  async claim(run: string): Promise<void> {
    if (this.closing || this.closed) return;
    const known = this.claiming.get(run);
    if (known) return known;
    const task = this.take({ run, limit: 1 }).finally(() => this.claiming.delete(run));
    this.claiming.set(run, task);
    return task;
  }

  /**
   * Ends gracefully: begins nothing new, lets what is being performed end for at most `graceMs`, interrupts the rest and settles what it
   * cost. The runs go on at the next start, with nothing lost. Where the store does not answer, they are left to the next owner's recovery.
   */
  async close(graceMs = 0): Promise<void> {
    this.closing = true;
    for (const cancel of this.cancelTimers) cancel();
    await this.within(graceMs, () => [...this.runs.values()].every((run) => !run.isPerforming));
    for (const run of [...this.runs.values()]) run.interrupt();
    const settled = await this.within(settleMs, () => this.journal.isIdle && this.recovering === 0);
    // Work that an earlier owner had begun and that is not settled yet must not pass for work that nobody began.
    const begun = this.strays.size > 0 || [...this.runs.values()].some((run) => run.hasLost);
    this.abandon();
    if (settled) await this.options.store.release(this.owner, { begun });
  }

  /** Waits for a condition, but not longer. */
  private async within(ms: number, holds: () => boolean): Promise<boolean> {
    const { scheduler } = this.options;
    const until = scheduler.monotonic() + ms;
    while (!holds()) {
      if (scheduler.monotonic() >= until) return false;
      await new Promise<void>((resolve) => scheduler.after(10, resolve));
    }
    return true;
  }

  private abandon(): void {
    this.closed = true;
    for (const cancel of this.cancelTimers) cancel();
    this.dueTimer?.cancel();
    for (const run of [...this.runs.values()]) run.drop();
    this.runs.clear();
    this.journal.stop();
  }

  // --- private

  private adopt(record: OwnedRecord, spec: AgentSpec, live: LiveRun | undefined, history?: readonly Message[]): OwnedRun {
    const info = marked(record);
    const own = withInput(spec, info.input);
    const make = (observe?: (event: InspectionEvent) => void): LiveRun => live ?? this.liveRun(info, own, history, observe);
    const owned = new OwnedRun({ ...record, info }, own, make, this.owning);
    this.runs.set(record.id, owned);
    return owned;
  }

  /** A run in memory, before its first turn. */
  liveRun(info: RunInfo, spec: AgentSpec, history: readonly Message[] | undefined, observe?: (event: InspectionEvent) => void): LiveRun {
    const machine = this.options.machineOf(info.machine);
    if (!machine) throw new EscapementError("internal", `this process does not carry the machine ${info.machine}`);
    return new LiveRun(machine, supervisorInput(spec, info, history), this.options.appraise(withInput(spec, info.input), info), observe);
  }

  /** Starts a run of a session: with what was said before it. */
  private async begin(run: string, info: RunInfo, spec: AgentSpec, epoch: number, cancel?: { reason?: string }): Promise<void> {
    const before = info.session === undefined ? [] : await this.before(info, spec.context ? longSessionRuns : sessionRuns);
    const history = historyOf(before);
    const owned = this.adopt(newRecord(run, info, epoch, before.some(isSensitive)), spec, undefined, history);
    const isTainted = before.some(({ progress }) => progress.tainted);
    owned.push({ type: "start", ...(history.length > 0 && { history }), ...(isTainted && { isTainted }), ...(cancel && { cancel }) });
  }

  /** The last runs that ended in the session before this run, by this user, back to the last one that had made it shorter; the oldest first. */
  private async before(info: RunInfo, most: number): Promise<readonly RunRecord[]> {
    const before: RunRecord[] = [];
    let next: number | null = null;
    do {
      const page = await this.options.store.list({
        tenant: info.tenant,
        session: info.session as string,
        limit: sessionPage,
        ...(next !== null && { before: next }),
      });
      // A run without a user sees only runs without one.
      for (const row of page.rows)
        if (row.info.user === info.user && hasEnded(row.status) && row.info.createdAt <= info.createdAt) before.push(row);
      next = page.next;
    } while (next !== null && before.length < most && !before.some(({ progress }) => progress.history));
    const shortened = before.findIndex(({ progress }) => progress.history);
    return before.slice(0, Math.min(most, shortened < 0 ? most : shortened + 1)).toReversed();
  }

  private async take(options: { run?: string; limit: number; dead?: readonly string[] }): Promise<void> {
    const { store, scheduler, machines } = this.options;
    this.recovering++;
    try {
      const records = await store.claim(this.owner, { now: scheduler.now(), machines, ...options });
      await Promise.all(records.map((record) => this.recover(record)));
    } finally {
      this.recovering--;
    }
  }

  private async recover(record: RunRecord): Promise<void> {
    this.recovering++;
    try {
      await this.takeOver(record);
    } finally {
      this.recovering--;
    }
  }

  private async takeOver(record: RunRecord): Promise<void> {
    const { store, onError } = this.options;
    this.runs.get(record.id)?.drop();
    this.runs.delete(record.id);
    this.strays.delete(record.id);
    const dropped = this.dropped.get(record.id);
    this.dropped.delete(record.id);
    // Its last owner ended in order, or was this very process: then it is known what was begun.
    const wasBegun = (ordinal: number): boolean =>
      !record.released && (dropped?.epoch !== record.epoch - 1 || dropped.begun.includes(ordinal));
    try {
      const spec = await this.options.specOf(record.info.agentHash);
      if (!spec) throw new Divergence(`the definition of agent ${record.info.agent} (${record.info.agentHash}) is not in the store`);
      const inbox = await store.inbox(record.id);
      if (record.head === 0) {
        const cancel = inbox.find((message) => message.kind === "cancel");
        await this.begin(record.id, record.info, spec, record.epoch, cancel && (cancel.value as { reason?: string }));
        return;
      }
      const live = await replay(store, record, (history) => this.liveRun(marked(record), spec, history as readonly Message[] | undefined));
      if (this.closed) return;
      const owned = this.adopt(record, spec, live);
      owned.resume(record.open, wasBegun, inbox);
      // What came while it was replayed was not in that inbox.
      for (const message of await store.inbox(record.id)) owned.message(message);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      onError?.(reason, record.id);
      if (error instanceof Divergence || isDamage(error)) this.quarantine(record.id, record.epoch, reason);
      // Anything else (the store is down): the sweep tries again.
      else this.strays.set(record.id, record);
    }
  }

  private quarantine(run: string, epoch: number, reason: string): void {
    this.runs.get(run)?.drop();
    this.runs.delete(run);
    this.journal.submit({ type: "quarantine", run, epoch, reason }, () => {});
  }

  private gone(run: OwnedRun, why: "ended" | "fenced" | "broken" | "parked", wakes?: string): void {
    if (this.runs.get(run.id) === run) this.runs.delete(run.id);
    // If the store says that it is still ours, the sweep takes it up again: a commit may have been written and its answer lost.
    if ((why === "broken" || why === "fenced") && !this.runs.has(run.id)) this.strays.set(run.id, null);
    if (why === "parked") this.armDue(run.soonestDue);
    // A message may have come while it was parked.
    if (why === "parked" && run.hasInput) void this.claim(run.id);
    if (wakes !== undefined) void this.claim(wakes);
  }

  private rest(run: OwnedRun): void {
    if (!run.onlyWaits) return;
    if (run.soonestDue - this.options.scheduler.now() > parkAfterMs) run.park();
  }

  /** The next timer of a parked run is not left to the sweep alone. */
  private armDue(at: number): void {
    if (!Number.isFinite(at) || this.closed || (this.dueTimer && this.dueTimer.at <= at)) return;
    this.dueTimer?.cancel();
    const cancel = this.options.scheduler.after(at - this.options.scheduler.now(), () => {
      this.dueTimer = null;
      void this.sweep().catch((error) => this.options.onError?.(String(error)));
    });
    this.dueTimer = { at, cancel };
  }

  private mayAct(): boolean {
    if (this.closed) return false;
    if (this.options.scheduler.monotonic() < this.leaseUntil) return true;
    this.dropAll();
    return false;
  }

  /** The lease is over: another process may own these runs by now. */
  private dropAll(): void {
    const runs = [...this.runs.values()];
    this.runs.clear();
    // What an earlier lapse had left was taken up since, here or elsewhere.
    if (!this.lapsed) this.dropped.clear();
    for (const run of runs) {
      this.dropped.set(run.id, { epoch: run.epoch, begun: run.begunWork });
      run.drop();
    }
    this.strays.clear();
    this.lapsed = true;
    if (runs.length > 0)
      this.options.onError?.(`the lease ended before it could be renewed; ${runs.length} runs were dropped and will be taken up again`);
  }

  private async beat(): Promise<void> {
    const { store, scheduler } = this.options;
    try {
      // No worker crashed: giving up does not count against the runs, as being taken over would.
      if (this.lapsed) await store.release(this.owner, { begun: true });
      this.lapsed = false;
      const from = scheduler.monotonic();
      await store.heartbeat(this.owner, scheduler.now() + leaseMs);
      // Counted from before the write, so that it ends here before it ends for others.
      this.leaseUntil = from + leaseMs;
      this.renewedAt = from;
      this.unrenewed = false;
    } catch (error) {
      this.unrenewed = true;
      if (scheduler.monotonic() >= this.leaseUntil) this.dropAll();
      throw error;
    }
  }

  private async sweep(): Promise<void> {
    if (this.sweeping || this.closing || this.closed) return;
    this.sweeping = true;
    try {
      if (!this.mayAct()) return;
      for (const run of this.runs.values()) run.stopOverdue();
      const owners = await this.options.store.owners();
      const dead = owners.map(({ owner }) => owner).filter((owner) => owner !== this.owner && isGone(owner));
      await this.take({ limit: claimedAtOnce, dead });
      for (const [run, record] of [...this.strays].slice(0, claimedAtOnce)) {
        this.strays.delete(run);
        if (this.runs.has(run)) continue;
        if (record) await this.recover(record);
        else await this.take({ run, limit: 1, dead: [this.owner] });
      }
      for (const run of await this.options.store.unread(this.owner)) await this.readInbox(run);
      const due = await this.options.store.nextDue();
      if (due !== null) this.armDue(due);
    } finally {
      this.sweeping = false;
    }
  }

  private async readInbox(run: string): Promise<void> {
    const owned = this.runs.get(run);
    if (!owned) return;
    try {
      for (const message of await this.options.store.inbox(run)) owned.message(message);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.options.onError?.(error.message, run);
      this.quarantine(run, owned.epoch, error.message);
    }
  }
}

const limitNano = ({ limits }: RunInfo): number => Math.round(limits.max_cost_microusd * 1_000);

/** What was said in those runs: of the first what it had made of its own history, if it did. */
function historyOf(before: readonly RunRecord[]): readonly Message[] {
  const messages = [...((before[0]?.progress.history ?? []) as unknown as Message[])];
  for (const row of before) {
    const { output } = row.progress;
    if (output === undefined || output === null) continue;
    messages.push(...messagesOf(row.info.input), {
      role: "assistant",
      content: typeof output === "string" ? output : JSON.stringify(output),
    });
  }
  return messages;
}

const isSensitive = ({ info, progress }: Pick<RunRecord, "info" | "progress">): boolean =>
  info.sensitive === true || progress.sensitive === true;

/** As its run is marked by now: a session passes the mark on. */
const marked = (record: Pick<RunRecord, "info" | "progress">): RunInfo =>
  isSensitive(record) ? { ...record.info, sensitive: true } : record.info;

const newRecord = (id: string, info: RunInfo, epoch: number, isInherited: boolean): OwnedRecord => ({
  id,
  info,
  epoch,
  progress: isInherited ? { ...noProgress, sensitive: true } : noProgress,
  spentNano: 0,
  limitNano: limitNano(info),
  status: "running",
});
