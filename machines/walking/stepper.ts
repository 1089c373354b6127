/**
 * One machine, stepped without running it: an event goes in, and what the machine decided comes out. Nothing is performed.
 *
 * Uses XState's own pure `getInitialSnapshot` and `transition`, with an actor scope that only writes down. Children are
 * stand-ins that never do anything; who answers them, and with what, is the walk's business (walk.ts).
 */
import {
  type ActorLogic,
  type AnyActorRef,
  type AnyActorScope,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  createActor,
  type InspectionEvent,
  type Snapshot,
} from "xstate";
import { ask, call, delegate, expose, lookup, remember, sleep, split, tool, type WorkKind, workKinds } from "../work.ts";

/** A child that a machine started: work, or another machine. */
export type Asked = {
  readonly id: string;
  /** Its name in the machine's `actors`. */
  readonly src: string;
  readonly kind: WorkKind | "machine";
  readonly input: unknown;
  /** Of the kind `machine`. */
  readonly machine?: AnyStateMachine;
  readonly ref: AnyActorRef;
};

export type Step = {
  readonly snapshot: AnyMachineSnapshot;
  readonly asked: readonly Asked[];
  /** Ids of children that were stopped. */
  readonly stopped: readonly string[];
  readonly emitted: readonly { readonly type: string; readonly [key: string]: unknown }[];
  /** Transitions taken, in order, by name. */
  readonly transitions: readonly string[];
  /** States passed on the way, the last one included. */
  readonly passed: readonly string[];
};

/** A machine that cannot be walked: it starts something that is neither work nor a machine, or has too many states. */
export class Unwalkable extends Error {}

type Event = { readonly type: string; readonly [key: string]: unknown };
type Graph = AnyStateMachine["root"];
type Transition = Graph["always"] extends (infer T)[] | undefined ? T : never;

/** A child that never does anything. */
const standIn: ActorLogic<Snapshot<undefined>, { type: string }, unknown> = {
  transition: (state) => state,
  getInitialSnapshot: () => ({ status: "active", output: undefined, error: undefined }),
  getPersistedSnapshot: (state) => state,
};

const kinds = new Map<unknown, WorkKind>([
  [call, "call"],
  [tool, "tool"],
  [delegate, "delegate"],
  [sleep, "sleep"],
  [ask, "ask"],
  [lookup, "lookup"],
  [remember, "remember"],
  [split, "split"],
  [expose, "expose"],
]);

export class Stepper {
  private readonly machine: AnyStateMachine;
  private readonly actors: Record<string, unknown>;
  private readonly scope: AnyActorScope;
  private readonly input: unknown;
  private readonly self: AnyActorRef;
  private readonly names: ReadonlyMap<Transition, string>;
  // of the step in hand
  private asked: Asked[] = [];
  private stopped: string[] = [];
  private emitted: { type: string }[] = [];
  private taken: string[] = [];
  private passed: string[] = [];

  /** Without `traces` a step does not say its transitions and the states it passed, and is quicker. */
  constructor(machine: AnyStateMachine, input: unknown, traces = true) {
    this.actors = machine.implementations.actors as Record<string, unknown>;
    // `provide` wants the types of a machine that is not known here.
    this.machine = machine.provide({ actors: Object.fromEntries(Object.keys(this.actors).map((src) => [src, standIn])) } as never);
    this.names = namesOf(this.machine);
    this.input = input;
    const self = createActor(this.machine, { input, ...(traces && { inspect: (event: InspectionEvent) => this.inspect(event) }) });
    this.self = self;
    this.scope = {
      self,
      system: self.system,
      id: self.id,
      sessionId: self.sessionId,
      logger: () => {},
      defer: () => {},
      emit: () => {},
      stopChild: () => {},
      actionExecutor: (action) => this.collect(action.type, action.params),
    };
  }

  start(): Step {
    return this.step(() => {
      const snapshot = this.machine.getInitialSnapshot(this.scope, this.input);
      // XState makes an error of what is thrown on the way to the first state.
      if (snapshot.error instanceof Unwalkable) throw snapshot.error;
      return snapshot;
    });
  }

  next(snapshot: AnyMachineSnapshot, event: Event): Step {
    return this.step(() => {
      try {
        return this.machine.transition(snapshot, event as never, this.scope);
      } catch (error) {
        if (error instanceof Unwalkable) throw error;
        // A machine that throws ends as an error, as it does when it runs.
        return { ...snapshot, status: "error", error } as AnyMachineSnapshot;
      }
    });
  }

