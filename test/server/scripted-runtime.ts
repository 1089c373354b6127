/**
 * A runtime whose runs do what a test says, to reach the edges of the server that a real run reaches only by luck: frames in a certain
 * order, readers that block, defects. Only for tests of the edge; whole paths are tested with the real runtime.
 */

import type { Caller } from "../../src/protocol/caller.ts";
import type { AnswerBody, StartBody } from "../../src/protocol/commands.ts";
import { parseCursor } from "../../src/protocol/cursor.ts";
import { EscapementError } from "../../src/protocol/errors.ts";
import type { Event, Fact } from "../../src/protocol/events.ts";
import { hasEnded, type Run, type RunStatus } from "../../src/protocol/run.ts";
import type { EventReader, EventsOptions, RunHandle } from "../../src/protocol/runs.ts";
import { Position } from "../../src/server/position.ts";
import type { Health, ServerRuntime } from "../../src/server/runtime.ts";

const limits = {
  max_steps: 10,
  max_calls: 10,
  max_tool_calls: 10,
  max_depth: 3,
  max_cost_microusd: 1_000,
  max_output_tokens: 100,
  deadline_ms: 60_000,
};
const bounds = { calls: 1, input_tokens: 10, output_tokens: 100, tool_calls: 0, cost_microusd: 5, wall_ms: 60_000 };
const usage = { input_tokens: 1, cached_tokens: 0, output_tokens: 1, estimated: false };
const at = "2026-01-01T00:00:00.000Z";

/** One run under the test's control. */
export class ScriptedRun {
  readonly id: string;
  readonly body: StartBody;
  readonly events: Event[] = [];
  status: RunStatus = "running";
  cancelReasons: (string | undefined)[] = [];
  answers: AnswerBody[] = [];
  /** The next `read()` of every reader fails with this. */
  failure: unknown;
  readers = 0;
  #seq = 0;
  #text = "";
  #wake: (() => void)[] = [];

  constructor(id: string, body: StartBody) {
    this.id = id;
    this.body = body;
    this.fact({ type: "run.accepted", agent: body.agent, limits, bounds });
  }

