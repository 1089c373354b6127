/** What follows when a part of a run fails, and what a person must agree to first: over a real wire. */
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { type AgentOptions, agent, type Event, type RunHandle, tool } from "../../src/index.ts";
import { chatError } from "../../src/testing/fault-chat.ts";
import { type Model, world } from "./world.ts";

const unwell = chatError(503, "down");

async function eventsOf(run: RunHandle): Promise<Event[]> {
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  return events;
}

/** An agent without retries, whose model fails as often as the test says. */
async function failing(times: number, options: Partial<AgentOptions>) {
  let left = times;
  const model: Model = () => (left-- > 0 ? unwell : { text: "At last." });
  const { runtime, provider } = await world(model, {
    agents: [agent({ name: "a", machine: "agent", retries: 0, limits: { max_calls: 20 }, ...options })],
  });
  const run = await runtime.start({ agent: "a", input: "?" });
  const events = await eventsOf(run);
  return { ended: await run.result(), events, calls: provider.book.entries.length };
}

describe("a failed step", () => {
  test("fails the run", async () => {
    const { ended, calls } = await failing(1, {});
    expect(ended).toMatchObject({ status: "failed", error: { code: "provider_unavailable" } });
    expect(calls).toBe(1);
  });

  test("begins anew where the agent says so, and counts as a step", async () => {
    const { ended, events } = await failing(2, { supervision: { request: "restart" } });
    expect(ended).toMatchObject({ status: "done", output: "At last.", steps: 3, calls: 3 });
    const states = events.flatMap((event) => (event.type === "state" && event.machine === "agent" ? [event.value] : []));
    expect(states).toEqual(["thinking", "restarting", "thinking", "restarting", "thinking", "done"]);
  });

  test("does so as often as the run may, whoever restarts", async () => {
    const { ended, events, calls } = await failing(99, {
      supervision: { request: "restart", agent: "restart", max_restarts: 3, within_ms: 600_000 },
    });
    expect(ended).toMatchObject({ status: "failed", error: { code: "provider_unavailable" } });
    expect(calls).toBe(4);
    expect(events.filter(({ type }) => type === "limit.hit")).toMatchObject([{ which: "restarts", value: 3, limit: 3 }]);
  });

  test("whose error would only come again does not", async () => {
    const model: Model = () => chatError(401, "bad key", { type: "authentication_error" });
    const { runtime, provider } = await world(model, {
      agents: [agent({ name: "a", retries: 0, supervision: { request: "restart", agent: "restart" } })],
    });
    const run = await runtime.start({ agent: "a", input: "?" });
    expect(await run.result()).toMatchObject({ status: "failed", error: { code: "provider_rejected" } });
    expect(provider.book.entries).toHaveLength(1);
  });
});

describe("a failed agent", () => {
  test("begins anew under its run's supervisor, with the meters as they were", async () => {
    const { ended, events } = await failing(1, { supervision: { agent: "restart" } });
    expect(ended).toMatchObject({ status: "done", output: "At last.", calls: 2, steps: 2 });
    const states = events.flatMap((event) => (event.type === "state" && event.machine === "supervisor" ? [event.value] : []));
    expect(states).toEqual(["deciding", "running", "restarting", "running", "done"]);
  });
});

describe("a failed tool", () => {
  const flaky = (failures: number, kind: "pure" | "once") => {
    const run = vi.fn(() => {
      if (run.mock.calls.length <= failures) throw new Error("the line is busy");
      return "connected";
    });
    return { run, dial: tool({ name: "dial", description: "dials", class: kind, input: z.strictObject({}), run }) };
  };
  const played = async (kind: "pure" | "once", failures: number, supervision: AgentOptions["supervision"]) => {
    const { run: dialled, dial } = flaky(failures, kind);
    const model: Model = (request) => {
      const said = request.json().messages.at(-1);
      return said.role === "tool" ? { text: said.content } : { tools: [{ name: "dial", input: {} }] };
    };
    const { runtime } = await world(model, {
      tools: { phone: [dial] },
      agents: [agent({ name: "a", tools: ["phone"], ...(supervision && { supervision }) })],
    });
    const run = await runtime.start({ agent: "a", input: "call her" });
    return { ended: await run.result(), times: () => dialled.mock.calls.length };
  };

  test("is told to the model", async () => {
    const { ended, times } = await played("pure", 1, undefined);
    expect(ended).toMatchObject({ status: "done", output: expect.stringContaining("the line is busy") });
    expect(times()).toBe(1);
  });

  test("is done again where the agent says so", async () => {
    const { ended, times } = await played("pure", 2, { tool: "restart" });
    expect(ended).toMatchObject({ status: "done", output: "connected", tool_calls: 3 });
    expect(times()).toBe(3);
  });

  test("is never done again when it may have taken effect", async () => {
    const { ended, times } = await played("once", 1, { tool: "restart" });
    expect(ended).toMatchObject({ status: "done", output: expect.stringContaining("the line is busy") });
    expect(times()).toBe(1);
  });

  test("fails the run where the agent says so", async () => {
    const { ended } = await played("pure", 1, { tool: "escalate" });
    expect(ended).toMatchObject({ status: "failed", error: { code: "tool_failed", message: expect.stringContaining("the line is busy") } });
  });
});

