/** The semantic cache through the runtime (FEATURES D2). The embedder here finds everything alike, so that only the gate can say no. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Embedder } from "../../src/embeddings/embedder.ts";
import { type AgentOptions, agent, type Config, createRuntime, type Run, type Runtime } from "../../src/index.ts";
import { world as inMemory, type Model } from "../runtime/world.ts";

type Said = Embedder & { readonly texts: string[]; fails: boolean };

/** Every text is the same to it, but those that begin with "Far". */
const credulous = (more: Partial<Embedder> = {}): Said => {
  const texts: string[] = [];
  return {
    name: "credulous",
    dimensions: 2,
    threshold: 0.9,
    local: true,
    fails: false,
    texts,
    async embed(asked) {
      if (this.fails) throw new Error("no");
      texts.push(...asked);
      return {
        vectors: asked.map((text) => Float32Array.from(text.startsWith("Far") ? [0, 1] : [1, 0])),
        tokens: asked.length,
        costNano: 20 * asked.length,
      };
    },
    close: async () => {},
    ...more,
  };
};

async function world(
  embedder: Embedder,
  cache: AgentOptions["cache"],
  model: Model,
  more: Config & { agent?: Partial<AgentOptions> } = {},
) {
  const cwd = mkdtempSync(join(tmpdir(), "semantic-"));
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }));
  const { agent: options, ...config } = more;
  const { cache: settings, ...rest } = config;
  const { runtime, provider } = await inMemory(model, {
    cwd,
    agents: [agent({ name: "helper", machine: "single", retries: 0, ...(cache && { cache }), ...options })],
    cache: { embedder, ...settings },
    ...rest,
  });
  return { runtime, requests: () => provider.book.entries.length };
}

/** Asks, and waits until what is to be kept is kept. */
async function ask(runtime: Runtime, input: string | object, more: { sensitive?: boolean; user?: string } = {}): Promise<Run> {
  const run = await runtime.start({ agent: "helper", input: input as never, ...more });
  const ended = await run.result();
  await kept();
  return ended;
}

/** Keeping waits for nothing but an embedder in memory, so it is over in these turns of the event loop. */
const kept = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

const numbered = (): Model => {
  let n = 0;
  return () => ({ text: `Answer ${++n}.` });
};

test("a question that means the same is answered from the cache; its opposite, other numbers and other names are not", async () => {
  const { runtime, requests } = await world(credulous(), { semantic: { mode: "on" } }, numbered());
  const { cost_microusd } = await ask(runtime, "How do I enable two-factor authentication?");
  const same = await ask(runtime, "How can I turn on two-factor authentication?");
  expect(same).toMatchObject({ cached: true, output: "Answer 1.", cost_microusd: 0 });
  expect(cost_microusd).toBeGreaterThan(0);
  expect((await runtime.usage({ by: "agent" })).total).toMatchObject({ cost_microusd, saved_microusd: cost_microusd });
  expect(requests()).toBe(1);
  const others = [
    "How do I disable two-factor authentication?",
    "How do I enable three-factor authentication?",
    "Why do I enable two-factor authentication?",
    "How do I never enable two-factor authentication?",
    "How do I enable two-factor authentication in Chrome?",
  ];
  for (const other of others) expect((await ask(runtime, other)).cached, other).toBeUndefined();
  expect(requests()).toBe(1 + others.length);
  expect(runtime.cacheCounts()).toMatchObject({ semantic: 1, exact: 0 });
});

test("what the embedder finds too far apart is not given, whatever the gate says; an agent may ask for more likeness", async () => {
  const { runtime } = await world(credulous(), { semantic: { mode: "on" } }, numbered());
  await ask(runtime, "far is it?");
  expect((await ask(runtime, "Far is it?")).cached).toBeUndefined();
  const strict = await world(credulous(), { semantic: { mode: "on", threshold: 1 } }, numbered());
  await ask(strict.runtime, "How is it?");
  expect((await ask(strict.runtime, "how is it")).cached).toBe(true);
});

test("only where the rest of the conversation is equal", async () => {
  const { runtime, requests } = await world(credulous(), { semantic: { mode: "on" } }, numbered());
  const after = (said: string, question: string) => ({
    messages: [
      { role: "user", content: said },
      { role: "assistant", content: "Yes." },
      { role: "user", content: question },
    ],
  });
  await ask(runtime, after("I have a cat.", "How old can it get?"));
  expect((await ask(runtime, after("I have a dog.", "How old can it get?"))).cached).toBeUndefined();
  expect((await ask(runtime, after("I have a cat.", "How old can it get, please?"))).cached).toBe(true);
  expect((await ask(runtime, "How old can it get, please?")).cached).toBeUndefined();
  expect(requests()).toBe(3);
});

test("users keep to themselves unless the agent says so, and what was purged is found no more", async () => {
  const { runtime } = await world(credulous(), { semantic: { mode: "on" }, tags: ["faq"] }, numbered());
  await ask(runtime, "How is it?", { user: "ada" });
  expect((await ask(runtime, "how is it", { user: "bob" })).cached).toBeUndefined();
  expect((await ask(runtime, "how is it", { user: "ada" })).cached).toBe(true);
  expect(await runtime.purgeCache({ tag: "faq" })).toBe(2);
  expect((await ask(runtime, "how is it", { user: "ada" })).cached).toBeUndefined();
});

