/** The policies that are easy to get wrong, as tables over pure transitions: what goes in, what the machine asks for next. */
import { describe, expect, test } from "vitest";
import type { AnyStateMachine } from "xstate";
import { agentMachine } from "../../machines/agent.ts";
import { type Asked, Stepper } from "../../machines/bounds.ts";
import { requestMachine } from "../../machines/request.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import { toolMachine } from "../../machines/tool.ts";
import { errorBody } from "../../src/protocol/errors.ts";
import type { Message } from "../../src/protocol/messages.ts";
import { agent, limits, messages, request, use } from "./inputs.ts";

/** A machine played by hand: answers what is living, oldest first. */
class Play {
  private readonly stepper: Stepper;
  private step: ReturnType<Stepper["start"]>;
  living: Asked[];
  readonly emitted: { readonly type: string; readonly [key: string]: unknown }[] = [];

  constructor(machine: AnyStateMachine, input: unknown) {
    this.stepper = new Stepper(machine, input);
    this.step = this.stepper.start();
    this.living = [...this.step.asked];
    this.emitted.push(...this.step.emitted);
  }

  get state(): unknown {
    return this.step.snapshot.value;
  }

  get output(): Record<string, unknown> {
    return this.step.snapshot.output as Record<string, unknown>;
  }

  /** What the oldest living work was asked with. */
  asks<T>(): T {
    return this.living[0]?.input as T;
  }

  ok(value: unknown, of: Asked = this.living[0] as Asked): this {
    return this.send({ type: `xstate.done.actor.${of.id}`, actorId: of.id, output: value }, of);
  }

  failed(error: object, of: Asked = this.living[0] as Asked): this {
    return this.send({ type: `xstate.error.actor.${of.id}`, actorId: of.id, error }, of);
  }

  send(event: { type: string; [key: string]: unknown }, answered?: Asked): this {
    this.step = this.stepper.next(this.step.snapshot, event);
    const stopped = new Set(this.step.stopped);
    this.living = [...this.living.filter((one) => one !== answered && !stopped.has(one.id)), ...this.step.asked];
    this.emitted.push(...this.step.emitted);
    return this;
  }

  told(type: string): Record<string, unknown>[] {
    return this.emitted.filter((fact) => fact.type === type);
  }
}

const answer = (text: string, more: object = {}) => ({ call: "c1", finish: "stop", text, ...more });
const slept = { ms: 0 };
const limited = (retry_after_ms?: number) =>
  errorBody("provider_rate_limited", "slow down", retry_after_ms === undefined ? {} : { retry_after_ms });
const unavailable = errorBody("provider_unavailable", "503");
const lost = { code: "lost", message: "the process died", retryable: true, call: "c1" };

describe("backoff", () => {
  test.each([
    { attempt: 1, error: unavailable, ms: 250 },
    { attempt: 2, error: unavailable, ms: 500 },
    { attempt: 6, error: unavailable, ms: 8_000 },
    { attempt: 9, error: unavailable, ms: 8_000 },
    { attempt: 1, error: limited(2_000), ms: 2_000 },
    { attempt: 1, error: limited(100), ms: 250 },
    { attempt: 1, error: limited(0), ms: 250 },
    { attempt: 1, error: limited(30_000), ms: 30_000 },
  ])("waits $ms ms after attempt $attempt ($error.code, told $error.retry_after_ms)", ({ attempt, error, ms }) => {
    const play = new Play(requestMachine, { ...request, tiers: ["a"], retries: 9 });
    for (let i = 1; i < attempt; i++) play.failed(unavailable).ok(slept);
    play.failed(error);
    expect(play.state).toBe("retrying");
    expect(play.asks()).toEqual({ ms, jitter: true });
    expect(play.told("request.retrying").at(-1)).toMatchObject({ attempt: attempt + 1, delay_ms: ms, reason: error.code });
  });

  test("a longer wait than 30 s falls back instead, and ends the request on the last tier", () => {
    const play = new Play(requestMachine, { ...request, tiers: ["a", "b"] });
    play.failed(limited(30_001));
    expect([play.state, play.asks<{ tier: string }>().tier]).toEqual(["calling", "b"]);
    play.failed(limited(30_001));
    expect(play.state).toBe("failed");
    expect(play.output.error).toMatchObject({ code: "provider_rate_limited", retry_after_ms: 30_001 });
  });

  test("what cannot be repaired by waiting is not repeated", () => {
    for (const code of ["provider_rejected", "context_too_long", "truncated"] as const) {
      const play = new Play(requestMachine, { ...request, tiers: ["a", "b"] }).failed(errorBody(code, "no"));
      expect([code, play.asks<{ tier: string }>().tier]).toEqual([code, "b"]);
    }
  });

  test.each(["invalid_request", "forbidden", "internal"] as const)("%s is ours: no tier can help", (code) => {
    expect(new Play(requestMachine, request).failed(errorBody(code, "no")).state).toBe("failed");
  });
});