  fact(body: { type: Fact["type"]; [key: string]: unknown }): void {
    this.#seq++;
    // Tests name the fields that matter to them.
    this.events.push({ run: this.id, seq: this.#seq, at, actor: "run", ...body } as unknown as Fact);
    this.wake();
  }

  call(): void {
    this.fact({ type: "call.started", call: "c1", for: "answer", step: 1, model: "m", tier: "t", attempt: 1, hold_microusd: 1 });
  }

  text(text: string): void {
    this.events.push({ run: this.id, seq: this.#seq, at, actor: "run", type: "text.delta", call: "c1", offset: this.#text.length, text });
    this.#text += text;
    this.wake();
  }

  finish(status: "done" | "cancelled" = "done"): void {
    const call = {
      type: "call.finished",
      call: "c1",
      finish: "stop",
      text: this.#text,
      model: "m",
      usage,
      cost_microusd: 1,
      duration_ms: 1,
    };
    if (this.events.some((event) => event.type === "call.started")) this.fact(call as { type: "call.finished" });
    this.status = status;
    this.fact({ type: "run.finished", status, output: this.#text, usage, cost_microusd: 1, steps: 1, calls: 1 });
  }

  wake(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const resolve of waiting) resolve();
  }

  nextWake(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  run(): Run {
    return {
      id: this.id,
      agent: this.body.agent,
      status: this.status,
      created_at: at,
      output: hasEnded(this.status) ? this.#text : null,
      usage,
      cost_microusd: 1,
      steps: 1,
      calls: 1,
      tool_calls: 0,
      limits,
      held_microusd: 0,
      bounds,
    };
  }
}

export class ScriptedRuntime implements ServerRuntime {
  readonly runs = new Map<string, ScriptedRun>();
  readonly keys = new Map<string, { id: string; body: string }>();
  readonly callers: Caller[] = [];
  now: Health = { ready: true };
  /** What a run does when it starts. */
  script: (run: ScriptedRun) => void | Promise<void> = (run) => {
    run.fact({ type: "run.started" });
    run.call();
    run.text("Hello");
    run.finish();
  };
  /** Awaited by every start before it does anything. */
  gate: Promise<void> | undefined;
  onStart: (() => void) | undefined;

  only(): ScriptedRun {
    const [run] = this.runs.values();
    if (!run) throw new Error("no run was started");
    return run;
  }

  async start(body: StartBody, options: { caller: Caller; idempotencyKey?: string }): Promise<RunHandle> {
    this.callers.push(options.caller);
    this.onStart?.();
    await this.gate;
    if (body.agent === "broken") throw new TypeError("a defect with a secret in it");
    if (body.agent === "busy") throw new EscapementError("overloaded", "too many runs", { retry_after_ms: 2_500 });
    if (body.agent !== "assistant") throw new EscapementError("not_found", `there is no agent "${body.agent}"`);
    if (options.idempotencyKey !== undefined) {
      const known = this.keys.get(options.idempotencyKey);
      if (known && known.body !== JSON.stringify(body)) throw new EscapementError("idempotency_mismatch", "same key, other body");
      if (known) return this.#handle(this.#find(known.id), true, options.caller);
    }
    const run = new ScriptedRun(`run_${this.runs.size + 1}`, body);
    this.runs.set(run.id, run);
    if (options.idempotencyKey !== undefined) this.keys.set(options.idempotencyKey, { id: run.id, body: JSON.stringify(body) });
    void this.script(run);
    return this.#handle(run, false, options.caller);
  }

  async cancel(id: string, options: { caller: Caller; reason?: string; idempotencyKey?: string }) {
    const run = this.#find(id);
    const ended = hasEnded(run.status);
    if (!ended) {
      run.cancelReasons.push(options.reason);
      run.finish("cancelled");
    }
    return { run: run.run(), ended, replayed: options.idempotencyKey === "again" };
  }

  async answer(id: string, answer: AnswerBody, options: { caller: Caller; idempotencyKey?: string }) {
    const run = this.#find(id);
    if (run.answers.some((earlier) => earlier.id === answer.id)) throw new EscapementError("conflict", "it was answered already");
    run.answers.push(answer);
    return { run: run.run(), replayed: options.idempotencyKey === "again" };
  }

  async events(id: string, options: EventsOptions & { caller: Caller }): Promise<EventReader> {
    const run = this.#find(id);
    if (options.after !== undefined && parseCursor(options.after).seq > run.events.length) {
      throw new EscapementError("invalid_request", "the cursor is from the future", { details: { path: "after" } });
    }
    return reader(run, options.after);
  }

  async get(id: string): Promise<Run> {
    return this.#find(id).run();
  }

  async list() {
    return { data: [...this.runs.values()].map((run) => run.run()).reverse(), next: null };
  }

  async facts(id: string, options: { after?: string }) {
    const after = options.after === undefined ? 0 : parseCursor(options.after).seq;
    const facts = this.#find(id).events.filter((event): event is Fact => !event.type.endsWith(".delta") && event.seq > after);
    return { data: facts, next: null };
  }

  async journal(id: string) {
    return { data: [{ position: 1, run: this.#find(id).id }], next: null };
  }

  async session(id: string) {
    return { id, runs: [], messages: [] };
  }

  async decisions(id: string) {
    this.#find(id);
    return { data: [], next: null };
  }

  async score(): Promise<never> {
    throw new EscapementError("internal", "no test scores a run here");
  }

  async scores(id: string) {
    this.#find(id);
    return { data: [], next: null };
  }

  async budgets() {
    return [];
  }

  /** What was purged, in order. */
  readonly purged: object[] = [];
  async purgeCache(which: object) {
    this.purged.push(which);
    return 3;
  }

  cacheCounts() {
    const shadow = { hits: 2, right: 1, wrong: 1, false_hit_rate: 0.5 };
    return {
      exact: 5,
      semantic: 0,
      stale: 0,
      missed: 1,
      kept: 1,
      shared: 0,
      shadow,
      embedder: { tokens: 0, cost_microusd: 0, failures: 0 },
    };
  }

  agents() {
    return [{ name: "assistant", description: "", input_schema: null, output_schema: null, limits, tool_groups: [] }];
  }

  async setBudget(): Promise<never> {
    throw new EscapementError("internal", "no test sets a budget here");
  }

  async usage(): Promise<never> {
    throw new EscapementError("internal", "no test asks for usage here");
  }

  machine(agent: string) {
    return { id: agent };
  }

  estimate() {
    return bounds;
  }

  bounds() {
    return bounds;
  }

  health(): Health {
    return this.now;
  }

  #find(id: string): ScriptedRun {
    const run = this.runs.get(id);
    if (!run) throw new EscapementError("not_found", "there is no such run");
    return run;
  }

  #handle(run: ScriptedRun, replayed: boolean, caller: Caller): RunHandle {
    const result = async () => {
      for await (const _ of reader(run, undefined)) {
        // to the end
      }
      return run.run();
    };
    return {
      id: run.id,
      replayed,
      events: (options) => reader(run, options?.after),
      result,
      cancel: async (reason) => (await this.cancel(run.id, { caller, ...(reason === undefined ? {} : { reason }) })).run,
      answer: async (answer) => (await this.answer(run.id, answer, { caller })).run,
      [Symbol.asyncIterator]: () => reader(run, undefined)[Symbol.asyncIterator](),
    };
  }
}

/** Gives the scripted events after a cursor; a delta that was half seen is cut. */
function reader(run: ScriptedRun, after: string | undefined): EventReader {
  const cursor = after === undefined ? { seq: 0, calls: new Map<string, number>() } : parseCursor(after);
  const position = new Position(after, false);
  let cursorText = after ?? "0";
  let next = 0;
  let closed = false;
  let over = false;
  run.readers++;
  const rest = (): Event[] => {
    const events: Event[] = [];
    for (; next < run.events.length; next++) {
      const event = run.events[next]!;
      if (event.type === "text.delta") {
        const finished = run.events.find((other) => other.type === "call.finished" && other.call === event.call);
        if (finished && finished.seq <= cursor.seq) continue;
        const seen = cursor.calls.get(event.call) ?? 0;
        if (event.offset + event.text.length <= seen) continue;
        const cut = Math.max(0, seen - event.offset);
        events.push(cut === 0 ? event : { ...event, offset: event.offset + cut, text: event.text.slice(cut) });
      } else if (event.seq > cursor.seq) {
        events.push(event);
      }
    }
    return events;
  };
  const read = async (): Promise<readonly Event[] | null> => {
    for (;;) {
      if (closed || over) return null;
      if (run.failure !== undefined) throw run.failure;
      const events = rest();
      if (events.length > 0) {
        for (const event of events) cursorText = position.after(event);
        over = events.at(-1)!.type === "run.finished";
        return events;
      }
      if (hasEnded(run.status)) return null;
      await run.nextWake();
    }
  };
  return {
    read,
    cursor: () => cursorText,
    close: () => {
      if (!closed) run.readers--;
      closed = true;
      run.wake();
    },
    async *[Symbol.asyncIterator]() {
      for (let events = await read(); events !== null; events = await read()) yield* events;
    },
  };
}
