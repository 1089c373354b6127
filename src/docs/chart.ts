/** A machine as data for its page: states, and what leads from one to another, in the machine's own words. */
import type { AnyStateMachine } from "xstate";
import { withParts } from "../../machines/patterns/parts.ts";
import { guardText, isMachine, kindOf, triggerText } from "../../machines/walking/stepper.ts";
import type { WorkKind } from "../../machines/work.ts";

export type Chart = {
  readonly name: string;
  readonly version: string;
  readonly initial: string;
  readonly states: readonly ChartState[];
  readonly arrows: readonly Arrow[];
};

export type ChartState = {
  readonly name: string;
  readonly isFinal: boolean;
  /** What it starts, in words: `a call`, `machine tool`. */
  readonly asks: readonly string[];
  readonly entry: readonly string[];
  readonly exit: readonly string[];
};

/** `from` null: from any state. `to` null: stays where it is. */
export type Arrow = {
  readonly from: string | null;
  readonly to: string | null;
  readonly trigger: string;
  readonly guard: string;
  readonly actions: readonly string[];
};

type Node = AnyStateMachine["root"];

/** Of a machine without states in states: ours have none (a machine that wants them wants to be two). */
export function chartOf(machine: AnyStateMachine): Chart {
  const nodes = Object.values(machine.root.states) as Node[];
  const spawned = spawnedBy(machine);
  const parts = withParts({});
  return {
    name: machine.id,
    version: machine.version ?? "",
    initial: String(machine.root.config.initial),
    states: nodes.map((node) => ({
      name: node.key,
      isFinal: node.type === "final",
      asks: [
        ...node.invoke.map(({ src }) => asked(machine, String(src))),
        // What is spawned and not invoked is started by the entry of a state that waits for it.
        ...(node.entry.length > 0 && node.transitions.size > 0 && node.invoke.length === 0
          ? spawned.map((src) => (src in parts ? "machines of its parts" : asked(machine, src)))
          : []),
      ].filter((text, i, all) => all.indexOf(text) === i),
      entry: node.entry.map(actionText),
      exit: node.exit.map(actionText),
    })),
    arrows: [...arrowsOf(machine.root, null), ...nodes.flatMap((node) => arrowsOf(node, node.key))],
  };
}

function arrowsOf(node: Node, from: string | null): Arrow[] {
  return [...[...node.transitions.values()].flat(), ...(node.always ?? [])].map((transition) => ({
    from,
    to: transition.target?.[0]?.key ?? null,
    trigger: triggerText(transition.eventType),
    guard: guardText(transition.guard),
    actions: transition.actions.map(actionText),
  }));
}

/** When an arrow is taken: `call failed [canRetry]`, `otherwise` for what is left when no guard before it holds. */
export function whenOf(arrow: Arrow, chart: Chart): string {
  const trigger = arrow.trigger === "always" ? "" : arrow.trigger;
  if (arrow.guard) return `${trigger} [${arrow.guard}]`.trim();
  const alternatives = chart.arrows.filter(({ from, trigger: other }) => from === arrow.from && other === arrow.trigger);
  return alternatives.length > 1 ? `${trigger}${trigger && ", "}otherwise` : trigger;
}

/** Actors that no state invokes: they are spawned by an action. */
function spawnedBy(machine: AnyStateMachine): readonly string[] {
  const invoked = new Set(Object.values(machine.root.states).flatMap((node) => (node as Node).invoke.map(({ src }) => String(src))));
  return Object.keys(machine.implementations.actors as object).filter((src) => !invoked.has(src));
}

function asked(machine: AnyStateMachine, src: string): string {
  const logic = (machine.implementations.actors as Record<string, unknown>)[src];
  const kind = kindOf(logic);
  if (kind) return words[kind];
  return isMachine(logic) ? `machine ${logic.id}` : src;
}

const words: { readonly [kind in WorkKind]: string } = {
  call: "a call",
  tool: "a tool",
  sleep: "a wait",
  ask: "a person's answer",
  lookup: "the caches",
  remember: "the caches to keep it",
  delegate: "leave to go on in a machine",
  split: "the text in chunks",
  expose: "the tools to show",
};

function actionText(action: unknown): string {
  if (typeof action === "string") return action;
  const { type, params } = action as { type?: string; params?: unknown };
  const said =
    typeof params === "object" && params !== null
      ? ` ${Object.values(params)
          .filter((value) => typeof value === "string")
          .join(" ")}`
      : "";
  return `${type ?? "inline"}${said.trimEnd()}`;
}
