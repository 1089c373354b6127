/** What callers may do a minute, as clients see it: over HTTP and the WebSocket, with the real runtime. */
import { expect, test } from "vitest";
import { memoryChannel } from "../../src/channels/memory.ts";
import type { Limiter } from "../../src/limits/limiter.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { createServer } from "../../src/server/server.ts";
import { sqlite } from "../../src/stores/sqlite.ts";
import { connect } from "../server/world.ts";
import { limitedWorld, post, single, statuses } from "./limited-world.ts";

const many = (url: string, n: number, body: (i: number) => object = () => ({})) =>
  Promise.all(Array.from({ length: n }, (_, i) => post(url, body(i))));

test("free may start 10 runs a minute and pro 60, exactly, each user for itself", async () => {
  const { as, provider } = await limitedWorld({ rate_limits: {} });
  const [free, other, pro] = await Promise.all([as({ user: "ada" }), as({ user: "ben" }), as({ user: "eve", plan: "pro" })]);
  expect(statuses(await many(free, 15))).toEqual({ 200: 10, 429: 5 });
  expect(statuses(await many(pro, 65))).toEqual({ 200: 60, 429: 5 });
  expect(statuses(await many(other, 10))).toEqual({ 200: 10 });
  expect(provider.book.entries).toHaveLength(80);
});

test("each answer says how the caller stands, and a refusal when to come back", async () => {
  const { as } = await limitedWorld({ rate_limits: {} });
  const url = await as({ user: "ada" });
  const first = await post(url);
  expect(first.headers.get("ratelimit-policy")).toBe('"requests";q=10;w=60');
  expect(first.headers.get("ratelimit")).toMatch(/^"requests";r=9;t=(5[7-9]|6[0-3])$/);
  const list = await fetch(`${url}/v1/runs`);
  expect(list.headers.get("ratelimit")).toMatch(/^"requests";r=9;t=\d+$/);
  const wrong = await post(url, { agent: "nobody" });
  expect([wrong.status, wrong.headers.get("ratelimit")]).toEqual([404, expect.stringMatching(/^"requests";r=9;/)]);
  await many(url, 9);
  const refused = await post(url);
  expect(refused).toMatchObject({
    status: 429,
    body: { error: { code: "rate_limited", retryable: true, details: { which: "requests", limit: 10, plan: "free" } } },
  });
  const { retry_after_ms } = refused.body.error;
  expect(retry_after_ms).toBeGreaterThan(50_000);
  expect(refused.headers.get("retry-after")).toBe(String(Math.ceil(retry_after_ms / 1_000)));
  expect(refused.headers.get("ratelimit")).toMatch(/^"requests";r=0;t=\d+$/);
  expect((await fetch(`${url}/livez`)).headers.get("ratelimit")).toBeNull();
});

test("the WebSocket's start is the same start", async () => {
  const { as } = await limitedWorld({ rate_limits: { plans: { free: { requests_per_minute: 1 } } } });
  const socket = await connect(await as({ user: "ada" }));
  expect(await socket.ask({ type: "start", ref: "1", agent: "single", input: "hi" })).toMatchObject({ type: "ok", ref: "1" });
  expect(await socket.ask({ type: "start", ref: "2", agent: "single", input: "hi" })).toMatchObject({
    type: "error",
    ref: "2",
    error: { code: "rate_limited", retry_after_ms: expect.any(Number) },
  });
});

test("a repeated start with its key is counted once; a refused one not at all", async () => {
  const { as } = await limitedWorld({ rate_limits: { plans: { free: { requests_per_minute: 3 } } } });
  const url = await as({ user: "ada" });
  for (let i = 0; i < 5; i++) expect((await post(url, {}, { "idempotency-key": "once" })).status).toBe(200);
  for (let i = 0; i < 5; i++) expect((await post(url, { agent: "nobody" })).status).toBe(404);
  expect((await post(url)).headers.get("ratelimit")).toMatch(/r=1;/);
  expect([(await post(url)).status, (await post(url)).status]).toEqual([200, 429]);
});

test("a key has its own limit over all its users; without a user it counts as one", async () => {
  const plan = { requests_per_minute: 2, per_key: { requests_per_minute: 3 } };
  const { as } = await limitedWorld({ rate_limits: { plans: { team: plan }, default_plan: "team" } });
  const url = await as({ key: "backend" });
  const named = (user: string) => post(url, { user });
  expect((await named("ada")).headers.get("ratelimit-policy")).toBe('"requests";q=2;w=60, "key-requests";q=3;w=60');
  expect((await named("ada")).status).toBe(200);
  expect((await named("ada")).body.error.details).toMatchObject({ which: "requests", limit: 2 });
  expect((await named("ben")).status).toBe(200);
  expect((await named("ben")).body.error.details).toMatchObject({ which: "key-requests", limit: 3 });
  const other = await as({ key: "other" });
  expect(statuses(await many(other, 4))).toEqual({ 200: 2, 429: 2 });
});

