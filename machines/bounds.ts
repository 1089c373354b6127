/**
 * Proof by walking: what a machine can do at most, and whether it can get stuck, without running it.
 *
 * Because a machine's only way out is work and its decisions are pure, {@link walk} finds every situation by answering all
 * work with each kind of outcome. From the walk come its worst case ({@link worstCases}), what is wrong with it ({@link findings})
 * and paths for tests ({@link pathsOf}).
 *
 *  1. Work counts when it is asked for, whatever comes of it: a denied or a stopped call is a call.
 *  2. A loop that asks for work must pass a counter of the machine; one that does not is uncapped, and there is no worst case.
 *  3. Machines are walked one at a time: n requests cost n times the worst request.
 */
import type { Asked } from "./walking/stepper.ts";
import { childOf, type Move, type Situation, type Walk } from "./walking/walk.ts";
import type { AskInput, CallInput, SleepInput } from "./work.ts";

export type { Outcome } from "./walking/outcomes.ts";
export { type Path, type PathStep, pathsByTransition, pathsOf, randomPath } from "./walking/paths.ts";
export { type Asked, Stepper, transitionsOf, Unwalkable } from "./walking/stepper.ts";
export { type Message, type Move, type Situation, type Walk, type WalkOptions, walk } from "./walking/walk.ts";

/**
 * How often what can be asked for: `call/<tier>`, `step` (the first call of a request), `tool`, `sleep` and `sleep_ms` (with the most
 * jitter), `ask` and `ask_ms`, `lookup`, `remember`, `replay` (a call told from a cache), and `machine/<child>` for a child machine with several worst cases of its own.
 */
export type Counts = ReadonlyMap<string, number>;

/** The longest jitter: a quarter, upward (the runtime's). */
export const jitter = 1.25;
/** More worst cases than this are joined into one that is at least as bad as each. */
const maxFront = 128;

/**
 * The worst cases: several, where more of one kind of work means less of another (a lost call is repeated at one tier only).
 * Every path through the machine is within one of them. Throws {@link Uncapped}.
 */
export function worstCases(walk: Walk): readonly Counts[] {
  const known = fronts.get(walk);
  if (known) return known;
  const { components, of } = loopsOf(walk);
  const uncapped = uncappedIn(walk, of);
  if (uncapped.length > 0) throw new Uncapped(walk.machine.id, uncapped);
  // Tarjan's components come in reverse: what comes first in life is last.
  const reached = new Map<number, Counts[]>();
  let worst: readonly Counts[] = [];
  const start = of.get(walk.situations[0] as Situation) as number;
  reached.set(start, [...asksOf(walk, walk.first.asked)]);
  for (let component = components.length - 1; component >= 0; component--) {
    const here = pareto(reached.get(component) ?? []);
    reached.delete(component);
    if (here.length === 0) continue;
    worst = pareto([...worst, ...here]);
    const next = new Map<number, Map<string, readonly Counts[]>>();
    for (const situation of components[component] as readonly Situation[]) {
      for (const { to, step } of situation.moves) {
        const target = of.get(to) as number;
        if (target === component) continue;
        const asks = asksOf(walk, step.asked);
        const ways = next.get(target) ?? new Map<string, readonly Counts[]>();
        next.set(target, ways.set(asks.map(textOf).join("|"), asks));
      }
    }
    for (const [target, ways] of next) {
      const there = reached.get(target) ?? [];
      for (const asks of ways.values()) for (const counts of here) for (const more of asks) there.push(sum(counts, more));
      reached.set(target, pareto(there));
    }
  }
  fronts.set(walk, worst);
  return worst;
}
const fronts = new WeakMap<Walk, readonly Counts[]>();

/** What the worst case costs when each piece of work has a price; child machines at their own worst. */
export function worstOf(walk: Walk, price: (work: string) => number): number {
  let worst = 0;
  for (const counts of worstCases(walk)) {
    let total = 0;
    for (const [work, count] of counts) total += count * priceOf(walk, work, price);
    worst = Math.max(worst, total);
  }
  return worst;
}

/** A child machine at its own worst, other work at its price. */
export function priceOf(walk: Walk, work: string, price: (work: string) => number): number {
  return work.startsWith(machinePrefix) ? worstOf(walk.children.get(work.slice(machinePrefix.length)) as Walk, price) : price(work);
}
const machinePrefix = "machine/";

/** A loop that asks for work and passes no counter. */
export class Uncapped extends Error {
  constructor(machine: string, loops: readonly string[]) {
    super(
      `machine "${machine}" can ask for work without end (${loops.join("; ")}); count the loop in its context and guard it with the count`,
    );
  }
}

export type Findings = {
  readonly states: number;
  readonly transitions: { readonly covered: number; readonly total: number; readonly uncovered: readonly string[] };
  /** Names of the final states that can be reached. */
  readonly ends: readonly string[];
  /** Active, nothing is living that could end, and no message leads on. */
  readonly stuck: readonly string[];
  /** Active, and no end can be reached unless it is cancelled. */
  readonly endless: readonly string[];
  /** Active, and a cancel does not end it. */
  readonly uncancellable: readonly string[];
  /** A step that threw or that nobody handled: `calling, call: timeout`. */
  readonly broken: readonly string[];
  readonly uncapped: readonly string[];
};

