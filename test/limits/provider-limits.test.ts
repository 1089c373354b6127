/** Limits of providers on the whole path: what a run, its bill and the operator see of them. */
import { expect, test } from "vitest";
import { agent, type Run } from "../../src/index.ts";
import { chatError } from "../../src/testing/fault-chat.ts";
import { until } from "../whole-path/until.ts";
import { limitedWorld, post, price, single, statuses } from "./limited-world.ts";

const two = {
  providers: { self: { preset: "vllm" as const }, spare: { preset: "vllm" as const } },
  tiers: { main: { provider: "self", model: "main", price }, second: { provider: "spare", model: "spare", price } },
};

/** A provider that answers only when it is told to, in the order of the requests. */
function held() {
  const waiting: (() => void)[] = [];
  return {
    answer: () => new Promise<{ text: string }>((resolve) => waiting.push(() => resolve({ text: "Hello." }))),
    release: () => waiting.shift()?.(),
    get waiting() {
      return waiting.length;
    },
  };
}

test("an account that is used up: the next tier at once, nobody asks again, and the operator hears of it once", async () => {
  const { as, provider, events } = await limitedWorld({ ...two, agents: [agent({ ...single, retries: 2 })] }, (request) =>
    request.json().model === "main"
      ? chatError(429, "You exceeded your current quota.", {
          type: "insufficient_quota",
          code: "insufficient_quota",
          headers: { "retry-after": "1" },
        })
      : { text: "Second best." },
  );
  const url = await as();
  for (let i = 0; i < 4; i++) expect((await post(url)).body).toMatchObject({ status: "done", tier: "second", output: "Second best." });
  expect(provider.book.entries.filter(({ request }) => request.json().model === "main")).toHaveLength(1);
  expect(events).toMatchObject([{ type: "provider.exhausted", provider: "self", ms: 300_000 }]);
});

test("headers say that little is left: a warning at 80 %, the next tier from 90 % on", async () => {
  let left = 100;
  const { as, provider, events } = await limitedWorld({ ...two, queue: { wait_ms: 1 } }, (request) => {
    if (request.json().model === "spare") return { text: "Second best." };
    left--;
    return {
      text: "Hello.",
      headers: {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": String(left),
        "x-ratelimit-reset-requests": "6m0s",
      },
    };
  });
  const url = await as();
  const tiers: string[] = [];
  for (let i = 0; i < 100; i++) tiers.push((await post(url)).body.tier);
  const calls = provider.book.entries.filter(({ request }) => request.json().model === "main").length;
  // What flows off meanwhile is let through: 100 in 6 minutes.
  expect(calls).toBeGreaterThanOrEqual(90);
  expect(calls).toBeLessThanOrEqual(94);
  expect(tiers.slice(0, 90)).toEqual(Array(90).fill("main"));
  expect(tiers.at(-1)).toBe("second");
  expect(events).toMatchObject([{ type: "provider.near_limit", provider: "self", model: "main", which: "requests", limit: 100 }]);
});

test("a configured limit: calls are delayed so that they fit, and none is refused or lost", async () => {
  const minuteMs = 500;
  const { as, provider, events } = await limitedWorld({
    providers: { self: { preset: "vllm", limits: { requests_per_minute: 20 } } },
    reliability: { minuteMs },
  });
  const url = await as();
  const begun = performance.now();
  const replies = await Promise.all(Array.from({ length: 60 }, () => post(url)));
  expect(replies.map(({ body }) => body.status)).toEqual(Array(60).fill("done"));
  expect(provider.book.entries).toHaveLength(60);
  // 18 go at once, and 18 more as each window has passed.
  expect(performance.now() - begun).toBeGreaterThanOrEqual(3 * minuteMs);
  expect(events.map(({ type }) => type)).toContain("provider.near_limit");
});

test("one slot: paid before free, real-time before batch; a cancelled wait leaves and costs nothing", async () => {
  const line = held();
  const { as, runtime, provider } = await limitedWorld(
    {
      providers: { self: { preset: "vllm", limits: { concurrent: 1 } } },
      agents: [single, agent({ ...single, name: "nightly", priority: "batch" })],
      rate_limits: {},
    },
    line.answer,
  );
  const [free, pro] = [await as({ user: "ada" }), await as({ user: "eve", plan: "pro" })];
  const start = async (url: string, agentName: string, input: string): Promise<string> =>
    (await post(url, { agent: agentName, input }, { prefer: "respond-async" })).body.id;
  await start(free, "single", "first");
  await until("the first call", () => line.waiting === 1);
  const waiting = ["free batch", "cancelled", "free", "paid batch", "paid"];
  const ids: Record<string, string> = {};
  for (const input of waiting)
    ids[input] = await start(input.startsWith("paid") ? pro : free, input.includes("batch") ? "nightly" : "single", input);
  const facts = async (id: string) => (await runtime.facts(id, { caller: operator })).data.map(({ type }) => type);
  const operator = { tenant: "acme", scopes: ["tenant"] };
  await until("all calls wait", async () =>
    (await Promise.all(Object.values(ids).map(facts))).every((types) => types.includes("call.started")),
  );
  await runtime.cancel(ids.cancelled as string, { caller: operator });
  const cancelled = await runtime.run(ids.cancelled as string, operator).result();
  expect(cancelled).toMatchObject({ status: "cancelled", cost_microusd: 0, held_microusd: 0 });
  for (let i = 1; i <= 5; i++) {
    await until(`call ${i}`, () => line.waiting === 1);
    line.release();
    if (i < 5) await until(`call ${i + 1}`, () => provider.book.entries.length === i + 1);
  }
  await Promise.all(waiting.map((input) => runtime.run(ids[input] as string, operator).result()));
  const order = provider.book.entries.map(({ request }) => request.json().messages.at(-1).content);
  expect(order).toEqual(["first", "paid", "paid batch", "free", "free batch"]);
});

