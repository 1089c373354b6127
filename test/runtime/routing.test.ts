/** Where a run's chain begins: rules, tasks, a classifier, a default (FEATURES C0 to C2). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { checkedRoute } from "../../src/config/route.ts";
import { createRuntime, type Event, type Runtime, sqlite, vllm } from "../../src/index.ts";
import type { StartBody } from "../../src/protocol/commands.ts";
import type { AgentOptions, Route, TierSpec } from "../../src/runtime/agent.ts";
import { boundsOf, formatReport, verifyAgent } from "../../src/runtime/bounds.ts";
import type { ReplayedTurn } from "../../src/runtime/runtime.ts";
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import { body, type Script } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";

const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tier = (model: string) => ({ provider: "self", model, max_output_tokens: 100, price });
const tiers = { small: tier("small"), middle: tier("middle"), large: tier("large"), sorter: tier("sorter") };
const route: Route = {
  rules: [
    { match: "(?i)^(hello|hi)\\b", answer: "Hello! What can I do for you?" },
    { keywords: ["contract", "Größe"], tier: "large" },
  ],
  tasks: { translate: "middle" },
  classifier: {
    tier: "sorter",
    labels: { chat: { description: "small talk", tier: "small" }, law: { description: "law and contracts", tier: "large" } },
  },
  default: "middle",
};
const agentOf = (more: Partial<AgentOptions> = {}): AgentOptions => ({
  name: "a",
  machine: "single",
  tiers: ["small", "middle", "large"],
  retries: 0,
  route,
  ...more,
});

let server: FaultServer;
let runtime: Runtime;
let answers: { [model: string]: ChatAnswer | Script } = {};
beforeAll(async () => {
  server = await startFaultServer((request) => {
    const { model } = request.json();
    const answer = answers[model] ?? { text: `I am ${model}.` };
    return Array.isArray(answer) ? (answer as Script) : chatScript(request, answer as ChatAnswer);
  });
  runtime = await createRuntime({
    store: sqlite(":memory:"),
    env: {},
    providers: { self: vllm({ baseURL: `${server.url}/v1` }) },
    tiers,
    agents: [
      agentOf(),
      agentOf({ name: "loop", machine: "agent" }),
      agentOf({ name: "slow", route: { rules: [{ match: "(a+)+$", tier: "large" }] } }),
      agentOf({ name: "unclassified", route: { ...route, classifier: undefined } }),
    ],
  });
});
afterAll(async () => {
  await runtime.close();
  await server.close();
});

async function play(start: Partial<StartBody>, said: typeof answers = {}) {
  answers = said;
  const before = server.book.entries.length;
  const run = await runtime.start({ agent: "a", input: "?", ...start });
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  const of = <T extends Event["type"]>(type: T) => events.filter((event): event is Event & { type: T } => event.type === type);
  const why = of("state").find(({ machine, reason }) => machine === "routing" && reason !== undefined)?.reason;
  return { ended: await run.result(), of, why, asked: server.book.entries.slice(before).map(({ request }) => request.json()) };
}

describe("a rule", () => {
  test("answers by itself, without a call and for nothing", async () => {
    const { ended, why, asked } = await play({ input: "Hi there" });
    expect(ended).toMatchObject({
      status: "done",
      output: "Hello! What can I do for you?",
      tier: "rule",
      calls: 0,
      steps: 0,
      cost_microusd: 0,
    });
    expect([why, asked]).toEqual(["rule 1", []]);
  });

  test.each([
    ["Read this CONTRACT, please.", "large"],
    ["Welche größe?", "large"],
    ["A subcontractor", "middle"],
  ])("says where the chain begins: %s", async (input, tier) => {
    const { ended } = await play({ input }, { sorter: { text: "neither" } });
    expect(ended).toMatchObject({ status: "done", tier });
  });

  test("looks at the last question alone", async () => {
    const messages = [
      { role: "user", content: "The contract?" },
      { role: "assistant", content: "Yes." },
      { role: "user", content: [{ type: "text", text: "Thanks" }] },
    ];
    expect((await play({ input: { messages } as never }, { sorter: { text: "chat" } })).ended).toMatchObject({ tier: "small" });
  });

  test("with a pattern that would take for ever elsewhere is as quick as any", async () => {
    const { ended } = await play({ agent: "slow", input: `${"a".repeat(15_000)}!` });
    expect(ended).toMatchObject({ status: "done", tier: "small" });
  });
});

test("a task says where the chain begins, and one that is not in the table says nothing", async () => {
  const named = await play({ metadata: { task: "translate" } });
  expect([named.ended.tier, named.ended.calls, named.why]).toEqual(["middle", 1, 'task "translate"']);
  const other = await play({ metadata: { task: "constructor" } }, { sorter: { text: "chat" } });
  expect([other.ended.tier, other.why]).toEqual(["small", 'classified as "chat"']);
});

describe("a classifier", () => {
  test.each([["law"], ["Law."], ["**Label:** law\n"], ['{"label": "law"}']])("is understood when it says %j", async (text) => {
    const { ended, why, of, asked } = await play({ input: "May I?" }, { sorter: { text } });
    expect(ended).toMatchObject({ status: "done", tier: "large", output: "I am large.", calls: 2, steps: 1 });
    expect(why).toBe('classified as "law"');
    // On the bill, and not for the person.
    expect(of("call.started").map(({ for: whose, actor, step }) => [whose, actor, step])).toEqual([
      ["internal", "run/routing", 0],
      ["answer", "run/agent", 1],
    ]);
    expect(ended.cost_microusd).toBe(of("call.finished").reduce((sum, { cost_microusd }) => sum + cost_microusd, 0));
    expect(asked[0].messages[0].content).toContain("law: law and contracts");
    expect(asked[0].messages[1].content).toBe("<question>\nMay I?\n</question>");
  });

  test.each<[string, ChatAnswer | Script, string]>([
    ["says no label", { text: "weather" }, "the classifier named no label"],
    ["says two labels", { text: "chat or law" }, "the classifier named no label"],
    ["is down", body(503, "{}"), "the classifier failed: provider_unavailable"],
    ["rejects the call", body(401, "{}"), "the classifier failed: provider_rejected"],
  ])("that %s leads to the default", async (_, answer, reason) => {
    const { ended, why } = await play({}, { sorter: answer });
    expect(ended).toMatchObject({ status: "done", tier: "middle" });
    expect(why).toBe(reason);
  });

  test("that the budget does not pay for fails nothing by itself", async () => {
    const { ended } = await play({ limits: { max_calls: 1 } });
    expect(ended).toMatchObject({ status: "exhausted", error: { code: "limit_hit" } });
    const { ended: routed } = await play({ limits: { max_calls: 2 } }, { sorter: { text: "law" } });
    expect(routed).toMatchObject({ status: "done", tier: "large" });
  });

  test("gets the beginning and the end of a long question", async () => {
    const { asked } = await play({ input: `first ${"x ".repeat(50_000)} last` }, { sorter: { text: "law" } });
    const { content } = asked[0].messages[1];
    expect(content.length).toBeLessThan(4_100);
    expect(content).toMatch(/^<question>\nfirst .*last\n<\/question>$/s);
  });
});

test("the rest of the chain follows in its order", async () => {
  const { ended, of } = await play({ input: "The contract?" }, { large: body(503, "{}"), small: body(503, "{}") });
  expect(ended).toMatchObject({ status: "done", tier: "middle" });
  expect(of("request.fell_back").map(({ from, to }) => [from, to])).toEqual([
    ["large", "small"],
    ["small", "middle"],
  ]);
});

test("an agent with tools is routed as a single request is, and replays", async () => {
  const { ended } = await play({ agent: "loop", input: "The contract?" });
  expect(ended).toMatchObject({ status: "done", tier: "large" });
  const turns: ReplayedTurn[] = [];
  for await (const turn of runtime.replay(ended.id)) turns.push(turn);
  expect(turns.length).toBeGreaterThan(1);
});

describe("bounds", () => {
  test("count the classifier's call", () => {
    expect(runtime.bounds("a").calls).toBe(runtime.bounds("unclassified").calls + 1);
    expect(runtime.bounds("a").cost_microusd).toBeGreaterThan(runtime.bounds("unclassified").cost_microusd);
    const spec = runtime.spec("a");
    const report = verifyAgent(spec);
    expect(report).toMatchObject({ ok: true, bounds: boundsOf(spec, spec.limits) });
    expect(report.machines.map(({ name }) => name)).toEqual(["routing", "request"]);
    expect(formatReport(report)).toContain("1 call to classify, and 1 step of 5 calls: 3 tiers × 1 attempt");
  });
});

describe("what is refused when the agent is defined", () => {
  const chain = ["small", "middle", "large"].map((name) => ({ name }) as TierSpec);
  test.each<[Route, RegExp]>([
    [{ rules: [{ match: "(a", tier: "large" }] }, /route\.rules\.0: the pattern cannot be used: .*RE2/],
    [{ rules: [{ match: "(a)\\1", tier: "large" }] }, /back references/],
    [{ rules: [{ tier: "large" }] }, /fits nothing; give it match/],
    [{ rules: [{ match: "a" }] }, /does nothing; give it a tier, an answer/],
    [{ rules: [{ match: "a", tier: "large", answer: "b" }] }, /leave one out/],
    [{ rules: [{ match: "a".repeat(1_001), tier: "large" }] }, /more than 1000 characters/],
    [{ rules: [{ match: "a", tier: "sorter" }] }, /route\.rules\.0\.tier: the tier "sorter" is not in the agent's chain; there are: small/],
    [{ tasks: { sum: "huge" } }, /route\.tasks\.sum: the tier "huge" is not/],
    [
      { classifier: { tier: "s", labels: { law: { description: "law", tier: "huge" } } } },
      /route\.classifier\.labels\.law\.tier: the tier "huge" is not/,
    ],
    [{ default: "sorter" }, /route\.default: the tier "sorter" is not/],
  ])("%j", (wrong, message) => {
    expect(() => checkedRoute(agentOf({ route: wrong }), chain)).toThrow(message);
  });

  test("a rule that answers with text where an object is asked for", () => {
    expect(() => checkedRoute(agentOf({ output: z.object({}) }), chain)).toThrow(/the agent answers with an object, and a rule with text/);
  });
});
