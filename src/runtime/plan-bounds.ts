/**
 * The worst case of a pattern, from those of its parts: stages add up, of routes the worst counts, branches and chunks count each with
 * their retries. What a chain's reviewers send back counts as often as they may.
 */
import { reducesOf } from "../../machines/patterns/map-reduce.ts";
import type { Plan } from "../../machines/patterns/plan.ts";
import { personMs } from "../../machines/work.ts";
import type { AgentSpec } from "./agent.ts";
import type { Unlimited } from "./bounds.ts";

/** Of an agent at a leaf, by its path among the parts; of a router's classifier, which makes one call. */
export type PartBounds = { readonly leaf: (part: string) => Unlimited; readonly classifier: (part: string) => Unlimited };

const meters = ["calls", "input_tokens", "output_tokens", "tool_calls", "cost_microusd", "wall_ms", "steps", "sleep_ms", "asks"] as const;
const each = (value: (meter: (typeof meters)[number]) => number): Unlimited =>
  Object.fromEntries(meters.map((meter) => [meter, value(meter)])) as unknown as Unlimited;

export const nothing: Unlimited = each(() => 0);
const add = (a: Unlimited, b: Unlimited): Unlimited => each((meter) => a[meter] + b[meter]);
/** Nothing times without end is nothing. */
export const times = (a: Unlimited, n: number): Unlimited => each((meter) => (a[meter] === 0 || n === 0 ? 0 : a[meter] * n));
const worst = (all: readonly Unlimited[]): Unlimited => all.reduce((a, b) => each((meter) => Math.max(a[meter], b[meter])), nothing);
export const sum = (all: readonly Unlimited[]): Unlimited => all.reduce(add, nothing);

const question: Unlimited = { ...nothing, asks: 1, wall_ms: personMs };

/** `chunks`: as many as a map-reduce has, where its text is known. */
export function worstOfPlan(plan: Plan, parts: PartBounds, chunks?: number): Unlimited {
  const of = (inner: Plan): Unlimited => worstOfPlan(inner, parts, chunks);
  switch (plan.kind) {
    case "agent":
    case "single":
      return parts.leaf(plan.input.part ?? plan.name);
    case "chain": {
      const stages = plan.stages.map((stage) => of(stage.plan));
      const reviews = plan.stages.filter(({ review }) => review).length;
      // A no begins the stage before anew; before the first there is none.
      const redone = stages.filter((_, i) => plan.stages[i + 1]?.review);
      const redos = redone.length > 0 ? plan.redos : 0;
      return sum([...stages, times(worst(redone), redos), times(question, reviews + redos)]);
    }
    case "router":
      return add(worst(plan.routes.map((route) => of(route.plan))), plan.classifier ? parts.classifier(plan.classifier.part) : nothing);
    case "fan-out": {
      const branches = times(sum(plan.branches.map(of)), 1 + plan.retries);
      const { aggregate } = plan;
      const last = aggregate.by === "best" ? of(aggregate.judge) : aggregate.by === "merge" ? of(aggregate.merger) : nothing;
      return add(branches, last);
    }
    case "map-reduce": {
      const count = Math.min(plan.maxChunks, chunks ?? plan.maxChunks);
      const all = add(times(of(plan.map), count), times(of(plan.reduce), reducesOf(Math.max(1, count), plan.fanIn)));
      return add(times(all, 1 + plan.retries), plan.confirmAbove !== undefined && count > plan.confirmAbove ? question : nothing);
    }
  }
}

/** What the tools add that are agents: each use may be of the worst of them. */
export function withDelegates(spec: AgentSpec, most: Unlimited, parts: PartBounds, maxUses: number): Unlimited {
  const plans = spec.tools.flatMap(({ plan }) => plan ?? []);
  if (plans.length === 0) return most;
  const uses = Math.min(most.tool_calls, maxUses);
  return add(most, times(worst(plans.map((plan) => worstOfPlan(plan, parts))), uses));
}