describe("a bad answer", () => {
  const structured = { ...request, tiers: ["a", "b"], structured: true };
  const bad = (text: string) => answer(text, { problem: "`a` is missing" });

  test("is asked for again with what is wrong with it", () => {
    const play = new Play(requestMachine, structured).ok(bad("{}"));
    expect(play.asks<{ messages: Message[] }>().messages).toEqual([
      ...messages,
      { role: "assistant", content: "{}" },
      { role: "user", content: "Your last answer cannot be used: `a` is missing\nAnswer again, correctly." },
    ]);
    expect(play.told("retract")).toEqual([{ type: "retract", call: "c1", reason: "invalid_output" }]);
  });

  test("that comes twice leaves the tier, and the next one starts with the plain conversation", () => {
    const play = new Play(requestMachine, structured).ok(bad("{}")).ok(bad("{}"));
    expect(play.asks()).toMatchObject({ tier: "b", messages, attempt: 3, retry: false });
    expect(play.told("request.fell_back")).toEqual([{ type: "request.fell_back", from: "a", to: "b", reason: "identical_failure" }]);
    play.ok(bad("{}"));
    expect(play.asks()).toMatchObject({ tier: "b", retry: true });
    expect(play.ok(bad("{}")).output).toMatchObject({ status: "failed", error: { code: "identical_failure" } });
  });

  test("and another one are two retries", () => {
    const play = new Play(requestMachine, { ...structured, tiers: ["a"], retries: 2 }).ok(bad("{}")).ok(bad('{"b":1}'));
    expect(play.asks<{ messages: Message[] }>().messages).toHaveLength(messages.length + 4);
    expect(play.ok(bad('{"c":1}')).output).toMatchObject({ status: "failed", error: { code: "invalid_output" } });
  });

  test("that is empty is one too", () => {
    const play = new Play(requestMachine, { ...request, tiers: ["a"] }).ok(answer(""));
    expect(play.asks<{ messages: Message[] }>().messages).toHaveLength(messages.length + 1);
    expect(play.told("retract")).toEqual([]);
    expect(play.ok(answer("")).output).toMatchObject({ status: "failed", error: { code: "identical_failure" } });
  });

  test("of tools that were not shown is empty", () => {
    const tools = [{ id: "u1", name: "rm", input: {} }];
    const wanted = answer("", { finish: "tools", tools });
    for (const shown of [undefined, []]) {
      const play = new Play(requestMachine, { ...request, tools: shown, tiers: ["a"], retries: 0 }).ok(wanted);
      expect(play.output).toMatchObject({ status: "failed", error: { code: "empty" } });
    }
    expect(new Play(requestMachine, request).ok(wanted).output).toMatchObject({ status: "done", tools });
  });

  test.each(["refused", "filtered"])("is not a refusal (%s): that one ends the request", (finish) => {
    expect(new Play(requestMachine, request).ok(answer("No.", { finish })).output).toMatchObject({
      status: "refused",
      error: { code: "refused" },
    });
  });

  test("is not one that was cut: asking again would cut it again", () => {
    expect(new Play(requestMachine, request).ok(answer("An ans", { finish: "length" })).output).toMatchObject({
      status: "failed",
      text: "An ans",
      error: { code: "truncated" },
    });
  });
});

describe("a lost call", () => {
  test("is repeated twice at once, then as any failed call", () => {
    const play = new Play(requestMachine, { ...request, tiers: ["a"], retries: 1 });
    for (const attempt of [2, 3]) expect(play.failed(lost).asks()).toMatchObject({ tier: "a", attempt, retry: false });
    expect(play.failed(lost).state).toBe("retrying");
    expect(play.ok(slept).asks()).toMatchObject({ attempt: 4, retry: true });
    expect(play.failed(lost).output).toMatchObject({ status: "failed", error: { code: "interrupted" } });
    expect(play.told("retract")).toHaveLength(3);
  });
});

