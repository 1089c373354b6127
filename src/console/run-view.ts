/**
 * The view of one run as a fold over its events: `advance(view, events)`. Pure and without a clock, so that reload, resume and
 * tests are all "feed it the events again". It owns what the page knows about a run; how that is worded is in `fact-words.ts`.
 *
 * 1. Facts are taken once: a `seq` at or below the last one seen is ignored (a resumed stream may repeat).
 * 2. Text is put at its offset, never just appended; `call.finished.text` has the last word.
 * 3. What did not change keeps its identity: components compare by reference.
 * 4. Unknown event types are kept as facts and otherwise ignored.
 */
import type { Delta, Event, Fact, FinishReason } from "../protocol/events.ts";
import type { Json } from "../protocol/json.ts";
import type { Bounds, Limits } from "../protocol/limits.ts";
import type { EndStatus, InputKind, RunStatus, Usage } from "../protocol/run.ts";
import { type ActorView, enter, silentActor } from "./state-visits.ts";

/** What the page shows of an error. */
export type Failure = { readonly code: string; readonly message: string };

export type CallView = {
  readonly call: string;
  readonly actor: string;
  readonly for: "answer" | "internal";
  readonly step: number;
  readonly attempt: number;
  readonly model: string;
  readonly tier: string;
  readonly text: string;
  readonly reasoning: string;
  /** The object so far, of an agent whose answer is an object. */
  readonly partial?: Json;
  readonly holdMicrousd: number;
  /** Null while it runs. */
  readonly finish: FinishReason | null;
  readonly error?: Failure;
  readonly cached: boolean;
  /** Whatever was shown of it is void, and why. */
  readonly retracted: string | null;
};

export type ToolView = {
  readonly id: string;
  readonly tool: string;
  readonly group: string;
  readonly input?: Json;
  readonly state: "running" | "returned" | "failed" | "refused";
  readonly output?: Json;
  readonly truncated: boolean;
  readonly error?: Failure;
  readonly durationMs?: number;
};

export type QuestionView = {
  readonly id: string;
  readonly kind: InputKind;
  readonly message: string;
  readonly tool?: string;
  readonly input?: Json;
  readonly inputHash?: string;
  readonly schema?: Json;
  readonly amountMicrousd?: number;
  readonly expiresAt: string;
  readonly resolved: { readonly by: "user" | "expiry" | "cancel"; readonly answer: Json } | null;
};

/** What the conversation shows, in the order it happened. */
export type ThreadItem =
  | { readonly kind: "call" | "tool" | "question"; readonly id: string }
  | { readonly kind: "data"; readonly id: string; readonly name: string; readonly data: Json };

export type RunEnd = { readonly status: EndStatus; readonly output: Json; readonly error?: Failure; readonly tier?: string };

export type RunView = {
  /** The last fact taken; 0 before the first. */
  readonly seq: number;
  readonly agent: string | null;
  readonly phase: "unknown" | "queued" | "running" | "ended";
  /** RFC 3339. */
  readonly acceptedAt: string | null;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly limits: Limits | null;
  readonly bounds: Bounds | null;
  readonly usage: Usage;
  readonly costMicrousd: number;
  readonly heldMicrousd: number;
  readonly steps: number;
  readonly callCount: number;
  readonly toolCount: number;
  readonly limitsHit: ReadonlySet<string>;
  readonly actors: ReadonlyMap<string, ActorView>;
  readonly calls: ReadonlyMap<string, CallView>;
  readonly tools: ReadonlyMap<string, ToolView>;
  readonly questions: ReadonlyMap<string, QuestionView>;
  readonly thread: readonly ThreadItem[];
  readonly facts: readonly Fact[];
  readonly progress: { readonly message: string; readonly done?: number; readonly total?: number } | null;
  /** A model that answers from a script was called. */
  readonly scripted: boolean;
  readonly end: RunEnd | null;
};

export const emptyRun: RunView = {
  seq: 0,
  agent: null,
  phase: "unknown",
  acceptedAt: null,
  startedAt: null,
  finishedAt: null,
  limits: null,
  bounds: null,
  usage: { input_tokens: 0, cached_tokens: 0, output_tokens: 0, estimated: false },
  costMicrousd: 0,
  heldMicrousd: 0,
  steps: 0,
  callCount: 0,
  toolCount: 0,
  limitsHit: new Set(),
  actors: new Map(),
  calls: new Map(),
  tools: new Map(),
  questions: new Map(),
  thread: [],
  facts: [],
  progress: null,
  scripted: false,
  end: null,
};

