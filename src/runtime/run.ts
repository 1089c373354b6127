/**
 * A run in memory: its actor system, advanced turn by turn. No store, no time, no promise, no I/O.
 *
 * `turn()` delivers one input and lets the whole system come to rest (XState is synchronous), puts each ask before the
 * supervisor, and returns what happened. Nothing of it has left the process then: the owner commits it first.
 *
 *  1. The same inputs in the same order give the same turns; their `hash` says so at replay.
 *  2. An ask that was stopped or denied in the turn that made it consumes its ordinal and is told to nobody.
 *  3. Only the observer here touches XState, and it never throws: an observer that throws wedges a mailbox for good.
 */
import { hash as digest } from "node:crypto";
import { type AnyActorRef, type AnyStateMachine, createActor, type InspectionEvent } from "xstate";
import type {
  Meters,
  SupervisorContext,
  SupervisorInput,
  SupervisorOutput,
  ToolFacts,
  WorkAsked,
  WorkDenied,
} from "../../machines/supervisor.ts";
import type { ToolInput, WorkError, WorkInputs, WorkKind } from "../../machines/work.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import { callId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import { argumentsHash } from "./input-hash.ts";
import { bindSystem, type WorkRef } from "./work-logic.ts";

/** What a run is advanced by. Exactly this is in the record, and what is delivered is what JSON gives back. */
export type Input =
  /** `input` is the supervisor's; only what is not in the run's own row is recorded. With `cancel`, it was cancelled before it began. */
  | {
      readonly type: "start";
      readonly history?: Json;
      /** The history holds text from outside, or what was made from it. */
      readonly isTainted?: boolean;
      readonly cancel?: { readonly reason?: string };
    }
  | OutcomeInput
  | { readonly type: "message"; readonly nonce: string; readonly kind: "cancel"; readonly value: { readonly reason?: string } }
  | { readonly type: "message"; readonly nonce: string; readonly kind: "answer"; readonly ordinal: number; readonly value: Json }
  /** What a tool says on its way: a fact, nothing that a machine sees. */
  | { readonly type: "progress"; readonly ordinal: number; readonly message: string; readonly done?: number; readonly total?: number }
  /** What a tool wants shown: a fact too. */
  | { readonly type: "data"; readonly ordinal: number; readonly name: string; readonly data: Json };

export type OutcomeInput = {
  readonly type: "outcome";
  readonly ordinal: number;
  readonly ok: boolean;
  /** What the machine gets: a value or a {@link WorkError}. */
  readonly value: Json;
  /** What the owner and the ledger get. */
  readonly account?: Account;
};

/** What performing work took. Money in nano-dollars, times in ms. */
export type Account = {
  readonly costNano: number;
  /** What an answer from a cache, or a call of another run that it shared, would have cost. */
  readonly savedNano?: number;
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly estimated: boolean;
  readonly model: string;
  /** Of the route that a call took. */
  readonly provider?: string;
  readonly durationMs: number;
  readonly ttftMs?: number;
  /** Of a hedged call that became two: each of them, the first first. The rest is then their sum. */
  readonly legs?: readonly LegAccount[];
};

/** What one of the two calls of a hedged one took. `finish` and `error` (a code) are of the one that lost. */
export type LegAccount = Omit<Account, "legs"> & {
  readonly tier: string;
  readonly finish?: "cancelled" | "error";
  readonly error?: string;
};

/** Work that was asked for and let through by the supervisor. */
export type Ask = { readonly [K in WorkKind]: AskOf<K> }[WorkKind];
export type AskOf<K extends WorkKind> = {
  readonly ordinal: number;
  /** Ids from the root: `run/agent/request-2/call`. */
  readonly path: string;
  readonly kind: K;
  readonly class: string;
  readonly hash: string;
  readonly input: WorkInputs[K];
};

/** A fact as it leaves a machine, with the path of its actor. */
export type ActorFact = { readonly type: string; readonly actor: string; readonly [key: string]: unknown };