describe("a run that may cost more than its agent's threshold", () => {
  const dear = async () => {
    const { runtime, provider } = await world(() => ({ text: "Done." }), {
      agents: [agent({ name: "a", machine: "single", confirm_above_microusd: 150, retries: 0, limits: { max_output_tokens: 100 } })],
    });
    const run = await runtime.start({ agent: "a", input: "?" });
    const asked = async () => {
      for await (const event of run) if (event.type === "input.requested") return event;
      throw new Error("nothing was asked");
    };
    return { runtime, provider, run, asked };
  };

  test("waits for a yes before its first call", async () => {
    const { runtime, provider, run, asked } = await dear();
    const question = await asked();
    expect(question).toMatchObject({ kind: "confirm", amount_microusd: runtime.bounds("a").cost_microusd });
    expect(await runtime.get(run.id)).toMatchObject({ status: "waiting", calls: 0 });
    expect(provider.book.entries).toHaveLength(0);
    await run.answer({ id: question.id, approve: true });
    expect(await run.result()).toMatchObject({ status: "done", output: "Done." });
  });

  test("ends without a call when the answer is no", async () => {
    const { provider, run, asked } = await dear();
    await run.answer({ id: (await asked()).id, approve: false, reason: "too dear" });
    expect(await run.result()).toMatchObject({ status: "cancelled", calls: 0, error: { message: "the run was not confirmed: too dear" } });
    expect(provider.book.entries).toHaveLength(0);
  });
});

describe("an agent is refused when it is defined", () => {
  const defined = (options: Partial<AgentOptions>) => world(() => ({ text: "" }), { agents: [agent({ name: "a", ...options })] });
  test("and could not even make its cheapest call", async () => {
    await expect(defined({ limits: { max_cost_microusd: 5 } })).rejects.toThrow(/cheapest call costs 16: raise limits.max_cost_microusd/);
  });
  test("and its limits could cut it short, where it says that they must not", async () => {
    await expect(defined({ bounds: "strict", limits: { max_calls: 2, max_cost_microusd: 1_000_000 } })).rejects.toThrow(
      /bounds "strict".*calls.*max_calls allows 2/,
    );
    await defined({
      machine: "single",
      bounds: "strict",
      limits: { max_calls: 5, max_cost_microusd: 1_000, deadline_ms: 86_400_000, max_output_tokens: 100 },
    });
  });
});

describe("an estimate", () => {
  test("counts the input, and is never less than what the run takes", async () => {
    const priced = { provider: "self", model: "m", max_output_tokens: 50, price: { input_usd_per_mtok: 0.1, output_usd_per_mtok: 1 } };
    let bad = 2;
    const { runtime } = await world(() => ({ text: bad-- > 0 ? `no ${bad}` : '{"ok":true}', usage: false }), {
      tiers: { main: priced },
      agents: [agent({ name: "a", machine: "single", output: z.object({ ok: z.boolean() }), limits: { max_output_tokens: 50 } })],
    });
    const body = { agent: "a", input: "What is it? ".repeat(50) };
    const [small, large] = [runtime.estimate({ ...body, input: "?" }), runtime.estimate(body)];
    expect(large.cost_microusd).toBeGreaterThan(small.cost_microusd);
    expect(large.cost_microusd).toBeLessThan(runtime.bounds("a").cost_microusd);
    const ended = await (await runtime.start(body)).result();
    expect(ended).toMatchObject({ status: "done", calls: 3 });
    expect(ended.cost_microusd).toBeLessThanOrEqual(large.cost_microusd);
    expect(ended.usage.input_tokens).toBeLessThanOrEqual(large.input_tokens);
    expect(() => runtime.estimate({ agent: "none", input: "?" })).toThrow(/there is no agent "none"/);
  });
});
