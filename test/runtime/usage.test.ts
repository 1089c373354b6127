/** Usage, through the runtime and over HTTP: a real provider wire, a real store, a real server. */
import { expect, onTestFinished, test } from "vitest";
import { agent } from "../../src/index.ts";
import type { UsageFigures } from "../../src/protocol/usage.ts";
import { createServer } from "../../src/server/server.ts";
import { json } from "../../src/testing/fault-script.ts";
import { world } from "./world.ts";

const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tier = (model: string) => ({ provider: "self", model, max_output_tokens: 20, price });

/** The model `broken` answers 503, and the others answer in 10 tokens. */
const office = () =>
  world(
    (request) =>
      JSON.parse(request.body).model === "broken"
        ? json(503, { error: { message: "not now" } })
        : { text: "yes", usage: { input: 5, output: 10 } },
    {
      tiers: { first: tier("broken"), second: tier("sound") },
      agents: [
        agent({ name: "single", machine: "single", tiers: ["second"] }),
        agent({ name: "falls", machine: "single", retries: 1, backoff: { first_ms: 1, max_ms: 1 } }),
      ],
      budgets: { feature: { closed: { per_day_calls: 1 } } },
    },
  );

const counted = ({ calls, errors, retries, fallbacks, cost_microusd }: UsageFigures) => [calls, errors, retries, fallbacks, cost_microusd];

test("every call is counted: its retries, the fallback, what it cost; a call that was denied is none", async () => {
  const { runtime } = await office();
  const run = async (body: Parameters<typeof runtime.start>[0]) => (await runtime.start(body)).result();
  expect((await run({ agent: "falls", input: "?", user: "ada" })).status).toBe("done");
  expect((await run({ agent: "single", input: "?", user: "bob", feature: "closed" })).status).toBe("done");
  expect((await run({ agent: "single", input: "?", feature: "closed" })).status).toBe("exhausted");
  const by = async (group: Parameters<typeof runtime.usage>[0]["by"]) => {
    const { total, data } = await runtime.usage({ by: group });
    return [counted(total), ...data.map((one) => [one.group, ...counted(one)])];
  };
  const all = [4, 2, 1, 1, 20];
  expect(await by("model")).toEqual([all, ["sound", 2, 0, 0, 1, 20], ["broken", 2, 2, 1, 0, 0]]);
  expect(await by("user")).toEqual([all, ["ada", 3, 2, 1, 1, 10], ["bob", 1, 0, 0, 0, 10]]);
  expect(await by("tier")).toEqual([all, ["second", 2, 0, 0, 1, 20], ["first", 2, 2, 1, 0, 0]]);
  expect(await by("agent")).toEqual([all, ["falls", 3, 2, 1, 1, 10], ["single", 1, 0, 0, 0, 10]]);
  const { total, from, to } = await runtime.usage({ by: "provider" });
  expect(total).toMatchObject({ input_tokens: 10, output_tokens: 20, cached: 0, saved_microusd: 0, estimated: 0 });
  expect(total.duration_ms?.p99).toBeGreaterThanOrEqual(total.duration_ms?.p50 ?? Number.NaN);
  expect(Date.parse(to) - Date.parse(from)).toBe(24 * 3_600_000);
});

test("a caller sees the calls of its own runs, an operator those of its tenant", async () => {
  const { runtime } = await office();
  const as = (user: string, scopes: readonly string[] = [], tenant = "acme") => ({ tenant, user, scopes });
  for (const caller of [as("ada"), as("ada"), as("bob"), as("ada", [], "other")])
    await (await runtime.start({ agent: "single", input: "?" }, { caller })).result();
  const calls = async (caller: ReturnType<typeof as>) => (await runtime.usage({ by: "user" }, caller)).total.calls;
  expect(await calls(as("ada"))).toBe(2);
  expect(await calls(as("bob"))).toBe(1);
  expect(await calls(as("eve"))).toBe(0);
  expect(await calls(as("eve", ["admin"]))).toBe(3);
  expect(await calls(as("eve", ["tenant"]))).toBe(3);
  expect(await calls(as("eve", ["admin"], "other"))).toBe(1);
});

test("GET /v1/usage groups by what it is asked, in a time; what cannot be asked is said", async () => {
  const { runtime } = await office();
  const before = new Date().toISOString();
  await (await runtime.start({ agent: "single", input: "?" })).result();
  const listening = await createServer(runtime).listen({ port: 0 });
  onTestFinished(() => listening.close(0));
  const get = async (query: string): Promise<[number, { [key: string]: unknown }]> => {
    const response = await fetch(`${listening.url}/v1/usage?${query}`);
    return [response.status, (await response.json()) as { [key: string]: unknown }];
  };
  const from = encodeURIComponent(before);
  expect(await get(`by=day&from=${from}`)).toMatchObject([
    200,
    {
      by: "day",
      from: before,
      total: { calls: 1, cost_microusd: 10 },
      data: [{ group: expect.stringMatching(/T00:00:00\.000Z$/), calls: 1 }],
      next: null,
    },
  ]);
  expect(await get(`by=model&to=${from}`)).toMatchObject([200, { to: before, total: { calls: 0, duration_ms: null }, data: [] }]);
  for (const [query, path] of [
    ["", "by"],
    ["by=colour", "by"],
    ["by=model&from=yesterday", "from"],
    [`by=model&from=${from}&to=${from}`, "from"],
    ["by=model&limit=0", "limit"],
    ["by=model&until=now", "until"],
  ])
    expect(await get(query as string)).toMatchObject([400, { error: { code: "invalid_request", details: { path } } }]);
});
