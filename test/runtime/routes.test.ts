/** One tier over several providers and keys (FEATURES C4). */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createRuntime, openai, type Runtime, sqlite, vllm } from "../../src/index.ts";
import { Health } from "../../src/limits/health.ts";
import { RetryBudget } from "../../src/limits/retry-budget.ts";
import { Spread } from "../../src/limits/spread.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { admit } from "../../src/runtime/admission.ts";
import type { AgentSpec } from "../../src/runtime/agent.ts";
import type { Work } from "../../src/runtime/interpreter.ts";
import { reserving } from "../../src/runtime/reserve.ts";
import type { AskOf } from "../../src/runtime/run.ts";
import type { RunInfo } from "../../src/stores/store.ts";
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import { body, type Script } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";

const usd = (output: number) => ({ input_usd_per_mtok: 0, output_usd_per_mtok: output });
let answers: { [model: string]: ChatAnswer | Script } = {};
let server: FaultServer;
let runtime: Runtime;
let providers: Map<string, Provider>;
let seen = 0;
beforeAll(async () => {
  server = await startFaultServer((request) => {
    const answer = answers[request.json().model] ?? { text: "one two three" };
    return Array.isArray(answer) ? (answer as Script) : chatScript(request, answer as ChatAnswer);
  });
  providers = new Map<string, Provider>([
    ["key1", openai({ name: "key1", baseURL: `${server.url}/v1`, apiKey: "k1" })],
    ["key2", openai({ name: "key2", baseURL: `${server.url}/v1`, apiKey: "k2" })],
    ["house", vllm({ name: "house", baseURL: `${server.url}/v1` })],
  ]);
  runtime = await createRuntime({
    store: sqlite(":memory:"),
    env: {},
    providers: Object.fromEntries(providers),
    tiers: {
      shared: {
        routes: [
          { provider: "key1", model: "cheap", weight: 60, price: usd(1) },
          { provider: "key2", model: "dear", weight: 40, price: usd(9) },
        ],
        max_output_tokens: 100,
      },
      mixed: {
        routes: [
          { provider: "key1", model: "cloud", weight: 1_000, price: usd(1) },
          { provider: "house", model: "own" },
        ],
      },
    },
    agents: [
      { name: "a", machine: "single", tiers: ["shared"], backoff: { first_ms: 1, max_ms: 2 } },
      { name: "mixed", machine: "single", tiers: ["mixed"] },
    ],
  });
});
afterAll(async () => {
  await runtime.close();
  await server.close();
});
beforeEach(() => {
  answers = {};
  seen = server.book.entries.length;
});
const asked = () => server.book.entries.slice(seen).map(({ request }) => [request.json().model, request.headers.authorization]);

async function run(agent = "a", more: object = {}) {
  const handle = await runtime.start({ agent, input: "?", ...more });
  let finished: { model: string; cost_microusd: number } | undefined;
  let hold = 0;
  for await (const event of handle) {
    if (event.type === "call.finished") finished = event;
    if (event.type === "call.started") hold = event.hold_microusd;
  }
  return { ended: await handle.result(), finished, hold };
}

test("holds what the dearest route may cost, and charges the one that answered", async () => {
  const models = new Set<string>();
  for (let i = 0; i < 30 && models.size < 2; i++) {
    const { ended, finished, hold } = await run();
    models.add(finished?.model as string);
    expect(hold).toBe(900);
    expect(ended.cost_microusd).toBe(finished?.model === "cheap" ? 3 : 27);
  }
  expect([...models].sort()).toEqual(["cheap", "dear"]);
  for (const [model, key] of asked()) expect(key).toBe(model === "cheap" ? "Bearer k1" : "Bearer k2");
  // Usage names the provider whose route it was.
  const of = async (by: "model" | "provider") => (await runtime.usage({ by })).data.map(({ group, ...figures }) => ({ group, figures }));
  const byModel = new Map((await of("model")).map(({ group, figures }) => [group, figures]));
  // Which of them cost more in all is chance.
  expect(new Map((await of("provider")).map(({ group, figures }) => [group, figures]))).toEqual(
    new Map([
      ["key2", byModel.get("dear")],
      ["key1", byModel.get("cheap")],
    ]),
  );
});

test("retries at another route", async () => {
  answers = { cheap: body(503, "{}"), dear: body(503, "{}") };
  const { ended } = await run();
  expect(ended).toMatchObject({ status: "failed", calls: 3 });
  const [one, two, three] = asked().map(([model]) => model);
  expect([one !== two, three]).toEqual([true, one]);
});

