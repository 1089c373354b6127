/** Events in, view out: what the page knows of a run. No DOM, no clock. */
import { describe, expect, test } from "vitest";
import { advance, emptyRun, type RunView, statusOf } from "../../src/console/run-view.ts";
import type { Delta, Event, Fact, FactBody } from "../../src/protocol/events.ts";

const limits = {
  max_steps: 10,
  max_calls: 30,
  max_tool_calls: 20,
  max_depth: 4,
  max_cost_microusd: 50_000,
  max_output_tokens: 1_024,
  deadline_ms: 120_000,
};
const bounds = { calls: 30, input_tokens: 100, output_tokens: 100, tool_calls: 20, cost_microusd: 48_000, wall_ms: 120_000 };
const usage = (input_tokens: number, output_tokens: number, more = {}) => ({
  input_tokens,
  cached_tokens: 0,
  output_tokens,
  estimated: false,
  ...more,
});
const failure = (code: "interrupted" | "tool_failed" | "tool_denied" | "limit_hit", message: string) => ({
  code,
  message,
  retryable: false,
});

/** Numbers facts as the server does. */
class Script {
  seq = 0;
  fact(body: FactBody): Fact {
    this.seq++;
    const at = new Date(Date.UTC(2026, 0, 1, 12, 0, 0) + this.seq * 100).toISOString();
    return { run: "run_1", seq: this.seq, at, ...body } as Fact;
  }
  text(call: string, offset: number, text: string): Delta {
    return {
      run: "run_1",
      seq: this.seq,
      at: "2026-01-01T12:00:00.000Z",
      actor: "run/agent/request-1",
      type: "text.delta",
      call,
      offset,
      text,
    };
  }
  accepted(): Fact[] {
    return [
      this.fact({ actor: "run", type: "run.accepted", agent: "assistant", limits, bounds }),
      this.fact({ actor: "run", type: "run.started" }),
    ];
  }
  callStarted(call: string, more: Partial<Extract<FactBody, { type: "call.started" }>> = {}): Fact {
    return this.fact({
      actor: "run/agent/request-1",
      type: "call.started",
      call,
      for: "answer",
      step: 1,
      model: "gpt-5-mini",
      tier: "primary",
      attempt: 1,
      hold_microusd: 800.5,
      ...more,
    });
  }
  callFinished(call: string, text: string | undefined, more: Partial<Extract<FactBody, { type: "call.finished" }>> = {}): Fact {
    return this.fact({
      actor: "run/agent/request-1",
      type: "call.finished",
      call,
      finish: "stop",
      ...(text !== undefined && { text }),
      model: "gpt-5-mini",
      usage: usage(100, 10),
      cost_microusd: 40.1,
      duration_ms: 900,
      ...more,
    });
  }
}

const play = (events: readonly Event[], from: RunView = emptyRun): RunView => advance(from, events);

describe("the life of a run", () => {
  test("is unknown, queued, running and ended", () => {
    const script = new Script();
    const [accepted, started] = script.accepted();
    expect(statusOf(emptyRun)).toBeNull();
    const queued = play([accepted!]);
    expect(statusOf(queued)).toBe("queued");
    expect(queued).toMatchObject({ agent: "assistant", limits, bounds });
    const running = play([started!], queued);
    expect(statusOf(running)).toBe("running");
    const ended = play(
      [
        script.fact({
          actor: "run",
          type: "run.finished",
          status: "exhausted",
          output: null,
          error: failure("limit_hit", "30 of 30 calls"),
          usage: usage(900, 40),
          cost_microusd: 123.456,
          steps: 4,
          calls: 30,
        }),
      ],
      running,
    );
    expect(statusOf(ended)).toBe("exhausted");
    expect(ended.end).toMatchObject({ status: "exhausted", error: { code: "limit_hit", message: "30 of 30 calls" } });
    expect(ended).toMatchObject({ costMicrousd: 123.456, heldMicrousd: 0, steps: 4, callCount: 30, usage: usage(900, 40) });
  });

  test("waits only while something is asked and nothing else goes on", () => {
    const script = new Script();
    const asked = play([
      ...script.accepted(),
      script.callStarted("c1"),
      script.fact({
        actor: "run",
        type: "input.requested",
        id: "q1",
        kind: "approval",
        message: "Send it?",
        tool: "send_mail",
        input: { to: "a@example.com" },
        input_hash: "h1",
        expires_at: "2026-01-01T13:00:00.000Z",
      }),
    ]);
    expect(statusOf(asked)).toBe("running");
    const waiting = play([script.callFinished("c1", "")], asked);
    expect(statusOf(waiting)).toBe("waiting");
    expect(waiting.questions.get("q1")).toMatchObject({
      kind: "approval",
      input: { to: "a@example.com" },
      inputHash: "h1",
      resolved: null,
    });
    const answered = play(
      [script.fact({ actor: "run", type: "input.resolved", id: "q1", by: "user", answer: { approve: true } })],
      waiting,
    );
    expect(statusOf(answered)).toBe("running");
    expect(answered.questions.get("q1")?.resolved).toEqual({ by: "user", answer: { approve: true } });
  });
});

