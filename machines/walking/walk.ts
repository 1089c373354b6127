/**
 * The walk: every situation that a machine can be in, found by answering each living child with each kind of outcome.
 *
 * A child machine is a summary: it is walked once for each shape of its input, and its parent gets the ends it can have.
 * Of several living children of one kind the oldest and the youngest are answered: a fan is its parts in a row, first to
 * last or last to first, not the product of all orders.
 */
import type { AnyActorRef, AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { countersOf } from "./counters.ts";
import { type Extent, type Outcome, outcomesOf } from "./outcomes.ts";
import { type Asked, type Step, Stepper, transitionsOf, Unwalkable, valueText } from "./stepper.ts";

/** A message from outside, in any situation. */
export type Message = { readonly label: string; readonly event: { readonly type: string; readonly [key: string]: unknown } };

export type WalkOptions = {
  readonly input: unknown;
  readonly extent?: Extent;
  /** Default: `cancel`, where the machine knows it; none where `few` outcomes are walked, since it only shortens a path. */
  readonly messages?: readonly Message[];
  readonly maxStates?: number;
  /** Walks of child machines, to share between walks. */
  readonly summaries?: Map<string, Walk>;
  /** Instead of the agent machine that the supervisor names: which machine is meant by the name of an actor. */
  readonly machines?: { readonly [src: string]: AnyStateMachine };
};

export type Situation = {
  readonly name: string;
  readonly status: "active" | "done" | "error";
  readonly snapshot: AnyMachineSnapshot;
  readonly living: readonly Asked[];
  /** The move by which it was found: backwards to the start these are a shortest path. Null: the start. */
  readonly via: Move | null;
  readonly moves: Move[];
};

export type Move = {
  readonly from: Situation;
  /** Whose snapshot may differ from {@link Step.snapshot} in what no decision depends on. */
  readonly to: Situation;
  /** `call: timeout`, `cancel`. */
  readonly label: string;
  /** The child that ended; none for a message. */
  readonly work?: Asked;
  readonly outcome?: Outcome;
  readonly message?: Message["event"];
  readonly step: Step;
};

export type Walk = {
  readonly machine: AnyStateMachine;
  readonly input: unknown;
  readonly first: Step;
  readonly situations: readonly Situation[];
  /** Not known of a walk with few outcomes. */
  readonly transitions: { readonly all: readonly string[]; readonly covered: ReadonlySet<string> };
  /** Of the machines that it starts, by {@link childOf}. */
  readonly children: ReadonlyMap<string, Walk>;
};

const cancel: Message = { label: "cancel", event: { type: "cancel" } };

export function walk(machine: AnyStateMachine, options: WalkOptions): Walk {
  return new Walker(machine, options).walk();
}

/** Names a child machine and the shape of its input. */
export const childOf = (asked: Asked): string => {
  const machine = asked.machine as AnyStateMachine;
  return `${machine.id} ${JSON.stringify(countersOf(machine).shape(asked.input as never))}`;
};

/** What is still living after a step: children of the snapshot that nobody answered. */
export const livingAfter = (step: Step, before: readonly Asked[], answered?: Asked): Asked[] => {
  if (step.snapshot.status !== "active") return [];
  const children = step.snapshot.children as Record<string, AnyActorRef | undefined>;
  return [...before, ...step.asked].filter((asked) => asked !== answered && children[asked.id] === asked.ref);
};

/** The event by which a child's end reaches its parent. */
export function endEvent({ id, machine, input }: Asked, { ok, value }: Outcome): { type: string } & Record<string, unknown> {
  if (!ok) return { type: `xstate.error.actor.${id}`, actorId: id, error: value };
  const repeat = machine && countersOf(machine).repeat;
  return { type: `xstate.done.actor.${id}`, actorId: id, output: repeat ? repeat(value as never, input as never) : value };
}

class Walker {
  private readonly stepper: Stepper;
  private readonly machine: AnyStateMachine;
  private readonly options: WalkOptions;
  private readonly messages: readonly Message[];
  private readonly maxStates: number;
  private readonly summaries: Map<string, Walk>;
  private readonly found = new Map<string, Situation>();
  private readonly open: Situation[] = [];
  private readonly covered = new Set<string>();
  private readonly children = new Map<string, Walk>();
  private readonly endings = new Map<string, readonly Outcome[]>();

  constructor(machine: AnyStateMachine, options: WalkOptions) {
    this.machine = machine;
    this.options = options;
    this.stepper = new Stepper(machine, options.input, options.extent !== "few");
    const knowsCancel = machine.events.includes("cancel") && options.extent !== "few";
    this.messages = options.messages ?? (knowsCancel ? [cancel] : []);
    this.maxStates = options.maxStates ?? 20_000;
    this.summaries = options.summaries ?? new Map();
  }

  walk(): Walk {
    const first = this.stepper.start();
    this.note(first);
    this.visit(first, livingAfter(first, []), null);
    for (let situation = this.open.shift(); situation; situation = this.open.shift()) this.leave(situation);
    return {
      machine: this.machine,
      input: this.options.input,
      first,
      situations: [...this.found.values()],
      transitions: { all: transitionsOf(this.machine), covered: this.covered },
      children: this.children,
    };
  }

  private leave(situation: Situation): void {
    if (situation.status !== "active") return;
    const answered = this.options.extent === "few" ? oldest(situation.living) : representatives(situation.living);
    for (const work of answered)
      for (const outcome of this.outcomes(work))
        this.move(situation, `${work.src}: ${outcome.label}`, endEvent(work, outcome), { work, outcome });
    for (const { label, event } of this.messages) this.move(situation, label, event, { message: event });
  }

  private move(from: Situation, label: string, event: { type: string }, ended: Pick<Move, "work" | "outcome" | "message">): void {
    const step = this.stepper.next(from.snapshot, event);
    this.note(step);
    const move = { from, label, step, ...ended } as Move & { to: Situation };
    move.to = this.visit(step, livingAfter(step, from.living, ended.work), move);
    from.moves.push(move);
  }

  private visit(step: Step, living: readonly Asked[], via: Move | null): Situation {
    const { snapshot } = step;
    const name = valueText(snapshot.value);
    const ended = snapshot.status !== "active";
    const { state, child } = countersOf(this.machine);
    const told = ended ? (snapshot.output ?? String(snapshot.error)) : state(snapshot.context as never);
    const children = child ? living.map(({ src, id }) => [src, child(snapshot.context as never, id)]) : living.map(({ src }) => src).sort();
    const key = JSON.stringify([name, snapshot.status, children, told]);
    const known = this.found.get(key);
    if (known) return known;
    if (this.found.size >= this.maxStates)
      throw new Unwalkable(
        `machine "${this.machine.id}" has more than ${this.maxStates} states; keep counters and kinds in its context and count every loop`,
      );
    // A machine at rest is active, done or broken; nobody stops it here.
    const situation: Situation = { name, status: snapshot.status as Situation["status"], snapshot, living, via, moves: [] };
    this.found.set(key, situation);
    this.open.push(situation);
    return situation;
  }

  private note(step: Step): void {
    for (const name of step.transitions) this.covered.add(name);
  }

  private outcomes(work: Asked): readonly Outcome[] {
    const { extent = "all" } = this.options;
    if (work.kind !== "machine") return outcomesOf(work.kind, work.input, extent);
    const child = childOf(work);
    let outcomes = this.endings.get(child);
    if (!outcomes) {
      const machine = this.options.machines?.[work.src] ?? (work.machine as AnyStateMachine);
      const key = `${extent} ${child}`;
      const summary =
        this.summaries.get(key) ??
        walk(machine, { input: widest(machine, work.input), extent, maxStates: this.maxStates, summaries: this.summaries });
      this.summaries.set(key, summary);
      this.children.set(child, summary);
      outcomes = endsOf(summary, extent);
      this.endings.set(child, outcomes);
    }
    return outcomes;
  }
}

const widest = (machine: AnyStateMachine, input: unknown): unknown => countersOf(machine).widest?.(input as never) ?? input;

/** The ends of a machine as outcomes for its parent, those that it cannot tell apart once; and that it breaks. */
function endsOf({ machine, situations }: Walk, extent: Extent): readonly Outcome[] {
  const ends = new Map<string, Outcome>();
  const { end, fewEnds = end } = countersOf(machine);
  const alike = extent === "few" ? fewEnds : end;
  for (const { name, status, snapshot } of situations) {
    if (status !== "done") continue;
    const key = JSON.stringify(alike(snapshot.output as never));
    if (!ends.has(key)) ends.set(key, { label: ends.size === 0 ? name : `${name} ${key}`, ok: true, value: snapshot.output });
  }
  const broke: Outcome = { label: "broke", ok: false, value: new Error("a machine threw") };
  return extent === "few" ? [...ends.values()] : [...ends.values(), broke];
}

const oldest = (living: readonly Asked[]): readonly Asked[] =>
  [...Map.groupBy(living, ({ src }) => src).values()].map(([first]) => first as Asked);

function representatives(living: readonly Asked[]): readonly Asked[] {
  if (living.length < 3) return living;
  return [...Map.groupBy(living, ({ src }) => src).values()].flatMap((alike) =>
    alike.length < 3 ? alike : [alike[0] as Asked, alike.at(-1) as Asked],
  );
}
