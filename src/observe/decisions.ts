/**
 * The decision log: every yes and no about a run, with its reason and its numbers, read from the facts of the run. Nothing is stored for
 * it but how the budgets above the run stood at a grant or denial (`ledger` of a stored fact).
 *
 *  1. The same facts give the same decisions, while a run lives and long after.
 *  2. It is fed in the order of the facts; what it says of the run's money is right from the first fact on.
 */
import type { Decision, DecisionKind } from "../protocol/decision.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Fact } from "../protocol/events.ts";
import type { InputKind } from "../protocol/run.ts";
import type { LedgerEntry } from "../stores/store.ts";

type Told = Fact & { readonly ledger?: readonly LedgerEntry[] | undefined };
type Numbers = Record<string, number>;

export class DecisionReader {
  private spent: number;
  private limit: number | undefined;
  private isOverspent: boolean;
  /** Of open calls, in micro-dollars. */
  private readonly holds = new Map<string, number>();
  /** Why the last call of an actor failed. */
  private readonly failures = new Map<string, string>();
  private readonly asked = new Map<string, InputKind>();

  /** Of a run whose beginning is not read: what it has spent and its limit, in micro-dollars. */
  constructor(spent = 0, limit?: number) {
    this.spent = spent;
    this.limit = limit;
    this.isOverspent = limit !== undefined && spent > limit;
  }

  /** The decision that a fact tells of, or null. */
  take(fact: Told): Decision | null {
    const found = this.read(fact);
    if (!found) return null;
    const [decision, reason, numbers = {}] = found;
    return { seq: fact.seq, at: fact.at, actor: fact.actor, decision, reason, numbers };
  }

  private read(fact: Told): readonly [DecisionKind, string, Numbers?] | null {
    switch (fact.type) {
      case "run.accepted": {
        this.limit = fact.limits.max_cost_microusd;
        const { calls, tool_calls, cost_microusd } = fact.bounds;
        return [
          "accepted",
          `at worst ${calls} calls, ${tool_calls} tool calls and ${money(cost_microusd)}`,
          { calls, tool_calls, cost_microusd, limit_microusd: this.limit },
        ];
      }
      case "call.started":
        return this.granted(fact);
      case "call.finished":
        return this.finished(fact);
      case "request.retrying": {
        const { attempt, delay_ms } = fact;
        return ["retried", `again in ${delay_ms} ms, as attempt ${attempt}: ${this.why(fact)}`, { attempt, delay_ms }];
      }
      case "request.fell_back":
        return ["fell_back", `from ${fact.from} to ${fact.to}: ${this.why(fact)}`];
      case "limit.hit":
        return this.limited(fact);
      case "tool.started":
        return ["granted", `tool ${fact.tool}${fact.group ? ` of ${fact.group}` : ""}`];
      case "tool.refused":
        return ["denied", `tool ${fact.tool}: ${fact.error.message} (${fact.error.code})`];
      case "input.requested":
        this.asked.set(fact.id, fact.kind);
        return [
          "asked",
          `${fact.kind} ${fact.id}: ${fact.message}`,
          fact.amount_microusd === undefined ? {} : { amount_microusd: fact.amount_microusd },
        ];
      case "input.resolved":
        return this.resolved(fact);
      case "run.finished": {
        const { status, error, cost_microusd, steps, calls } = fact;
        return ["ended", `${status}${error ? `: ${error.message} (${error.code})` : ""}`, { cost_microusd, steps, calls }];
      }
      default:
        return null;
    }
  }

  private granted(fact: Told & { readonly type: "call.started" }): readonly [DecisionKind, string, Numbers] {
    const { call, model, tier, attempt, hold_microusd } = fact;
    let used = this.spent;
    for (const hold of this.holds.values()) used += hold;
    this.holds.set(call, hold_microusd);
    const run = this.limit === undefined ? `run ${money(used)} used` : `run ${money(used)} of ${money(this.limit)} used`;
    const said = [`hold ${money(hold_microusd)}`, run, ...(fact.ledger ?? []).map(standing)].join(", ");
    return [
      "granted",
      `call ${call} of ${model} (${tier}, attempt ${attempt}): ${said}`,
      {
        hold_microusd,
        run_used_microusd: used,
        ...(this.limit !== undefined && { run_limit_microusd: this.limit }),
        attempt,
        ...numbersOf(fact.ledger),
      },
    ];
  }