/** `waiting` as the page sees it: something is asked and nothing else is going on. */
export function statusOf(view: RunView): RunStatus | null {
  if (view.phase === "unknown") return null;
  if (view.end) return view.end.status;
  if (view.phase === "queued") return "queued";
  const asked = [...view.questions.values()].some((question) => question.resolved === null);
  const busy =
    [...view.calls.values()].some((call) => call.finish === null) || [...view.tools.values()].some((tool) => tool.state === "running");
  return asked && !busy ? "waiting" : "running";
}

export const isScripted = (tier: string | undefined, model?: string): boolean => tier === "offline" || model === "scripted";

export function advance(view: RunView, events: readonly Event[]): RunView {
  const next = new Draft(view);
  for (const event of events) next.take(event);
  return next.view;
}

const isDelta = (event: Event): event is Delta =>
  event.type === "text.delta" || event.type === "reasoning.delta" || event.type === "partial";
/** Micro-dollars have three decimals; sums of floats would show more. */
const exact = (microusd: number): number => Math.round(microusd * 1_000) / 1_000;

type Collections = "actors" | "calls" | "tools" | "questions" | "thread" | "facts";
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** One batch. Collections are copied at the first change and then written in place, so a batch costs its own size and one copy. */
class Draft {
  readonly view: Mutable<RunView>;
  readonly #own = new Set<Collections>();

  constructor(view: RunView) {
    this.view = { ...view };
  }

  take(event: Event): void {
    if (isDelta(event)) this.#delta(event);
    else if (event.seq > this.view.seq) {
      this.view.seq = event.seq;
      this.#list("facts").push(event);
      this.#fact(event);
    }
  }

