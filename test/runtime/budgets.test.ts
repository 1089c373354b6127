/** Budgets above the run, through the runtime and over HTTP: a real provider wire, a real store, a real server. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { agent, type Config, type Event, type Run, type Runtime, sqlite } from "../../src/index.ts";
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

describe("a limit that is set while running", () => {
  const admin = { tenant: "local", user: "ops", scopes: ["admin"] };

  test("holds for the next call, over the configuration's, and takes nothing back; null gives the configuration's back", async () => {
    const { runtime } = await world({ user: { per_day_microusd: 1_000 } });
    expect((await run(runtime, { user: "ada" })).run.status).toBe("done");
    // Below what is spent.
    const lowered = await runtime.setBudget("user", "ada", { limit: { cost_microusd: 5.125 } }, admin);
    expect(lowered).toMatchObject({
      level: "user",
      subject: "ada",
      limit: { cost_microusd: 5.125 },
      spent: { cost_microusd: costMicrousd },
    });
    expect(lowered.changed).toEqual({ by: "ops", at: expect.stringMatching(/Z$/) });
    expect(await run(runtime, { user: "ada" })).toMatchObject(refused("user"));
    expect((await run(runtime, { user: "bob" })).run.status).toBe("done");
    expect((await runtime.budgets()).map(({ subject, limit, changed }) => [subject, limit.cost_microusd, changed?.by])).toEqual([
      ["ada", 5.125, "ops"],
      ["bob", 1_000, undefined],
    ]);
    expect(await runtime.setBudget("user", "ada", { limit: null }, admin)).toMatchObject({ limit: { cost_microusd: 1_000 } });
    expect((await run(runtime, { user: "ada" })).run.status).toBe("done");
    expect((await runtime.budgets()).every(({ changed }) => changed === undefined)).toBe(true);
  });

  test.each([
    ["user", "-", {}, { user: "ada" }],
    ["feature", "digest", { feature: "digest" }, { feature: "other" }],
  ])("limits a %s that the configuration does not (%s)", async (level, subject, spender, other) => {
    const { runtime } = await world({});
    await runtime.setBudget(level, subject, { limit: { calls: 1 } });
    expect((await run(runtime, spender)).run.status).toBe("done");
    expect(await run(runtime, spender)).toMatchObject(refused(level));
    expect((await run(runtime, other)).run.status).toBe("done");
    await runtime.setBudget(level, subject, { limit: { calls: 2 } });
    expect((await run(runtime, spender)).run.status).toBe("done");
    expect(await runtime.setBudget(level, subject, { limit: null })).toMatchObject({ level, limit: {} });
    expect((await run(runtime, spender)).run.status).toBe("done");
    expect(await runtime.budgets()).toEqual([]);
  });

  test("ends the spending of all at 0", async () => {
    const { runtime, requests } = await world({});
    await runtime.setBudget("system", "-", { limit: { cost_microusd: 0 } });
    expect(await run(runtime, { user: "ada" })).toMatchObject(refused("system"));
    expect(requests()).toBe(0);
  });

  test("is an admin's to set, in its own tenant, and of the system an operator's", async () => {
    const { runtime } = await world({ user: { per_day_microusd: 1_000 }, system: { per_hour_microusd: 9_000 } });
    const acme = { tenant: "acme", user: "boss", scopes: ["admin"] };
    const change = { limit: { calls: 0 } };
    for (const [level, subject, caller] of [
      ["user", "ada", { ...acme, scopes: ["tenant", "users"] }],
      ["system", "-", acme],
      ["system", "-", { ...admin, scopes: [] }],
    ] as const)
      await expect(runtime.setBudget(level, subject, change, caller)).rejects.toMatchObject({ code: "forbidden" });
    await runtime.setBudget("user", "ada", change, acme);
    expect((await run(runtime, { user: "ada" })).run.status).toBe("done");
    const handle = await runtime.start({ agent: "single", input: "?" }, { caller: { ...acme, user: "ada", scopes: [] } });
    expect((await handle.result()).status).toBe("exhausted");
    expect((await runtime.budgets(acme)).filter(({ changed }) => changed)).toMatchObject([{ tenant: "acme", subject: "ada" }]);
    expect((await runtime.budgets()).filter(({ changed }) => changed)).toEqual([]);
  });

  test("outlives its process, and is heard by another within its bound", async () => {
    const folder = mkdtempSync(join(tmpdir(), "escapement-budgets-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "runs.db");
    const { runtime: first } = await world({}, { store: sqlite(path, { durability: "process" }) });
    const { runtime: second } = await world({}, { store: sqlite(path, { durability: "process" }) });
    await first.setBudget("user", "ada", { limit: { cost_microusd: 0 } });
    const from = performance.now();
    while ((await run(second, { user: "ada" })).run.status !== "exhausted") expect(performance.now() - from).toBeLessThan(30_000);
    await first.close();
    const { runtime: third } = await world({}, { store: sqlite(path, { durability: "process" }) });
    expect(await run(third, { user: "ada" })).toMatchObject(refused("user"));
  }, 60_000);

  test("PUT /v1/budgets/{level}/{subject} sets it; what cannot be is said", async () => {
    const { runtime } = await world({ system: { per_hour_microusd: 1_000 } });
    const listening = await createServer(runtime).listen({ port: 0 });
    onTestFinished(() => listening.close(0));
    const put = async (path: string, body: unknown): Promise<[number, unknown]> => {
      const response = await fetch(`${listening.url}/v1/budgets/${path}`, { method: "PUT", body: JSON.stringify(body) });
      return [response.status, await response.json()];
    };
    const limit = { calls: 3, tokens: 500 };
    expect(await put(`user/${encodeURIComponent("a/b c")}`, { limit })).toMatchObject([
      200,
      { level: "user", tenant: "local", subject: "a/b c", limit, spent: { calls: 0 }, changed: { by: "local" } },
    ]);
    expect(await put("system/-", { limit: { cost_microusd: 2_000 } })).toMatchObject([
      200,
      { level: "system", limit: { cost_microusd: 2_000 } },
    ]);
    for (const [path, body, where] of [
      ["run/-", { limit }, "level"],
      ["team/ada", { limit }, "level"],
      ["system/ada", { limit }, "subject"],
      ["feature/-", { limit }, "subject"],
      ["key/-", { limit }, "subject"],
      [`user/${"x".repeat(201)}`, { limit }, "subject"],
      ["user/ada", {}, "limit"],
      ["user/ada", { limit: {} }, "limit"],
      ["user/ada", { limit: { call: 3 } }, "limit.call"],
      ["user/ada", { limit: { calls: -1 } }, "limit.calls"],
      ["user/ada", { limit: { tokens: 0.5 } }, "limit.tokens"],
      ["user/ada", { limit: { cost_microusd: 0.0001 } }, "limit.cost_microusd"],
      ["user/ada", { limit: { cost_microusd: 1e13 } }, "limit.cost_microusd"],
    ] as const)
      expect([path, await put(path, body)]).toMatchObject([path, [400, { error: { code: "invalid_request", details: { path: where } } }]]);
    expect((await fetch(`${listening.url}/v1/budgets/user/ada`)).status).toBe(405);
  });
});
