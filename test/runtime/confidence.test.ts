/** Cheap first: an answer that its model is not sure of is taken back, and the next tier answers (FEATURES C3). */
import { describe, expect, test } from "vitest";
import { anthropic, createRuntime, type Event, sqlite } from "../../src/index.ts";
import type { AgentOptions } from "../../src/runtime/agent.ts";
import type { ChatAnswer } from "../../src/testing/fault-chat.ts";
import { world } from "./world.ts";

const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tiers = {
  small: { provider: "self", model: "small", max_output_tokens: 100, price },
  large: { provider: "self", model: "large", max_output_tokens: 100, price },
};
const cascade = { name: "a", machine: "single", tiers: ["small", "large"], escalate_below: 0.85 } as const;

async function play(answers: { [model: string]: ChatAnswer }, more: Partial<AgentOptions> = {}) {
  const { runtime, provider } = await world((request) => answers[request.json().model] as ChatAnswer, {
    tiers,
    agents: [{ ...cascade, ...more }],
  });
  const run = await runtime.start({ agent: "a", input: "What is it?" });
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  const of = <T extends Event["type"]>(type: T) => events.filter((event): event is Event & { type: T } => event.type === type);
  return { ended: await run.result(), of, asked: provider.book.entries.map(({ request }) => request.json()) };
}

describe("an answer", () => {
  test("that its model is sure of is given", async () => {
    const { ended, of } = await play({ small: { text: "It is so.", logprob: -0.1 } });
    expect(ended).toMatchObject({ status: "done", output: "It is so.", tier: "small", calls: 1 });
    expect(of("call.finished")[0]?.confidence).toBeCloseTo(Math.exp(-0.1), 12);
    expect(of("request.fell_back")).toEqual([]);
  });

  test("that its model is not sure of is taken back, and the next tier's stands", async () => {
    const { ended, of, asked } = await play({ small: { text: "Perhaps.", logprob: -0.2 }, large: { text: "It is so.", logprob: -3 } });
    expect(ended).toMatchObject({ status: "done", output: "It is so.", tier: "large", calls: 2 });
    expect(of("request.fell_back")).toMatchObject([{ from: "small", to: "large", reason: "low_confidence" }]);
    expect(of("retract")).toMatchObject([{ call: "c0", reason: "low_confidence" }]);
    // The last tier's answer stands however sure it is, so it is not asked.
    expect(asked.map(({ logprobs }) => logprobs)).toEqual([true, undefined]);
    expect(asked[1].messages).toEqual(asked[0].messages);
  });

  test("that does not say how sure its model was counts as unsure", async () => {
    const { ended } = await play({ small: { text: "Perhaps." }, large: { text: "It is so." } });
    expect(ended).toMatchObject({ output: "It is so.", tier: "large" });
  });

  test("of a checked stream is not shown before it is known to be sure", async () => {
    const { ended, of } = await play({ small: { text: "Perhaps.", logprob: -0.2 }, large: { text: "It is so." } }, { stream: "checked" });
    expect(ended).toMatchObject({ output: "It is so.", tier: "large" });
    expect(of("text.delta").map(({ text }) => text)).toEqual(["It is so."]);
    expect(of("retract")).toEqual([]);
  });
});

test("without a threshold nobody is asked", async () => {
  const { runtime, provider } = await world(() => ({ text: "Yes.", logprob: -3 }), { tiers, agents: [{ name: "a", machine: "single" }] });
  const run = await runtime.start({ agent: "a", input: "?" });
  expect(await run.result()).toMatchObject({ status: "done", tier: "small" });
  expect(provider.book.entries[0]?.request.body).not.toContain("logprobs");
});

test("an agent that could never be sure is refused", async () => {
  const config = { store: sqlite(":memory:"), env: {}, providers: { claude: anthropic({ apiKey: "k" }) } };
  const claude = { provider: "claude", model: "claude-haiku-4-5", price };
  const of = (names: string[]) => createRuntime({ ...config, tiers: { one: claude, two: claude }, agents: [{ ...cascade, tiers: names }] });
  await expect(of(["one", "two"])).rejects.toThrow(
    /the provider "claude" of its tier "one" tells no log-probabilities; put that tier last/,
  );
  await expect(of(["one"])).rejects.toThrow(/no second tier to escalate to/);
});
