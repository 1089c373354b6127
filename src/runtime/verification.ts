/**
 * What is known of an agent before it has run: `escapement verify` and its text.
 * The walks are machines/bounds.ts, the figures bounds.ts; here is how they are told.
 */
import type { AnyStateMachine } from "xstate";
import { findings, transitionsOf, Uncapped, Unwalkable, type Walk, walk } from "../../machines/bounds.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Bounds, Limits } from "../protocol/limits.ts";
import { type AgentSpec, tiersOf } from "./agent.ts";
import { boundsOf, machineOf, routingWalk, type Unlimited, walkedInput, worstCaseOf } from "./bounds.ts";
import { assumedContextTokens } from "./too-long.ts";

export type Verification = {
  readonly agent: string;
  readonly machine: string;
  /** No machine can get stuck, break, or ask without end. */
  readonly ok: boolean;
  /** Why the machine could not be walked; then only the limits bound it. */
  readonly unwalkable?: string;
  readonly machines: readonly MachineVerification[];
  /** Absent when the agent is refused. */
  readonly bounds?: Bounds;
  /** Of each bound, what it comes from. */
  readonly because?: { readonly [meter in keyof Bounds]: string };
  readonly assumptions: readonly string[];
};

export type MachineVerification = {
  readonly name: string;
  readonly states: number;
  /** Those that this agent's configuration does not reach are named. */
  readonly transitions: { readonly covered: number; readonly total: number; readonly uncovered: readonly string[] };
  readonly ends: readonly string[];
  readonly problems: readonly string[];
};

/** Steps that are walked in full; more only repeat them. */
const walkedSteps = 2;

/** Walks the agent's machine with every kind of outcome. `machine` as in {@link boundsOf}. */
export function verifyAgent(
  spec: AgentSpec,
  limits: Limits = spec.limits,
  machine: AnyStateMachine | undefined = machineOf(spec),
): Verification {
  const base = { agent: spec.name, machine: spec.machine, assumptions: assumptionsOf(spec) };
  let top: Walk;
  try {
    if (!machine) throw new Unwalkable(`the machine "${spec.machine}" is not known here`);
    top = walk(machine, { input: walkedInput(spec, Math.min(walkedSteps, limits.max_steps)) });
  } catch (error) {
    if (!(error instanceof Unwalkable)) throw error;
    const bounds = boundsOf(spec, limits, undefined);
    return { ...base, ok: true, unwalkable: error.message, machines: [], bounds, because: reasons(bounds, undefined, spec, limits) };
  }
  const routing = routingWalk(spec);
  const machines = [...(routing ? machinesIn(routing) : []), ...machinesIn(top)];
  const ok = machines.every(({ problems }) => problems.length === 0);
  try {
    const bounds = boundsOf(spec, limits, machine);
    return { ...base, ok, machines, bounds, because: reasons(bounds, mostOf(spec, limits, machine), spec, limits) };
  } catch (error) {
    if (!(error instanceof EscapementError)) throw error;
    return { ...base, ok: false, machines };
  }
}

/** The report as text, for a terminal. */
export function formatReport(report: Verification): string {
  const lines = [`${report.agent}  (${report.machine})  ${report.ok ? "verified" : "REFUSED"}`];
  if (report.unwalkable) lines.push(`  not walked: ${report.unwalkable}`);
  for (const { name, states, transitions, ends, problems } of report.machines) {
    const unused = transitions.uncovered.length > 0 ? ` (${transitions.uncovered.length} not used by this agent)` : "";
    lines.push(
      `  ${name.padEnd(10)} ${String(states).padStart(4)} states, ${transitions.covered} of ${transitions.total} transitions${unused}, ends: ${ends.join(", ")}`,
    );
    for (const problem of problems) lines.push(`             PROBLEM  ${problem}`);
  }
  if (report.bounds && report.because) {
    lines.push("  at most");
    for (const [meter, value] of Object.entries(report.bounds) as [keyof Bounds, number][])
      lines.push(`    ${meter.padEnd(14)} ${grouped(value).padStart(14)}  ${report.because[meter]}`);
  }
  for (const assumption of report.assumptions) lines.push(`  assumed: ${assumption}`);
  return lines.join("\n");
}