test("a stopped call gives its slot back, whether it streams or waits", async () => {
  const { as, provider, runtime } = await limitedWorld({ providers: { self: { preset: "vllm", limits: { concurrent: 1 } } } }, (request) =>
    request.json().messages.at(-1).content === "endless" ? { text: ["On ", "and "], cut: { after: 1, by: "hang" } } : { text: "Hello." },
  );
  const url = await as();
  const caller = { tenant: "acme", scopes: ["tenant"] };
  const endless: string[] = [];
  for (let i = 0; i < 3; i++) endless.push((await post(url, { input: "endless" }, { prefer: "respond-async" })).body.id);
  await until("the call", () => (provider.book.entries[0]?.textTokensSent ?? 0) > 0);
  const next = post(url);
  // Those that wait first: the one that streams would give its slot to them.
  for (const id of endless.toReversed()) await runtime.cancel(id, { caller });
  expect((await next).body).toMatchObject({ status: "done", output: "Hello." });
  expect(provider.book.entries).toHaveLength(2);
});

test("a tenant that fills the line does not hold up another: its call is next", async () => {
  const line = held();
  const { as, provider, runtime } = await limitedWorld({ providers: { self: { preset: "vllm", limits: { concurrent: 1 } } } }, line.answer);
  const [noisy, quiet] = [await as({ tenant: "noisy" }), await as({ tenant: "quiet" })];
  const started = { prefer: "respond-async" };
  for (let i = 0; i < 30; i++) expect((await post(noisy, { input: `noisy ${i}` }, started)).status).toBe(202);
  await until("the first call", () => line.waiting === 1);
  const { id } = (await post(quiet, { input: "quiet" }, started)).body;
  const caller = { tenant: "quiet", scopes: ["tenant"] };
  await until("its call", async () => (await runtime.facts(id, { caller })).data.some(({ type }) => type === "call.started"));
  line.release();
  await until("the second call", () => provider.book.entries.length === 2);
  expect(provider.book.entries[1]?.request.json().messages.at(-1).content).toBe("quiet");
});

test("over the high mark a start is refused with Retry-After; inside a run the call ends as overloaded and the next tier answers", async () => {
  const line = held();
  const { as, provider } = await limitedWorld(
    {
      ...two,
      providers: { self: { preset: "vllm", limits: { concurrent: 1 } }, spare: { preset: "vllm" } },
      agents: [single, agent({ ...single, name: "lonely", tiers: ["main"] })],
      queue: { length: 2, wait_ms: 20_000 },
    },
    (request) => (request.json().model === "spare" ? { text: "Second best." } : line.answer()),
  );
  const url = await as();
  const lonely = (input: string) => post(url, { agent: "lonely", input });
  const first = lonely("first");
  await until("the first call", () => line.waiting === 1);
  const second = lonely("second");
  const third = lonely("third");
  const crowded = await until("a refusal", async () => {
    const reply = await post(url, { agent: "lonely", input: "late" }, { prefer: "respond-async" });
    return reply.status === 503 && reply;
  });
  expect(crowded.body.error).toMatchObject({ code: "overloaded", retryable: true });
  expect(Number(crowded.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  // It has another tier, so it is taken, and its call gives way.
  expect((await post(url, { input: "falls back" })).body).toMatchObject({ status: "done", tier: "second" });
  await until("every run's end", async () => {
    line.release();
    return Promise.race([
      Promise.all([first, second, third]).then(() => true),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 20)),
    ]);
  });
  expect(statuses([await first, await second, await third])).toEqual({ 200: 3 });
  expect(provider.book.entries.every(({ isPlayed }) => isPlayed)).toBe(true);
});

test("a wait counts against the run's deadline, and charges nothing", async () => {
  const line = held();
  const { as, runtime } = await limitedWorld({ providers: { self: { preset: "vllm", limits: { concurrent: 1 } } } }, line.answer);
  const url = await as();
  void post(url, { input: "first" }).catch(() => {});
  await until("the first call", () => line.waiting === 1);
  const { body } = (await post(url, { input: "second", limits: { deadline_ms: 300 } })) as { body: Run };
  expect(body).toMatchObject({ status: "exhausted", error: { code: "limit_hit" }, cost_microusd: 0, held_microusd: 0, calls: 1 });
  line.release();
  await until("the end of the first", () => runtime.load().runs === 0);
});