  #delta(delta: Delta): void {
    const call = this.view.calls.get(delta.call);
    if (!call || call.finish !== null) return;
    if (delta.type === "partial") this.#map("calls").set(call.call, { ...call, partial: delta.value });
    else if (delta.type === "text.delta") {
      this.#map("calls").set(call.call, { ...call, text: call.text.slice(0, delta.offset) + delta.text });
    } else this.#map("calls").set(call.call, { ...call, reasoning: call.reasoning.slice(0, delta.offset) + delta.text });
  }

  #fact(fact: Fact): void {
    const { view } = this;
    switch (fact.type) {
      case "run.accepted":
        view.agent = fact.agent;
        view.phase = "queued";
        view.acceptedAt = fact.at;
        view.limits = fact.limits;
        view.bounds = fact.bounds;
        return;
      case "run.started":
        view.phase = "running";
        view.startedAt = fact.at;
        return;
      case "state":
        this.#map("actors").set(fact.actor, enter(view.actors.get(fact.actor) ?? silentActor(fact.actor), fact));
        return;
      case "progress": {
        const { message, done, total } = fact;
        view.progress = { message, ...(done !== undefined && { done }), ...(total !== undefined && { total }) };
        return;
      }
      case "data":
        this.#list("thread").push({ kind: "data", id: `data-${fact.seq}`, name: fact.name, data: fact.data });
        return;
      case "call.started":
        this.#callStarted(fact);
        return;
      case "call.finished":
        this.#callFinished(fact);
        return;
      case "retract": {
        const call = view.calls.get(fact.call);
        if (call) this.#map("calls").set(call.call, { ...call, retracted: fact.reason });
        return;
      }
      case "tool.started":
        view.toolCount++;
        this.#tool({ id: fact.id, tool: fact.tool, group: fact.group, input: fact.input, state: "running", truncated: false });
        return;
      case "tool.returned":
      case "tool.failed":
      case "tool.refused":
        this.#toolEnded(fact);
        return;
      case "input.requested":
        this.#map("questions").set(fact.id, {
          id: fact.id,
          kind: fact.kind,
          message: fact.message,
          expiresAt: fact.expires_at,
          resolved: null,
          ...(fact.tool !== undefined && { tool: fact.tool }),
          ...(fact.input !== undefined && { input: fact.input }),
          ...(fact.input_hash !== undefined && { inputHash: fact.input_hash }),
          ...(fact.schema !== undefined && { schema: fact.schema }),
          ...(fact.amount_microusd !== undefined && { amountMicrousd: fact.amount_microusd }),
        });
        this.#list("thread").push({ kind: "question", id: fact.id });
        return;
      case "input.resolved": {
        const question = view.questions.get(fact.id);
        if (!question) return;
        this.#map("questions").set(fact.id, { ...question, resolved: { by: fact.by, answer: fact.answer } });
        if (question.kind === "budget") this.#toppedUp(fact.answer);
        return;
      }
      case "limit.hit":
        view.limitsHit = new Set([...view.limitsHit, fact.which]);
        return;
      case "run.finished":
        this.#finished(fact);
        return;
      default:
        return;
    }
  }

  /** More money raises the run's own limit, which is then no longer hit. */
  #toppedUp(answer: Json): void {
    const { view } = this;
    const added = (answer as { readonly amount_microusd?: unknown } | null)?.amount_microusd;
    if (typeof added !== "number" || view.limits === null) return;
    view.limits = { ...view.limits, max_cost_microusd: exact(view.limits.max_cost_microusd + added) };
    view.limitsHit = new Set([...view.limitsHit].filter((which) => which !== "budget.run"));
  }

  #callStarted(fact: Extract<Fact, { type: "call.started" }>): void {
    const { view } = this;
    view.callCount++;
    view.steps = Math.max(view.steps, fact.step);
    view.heldMicrousd = exact(view.heldMicrousd + fact.hold_microusd);
    view.scripted ||= isScripted(fact.tier, fact.model);
    this.#map("calls").set(fact.call, {
      call: fact.call,
      actor: fact.actor,
      for: fact.for,
      step: fact.step,
      attempt: fact.attempt,
      model: fact.model,
      tier: fact.tier,
      text: "",
      reasoning: "",
      holdMicrousd: fact.hold_microusd,
      finish: null,
      cached: false,
      retracted: null,
    });
    if (fact.for === "answer") this.#list("thread").push({ kind: "call", id: fact.call });
  }

  #callFinished(fact: Extract<Fact, { type: "call.finished" }>): void {
    const { view } = this;
    const call = view.calls.get(fact.call);
    view.costMicrousd = exact(view.costMicrousd + fact.cost_microusd);
    view.usage = {
      input_tokens: view.usage.input_tokens + fact.usage.input_tokens,
      cached_tokens: view.usage.cached_tokens + fact.usage.cached_tokens,
      output_tokens: view.usage.output_tokens + fact.usage.output_tokens,
      estimated: view.usage.estimated || fact.usage.estimated,
    };
    if (!call) return;
    view.heldMicrousd = exact(view.heldMicrousd - call.holdMicrousd);
    this.#map("calls").set(fact.call, {
      ...call,
      finish: fact.finish,
      text: fact.text ?? call.text,
      model: fact.model,
      cached: fact.cached ?? false,
      ...(fact.error && { error: fact.error }),
    });
  }

  #toolEnded(fact: Extract<Fact, { type: "tool.returned" | "tool.failed" | "tool.refused" }>): void {
    const begun = this.view.tools.get(fact.id);
    const common = {
      ...(begun ?? { id: fact.id, tool: fact.tool, group: fact.group }),
      truncated: false,
    };
    if (fact.type === "tool.returned") {
      this.#tool({ ...common, state: "returned", output: fact.output, truncated: fact.truncated ?? false, durationMs: fact.duration_ms });
    } else if (fact.type === "tool.failed") {
      this.#tool({ ...common, state: "failed", error: fact.error, durationMs: fact.duration_ms });
    } else this.#tool({ ...common, state: "refused", error: fact.error });
  }

  /** A refused tool never started: its first word is its last. */
  #tool(tool: ToolView): void {
    if (!this.view.tools.has(tool.id)) this.#list("thread").push({ kind: "tool", id: tool.id });
    this.#map("tools").set(tool.id, tool);
  }

  #finished(fact: Extract<Fact, { type: "run.finished" }>): void {
    const { view } = this;
    view.phase = "ended";
    view.finishedAt = fact.at;
    view.costMicrousd = fact.cost_microusd;
    view.heldMicrousd = 0;
    view.usage = fact.usage;
    view.steps = fact.steps;
    view.callCount = fact.calls;
    view.scripted ||= isScripted(fact.tier);
    view.progress = null;
    view.end = {
      status: fact.status,
      output: fact.output,
      ...(fact.error && { error: fact.error }),
      ...(fact.tier !== undefined && { tier: fact.tier }),
    };
  }

  #map<K extends "actors" | "calls" | "tools" | "questions">(name: K): Owned<RunView[K]> {
    // The cast undoes `readonly` of a collection that this batch has just copied.
    if (!this.#own.has(name)) {
      this.#own.add(name);
      (this.view as Record<K, unknown>)[name] = new Map(this.view[name] as ReadonlyMap<string, unknown>);
    }
    return this.view[name] as Owned<RunView[K]>;
  }

  #list<K extends "thread" | "facts">(name: K): RunView[K][number][] {
    if (!this.#own.has(name)) {
      this.#own.add(name);
      (this.view as Record<K, unknown>)[name] = [...this.view[name]];
    }
    return this.view[name] as RunView[K][number][];
  }
}

type Owned<M> = M extends ReadonlyMap<infer K, infer V> ? Map<K, V> : never;
