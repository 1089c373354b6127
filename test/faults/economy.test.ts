/** E01 to E16: money that must not be lost. */
import { expect } from "vitest";
import { z } from "zod";
import { agent, createRuntime, type Validator } from "../../src/index.ts";
import { post } from "../whole-path/protocol-client.ts";
import { many, pending, row } from "./row.ts";
import { backoff } from "./world.ts";

/** A call holds and costs the same: 20 tokens of output at one micro-dollar. */
const exact = { max_output_tokens: 20, price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } };
const admitted = many(400, 100);

row(
  "E01",
  "many calls against a budget for 40 % of them",
  {
    injected: `${many(1_000, 250)} runs at once, a budget for ${admitted}`,
    first: exact,
    config: () => ({ budgets: { feature: { dear: { per_day_microusd: admitted * 20 } } } }),
    repeat: 3,
  },
  async (world) => {
    world.invoices.flat = { inputNano: 0, outputNano: 1_000 };
    world.answers("primary", [{ text: "yes", usage: { input: 5, output: 20 } }]);
    const all = await Promise.all(Array.from({ length: many(1_000, 250) }, () => world.run("alone", { feature: "dear" })));
    expect(all.filter(({ run }) => run.status === "done")).toHaveLength(admitted);
    expect(all.filter(({ run }) => run.error?.code === "budget_exceeded")).toHaveLength(all.length - admitted);
    expect(world.primary.book.entries).toHaveLength(admitted);
    const [feature] = (await world.runtime.budgets()).filter(({ level }) => level === "feature");
    expect(feature).toMatchObject({ spent: { cost_microusd: admitted * 20 }, held: { cost_microusd: 0 } });
    return `exactly ${admitted} admitted of ${all.length}, ${world.audit.looks} looks at the meters, none over`;
  },
);

pending("E02", "E01 from four processes, with kills", "the store's own proof: test/stores (Postgres from 1 and 4, SQLite from one)");

const counting = {
  config: () => ({
    agents: [agent({ name: "frugal", tiers: ["first"], tools: ["hands"], limits: { max_cost_microusd: 5_000 }, backoff })],
  }),
} as const;

row(
  "E03",
  "more used than was held",
  {
    injected: "usage of 10,000 (then 100,000) input tokens for a question of a few",
    ...counting,
    except: { O2: "the fault itself: one call cost more than its hold" },
  },
  async (world) => {
    const uses = { tools: [{ name: "note", input: { text: "on" } }] };
    world.answers("primary", [{ ...uses, usage: { input: 10_000, output: 10 } }]);
    const within = await world.run("frugal");
    expect(within.run.cost_microusd).toBeLessThan(5_000);
    world.answers("primary", [{ ...uses, usage: { input: 100_000, output: 10 } }]);
    const beyond = await world.run("frugal");
    expect(beyond.run.cost_microusd).toBeGreaterThan(5_000);
    for (const { run, transcript, entries } of [within, beyond]) {
      expect(entries, "the next call is refused").toHaveLength(1);
      expect(run).toMatchObject({ status: "exhausted", error: { code: "budget_exceeded" }, held_microusd: 0 });
      const [call] = transcript.of("call.finished");
      expect(run.cost_microusd).toBe(call?.cost_microusd);
      expect(run.cost_microusd * 1_000).toBe(world.invoices.nano(entries[0]!));
      expect(transcript.of("limit.hit").some(({ which }) => which === "budget.run")).toBe(true);
    }
    expect(world.told.filter((message) => message.includes("were reserved for it"))).toHaveLength(2);
    return `charged as told (${within.run.cost_microusd} and ${beyond.run.cost_microusd} µ$), operators told, no further call`;
  },
);

row("E04", "a stream that passes its hold", { injected: "5,000 words where 200 tokens are held" }, async (world) => {
  world.answers("primary", [{ text: Array.from({ length: 5_000 }, (_, i) => `word${i} `), paceMs: 1 }]);
  const { run, transcript, entries } = await world.run("alone");
  expect(run).toMatchObject({ status: "failed", error: { code: "truncated" }, calls: 1 });
  expect(await entries[0]?.over).toBeDefined();
  expect(entries[0]?.isPlayed).toBe(false);
  expect(run.cost_microusd).toBeLessThanOrEqual(transcript.of("call.started")[0]?.hold_microusd ?? 0);
  return `cut after ${run.usage.output_tokens} tokens, charged ${run.cost_microusd} of ${transcript.of("call.started")[0]?.hold_microusd} µ$ held, socket closed`;
});

pending("E06", "a budget that is configured and not wired", "there is no probe at boot: a store cannot be asked for money without a run");

row("E07", "a model without a price", { injected: "a tier whose model no price list knows", repeat: 1 }, async (world) => {
  await world.run("alone");
  const config = {
    env: {},
    store: { path: ":memory:" },
    providers: { mine: { preset: "openai" as const, base_url: `${world.primary.url}/v1` } },
    tiers: { main: { provider: "mine", model: "unheard-of" } },
  };
  await expect(createRuntime(config)).rejects.toThrow(/the price of mine\/unheard-of is not known/);
  const priced = await createRuntime({ ...config, prices: { "mine/*": { input_usd_per_mtok: 1, output_usd_per_mtok: 2 } } });
  const { cost_microusd } = await (await priced.start({ agent: "single", input: "How much?" })).result();
  await priced.close();
  expect(cost_microusd).toBeGreaterThan(0);
  return "refused by name before anything starts; with an explicit price it is charged by that";
});

const never: Validator = { name: "never", check: () => "It is not what was asked for." };
const storm = {
  config: () => ({
    agents: [
      agent({ name: "strict", machine: "single", tiers: ["first"], validators: [never], backoff }),
      agent({ name: "typed", machine: "single", tiers: ["first"], output: z.object({ age: z.number() }), backoff }),
    ],
  }),
} as const;