export type Turn = {
  readonly n: number;
  readonly at: number;
  readonly asks: readonly Ask[];
  /** Work that was stopped. */
  readonly stops: readonly Ask[];
  readonly facts: readonly ActorFact[];
  /** Asks that the supervisor refused in this turn. */
  readonly refused: readonly { readonly ask: Ask; readonly error: ErrorBody }[];
  /** What was found wrong with its asks: recorded, since it depends on tools and providers that may change. */
  readonly verdicts: readonly Verdict[];
  readonly hash: string;
  readonly meters: Meters;
  /** A model of this run has read text from outside, or a tool is fetching some. */
  readonly isTainted: boolean;
  /** Set by the turn that ended the run. */
  readonly end: SupervisorOutput | null;
};

/** An ask by its ordinal, and why it will be denied. */
export type Verdict = readonly [ordinal: number, problem: ErrorBody];

/** What the runtime knows of work and a machine does not. */
export type Appraise = (
  kind: WorkKind,
  input: Json,
  /** Of a use of a tool: the tools that its call has shown to the model; undefined where no call of this run asked for it. */
  shown?: readonly string[],
) => {
  readonly class: string;
  readonly hash: string;
  readonly problem?: ErrorBody;
  /** Of a call that is hedged. */
  readonly calls?: number;
  readonly use?: ToolFacts;
};

type Live = Ask & { readonly ref: WorkRef; problem: ErrorBody | undefined; readonly calls?: number; readonly use?: ToolFacts };

/** What is known of an actor beside what XState knows: one object, since a run in flight is held in memory by the thousand. */
class Known {
  readonly path: string;
  readonly depth: number;
  /** How many children had an id. */
  names: Map<string, number> | undefined;
  /** The state that was told last. */
  state: unknown;
  /** Snapshots of states that it passed before it was started. */
  unborn: unknown[] | undefined;
  /** Of work that is asked for. */
  ordinal: number | undefined;

  constructor(path: string, depth: number) {
    this.path = path;
    this.depth = depth;
  }
}

export class LiveRun {
  /** Turns taken. */
  n = 0;
  readonly live = new Map<number, Live>();
  /** Of calls that showed tools: which. */
  private readonly shown = new Map<string, readonly string[]>();
  private root: AnyActorRef | undefined;
  private nextOrdinal = 0;
  private readonly known = new WeakMap<AnyActorRef, Known>();
  // of the turn in hand
  private at = 0;
  private asks: Live[] = [];
  private stops: Ask[] = [];
  private facts: ActorFact[] = [];
  private denials: WorkDenied[] = [];
  private verdicts: Verdict[] = [];
  private recorded: readonly Verdict[] | undefined;
  /** It came to rest without an end and without work that could bring one. */
  private stuck = false;
  private refused: { ask: Ask; error: ErrorBody }[] = [];
  private outputs: unknown[] = [];
  private broken = false;
  private thrown: unknown;

  private readonly machine: AnyStateMachine;
  private readonly input: SupervisorInput;
  private readonly appraise: Appraise;
  private readonly observe: ((event: InspectionEvent) => void) | undefined;

  /** `observe` gets XState's own inspection events; it is called during the turn and must only collect. */
  constructor(machine: AnyStateMachine, input: SupervisorInput, appraise: Appraise, observe?: (event: InspectionEvent) => void) {
    this.machine = machine;
    this.input = input;
    this.appraise = appraise;
    this.observe = observe;
  }

  get hasEnded(): boolean {
    return this.stuck || (this.root !== undefined && this.root.getSnapshot().status !== "active");
  }

  /**
   * Delivers one input. `recorded`, at replay: what was found wrong with asks of this turn, instead of finding it again. An outcome must
   * be of live work (see {@link live}); the caller drops others. */
  turn(input: Input, at: number, recorded?: readonly Verdict[]): Turn {
    this.at = at;
    this.asks = [];
    this.stops = [];
    this.facts = [];
    this.outputs = [];
    this.refused = [];
    this.broken = false;
    this.verdicts = [];
    this.recorded = recorded;
    this.deliver(input);
    for (let i = 0; i < this.asks.length; i++) this.supervise(this.asks[i] as Live);
    if (this.broken) this.stopOrphans();
    const born = new Set(this.asks.map((ask) => ask.ordinal));
    const asks = this.asks.filter((ask) => this.live.has(ask.ordinal));
    const stops = this.stops.filter(({ ordinal }) => !born.has(ordinal));
    const end = this.end();
    if (!end && this.root && this.live.size === 0) this.stuck = true;
    return {
      n: ++this.n,
      at,
      asks,
      stops,
      facts: this.facts,
      refused: this.refused,
      hash: this.hash(asks, stops),
      meters: this.meters(),
      isTainted: (this.context()?.taint ?? "none") !== "none",
      verdicts: this.verdicts,
      end: this.stuck ? waitsForNothing : end,
    };
  }