describe("text", () => {
  test("joins deltas by their offset", () => {
    const script = new Script();
    const view = play([...script.accepted(), script.callStarted("c1"), script.text("c1", 0, "12.5% of "), script.text("c1", 9, "8460")]);
    expect(view.calls.get("c1")).toMatchObject({ text: "12.5% of 8460", finish: null });
  });

  test("takes a repeated delta once, as after a resume", () => {
    const script = new Script();
    const view = play([...script.accepted(), script.callStarted("c1"), script.text("c1", 0, "abc"), script.text("c1", 1, "bcd")]);
    expect(view.calls.get("c1")?.text).toBe("abcd");
  });

  test("is what the call's end says", () => {
    const script = new Script();
    const view = play([
      ...script.accepted(),
      script.callStarted("c1"),
      script.text("c1", 0, "hal"),
      script.callFinished("c1", "half of it"),
    ]);
    expect(view.calls.get("c1")).toMatchObject({ text: "half of it", finish: "stop" });
  });

  test("ignores deltas of calls that are over or unknown", () => {
    const script = new Script();
    const view = play([
      ...script.accepted(),
      script.callStarted("c1"),
      script.callFinished("c1", "done"),
      script.text("c1", 4, "!"),
      script.text("c9", 0, "?"),
    ]);
    expect(view.calls.get("c1")?.text).toBe("done");
    expect(view.calls.has("c9")).toBe(false);
  });

  test("of a lost call stays until it is taken back", () => {
    const script = new Script();
    const lost = play([
      ...script.accepted(),
      script.callStarted("c1"),
      script.text("c1", 0, "so far"),
      script.callFinished("c1", undefined, { finish: "lost" }),
    ]);
    expect(lost.calls.get("c1")).toMatchObject({ text: "so far", finish: "lost", retracted: null });
    const back = play([script.fact({ actor: "run/agent/request-1", type: "retract", call: "c1", reason: "the process died" })], lost);
    expect(back.calls.get("c1")?.retracted).toBe("the process died");
  });

  test("shows the object so far where the answer is an object", () => {
    const script = new Script();
    const partial: Delta = { ...script.text("c1", 0, ""), type: "partial", call: "c1", value: { total: 10 } } as unknown as Delta;
    const view = play([...script.accepted(), script.callStarted("c1"), partial]);
    expect(view.calls.get("c1")?.partial).toEqual({ total: 10 });
  });

  test("of internal calls is not part of the conversation", () => {
    const script = new Script();
    const view = play([...script.accepted(), script.callStarted("c1", { for: "internal" }), script.callStarted("c2")]);
    expect(view.thread).toEqual([{ kind: "call", id: "c2" }]);
    expect(view.callCount).toBe(2);
  });
});

describe("money and counts", () => {
  test("are held while a call is open and spent when it ends", () => {
    const script = new Script();
    const open = play([...script.accepted(), script.callStarted("c1"), script.callStarted("c2", { step: 2 })]);
    expect(open).toMatchObject({ heldMicrousd: 1_601, costMicrousd: 0, callCount: 2, steps: 2 });
    const closed = play([script.callFinished("c1", "a"), script.callFinished("c2", "b", { cost_microusd: 0.2 })], open);
    expect(closed).toMatchObject({ heldMicrousd: 0, costMicrousd: 40.3, usage: usage(200, 20) });
  });

  test("keep three decimals over many calls", () => {
    const script = new Script();
    const events: Event[] = script.accepted();
    for (let at = 1; at <= 10; at++) events.push(script.callStarted(`c${at}`), script.callFinished(`c${at}`, "", { cost_microusd: 0.1 }));
    expect(play(events).costMicrousd).toBe(1);
  });

  test("say when tokens are an estimate", () => {
    const script = new Script();
    const view = play([
      ...script.accepted(),
      script.callStarted("c1"),
      script.callFinished("c1", "", { usage: usage(5, 5, { estimated: true }) }),
    ]);
    expect(view.usage.estimated).toBe(true);
  });

  test("raise the run's limit by what a person adds", () => {
    const script = new Script();
    const asked = play([
      ...script.accepted(),
      script.fact({ actor: "run", type: "limit.hit", which: "budget.run", value: 50_000, limit: 50_000 }),
      script.fact({
        actor: "run",
        type: "input.requested",
        id: "q1",
        kind: "budget",
        message: "More?",
        expires_at: "2026-01-01T13:00:00.000Z",
      }),
    ]);
    const granted = script.fact({ actor: "run", type: "input.resolved", id: "q1", by: "user", answer: { amount_microusd: 20_000.5 } });
    const topped = play([granted], asked);
    expect(topped.limits?.max_cost_microusd).toBe(70_000.5);
    expect([...topped.limitsHit]).toEqual([]);
    const expired = play([{ ...granted, by: "expiry", answer: null } as Fact], asked);
    expect(expired.limits?.max_cost_microusd).toBe(50_000);
    expect([...expired.limitsHit]).toEqual(["budget.run"]);
  });

  test("remember which limits were hit", () => {
    const script = new Script();
    const view = play([...script.accepted(), script.fact({ actor: "run", type: "limit.hit", which: "calls", value: 30, limit: 30 })]);
    expect([...view.limitsHit]).toEqual(["calls"]);
  });
});

