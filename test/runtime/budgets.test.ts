/** Budgets above the run, through the runtime and over HTTP: a real provider wire, a real store, a real server. */
import { describe, expect, onTestFinished, test } from "vitest";
import { agent, type Config, type Event, type Run, type Runtime } from "../../src/index.ts";
import { createServer } from "../../src/server/server.ts";
import { world as inMemory } from "./world.ts";

/** A call reserves 20 tokens at 1 USD a million, and the input is free: 20 micro-dollars; it costs 10. */
const holdMicrousd = 20;
const costMicrousd = 10;

async function world(budgets: Config["budgets"], more: Config = {}): Promise<{ runtime: Runtime; requests: () => number }> {
  const { runtime, provider } = await inMemory(() => ({ text: "yes", usage: { input: 5, output: 10 } }), {
    tiers: { main: { provider: "self", model: "m", max_output_tokens: 20, price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
    agents: [agent({ name: "single", machine: "single" })],
    budgets,
    ...more,
  });
  return { runtime, requests: () => provider.book.entries.length };
}

type Ended = { readonly run: Run; readonly hit: string[] };

async function run(runtime: Runtime, who: { user?: string; feature?: string } = {}): Promise<Ended> {
  const handle = await runtime.start({ agent: "single", input: "Well?", ...who });
  const events: Event[] = [];
  for await (const event of handle) events.push(event);
  return { run: await handle.result(), hit: events.flatMap((event) => (event.type === "limit.hit" ? [event.which] : [])) };
}

const refused = (level: string) => ({
  run: { status: "exhausted", cost_microusd: 0, held_microusd: 0, error: { code: "budget_exceeded", details: { level } } },
  hit: [`budget.${level}`],
});

describe.each([
  ["user", { user: { per_day_microusd: holdMicrousd } }, { user: "ada" }, { user: "bob" }],
  ["user", { user: { per_day_microusd: holdMicrousd } }, {}, { user: "ada" }],
  ["feature", { feature: { digest: { per_day_microusd: holdMicrousd } } }, { feature: "digest" }, { feature: "other" }],
] as const)("the budget of a %s (%j)", (level, budgets, spender, other) => {
  test("is spent by its own runs, and the call that does not fit is never made", async () => {
    const { runtime, requests } = await world(budgets);
    expect((await run(runtime, spender)).run).toMatchObject({ status: "done", cost_microusd: costMicrousd });
    // Ten are left, and an answer of fewer than 16 tokens makes no sense.
    expect(await run(runtime, spender)).toMatchObject(refused(level));
    expect(requests()).toBe(1);
    expect((await run(runtime, other)).run.status).toBe("done");
    expect(requests()).toBe(2);
  });

  test("is not passed by many at once", async () => {
    const calls = 7;
    const allowed = { ...JSON.parse(JSON.stringify(budgets).replaceAll(String(holdMicrousd), String(holdMicrousd * calls))) };
    const { runtime, requests } = await world(allowed);
    const runs = await Promise.all(Array.from({ length: 40 }, () => run(runtime, spender)));
    const [budget] = (await runtime.budgets()).filter((each) => each.level === level);
    const done = runs.filter((each) => each.run.status === "done").length;
    expect(done).toBe(requests());
    // What a call gives back of its hold pays for others, until less than 16 tokens are left.
    expect(done).toBeGreaterThanOrEqual(calls);
    expect(budget).toMatchObject({ held: { cost_microusd: 0 }, spent: { cost_microusd: done * costMicrousd } });
    expect(done * costMicrousd).toBeLessThanOrEqual(holdMicrousd * calls);
  });
});

test.each([
  ["calls", { user: { per_day_calls: 1 } }],
  ["tokens", { user: { per_day_tokens: 45 } }],
] as const)("%s can be limited without money", async (_, budgets) => {
  const { runtime, requests } = await world(budgets);
  expect((await run(runtime, { user: "ada" })).run.status).toBe("done");
  expect(await run(runtime, { user: "ada" })).toMatchObject(refused("user"));
  expect(requests()).toBe(1);
  const [budget] = await runtime.budgets();
  expect(budget?.spent).toEqual({ cost_microusd: costMicrousd, tokens: 15, calls: 1 });
  expect(budget?.held).toEqual({ cost_microusd: 0, tokens: 0, calls: 0 });
  expect(budget?.limit).not.toHaveProperty("cost_microusd");
});

test("a call counts on every level, and the tightest denies it", async () => {
  const { runtime } = await world({
    user: { per_day_microusd: 100 },
    feature: { digest: { per_day_microusd: 25 } },
    system: { per_hour_microusd: 1_000 },
  });
  expect((await run(runtime, { user: "ada", feature: "digest" })).run.status).toBe("done");
  expect(await run(runtime, { user: "bob", feature: "digest" })).toMatchObject(refused("feature"));
  expect(
    (await runtime.budgets()).map(({ level, subject, spent, held }) => [level, subject, spent.cost_microusd, held.cost_microusd]),
  ).toEqual([
    ["system", undefined, costMicrousd, 0],
    ["feature", "digest", costMicrousd, 0],
    ["user", "ada", costMicrousd, 0],
    ["user", "bob", 0, 0],
  ]);
});

test("GET /v1/budgets tells an operator all of them, and another caller his own", async () => {
  const { runtime } = await world({ user: { per_day_microusd: 100 }, system: { per_hour_microusd: 1_000 } });
  await run(runtime, { user: "ada" });
  await run(runtime, { user: "bob" });
  const listening = await createServer(runtime).listen({ port: 0 });
  onTestFinished(() => listening.close(0));
  const answer = await fetch(`${listening.url}/v1/budgets`);
  expect(answer.status).toBe(200);
  const { data } = (await answer.json()) as { data: unknown[] };
  const user = (subject: string) => ({
    level: "user",
    tenant: "local",
    subject,
    limit: { cost_microusd: 100 },
    spent: { cost_microusd: costMicrousd },
    held: { cost_microusd: 0 },
    resets_at: expect.stringMatching(/T00:00:00\.000Z$/),
  });
  expect(data).toEqual([
    {
      level: "system",
      limit: { cost_microusd: 1_000 },
      spent: { cost_microusd: 2 * costMicrousd },
      held: { cost_microusd: 0 },
      resets_at: expect.stringMatching(/:00:00\.000Z$/),
    },
    user("ada"),
    user("bob"),
  ]);
  expect(await runtime.budgets({ tenant: "local", user: "bob", scopes: [] })).toEqual([user("bob")]);
});

test("a key has a month, and a feature may be closed to a plan", async () => {
  const { runtime, requests } = await world({ key: { per_month_calls: 1 } }, { features: { digest: { plans: ["pro"] } } });
  const by = (key: string, plan?: string) => ({ tenant: "acme", user: "ada", key, ...(plan && { plan }), scopes: [] });
  const started = async (caller: ReturnType<typeof by>, feature?: string) => {
    const handle = await runtime.start({ agent: "single", input: "?", ...(feature && { feature }) }, { caller });
    return await handle.result();
  };
  expect((await started(by("k1"))).status).toBe("done");
  expect(await started(by("k1"))).toMatchObject({ status: "exhausted", error: { details: { level: "key" } } });
  expect((await started(by("k2", "pro"), "digest")).status).toBe("done");
  expect(await runtime.budgets(by("k1"))).toMatchObject([
    { level: "key", subject: "k1", spent: { calls: 1 }, resets_at: expect.stringMatching(/-01T00:00:00\.000Z$/) },
  ]);
  await expect(started(by("k3", "free"), "digest")).rejects.toMatchObject({
    code: "forbidden",
    message: expect.stringContaining("part of pro"),
  });
  expect(requests()).toBe(2);
});
