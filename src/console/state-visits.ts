/**
 * What a machine's `state` facts say about one actor: which states are active now, which were visited and how often,
 * and which was entered last. A state is named by its path from the machine's root (`working.calling`).
 */
import type { Json } from "../protocol/json.ts";
import { type EndStatus, endStatuses } from "../protocol/run.ts";

export type StateVisit = {
  readonly state: string;
  readonly count: number;
  readonly active: boolean;
  /** `seq` of the fact that entered it last. */
  readonly enteredAt: number;
};

/** Names of final states: those of runs, and of tools that came back. A client is not told which states are final; these words are kept for ends. */
const ends = [...endStatuses, "returned"] as const;
export type ActorEnd = EndStatus | "returned";

export type ActorView = {
  /** `run/agent/request-2`. */
  readonly path: string;
  /** Empty while only the actor's children have spoken. */
  readonly machine: string;
  /** Leaf states in the order of their first visit. */
  readonly visits: readonly StateVisit[];
  /** `seq` of the last state fact. */
  readonly enteredAt: number;
  readonly reason: string | null;
  /** How it ended: a machine whose only active state is named like an end has ended. */
  readonly end: ActorEnd | null;
};

export const silentActor = (path: string): ActorView => ({ path, machine: "", visits: [], enteredAt: 0, reason: null, end: null });

/** The leaves of XState's value: a string, or an object of regions. */
export function leavesOf(value: Json | undefined, prefix = ""): readonly string[] {
  if (typeof value === "string") return [prefix + value];
  if (value === null || typeof value !== "object") return prefix === "" ? [] : [prefix.slice(0, -1)];
  const regions = Object.entries(value);
  if (regions.length === 0) return prefix === "" ? [] : [prefix.slice(0, -1)];
  return regions.flatMap(([name, inner]) => leavesOf(inner, `${prefix}${name}.`));
}

/** The actor after a `state` fact. A leaf counts when it becomes active; when nothing became active, all that is active was entered again. */
export function enter(
  actor: ActorView,
  fact: { readonly seq: number; readonly machine: string; readonly value: Json; readonly reason?: string | undefined },
): ActorView {
  const now = leavesOf(fact.value);
  const before = new Set(actor.visits.filter((visit) => visit.active).map((visit) => visit.state));
  const fresh = now.filter((state) => !before.has(state));
  const entered = new Set(fresh.length > 0 ? fresh : now);
  const visits: StateVisit[] = actor.visits.map((visit) => {
    const active = now.includes(visit.state);
    if (entered.has(visit.state)) return { ...visit, active, count: visit.count + 1, enteredAt: fact.seq };
    return visit.active === active ? visit : { ...visit, active };
  });
  for (const state of entered) {
    if (!actor.visits.some((visit) => visit.state === state)) visits.push({ state, count: 1, active: true, enteredAt: fact.seq });
  }
  const only = now.length === 1 ? now[0] : undefined;
  return {
    path: actor.path,
    machine: fact.machine,
    visits,
    enteredAt: fact.seq,
    reason: fact.reason ?? null,
    end: ends.find((end) => end === only) ?? null,
  };
}

/** Whether the actor, or one above it, has ended: what an ended machine had started is over too, though nothing more is said of it. */
export function isOver(path: string, actors: ReadonlyMap<string, ActorView>): boolean {
  for (let at = path; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
    if (actors.get(at)?.end) return true;
  }
  return false;
}

/** Parents before children, siblings in the order of their first word. Parents that never spoke are put in. */
export function tree(paths: Iterable<string>): readonly string[] {
  const children = new Map<string, string[]>();
  const known = new Set<string>();
  const add = (path: string): void => {
    if (known.has(path)) return;
    const cut = path.lastIndexOf("/");
    const parent = cut < 0 ? "" : path.slice(0, cut);
    if (parent !== "") add(parent);
    known.add(path);
    children.set(parent, [...(children.get(parent) ?? []), path]);
  };
  for (const path of paths) add(path);
  const order: string[] = [];
  const walk = (parent: string): void => {
    for (const path of children.get(parent) ?? []) {
      order.push(path);
      walk(path);
    }
  };
  walk("");
  return order;
}