  private finished(fact: Told & { readonly type: "call.finished" }): readonly [DecisionKind, string, Numbers?] | null {
    const { call, finish, error, actor, cost_microusd } = fact;
    this.holds.delete(call);
    this.spent += cost_microusd;
    if (error) this.failures.set(actor, because(error));
    else this.failures.delete(actor);
    if (fact.cached) return ["cache_hit", `call ${call} was answered from the cache${fact.stale ? ", with an old answer" : ""}`];
    if (finish === "lost")
      return [
        "lost",
        `call ${call} was lost: its process died or lost the store meanwhile. It is charged at its worst case`,
        { cost_microusd },
      ];
    return null;
  }

  /** What overspends a run is told of once; from then on its budget denies. */
  private limited(fact: Told & { readonly type: "limit.hit" }): readonly [DecisionKind, string, Numbers] {
    const { which, value, limit } = fact;
    if (which !== "budget.run" || value === undefined || limit === undefined || value <= limit || this.isOverspent) return denied(fact);
    this.isOverspent = true;
    return ["overspent", `the run has cost ${money(value)}, and its limit is ${money(limit)}`, { value, limit }];
  }

  private resolved(fact: Told & { readonly type: "input.resolved" }): readonly [DecisionKind, string, Numbers?] {
    const { id, by } = fact;
    if (by !== "user") return ["expired", by === "cancel" ? `${id} was cancelled` : `nobody answered ${id} in time`];
    const { approve, amount_microusd, reason } = (fact.answer ?? {}) as { approve?: boolean; amount_microusd?: number; reason?: string };
    const why = reason === undefined ? "" : `: ${reason}`;
    if (approve === false) return ["rejected", `${id}${why}`];
    // Of a run whose beginning was not read, the answer alone says what it is.
    const kind = this.asked.get(id) ?? "budget";
    if (kind === "budget" && amount_microusd !== undefined) {
      if (this.limit !== undefined) this.limit += amount_microusd;
      return [
        "topped_up",
        `${id} by ${money(amount_microusd)}`,
        { amount_microusd, ...(this.limit !== undefined && { run_limit_microusd: this.limit }) },
      ];
    }
    return approve === true ? ["approved", `${id}${why}`] : ["answered", id];
  }

  /** The code that the machine gives, and the words of the call's error where there was one. */
  private why({ actor, reason }: { readonly actor: string; readonly reason: string }): string {
    const failure = this.failures.get(actor);
    return failure === undefined ? reason : `${reason}, ${failure}`;
  }
}

function because({ message, details }: Pick<ErrorBody, "message"> & { readonly details?: ErrorBody["details"] | undefined }): string {
  const status = details?.status === undefined ? "" : ` (status ${details.status})`;
  return `${message}${status}`;
}

function denied(fact: Told & { readonly type: "limit.hit" }): readonly [DecisionKind, string, Numbers] {
  const { which, value, limit } = fact;
  const numbers = { ...(value !== undefined && { value }), ...(limit !== undefined && { limit }), ...numbersOf(fact.ledger) };
  if (which.startsWith("budget.")) {
    const level = which.slice("budget.".length);
    const own = value !== undefined && limit !== undefined ? `: ${money(value)} of ${money(limit)} spent` : "";
    const above = fact.ledger?.map(standing).join(", ");
    return ["denied", `the ${level} budget does not allow the call${own}${above ? ` (${above})` : ""}`, numbers];
  }
  return ["denied", `limit ${which}${value === undefined ? "" : `: ${value} of ${limit} used`}`, numbers];
}

/** `user 5,000 of 1,000,000 µ$ used, 3 of 10 calls`. */
function standing({ level, used_microusd, limit_microusd, tokens, calls }: LedgerEntry): string {
  const parts = [
    ...(limit_microusd === undefined ? [] : [`${money(used_microusd)} of ${money(limit_microusd)}`]),
    ...(tokens ? [`${count(tokens[0])} of ${count(tokens[1])} tokens`] : []),
    ...(calls ? [`${count(calls[0])} of ${count(calls[1])} calls`] : []),
  ];
  return `${level} ${parts.join(" and ")} used`;
}

function numbersOf(ledger: readonly LedgerEntry[] = []): Numbers {
  const numbers: Numbers = {};
  for (const { level, used_microusd, limit_microusd, tokens, calls } of ledger) {
    numbers[`${level}_used_microusd`] = used_microusd;
    if (limit_microusd !== undefined) numbers[`${level}_limit_microusd`] = limit_microusd;
    if (tokens) Object.assign(numbers, { [`${level}_used_tokens`]: tokens[0], [`${level}_limit_tokens`]: tokens[1] });
    if (calls) Object.assign(numbers, { [`${level}_used_calls`]: calls[0], [`${level}_limit_calls`]: calls[1] });
  }
  return numbers;
}

const count = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 3 });
const money = (microusd: number): string => `${count(microusd)} µ$`;