test("a sensitive run takes the self-hosted route, however light it is", async () => {
  for (let i = 0; i < 3; i++) expect((await run("mixed", { sensitive: true })).finished?.model).toBe("own");
  expect((await run("mixed")).ended.status).toBe("done");
});

// --- the choice alone

const priced = { inputNano: 1, cachedNano: 1, cacheWriteNano: 1, outputNano: 1 };
const spec = {
  name: "a",
  instructions: "",
  tools: [],
  tiers: [
    {
      name: "shared",
      provider: "key1",
      model: "m",
      price: priced,
      routes: [
        { provider: "key1", model: "m", weight: 1, price: priced },
        { provider: "key2", model: "m", weight: 1, price: { ...priced, inputNano: 7 } },
      ],
      maxOutputTokens: 50,
    },
  ],
} as unknown as AgentSpec;
const input = { for: "answer", step: 1, attempt: 1, retry: false, tier: "shared", messages: [{ role: "user", content: "?" }] } as const;
const work = { run: "r", spec, sensitive: false, ask: { ordinal: 0, path: "run/agent/call", kind: "call", input } } as unknown as Work;
const deps = (more: { isFree?: (provider: string) => boolean } = {}) => {
  let now = 0;
  const clock = () => now;
  const health = new Health(clock);
  const all = { providers, health, retries: new RetryBudget(clock), spread: new Spread(Math.random), ...more };
  const choose = () => {
    const chosen = admit(all, work, input, spec.tiers[0]);
    return "key" in chosen ? chosen.route.provider : chosen.message;
  };
  const keyOf = (name: string): string => `${name} m ${providers.get(name)?.endpoint}`;
  const fail = (name: string): void => {
    for (let i = 0; i < 20; i++) health.report(keyOf(name), "failed");
  };
  const wait = (ms: number): void => {
    now += ms;
  };
  return { choose, fail, health, keyOf, wait };
};
const choices = (choose: () => string): string[] => [...new Set(Array.from({ length: 100 }, choose))].sort();

test("leaves out a route whose breaker is open, and probes it again when its time has come", () => {
  const { choose, fail, health, keyOf, wait } = deps();
  expect(choices(choose)).toEqual(["key1", "key2"]);
  fail("key1");
  expect(choices(choose)).toEqual(["key2"]);
  fail("key2");
  expect(choices(choose)).toEqual(["the breaker of key1/m is open", "the breaker of key2/m is open"]);
  wait(600_000);
  // One probe each, and nothing beside it.
  const probes = [choose(), choose()].sort();
  expect(probes).toEqual(["key1", "key2"]);
  expect(choose()).toMatch(/the breaker of key[12]\/m is open/);
  health.report(keyOf("key1"), "ok");
  expect(choices(choose)).toEqual(["key1"]);
});

test("leaves out a route that is throttled, unless all are", () => {
  expect(choices(deps({ isFree: (provider) => provider !== "key1" }).choose)).toEqual(["key2"]);
  expect(choices(deps({ isFree: () => false }).choose)).toEqual(["key1", "key2"]);
});

test("reserves for the dearest", () => {
  const info = { limits: { max_output_tokens: 100 }, tenant: "t" } as unknown as RunInfo;
  const reserve = reserving(providers, () => [])(work.ask as AskOf<"call">, { ...spec, limits: info.limits }, info);
  expect(reserve?.inputNano).toBe(7 * (reserve?.inputTokens ?? 0));
});

test("a tier that is written in two ways, or a route that is there twice, is refused", async () => {
  const of = (tier: object) =>
    createRuntime({ store: sqlite(":memory:"), env: {}, providers: Object.fromEntries(providers), tiers: { a: tier } });
  const one = { provider: "house", model: "m" };
  await expect(of({ ...one, routes: [one] })).rejects.toThrow(/tiers\.a: it has routes, so provider, model and price belong to each/);
  await expect(of({ routes: [one, one] })).rejects.toThrow(/the route house\/m is there twice/);
  await expect(of({})).rejects.toThrow(/tiers\.a\.provider is missing: it must be text, unless the tier has routes/);
  await expect(of({ routes: [{ provider: "key1", model: "nobody-knows" }] })).rejects.toThrow(/tiers\.a\.routes\.0: the price of/);
});