describe("tools", () => {
  const use = { id: "t1", tool: "calculate", group: "compute" } as const;

  test("run, return and are counted", () => {
    const script = new Script();
    const running = play([
      ...script.accepted(),
      script.fact({ actor: "run/agent", type: "tool.started", ...use, call: "c1", input: { expression: "1+1" } }),
    ]);
    expect(running.tools.get("t1")).toMatchObject({ state: "running", input: { expression: "1+1" } });
    const back = play(
      [script.fact({ actor: "run/agent", type: "tool.returned", ...use, output: 2, truncated: true, duration_ms: 12 })],
      running,
    );
    expect(back.tools.get("t1")).toMatchObject({
      state: "returned",
      output: 2,
      truncated: true,
      durationMs: 12,
      input: { expression: "1+1" },
    });
    expect(back.toolCount).toBe(1);
    expect(back.thread).toEqual([{ kind: "tool", id: "t1" }]);
  });

  test("fail with the error's words", () => {
    const script = new Script();
    const view = play([
      ...script.accepted(),
      script.fact({ actor: "run/agent", type: "tool.started", ...use, call: "c1", input: null }),
      script.fact({ actor: "run/agent", type: "tool.failed", ...use, error: failure("tool_failed", "503"), duration_ms: 3 }),
    ]);
    expect(view.tools.get("t1")).toMatchObject({ state: "failed", error: { message: "503" } });
  });

  test("that were refused appear without having started", () => {
    const script = new Script();
    const view = play([
      ...script.accepted(),
      script.fact({ actor: "run/agent", type: "tool.refused", ...use, error: failure("tool_denied", "denied by a person") }),
    ]);
    expect(view.tools.get("t1")).toMatchObject({ state: "refused" });
    expect(view.toolCount).toBe(0);
    expect(view.thread).toHaveLength(1);
  });
});

describe("the stream", () => {
  const whole = (): Event[] => {
    const script = new Script();
    return [
      ...script.accepted(),
      script.fact({ actor: "run", type: "state", machine: "supervisor", value: "running" }),
      script.callStarted("c1"),
      script.text("c1", 0, "one "),
      script.text("c1", 4, "two"),
      script.callFinished("c1", "one two"),
      script.fact({
        actor: "run",
        type: "run.finished",
        status: "done",
        output: "one two",
        usage: usage(100, 10),
        cost_microusd: 40.1,
        steps: 1,
        calls: 1,
      }),
    ];
  };

  test("gives the same view however it is cut into batches", () => {
    const events = whole();
    const once = play(events);
    expect(events.reduce((view, event) => advance(view, [event]), emptyRun)).toEqual(once);
  });

  test("may be read again from the start without counting twice", () => {
    const events = whole();
    const once = play(events);
    expect(play(events, once)).toEqual(once);
  });

  test("leaves the view it began with untouched, and what did not change keeps its identity", () => {
    const script = new Script();
    const before = play([...script.accepted(), script.callStarted("c1")]);
    const copy = structuredClone(before);
    const after = play([script.text("c1", 0, "x")], before);
    expect(before).toEqual(copy);
    expect(after.facts).toBe(before.facts);
    expect(after.actors).toBe(before.actors);
    expect(after.thread).toBe(before.thread);
    expect(after.calls).not.toBe(before.calls);
  });

  test("may hold facts of a newer server", () => {
    const script = new Script();
    const strange = { ...script.fact({ actor: "run", type: "run.started" }), type: "moon.rose" } as unknown as Fact;
    const view = play([strange]);
    expect(view.facts).toEqual([strange]);
    expect(view.seq).toBe(1);
  });

  test("of 10,000 deltas is folded in a moment", () => {
    const script = new Script();
    let view = play([...script.accepted(), script.callStarted("c1")]);
    const begun = performance.now();
    for (let at = 0; at < 10_000; at++) view = advance(view, [script.text("c1", at * 2, "ab")]);
    expect(view.calls.get("c1")?.text).toHaveLength(20_000);
    expect(performance.now() - begun).toBeLessThan(1_000);
  });
});

test("a scripted model is known by its tier or its name", () => {
  const script = new Script();
  const opened = play(script.accepted());
  expect(play([script.callStarted("c1")], opened).scripted).toBe(false);
  expect(play([script.callStarted("c2", { tier: "offline" })], opened).scripted).toBe(true);
  expect(play([script.callStarted("c3", { model: "scripted" })], opened).scripted).toBe(true);
});
