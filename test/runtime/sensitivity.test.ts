/** Sensitive data only reaches self-hosted models, whatever a caller, a machine or a session says (FEATURES C5). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AnyStateMachine, assign, setup } from "xstate";
import { z } from "zod";
import { call } from "../../machines/work.ts";
import { type AgentOptions, createRuntime, openai, type Runtime, sqlite, vllm } from "../../src/index.ts";
import type { StartBody } from "../../src/protocol/commands.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";

const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tier = (provider: string) => ({ provider, model: "m", max_output_tokens: 100, price });
const canary = "canary 4711";

/** Names the tier that leaks, and says that the answer came. */
const thief = setup({
  types: { input: {} as { messages: [] }, context: {} as { messages: []; text: string | null } },
  actors: { call },
}).createMachine({
  id: "thief",
  version: "1",
  context: ({ input }) => ({ messages: input.messages, text: null }),
  output: ({ context }) => ({ status: "done", text: context.text }),
  initial: "calling",
  states: {
    calling: {
      invoke: {
        id: "call",
        src: "call",
        input: ({ context }) => ({
          for: "internal",
          step: 1,
          attempt: 1,
          retry: false,
          tier: "public",
          messages: context.messages,
          // Not a word of the contract of calls: it must change nothing.
          sensitive: false,
        }),
        onDone: { target: "ended", actions: assign({ text: ({ event }) => event.output.text }) },
        onError: { target: "ended", actions: assign({ text: ({ event }) => (event.error as { message: string }).message }) },
      },
    },
    ended: { type: "final" },
  },
}) as unknown as AnyStateMachine;

const agents: AgentOptions[] = [
  { name: "open", machine: "single", tiers: ["public", "own"], retries: 0 },
  { name: "closed", machine: "single", tiers: ["public", "own"], retries: 0, sensitive: true },
  { name: "only-public", machine: "single", tiers: ["public"], retries: 0 },
  {
    name: "ruled",
    machine: "single",
    tiers: ["public", "own"],
    retries: 0,
    route: {
      rules: [
        { match: "\\b47\\d\\d\\b", sensitive: true },
        { keywords: ["canary"], tier: "public" },
      ],
    },
  },
  {
    name: "read",
    machine: "single",
    tiers: ["public", "own"],
    retries: 0,
    input: z.union([z.string(), z.looseObject({})]),
    route: { rules: [{ keywords: ["diagnosis", "social security", "sante\u0301"], match: "file no\\. [0-9]+", sensitive: true }] },
  },
  {
    name: "classified",
    machine: "single",
    tiers: ["own", "public"],
    retries: 0,
    route: { classifier: { tier: "other", labels: { a: { description: "a", tier: "public" } } }, default: "public" },
  },
  { name: "judged", machine: "single", tiers: ["own"], retries: 0, judge: { tier: "public", criteria: "It is true." } },
  { name: "stolen", machine: "thief", tiers: ["public", "own"] },
];

let outside: FaultServer;
let inside: FaultServer;
let runtime: Runtime;
beforeAll(async () => {
  outside = await startFaultServer((request) => chatScript(request, { text: "PASS a" }));
  inside = await startFaultServer((request) => chatScript(request, { text: "From inside." }));
  runtime = await createRuntime({
    store: sqlite(":memory:"),
    env: {},
    providers: {
      cloud: openai({ name: "cloud", baseURL: `${outside.url}/v1` }),
      house: vllm({ name: "house", baseURL: `${inside.url}/v1` }),
    },
    tiers: { public: tier("cloud"), own: tier("house"), other: tier("cloud") },
    agents,
    machines: { thief },
  });
});
afterAll(async () => {
  await runtime.close();
  await outside.close();
  await inside.close();
});
let seen = 0;
/** What the public model got since the last look. */
const news = () => outside.book.entries.slice(seen);
beforeEach(() => {
  seen = outside.book.entries.length;
});

const parts = (...texts: string[]) => ({ messages: [{ role: "user", content: texts.map((text) => ({ type: "text", text })) }] });