/** What is wrong with a machine. Coverage is that of one input; a machine is covered by the union of several walks. */
export function findings(walk: Walk): Findings {
  const { situations, transitions } = walk;
  const hasEnds = Object.values(walk.machine.root.states).some(({ type }) => type === "final");
  const active = situations.filter(({ status }) => status === "active");
  const leads = ({ label, to, from }: Move): boolean => label !== "cancel" && to !== from;
  const ending = new Set<Situation>(situations.filter(({ status }) => status === "done"));
  for (let grew = true; grew; ) {
    grew = false;
    for (const situation of active) {
      if (ending.has(situation) || !situation.moves.some((move) => leads(move) && ending.has(move.to))) continue;
      ending.add(situation);
      grew = true;
    }
  }
  return {
    states: situations.length,
    transitions: {
      covered: transitions.covered.size,
      total: transitions.all.length,
      uncovered: transitions.all.filter((name) => !transitions.covered.has(name)),
    },
    ends: names(situations.filter(({ status }) => status === "done")),
    stuck: names(active.filter(({ living, moves }) => living.length === 0 && !moves.some(leads))),
    endless: hasEnds ? names(active.filter((situation) => !ending.has(situation))) : [],
    uncancellable: hasEnds
      ? names(active.filter(({ moves }) => !moves.some(({ label, to }) => label === "cancel" && to.status === "done")))
      : [],
    broken: situations.flatMap(({ moves }) =>
      moves.filter(({ to }) => to.status === "error").map(({ from, label }) => `${from.name}, ${label}`),
    ),
    uncapped: uncappedIn(walk, loopsOf(walk).of),
  };
}

// --- counting

/** The dimensions of what a step asked for: one set of counts, or several where a child has several worst cases. */
function asksOf(walk: Walk, asked: readonly Asked[]): readonly Counts[] {
  const counts = new Map<string, number>();
  const add = (work: string, count: number): void => {
    counts.set(work, (counts.get(work) ?? 0) + count);
  };
  for (const one of asked) {
    switch (one.kind) {
      case "call": {
        // The input of work has the type of its placeholder.
        const { tier, attempt, cached } = one.input as CallInput;
        add(cached ? "replay" : `call/${tier}`, 1);
        if (attempt === 1) add("step", 1);
        break;
      }
      case "sleep": {
        const { ms, jitter: jittered } = one.input as SleepInput;
        add("sleep", 1);
        add("sleep_ms", ms * (jittered ? jitter : 1));
        break;
      }
      case "ask":
        add("ask", 1);
        add("ask_ms", (one.input as AskInput).expiresMs);
        break;
      case "machine": {
        const child = childOf(one);
        const summary = walk.children.get(child) as Walk;
        const [only, ...others] = worstCases(summary);
        if (only && others.length === 0) for (const [work, count] of only) add(work, count);
        else add(`${machinePrefix}${child}`, 1);
        break;
      }
      default:
        add(one.kind, 1);
    }
  }
  return [counts];
}

function sum(a: Counts, b: Counts): Counts {
  if (b.size === 0) return a;
  const total = new Map(a);
  for (const [work, count] of b) total.set(work, (total.get(work) ?? 0) + count);
  return total;
}

const within = (a: Counts, b: Counts): boolean => {
  for (const [work, count] of a) if (count > (b.get(work) ?? 0)) return false;
  return true;
};
const textOf = (counts: Counts): string => JSON.stringify([...counts]);

/** Those that no other one contains. */
function pareto(all: readonly Counts[]): Counts[] {
  const front: Counts[] = [];
  for (const counts of all) {
    if (front.some((other) => within(counts, other))) continue;
    for (let i = front.length - 1; i >= 0; i--) if (within(front[i] as Counts, counts)) front.splice(i, 1);
    front.push(counts);
  }
  if (front.length <= maxFront) return front;
  const joined = new Map<string, number>();
  for (const counts of front) for (const [work, count] of counts) joined.set(work, Math.max(count, joined.get(work) ?? 0));
  return [joined];
}

// --- loops

/** Situations that can reach each other (Tarjan's strongly connected components), in reverse order of life. */
function loopsOf({ situations }: Walk): { components: Situation[][]; of: ReadonlyMap<Situation, number> } {
  const components: Situation[][] = [];
  const of = new Map<Situation, number>();
  const low = new Map<Situation, number>();
  const stack: Situation[] = [];
  const onStack = new Set<Situation>();
  let index = 0;
  for (const root of situations) {
    if (low.has(root)) continue;
    const calls: { situation: Situation; at: number; index: number }[] = [];
    const enter = (situation: Situation): void => {
      low.set(situation, index);
      calls.push({ situation, at: 0, index: index++ });
      stack.push(situation);
      onStack.add(situation);
    };
    enter(root);
    for (let call = calls.at(-1); call; call = calls.at(-1)) {
      const { situation } = call;
      const next = situation.moves[call.at++]?.to;
      if (next) {
        if (!low.has(next)) enter(next);
        else if (onStack.has(next)) low.set(situation, Math.min(low.get(situation) as number, low.get(next) as number));
        continue;
      }
      calls.pop();
      const above = calls.at(-1)?.situation;
      if (above) low.set(above, Math.min(low.get(above) as number, low.get(situation) as number));
      if (low.get(situation) !== call.index) continue;
      const component: Situation[] = [];
      for (let member = stack.pop(); member; member = stack.pop()) {
        onStack.delete(member);
        of.set(member, components.length);
        component.push(member);
        if (member === situation) break;
      }
      components.push(component);
    }
  }
  return { components, of };
}

/** Moves inside a loop that ask for work. */
function uncappedIn({ situations }: Walk, of: ReadonlyMap<Situation, number>): readonly string[] {
  const loops = new Set<string>();
  for (const from of situations)
    for (const { to, label, step } of from.moves)
      if (of.get(from) === of.get(to) && step.asked.length > 0) loops.add(`${from.name}, ${label} → ${to.name}`);
  return [...loops];
}

const names = (situations: readonly Situation[]): readonly string[] => [...new Set(situations.map(({ name }) => name))];