row(
  "E09",
  "every answer fails its checks",
  { injected: `${many(1_000, 200)} runs, no answer ever valid, each wrong in its own way`, ...storm },
  async (world) => {
    let said = 0;
    world.answers("primary", () => ({ text: `Answer ${++said}.` }));
    const calls: string[] = [];
    for (const name of ["strict", "typed"]) {
      const before = world.primary.book.entries.length;
      const runs = many(500, 100);
      const all = await world.runs(name, runs, 8);
      for (const { run } of all) expect(run).toMatchObject({ status: "failed", error: { code: "invalid_output" } });
      const made = world.primary.book.entries.length - before;
      expect(made, "calls of a storm").toBeLessThanOrEqual(Math.max(1.1 * runs, runs + 10));
      calls.push(`${made} calls for ${runs} runs`);
    }
    expect(world.breaker(), "the provider is well").toBe("closed");
    expect((await world.run("alone")).run.status).toBe("done");
    return `${calls.join(", ")}; the provider's own breaker stayed closed, other agents went on`;
  },
);

row("E10", "the same failure twice", { injected: "the same invalid answer, the same wrong use of a tool", ...storm }, async (world) => {
  world.answers("primary", [{ text: "No object." }]);
  const answer = await world.run("typed");
  expect(answer.run).toMatchObject({ status: "failed", error: { code: "identical_failure" }, calls: 2 });
  world.answers("primary", [{ tools: [{ name: "note", input: { txt: 1 } }] }]);
  const use = await world.run("worker");
  expect(use.run).toMatchObject({ status: "failed", error: { code: "identical_failure" }, calls: 2 });
  return "identical_failure after two calls each";
});

const capped = (name: string, limits: object) =>
  agent({ name, tiers: ["first"], tools: ["hands"], limits: { max_steps: 6, ...limits }, backoff });

row(
  "E11",
  "an agent that never stops",
  {
    injected: "a tool use in every answer; caps of steps, calls, tools",
    config: () => ({ agents: [capped("of-calls", { max_calls: 3 }), capped("of-tools", { max_tool_calls: 2 })] }),
  },
  async (world) => {
    let n = 0;
    world.answers("primary", () => ({ tools: [{ id: `u${n}`, name: "note", input: { text: `${n++}` } }] }));
    const steps = await world.run("worker");
    expect(steps.run).toMatchObject({ status: "exhausted", error: { code: "limit_hit", details: { which: "steps" } }, steps: 6 });
    const calls = await world.run("of-calls");
    expect(calls.run).toMatchObject({ status: "exhausted", error: { code: "limit_hit", details: { which: "calls" } }, calls: 3 });
    const tools = await world.run("of-tools");
    expect(tools.run.tool_calls).toBeLessThanOrEqual(2);
    expect(tools.transcript.of("tool.returned")).toHaveLength(2);
    return "caps are the root's and end it: steps, calls, tools. The detector of cycles (agent, arguments) comes with sub-agents";
  },
);

row(
  "E13",
  "a bomb of work",
  {
    injected: "250 uses of a tool in one message; a run dearer than its threshold",
    first: { max_output_tokens: 5_000 },
    config: () => ({
      agents: [
        agent({ name: "dear", tiers: ["first"], tools: ["hands"], confirm_above_microusd: 1, limits: { deadline_ms: 60_000 }, backoff }),
      ],
    }),
  },
  async (world) => {
    world.answers("primary", [
      { tools: Array.from({ length: 250 }, (_, i) => ({ id: `u${i}`, name: "note", input: { text: `${i}` } })) },
      { text: "Enough." },
    ]);
    const { run } = await world.run("worker");
    expect(run).toMatchObject({ status: "done", tool_calls: 16 });
    const before = world.primary.book.entries.length;
    const started = await post(world.url, "/v1/runs", { agent: "dear", input: "All of it?" });
    expect(started).toMatchObject({ status: 202, body: { status: "waiting", calls: 0, waiting_for: [{ kind: "confirm" }] } });
    const {
      id,
      waiting_for: [asked],
    } = started.body as { id: string; waiting_for: { id: string }[] };
    expect(world.primary.book.entries).toHaveLength(before);
    expect((await post(world.url, `/v1/runs/${id}/answers`, { id: asked?.id, approve: false })).status).toBe(202);
    const ended = await world.runtime.run(id).result();
    expect(ended.calls).toBe(0);
    return `16 of 250 ran; the dear run waited for a yes before its first call, and ended as ${ended.status} on a no`;
  },
);

row("E16", "the same start again", { injected: "20 starts with one Idempotency-Key, at once and afterwards" }, async (world) => {
  const start = () => post(world.url, "/v1/runs", { agent: "alone", input: "Once?" }, { "idempotency-key": "k-1" });
  const first = await Promise.all(Array.from({ length: 10 }, start));
  const spent = async () => (await world.runtime.budgets()).find(({ level }) => level === "system")?.spent;
  const before = await spent();
  const later = await Promise.all(Array.from({ length: 10 }, start));
  const ids = [...first, ...later].map(({ body }) => (body as { id: string }).id);
  expect(new Set(ids).size).toBe(1);
  expect(later.every(({ headers }) => headers.get("idempotent-replayed") === "true")).toBe(true);
  expect(world.primary.book.entries).toHaveLength(1);
  expect(await spent()).toEqual(before);
  expect((await post(world.url, "/v1/runs", { agent: "alone", input: "Twice?" }, { "idempotency-key": "k-1" })).status).toBe(422);
  return "one run, one call, no further cent; another body under the key: 422. Replays from the cache are the cache's rows";
});