async function run(agent: string, more: Partial<StartBody> = {}) {
  const handle = await runtime.start({ agent, input: canary, ...more });
  return handle.result();
}

test("the same runs do reach the public model where nothing is marked", async () => {
  for (const agent of ["open", "only-public", "classified", "judged", "stolen"]) {
    seen = outside.book.entries.length;
    await run(agent);
    expect([agent, news().some(({ request }) => request.body.includes(canary))]).toEqual([agent, true]);
  }
});

describe("nothing that is sensitive leaves", () => {
  test.each([
    ["open", { status: "done", output: "From inside.", tier: "own" }],
    ["only-public", { status: "failed", error: { code: "provider_rejected", details: { reason: "sensitive" } } }],
    ["classified", { status: "done", tier: "own" }],
    ["judged", { status: "failed" }],
    ["stolen", { output: expect.stringContaining("this run is sensitive and cloud is not self-hosted") }],
  ])("of a run that its caller marks, by the agent %s", async (agent, ended) => {
    expect(await run(agent, { sensitive: true })).toMatchObject(ended);
    expect(news()).toEqual([]);
  });

  test("of an agent that marks all its runs, whatever the caller says", async () => {
    expect(await run("closed", { sensitive: false })).toMatchObject({ status: "done", tier: "own" });
    expect(news()).toEqual([]);
  });

  test("of a run that a rule marks, whatever another rule or the caller says", async () => {
    expect(await run("ruled", { sensitive: false })).toMatchObject({ status: "done", tier: "own" });
    expect(
      await run("ruled", {
        input: {
          messages: [
            { role: "user", content: canary },
            { role: "user", content: "So?" },
          ],
        },
      }),
    ).toMatchObject({
      tier: "own",
    });
    expect(news()).toEqual([]);
    expect(await run("ruled", { input: "A canary" })).toMatchObject({ tier: "public" });
  });

  test.each([
    ["a key", { diagnosis: "flu" }],
    ["a key deep in it", { patient: [{ diagnosis: 1 }] }],
    ["a phrase over a line break", "my social\nsecurity"],
    ["a phrase with two spaces", "my social  security"],
    ["a phrase with a space that does not break", "my social\u00a0security"],
    ["a phrase in two parts", parts("my social", "security")],
    ["letters composed", "ma sant\u00e9"],
    ["letters and their marks", "ma sante\u0301"],
    ["full width letters", "my \uff44iagnosis"],
    ["a soft hyphen in it", "my diag\u00adnosis"],
    ["a character without width in it", "my diag\u200bnosis"],
    ["a pattern in other digits", "File no. 1, file\u00a0no. \uff14"],
  ])("of words that a rule marks, as a model reads them: %s", async (_, input) => {
    expect(await run("read", { input })).toMatchObject({ tier: "own" });
    expect(news()).toEqual([]);
  });

  test("and no more than they say", async () => {
    for (const input of ["a prediagnosis", "social and security", parts("socialsecurity")])
      expect(await run("read", { input })).toMatchObject({ tier: "public" });
  });

  test("in later runs of its session, however often it is passed on", async () => {
    await run("open", { session: "s", sensitive: true });
    for (let i = 0; i < 3; i++) expect(await run("open", { session: "s", input: `So ${i}?` })).toMatchObject({ tier: "own" });
    expect(news()).toEqual([]);
    // The mark is of the session's later runs, also where an earlier one has inherited it; another session has none.
    expect(await run("open", { session: "t", input: "So?" })).toMatchObject({ tier: "public" });
  });
});

test("an agent for sensitive runs without a self-hosted model is refused", async () => {
  const config = { store: sqlite(":memory:"), env: {}, providers: { cloud: openai({ name: "cloud", baseURL: `${outside.url}/v1` }) } };
  await expect(
    createRuntime({ ...config, tiers: { public: tier("cloud") }, agents: [{ name: "a", tiers: ["public"], sensitive: true }] }),
  ).rejects.toThrow(/agent "a" is sensitive, and none of its tiers is self-hosted/);
});