describe("money", () => {
  const denied = { ...errorBody("budget_exceeded", "the run budget does not allow this call"), denied: true };
  const asking = { ...request, tiers: ["a"], onBudget: "ask", degraded: "Sorry." };

  test("that is refused ends the request, also where a worse answer is at hand", () => {
    expect(new Play(requestMachine, { ...asking, onBudget: "stop" }).failed(denied).output).toMatchObject({
      status: "exhausted",
      error: { code: "budget_exceeded" },
    });
  });

  test.each([
    [{ amount_microusd: 5 }, "calling"],
    [{ approve: true }, "calling"],
    [{ approve: false }, "exhausted"],
  ])("is asked for: %j leads to %s", (said, state) => {
    const play = new Play(requestMachine, asking).failed(denied);
    expect(play.state).toBe("awaitingBudget");
    expect(play.ok(said).state).toBe(state);
  });

  test("is asked for three times in a request, no more", () => {
    const play = new Play(requestMachine, asking);
    for (let i = 0; i < 3; i++) play.failed(denied).ok({ amount_microusd: 1 });
    expect(play.failed(denied).state).toBe("exhausted");
  });
});

describe("a person's verdict", () => {
  const unknown = errorBody("tool_unknown", "interrupted");

  test.each([
    [{ value: { took_effect: true, output: 7 } }, "returned"],
    [{ value: { took_effect: false } }, "failed"],
    [{ value: "yes" }, "failed"],
    [{ value: [true] }, "failed"],
    [{ approve: true }, "failed"],
  ])("on an interrupted tool: %j makes it %s", (verdict, status) => {
    const play = new Play(toolMachine, use).failed(unknown);
    expect(play.state).toBe("awaitingVerdict");
    expect(play.ok(verdict).output).toMatchObject({ status });
  });

  test("only a clear yes lets a tool run", () => {
    for (const said of [{ approve: false, reason: "not today" }, { value: true }, { amount_microusd: 1 }, {}]) {
      const play = new Play(toolMachine, { ...use, needsApproval: true }).ok(said);
      expect([said, play.state]).toEqual([said, "refused"]);
    }
    const play = new Play(toolMachine, { ...use, needsApproval: true }).ok({ approve: false, reason: "not today" });
    expect(play.output).toMatchObject({ content: "Error: not today", code: "tool_denied" });
  });
});