  /** Children by path, for the journal and the page: the value and context of each machine that is active. */
  actors(): { actor: string; machine: string; value: unknown; context: unknown }[] {
    const found: { actor: string; machine: string; value: unknown; context: unknown }[] = [];
    const visit = (ref: AnyActorRef): void => {
      const snapshot = ref.getSnapshot();
      if (!("value" in snapshot)) return;
      found.push({ actor: this.path(ref), machine: machineId(ref), value: snapshot.value, context: snapshot.context });
      for (const child of Object.values(snapshot.children as Record<string, AnyActorRef | undefined>)) if (child) visit(child);
    };
    if (this.root) visit(this.root);
    return found;
  }

  // --- called by the work's logic (see work-logic.ts)

  ask(kind: WorkKind, input: Json, self: AnyActorRef): void {
    const path = this.path(self);
    const appraised = this.appraise(kind, input, this.shownTo(kind, input));
    const { tools } = input as { readonly tools?: readonly string[] };
    if (kind === "call" && tools && tools.length > 0) this.shown.set(callId(this.nextOrdinal), tools);
    // A machine invokes each kind with the input that machines/work.ts declares for it.
    const ask = {
      ordinal: this.nextOrdinal++,
      path,
      kind,
      input,
      class: appraised.class,
      hash: appraised.hash,
      ref: self as WorkRef,
      problem: undefined,
      ...(appraised.calls !== undefined && { calls: appraised.calls }),
      ...(appraised.use && { use: appraised.use }),
    } as Live;
    for (const other of this.live.values()) if (other.path === path) throw new Error(`two living pieces of work at one path: ${path}`);
    this.asks.push(ask);
    this.live.set(ask.ordinal, ask);
    this.of(self).ordinal = ask.ordinal;
    const problem = this.recorded ? this.recorded.find(([ordinal]) => ordinal === ask.ordinal)?.[1] : appraised.problem;
    if (!problem) return;
    ask.problem = problem;
    this.verdicts.push([ask.ordinal, problem]);
  }

  /** What the call that asks for the use of a tool has shown. What is taken back was asked for by none. */
  private shownTo(kind: WorkKind, input: Json): readonly string[] | undefined {
    if (kind !== "tool" && kind !== "delegate") return undefined;
    const { call, isCompensation } = input as unknown as ToolInput;
    return isCompensation ? undefined : this.shown.get(call);
  }

  stopped(self: AnyActorRef): void {
    const known = this.of(self);
    if (known.ordinal === undefined) return;
    const { ordinal } = known;
    known.ordinal = undefined;
    const work = this.live.get(ordinal);
    if (!work) return;
    this.live.delete(ordinal);
    this.stops.push(work);
  }

  // --- private

  private deliver(input: Input): void {
    switch (input.type) {
      case "start": {
        const root = createActor(this.machine, { input: this.input, id: "run", inspect: (event) => this.inspect(event) });
        this.root = root;
        bindSystem(root.system, this);
        root.subscribe({
          error: (error) => {
            this.thrown = error;
          },
        });
        root.start();
        if (input.isTainted) root.send({ type: "work.read" });
        if (input.cancel) root.send({ type: "cancel", reason: input.cancel.reason });
        return;
      }
      case "outcome":
        this.settle(input.ordinal, input.ok, input.value);
        return;
      case "message":
        // A question may have ended (expired, stopped) while its answer was on the way: the answer is taken, and means nothing.
        if (input.kind === "answer") {
          if (this.live.has(input.ordinal)) this.settle(input.ordinal, true, input.value);
        } else this.root?.send({ type: "cancel", reason: input.value.reason });
    }
  }