  private step(decide: () => AnyMachineSnapshot): Step {
    this.asked = [];
    this.stopped = [];
    this.emitted = [];
    this.taken = [];
    this.passed = [];
    const snapshot = decide();
    return {
      snapshot,
      asked: this.asked,
      stopped: this.stopped,
      emitted: this.emitted,
      transitions: this.taken,
      passed: this.passed,
    };
  }

  private collect(type: string, params: unknown): void {
    // What these built-in actions carry is XState's contract of `transition`.
    if (type === "xstate.spawnChild") this.spawned(params as { id: string; src: unknown; input: unknown; actorRef: AnyActorRef });
    else if (type === "xstate.stopChild") this.stopped.push(idOf(params));
    else if (type === "xstate.emit") this.emitted.push((params as { event: { type: string } }).event);
  }

  private spawned({ id, src, input, actorRef: ref }: { id: string; src: unknown; input: unknown; actorRef: AnyActorRef }): void {
    const logic = typeof src === "string" ? this.actors[src] : undefined;
    if (typeof src !== "string" || logic === undefined)
      throw new Unwalkable(`machine "${this.machine.id}" starts "${id}", which is not among its \`actors\``);
    const kind = kindOf(logic);
    if (kind) this.asked.push({ id, src, kind, input, ref });
    else if (isMachine(logic)) this.asked.push({ id, src, kind: "machine", input, machine: logic, ref });
    else throw new Unwalkable(`machine "${this.machine.id}" starts "${src}", which is neither work of machines/work.ts nor a machine`);
  }

  private inspect(event: InspectionEvent): void {
    if (event.type !== "@xstate.microstep" || event.actorRef !== this.self) return;
    for (const transition of event._transitions as readonly Transition[]) {
      const name = this.names.get(transition);
      if (name !== undefined) this.taken.push(name);
    }
    this.passed.push(valueText((event.snapshot as AnyMachineSnapshot).value));
  }
}

/** Names of all transitions: `calling: call failed [canRetry] → retrying`. */
export const transitionsOf = (machine: AnyStateMachine): readonly string[] => [...namesOf(machine).values()];

/** A state's value as text: `calling`, `open.half`. */
export function valueText(value: unknown): string {
  if (typeof value === "string") return value;
  return Object.entries(value as Record<string, unknown>)
    .map(([name, inner]) => (typeof inner === "object" && Object.keys(inner as object).length === 0 ? name : `${name}.${valueText(inner)}`))
    .join(" & ");
}

export const isMachine = (logic: unknown): logic is AnyStateMachine =>
  typeof logic === "object" && logic !== null && "implementations" in logic && "root" in logic;

/** The kind of work, also of work that the runtime has provided (it says its kind in `config`). */
export function kindOf(logic: unknown): WorkKind | undefined {
  const known = kinds.get(logic);
  if (known) return known;
  const { config } = logic as { config?: unknown };
  return workKinds.find((kind) => kind === config);
}

/** What a transition is triggered by, in words. */
export function triggerText(eventType: string): string {
  if (eventType === "") return "always";
  const child = /^xstate\.(done|error)\.actor\.(.+)$/.exec(eventType);
  if (!child) return eventType;
  return `${child[2] === "*" ? "a child" : child[2]} ${child[1] === "done" ? "done" : "failed"}`;
}

export const guardText = (guard: unknown): string => {
  if (guard === undefined) return "";
  if (typeof guard === "string") return guard;
  const { type, params } = guard as { type?: string; params?: unknown };
  const said = typeof params === "object" && params !== null ? ` ${JSON.stringify(params)}` : "";
  return `${type ?? "inline"}${said}`;
};

function namesOf(machine: AnyStateMachine): ReadonlyMap<Transition, string> {
  const names = new Map<Transition, string>();
  const used = new Map<string, number>();
  const visit = (node: Graph): void => {
    const own = [...node.transitions.values()].flat();
    for (const transition of [...own, ...(node.always ?? [])]) {
      const guard = guardText(transition.guard);
      const target = transition.target?.map(({ key }) => key).join(", ");
      const from = node.path.length === 0 ? "any state" : node.path.join(".");
      const name = `${from}: ${triggerText(transition.eventType)}${guard && ` [${guard}]`}${target ? ` → ${target}` : ""}`;
      const times = (used.get(name) ?? 0) + 1;
      used.set(name, times);
      names.set(transition as Transition, times === 1 ? name : `${name} (${times})`);
    }
    for (const child of Object.values(node.states)) visit(child);
  };
  visit(machine.root);
  return names;
}

/** A stop names its child by reference or by id. */
function idOf(params: unknown): string {
  return typeof params === "string" ? params : ((params as { id?: string } | undefined)?.id ?? "");
}