describe("an agent", () => {
  const uses = (count: number, name = "plain", from = 1) =>
    Array.from({ length: count }, (_, i) => ({ id: `u${from + i}`, name, input: { i } }));
  const wants = (tools: readonly { id: string; name: string; input: object }[]) => ({
    status: "done",
    text: "",
    tools,
    message: { role: "assistant", content: "", tools },
    call: "c1",
  });
  const returned = ({ input }: Asked) => ({ id: (input as { id: string }).id, name: "plain", status: "returned", content: "1" });
  const failed = (asked: Asked) => ({ ...returned(asked), status: "failed", content: "Error: no" });
  const ids = (play: Play): string[] => play.living.map(({ id }) => id);

  test("runs as many tools at once as it may, and the next when one is over", () => {
    const play = new Play(agentMachine, { ...agent, parallelTools: 2 }).ok(wants(uses(4)));
    expect(ids(play)).toEqual(["tool-1", "tool-2"]);
    play.ok(returned(play.living[1] as Asked), play.living[1]);
    expect(ids(play)).toEqual(["tool-1", "tool-3"]);
  });

  test("gives results in the order of the uses, whatever the order of their ends", () => {
    const play = new Play(agentMachine, agent).ok(wants(uses(4)));
    while (play.living.length > 0 && play.state === "dispatching") play.ok(returned(play.living.at(-1) as Asked), play.living.at(-1));
    const said = play.asks<{ messages: Message[] }>().messages.slice(messages.length + 1);
    expect(said.map((message) => message.role === "tool" && message.id)).toEqual(["u1", "u2", "u3", "u4"]);
  });

  test("starts sixteen of fifty uses in one message and tells the model about the rest (FAULTS P38)", () => {
    const play = new Play(agentMachine, agent).ok(wants(uses(50)));
    let started = 0;
    while (play.state === "dispatching") {
      expect(play.living.length).toBeLessThanOrEqual(agent.parallelTools);
      started++;
      play.ok(returned(play.living[0] as Asked));
    }
    expect(started).toBe(16);
    const said = play.asks<{ messages: Message[] }>().messages.slice(messages.length + 1);
    expect(said.map((message) => message.role === "tool" && message.id)).toEqual(uses(50).map(({ id }) => id));
    expect(said.filter((message) => message.role === "tool" && message.error)).toHaveLength(34);
  });

  test("never uses an id again", () => {
    const play = new Play(agentMachine, agent).ok(wants(uses(2)));
    play.ok(returned(play.living[0] as Asked)).ok(returned(play.living[0] as Asked));
    play.ok(wants(uses(1, "plain", 9)));
    expect(ids(play)).toEqual(["tool-3"]);
  });

  test("asks a person only for the tools that need it", () => {
    const play = new Play(agentMachine, agent).ok(wants([...uses(1), ...uses(1, "asked", 2), ...uses(1, "unheard", 3)]));
    expect(play.living.map(({ input }) => (input as { needsApproval: boolean }).needsApproval)).toEqual([false, true, false]);
  });

  test("ends when its steps are used, with what the last tools said", () => {
    const play = new Play(agentMachine, { ...agent, maxSteps: 1 }).ok(wants(uses(1)));
    play.ok(returned(play.living[0] as Asked));
    expect(play.output).toMatchObject({ status: "exhausted", error: { code: "limit_hit", details: { which: "steps" } } });
    expect(play.told("limit.hit")).toEqual([{ type: "limit.hit", which: "steps", value: 1, limit: 1 }]);
  });

  test("ends when the same use fails twice in a row", () => {
    const play = new Play(agentMachine, { ...agent, maxSteps: 9 });
    for (let i = 0; i < 2; i++) {
      play.ok(wants(uses(1)));
      play.ok(failed(play.living[0] as Asked));
    }
    expect(play.output).toMatchObject({ status: "failed", error: { code: "identical_failure" } });
  });

  test("goes on when another use fails, or the same one works in between", () => {
    const play = new Play(agentMachine, { ...agent, maxSteps: 9 });
    const step = (name: string, end: (asked: Asked) => object): void => {
      play.ok(wants(uses(1, name)));
      play.ok(end(play.living[0] as Asked));
    };
    step("plain", failed);
    step("other", failed);
    step("plain", failed);
    step("plain", returned);
    step("plain", failed);
    expect(play.state).toBe("thinking");
  });

  test("takes a tool whose machine broke as one that failed", () => {
    const play = new Play(agentMachine, agent).ok(wants(uses(1))).failed(new Error("a defect"));
    expect(play.asks<{ messages: Message[] }>().messages.at(-1)).toMatchObject({ role: "tool", id: "u1", error: true });
  });

  test("without tools answers in one step, whatever the model asks for", () => {
    const play = new Play(agentMachine, { ...agent, tools: [] }).ok({ ...wants(uses(1)), text: "Hello." });
    expect(play.output).toMatchObject({ status: "done", text: "Hello." });
  });
});

describe("the supervisor", () => {
  const asked = (more: object) => ({ type: "work.asked", ordinal: 1, kind: "call", at: 0, depth: 1, isStep: true, ...more });
  const problem = errorBody("tool_not_found", "there is no such tool");

  test("counts what it grants, and a refused tool use too", () => {
    const play = new Play(supervisorMachine as unknown as AnyStateMachine, { limits, agent });
    play
      .send(asked({ isStep: true }))
      .send(asked({ isStep: false }))
      .send(asked({ isStep: false, ordinal: 3 }));
    expect(play.told("work.denied")).toMatchObject([{ ordinal: 3, error: { code: "limit_hit", details: { which: "calls" } } }]);
    play
      .send(asked({ kind: "tool", problem, ordinal: 4 }))
      .send(asked({ kind: "tool", ordinal: 5 }))
      .send(asked({ kind: "tool", ordinal: 6 }));
    expect(play.told("work.denied").map(({ ordinal }) => ordinal)).toEqual([3, 4, 6]);
  });

  test.each([
    [{ at: limits.deadline_ms }, "deadline"],
    [{ depth: limits.max_depth + 1 }, "depth"],
    [{ at: limits.deadline_ms, kind: "sleep" }, "deadline"],
  ])("denies %j", (more, which) => {
    const play = new Play(supervisorMachine as unknown as AnyStateMachine, { limits, agent }).send(asked(more));
    expect(play.told("limit.hit")).toMatchObject([{ which }]);
    expect(play.told("work.denied")).toMatchObject([{ error: { details: { which } } }]);
  });
});