  private settle(ordinal: number, ok: boolean, value: Json): void {
    const work = this.live.get(ordinal);
    if (!work) throw new Error(`an outcome for work that is not live: ${ordinal}`);
    this.live.delete(ordinal);
    this.of(work.ref).ordinal = undefined;
    if (ok && work.kind === "ask" && work.input.kind === "approval" && isYes(value))
      this.root?.send({ type: "work.approved", hash: argumentsHash(work.input.tool ?? "", work.input.input ?? null) });
    // An outcome that is not ok holds a WorkError by construction of whoever made it.
    work.ref.send(ok ? { type: "work.done", value } : { type: "work.failed", error: value as WorkError });
  }

  /** Asks the supervisor about one ask; it may already be gone by what an earlier denial led to. */
  private supervise(ask: Live): void {
    if (!this.live.has(ask.ordinal) || this.root?.getSnapshot().status !== "active") return;
    const { problem } = ask;
    const call = ask.kind === "call" ? ask.input : undefined;
    const asked: WorkAsked = {
      type: "work.asked",
      ordinal: ask.ordinal,
      kind: ask.kind,
      at: this.at,
      depth: this.of(ask.ref).depth,
      isStep: call?.attempt === 1 && call.step !== 0,
      ...(call?.cached && { isCached: true }),
      ...(ask.kind === "sleep" && ask.input.restart && { isRestart: true }),
      ...(ask.calls !== undefined && { calls: ask.calls }),
      ...(ask.use && { use: ask.use }),
      ...((ask.kind === "tool" || ask.kind === "delegate") && ask.input.isCompensation && { isCompensation: true }),
      ...(problem && { problem }),
    };
    this.denials = [];
    this.root.send(asked);
    for (const { ordinal, error } of this.denials) {
      if (ordinal === ask.ordinal && this.live.has(ordinal)) {
        this.refused.push({ ask, error });
        this.settle(ordinal, false, { ...error, denied: true, ...(ask.kind === "call" && { call: `c${ordinal}`, shown: 0 }) } as Json);
      }
    }
  }

  /** A machine that throws leaves its children running, and not even the root's stop reaches them. */
  private stopOrphans(): void {
    for (const [ordinal, work] of this.live) {
      for (let actor: AnyActorRef | undefined = parent(work.ref); actor; actor = parent(actor)) {
        if (actor.getSnapshot().status === "active") continue;
        this.live.delete(ordinal);
        this.of(work.ref).ordinal = undefined;
        this.stops.push(work);
        break;
      }
    }
  }

  private end(): SupervisorOutput | null {
    if (!this.root) return null;
    const snapshot = this.root.getSnapshot();
    if (snapshot.status === "active") return null;
    if (snapshot.status === "done") return snapshot.output as SupervisorOutput;
    const message = this.thrown instanceof Error ? this.thrown.message : String(this.thrown);
    return { status: "failed", output: null, error: { code: "internal", message: `a machine failed: ${message}`, retryable: false } };
  }

  private meters(): Meters {
    return this.context()?.meters ?? { steps: 0, calls: 0, tool_calls: 0 };
  }

  /** The root is our supervisor. */
  private context(): Partial<SupervisorContext> | undefined {
    return this.root?.getSnapshot().context as Partial<SupervisorContext> | undefined;
  }

  private hash(asks: readonly Ask[], stops: readonly Ask[]): string {
    let text = "";
    for (const ask of asks) text += `a${ask.ordinal} ${ask.path} ${ask.kind} ${ask.class} ${ask.hash}\n`;
    for (const { ordinal } of stops) text += `s${ordinal}\n`;
    for (const fact of this.facts) if (fact.type !== "state" && fact.type !== "progress") text += `f${JSON.stringify(fact)}\n`;
    for (const output of this.outputs) text += `o${JSON.stringify(output)}\n`;
    return digest("sha1", text, "base64url").slice(0, 16);
  }