test("tokens count as calls used them: who has none left starts nothing more", async () => {
  const { as } = await limitedWorld({ rate_limits: { plans: { free: { tokens_per_minute: 1_000 } } } }, () => ({
    text: "Hello.",
    usage: { input: 300, output: 40 },
  }));
  const url = await as({ user: "ada" });
  const first = await post(url);
  // What was reserved for the call is given back but for what it used.
  expect(first.headers.get("ratelimit-policy")).toBe('"tokens";q=1000;w=60');
  expect(first.headers.get("ratelimit")).toMatch(/^"tokens";r=660;/);
  expect((await post(url)).headers.get("ratelimit")).toMatch(/r=320;/);
  const third = await post(url);
  expect([third.status, third.headers.get("ratelimit")]).toEqual([200, expect.stringMatching(/r=0;/)]);
  expect((await post(url)).body.error).toMatchObject({ code: "rate_limited", details: { which: "tokens" } });
});

test("within a run a call whose tokens would be waited for too long ends as rate_limited, and nothing is charged", async () => {
  const { as, provider } = await limitedWorld({ rate_limits: { plans: { free: { tokens_per_minute: 100 } } } }, () => ({
    text: "Hello.",
    usage: { input: 60, output: 20 },
  }));
  const url = await as({ user: "ada" });
  expect((await post(url)).body.status).toBe("done");
  const { status, body } = await post(url);
  expect([status, body]).toMatchObject([200, { status: "failed", cost_microusd: 0, held_microusd: 0, error: { code: "rate_limited" } }]);
  expect(provider.book.entries).toHaveLength(1);
});

test("a call waits for its caller's tokens when they come back soon, and a cancel ends the wait", async () => {
  const world = (minuteMs: number) =>
    limitedWorld({ rate_limits: { plans: { free: { tokens_per_minute: 100 } } }, reliability: { minuteMs } }, () => ({
      text: "Hello.",
      usage: { input: 60, output: 20 },
    }));
  const soon = await world(400);
  const url = await soon.as({ user: "ada" });
  for (let i = 0; i < 3; i++) expect((await post(url)).body.status).toBe("done");
  expect(soon.provider.book.entries).toHaveLength(3);

  const later = await world(8_000);
  const other = await later.as({ user: "ada" });
  await post(other);
  const { id } = (await post(other, {}, { prefer: "respond-async" })).body;
  const caller = { tenant: "acme", scopes: ["tenant"] };
  await expect.poll(async () => (await later.runtime.facts(id, { caller })).data.map(({ type }) => type)).toContain("call.started");
  await later.runtime.cancel(id, { caller });
  expect(await later.runtime.run(id, caller).result()).toMatchObject({ status: "cancelled", cost_microusd: 0, held_microusd: 0 });
  expect(later.provider.book.entries).toHaveLength(1);
});

test("without rate limits nobody is limited and nothing is said", async () => {
  const { as } = await limitedWorld({});
  const replies = await many(await as({ user: "ada" }), 70);
  expect(statuses(replies)).toEqual({ 200: 70 });
  expect(replies[0]?.headers.get("ratelimit")).toBeNull();
});

test("a limiter that refuses nothing is found at boot: not ready, and no run is taken", async () => {
  const open: Limiter = {
    take: async (windows) => ({ admitted: true, standings: windows.map(() => ({ remaining: 1, resetMs: 0 })), at: 0 }),
    settle: async () => {},
    close: async () => {},
  };
  const { runtime } = await limitedWorld({});
  const spec = runtime.spec("single");
  const broken = await Runtime.create({
    store: sqlite(":memory:"),
    channel: memoryChannel(),
    providers: new Map(),
    agents: [{ spec, options: single }],
    tools: {},
    rateLimits: { limiter: open, plans: { free: { isPaid: false, requests: 10 } }, defaultPlan: "free" },
  });
  const listening = await createServer(broken).listen({ port: 0 });
  const ready = await fetch(`${listening.url}/readyz`);
  expect([ready.status, await ready.json()]).toMatchObject([503, { error: { details: { reason: "limiter" } } }]);
  expect(await post(listening.url)).toMatchObject({
    status: 503,
    body: { error: { code: "unavailable", details: { reason: "limiter" } } },
  });
  await listening.close(0);
  await broken.close();
});