test("a sensitive run tells no embedder elsewhere; one on this machine it may", async () => {
  const away = credulous({ local: false });
  const { runtime, requests } = await world(away, { semantic: { mode: "on" } }, numbered());
  await ask(runtime, "How is it?", { sensitive: true });
  expect((await ask(runtime, "how is it", { sensitive: true })).cached).toBeUndefined();
  expect([requests(), away.texts]).toEqual([2, []]);
  // The same words are no matter of meaning.
  expect((await ask(runtime, "How is it?", { sensitive: true })).cached).toBe(true);
  const here = await world(credulous(), { semantic: { mode: "on" } }, numbered());
  await ask(here.runtime, "How is it?", { sensitive: true });
  expect((await ask(here.runtime, "how is it", { sensitive: true })).cached).toBe(true);
  expect((await ask(here.runtime, "how is it")).cached).toBeUndefined();
});

test("what goes to a model with placeholders goes to no embedder elsewhere; to one on this machine it may", async () => {
  const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
  const tier = { provider: "self", model: "m", max_output_tokens: 100, price };
  const tiers = { plain: { ...tier, hedge: { after_ms: 60_000, tier: "covered" } }, covered: { ...tier, anonymise: true } };
  for (const chain of [["covered"], ["plain", "covered"], ["plain"]]) {
    const away = credulous({ local: false });
    const { runtime, requests } = await world(away, { semantic: { mode: "on" } }, numbered(), { tiers, agent: { tiers: chain } });
    for (const input of ["Is ada@example.org in?", "is ada@example.org in"]) expect((await ask(runtime, input)).cached).toBeUndefined();
    expect([requests(), away.texts]).toEqual([2, []]);
  }
  const here = await world(credulous(), { semantic: { mode: "on" } }, numbered(), { tiers, agent: { tiers: ["covered"] } });
  await ask(here.runtime, "Is ada@example.org in?");
  expect((await ask(here.runtime, "is ada@example.org in")).cached).toBe(true);
});

test("an embedder that fails is a miss, is left alone after three times, and costs no run anything", async () => {
  const embedder = credulous();
  const { runtime, requests } = await world(embedder, { semantic: { mode: "on" } }, numbered());
  embedder.fails = true;
  for (const input of ["How is it?", "how is it", "how is it!"]) expect((await ask(runtime, input)).status).toBe("done");
  expect(requests()).toBe(3);
  embedder.fails = false;
  await ask(runtime, "How is that?");
  expect(embedder.texts).toEqual([]);
  expect(runtime.cacheCounts()?.embedder).toMatchObject({ failures: 3, tokens: 0 });
});

test("what the embedder costs is told, and charged to no run", async () => {
  const { runtime } = await world(credulous(), { semantic: { mode: "on" } }, numbered());
  await ask(runtime, "How is it?");
  expect((await ask(runtime, "how is it")).cost_microusd).toBe(0);
  expect(runtime.cacheCounts()?.embedder).toEqual({ tokens: 2, cost_microusd: 0.04, failures: 0 });
});

test("shadow mode serves nothing, and counts what it would have served rightly and wrongly", async () => {
  const answers = ["42 km", "42 km", "40 km", "anything"];
  const { runtime, requests } = await world(credulous(), { semantic: { mode: "shadow" } }, () => ({ text: answers.shift() as string }));
  await ask(runtime, "How far is it?");
  await ask(runtime, "how far is it");
  await ask(runtime, "How far is it, please?");
  await ask(runtime, "How near is it?");
  expect(requests()).toBe(4);
  expect(runtime.cacheCounts()).toMatchObject({ semantic: 0, shadow: { hits: 2, right: 1, wrong: 1, false_hit_rate: 0.5 } });
});

test("shadow mode asks a judge where one is given", async () => {
  const asked: unknown[] = [];
  const judge = (shadowed: unknown): boolean => asked.push(shadowed) > 0;
  const { runtime } = await world(credulous(), { semantic: { mode: "shadow" } }, numbered(), { cache: { judge } });
  await ask(runtime, "How far is it?");
  await ask(runtime, "how far is it");
  expect(asked).toEqual([{ question: "how far is it", kept: { question: "How far is it?", answer: "Answer 1." }, answer: "Answer 2." }]);
  expect(runtime.cacheCounts()?.shadow).toMatchObject({ right: 1, false_hit_rate: 0 });
});

test("an old answer to a question that means the same is given when no model answers", async () => {
  let isDown = false;
  const model: Model = () => (isDown ? { text: "" } : { text: "Yes." });
  const { runtime } = await world(credulous(), { semantic: { mode: "on" }, exact: { ttl_ms: 1 } }, model);
  await ask(runtime, "Is it?");
  isDown = true;
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await ask(runtime, "is it")).toMatchObject({ status: "degraded", tier: "cached", output: "Yes." });
});

test("an embedding model that is not known is refused when the runtime is made", async () => {
  const agents = [agent({ name: "helper", machine: "single", cache: { semantic: { mode: "on" } } })];
  const config = { env: {}, store: { path: ":memory:" }, agents, cache: { embedder: { model: "bge-m3", base_url: "http://127.0.0.1:1" } } };
  await expect(createRuntime(config)).rejects.toThrow(/say its `dimensions`/);
});