  /** XState's inspection: paths at an actor's birth, facts it emits, states it enters, outputs it ends with. */
  private inspect(event: InspectionEvent): void {
    switch (event.type) {
      case "@xstate.actor": {
        const ref = event.actorRef as AnyActorRef;
        this.name(ref);
        if ("implementations" in ((ref as unknown as { logic: object }).logic ?? {}))
          ref.on("*", (emitted) => this.emitted(ref, emitted as { type: string }));
        break;
      }
      case "@xstate.microstep": {
        const ref = event.actorRef as AnyActorRef;
        if (event.event.type !== "xstate.init") {
          this.entered(ref, event.snapshot);
          break;
        }
        // An actor passes its first states when it is made, before its parent's own transition is told: they wait for its start.
        const source = (event._transitions[0]?.source as { path?: readonly string[] } | undefined)?.path;
        const known = this.of(ref);
        known.unborn ??= source?.length ? [{ value: stateValue(source) }] : [];
        known.unborn.push(event.snapshot);
        break;
      }
      case "@xstate.event":
        if (event.event.type === "xstate.init") {
          const ref = event.actorRef as AnyActorRef;
          const known = this.of(ref);
          for (const passed of known.unborn ?? []) this.entered(ref, passed);
          known.unborn = undefined;
          this.entered(ref, ref.getSnapshot());
        }
        break;
      case "@xstate.snapshot": {
        const snapshot = event.snapshot as { status: string; output?: unknown; value?: unknown };
        if (snapshot.status === "error") this.broken = true;
        if (snapshot.status === "done" && snapshot.value !== undefined) this.outputs.push(snapshot.output);
        break;
      }
    }
    this.observe?.(event);
  }

  private emitted(ref: AnyActorRef, emitted: { type: string }): void {
    if (emitted.type === "work.denied") {
      this.denials.push(emitted as WorkDenied);
      return;
    }
    const actor = this.path(ref);
    const request = emitted.type.startsWith("request.") ? { request: actor.slice(actor.lastIndexOf("/") + 1) } : undefined;
    this.facts.push({ ...emitted, ...request, actor });
  }

  /** A machine that says in its context why it is where it is has that told. */
  private entered(ref: AnyActorRef, snapshot: unknown): void {
    const known = this.of(ref);
    const { value, context } = snapshot as { value?: unknown; context?: { reason?: unknown } };
    if (value === undefined || sameValue(known.state, value)) return;
    known.state = value;
    const { reason } = context ?? {};
    this.facts.push({
      type: "state",
      actor: known.path,
      machine: machineId(ref),
      value,
      ...(typeof reason === "string" && reason !== "" && { reason }),
    });
  }

  /** Ids are unique among living siblings; one used again gets a number, so that a path names one actor of a run. */
  private name(ref: AnyActorRef): void {
    const above = parent(ref);
    if (!above) {
      this.known.set(ref, new Known("run", 0));
      return;
    }
    const { path, depth, names } = this.of(above);
    const count = (names?.get(ref.id) ?? 0) + 1;
    if (names) names.set(ref.id, count);
    else this.of(above).names = new Map([[ref.id, count]]);
    this.known.set(ref, new Known(`${path}/${ref.id}${count > 1 ? `-${count}` : ""}`, depth + 1));
  }

  /** Every actor was named when it was made. */
  private of(ref: AnyActorRef): Known {
    return this.known.get(ref) as Known;
  }

  private path(ref: AnyActorRef): string {
    return this.of(ref).path;
  }
}

const isYes = (value: Json): boolean => (value as { readonly approve?: Json } | null)?.approve === true;

/** Nothing that happens could advance it any more. */
const waitsForNothing: SupervisorOutput = {
  status: "failed",
  output: null,
  error: { code: "internal", message: "the machine came to rest without an end and waits for nothing", retryable: false },
};

// XState keeps the parent and the logic of an actor in fields that its public type does not show.
const parent = (ref: AnyActorRef): AnyActorRef | undefined => (ref as unknown as { _parent?: AnyActorRef })._parent;
const machineId = (ref: AnyActorRef): string => (ref as unknown as { logic: { id?: string } }).logic.id ?? ref.id;

const stateValue = (path: readonly string[]): unknown =>
  path.slice(0, -1).reduceRight<unknown>((value, key) => ({ [key]: value }), path.at(-1));

const sameValue = (a: unknown, b: unknown): boolean =>
  a === b || (typeof a === "object" && typeof b === "object" && JSON.stringify(a) === JSON.stringify(b));