/** Each machine once; one that is walked with several inputs is covered by all of them. */
function machinesIn(top: Walk): readonly MachineVerification[] {
  const byName = new Map<string, Walk[]>();
  const visit = (walked: Walk): void => {
    const same = byName.get(walked.machine.id) ?? [];
    byName.set(walked.machine.id, [...same, walked]);
    for (const child of walked.children.values()) visit(child);
  };
  visit(top);
  return [...byName].map(([name, walks]) => {
    const all = walks.map(findings);
    const transitions = transitionsOf((walks[0] as Walk).machine);
    const covered = new Set(walks.flatMap((walked) => [...walked.transitions.covered]));
    return {
      name,
      states: Math.max(...all.map(({ states }) => states)),
      transitions: {
        covered: covered.size,
        total: transitions.length,
        uncovered: transitions.filter((transition) => !covered.has(transition)),
      },
      ends: [...new Set(all.flatMap(({ ends }) => ends))],
      problems: [
        ...new Set(
          all.flatMap(({ stuck, endless, uncancellable, broken, uncapped }) => [
            ...stuck.map((state) => `it can get stuck in ${state}`),
            ...endless.map((state) => `no end can be reached from ${state}`),
            ...uncancellable.map((state) => `it cannot be cancelled in ${state}`),
            ...broken.map((step) => `it breaks in ${step}`),
            ...uncapped.map((loop) => `it can ask for work without end: ${loop}`),
          ]),
        ),
      ],
    };
  });
}

function mostOf(spec: AgentSpec, limits: Limits, machine: AnyStateMachine): Unlimited | undefined {
  try {
    return worstCaseOf(spec, limits, machine);
  } catch (error) {
    if (error instanceof Unwalkable || error instanceof Uncapped) return undefined;
    throw error;
  }
}

function reasons(bounds: Bounds, most: Unlimited | undefined, spec: AgentSpec, limits: Limits): { [meter in keyof Bounds]: string } {
  const capped = (meter: keyof Bounds, walked: string, cap: string): string => {
    if (!most) return cap;
    const value = most[meter];
    return value <= bounds[meter] || Math.ceil(value) === bounds[meter]
      ? walked
      : `${cap}; its machine could reach ${Number.isFinite(value) ? grouped(value) : "more"}`;
  };
  const { steps = 0, calls = 0 } = most ?? {};
  const asks =
    `${spec.route?.classifier ? "1 call to classify, and " : ""}${plural(steps, "step")} of ${plural(Math.ceil((calls - (spec.route?.classifier ? 1 : 0)) / Math.max(1, steps)), "call")}: ${plural(spec.tiers.length, "tier")} × ` +
    `${plural(1 + spec.retries, "attempt")}, and those that ${andThose(spec)}`;
  const tokens = (meter: "input_tokens" | "output_tokens", most: string): string =>
    bounds[meter] % Math.max(1, bounds.calls) === 0 ? `limits.max_calls × ${most}` : "what the budget pays for at most";
  return {
    calls: capped("calls", asks, "limits.max_calls"),
    input_tokens: capped("input_tokens", "each call with its tier's whole context", tokens("input_tokens", "the largest context")),
    output_tokens: capped("output_tokens", "each call with the most output", tokens("output_tokens", "the most output of a call")),
    tool_calls: capped(
      "tool_calls",
      steps > 0 && most?.tool_calls === 0 ? "it shows no tools" : `${most ? most.tool_calls / Math.max(1, steps) : 0} in each step`,
      "limits.max_tool_calls",
    ),
    cost_microusd: capped(
      "cost_microusd",
      "each call at the hold of its most tokens",
      bounds.cost_microusd === limits.max_cost_microusd ? "limits.max_cost_microusd" : "limits.max_calls × the dearest call",
    ),
    wall_ms: capped("wall_ms", "timeouts, backoff with the longest jitter, questions until they expire", "limits.deadline_ms"),
  };
}

const andThose = ({ onBudget, onLength, judge }: AgentSpec): string =>
  new Intl.ListFormat("en", { type: "disjunction" }).format([
    "were lost",
    ...(onBudget === "ask" ? ["topped up"] : []),
    ...(onLength === "continue" ? ["went on with a cut answer"] : []),
    ...(judge ? ["judge"] : []),
  ]);

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

function assumptionsOf(spec: AgentSpec): readonly string[] {
  return [
    ...tiersOf(spec).flatMap(({ name, contextTokens }) =>
      contextTokens === undefined
        ? [`tier "${name}": ${grouped(assumedContextTokens)} tokens of input at most; its context is not known`]
        : [],
    ),
    ...(spec.onBudget === "ask" ? ["what a person grants on top of the budget is not counted"] : []),
  ];
}

const grouped = (value: number): string =>
  Number.isFinite(value) ? new Intl.NumberFormat("en", { maximumFractionDigits: 0 }).format(value) : "any";
