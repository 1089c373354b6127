/** Scripts of the offline provider: which line answers, and what runs cost whose providers it plays. */
import { expect, onTestFinished, test } from "vitest";
import { agent, createRuntime } from "../../src/index.ts";
import { type Line, scriptedReply } from "../../src/offline/script.ts";

const asked = { instructions: "You are Ann.", question: "Is it broken?", results: [] };

test.each<[string, readonly Line[], unknown]>([
  ["the first line that fits", [{ as: "bob", say: "no" }, { as: "ann", when: "broken", say: "yes" }, { say: "late" }], { text: "yes" }],
  ["none", [{ as: "bob", say: "no" }], undefined],
  [
    "a question is no result",
    [{ after: "look", say: "no" }, { use: { tool: "look", input: {} } }],
    { tools: [{ name: "look", input: {} }] },
  ],
  ["what was asked is data", [{ say: "{{question}} {{result}}" }], { text: "Is it broken? " }],
])("%s", (_, script, reply) => expect(scriptedReply(script, asked)).toEqual(reply));

test("the result of a tool is answered by the line after it, never asked for again", () => {
  const results = [{ name: "look", content: "a {{crack}}" }];
  const script = [{ use: { tool: "look", input: {} } }, { after: "look", say: "I see {{result}}." }];
  expect(scriptedReply(script, { ...asked, results })).toEqual({ text: "I see a {{crack}}." });
});

test("without a key a tier's provider is played at its model's list price", async () => {
  const config = {
    store: { path: ":memory:" },
    tiers: { main: { provider: "openai", model: "gpt-6-luna" } },
    agents: [agent({ name: "a", machine: "single", instructions: "You are Ann." })],
    offline: { script: [{ say: "four words are here" }], pace_ms: 0 },
  };
  const runtime = await createRuntime({ ...config, env: {} });
  onTestFinished(() => runtime.close());
  const run = await (await runtime.start({ agent: "a", input: "Hello" })).result();
  // 3 for each message and the answer, "You are Ann." is 4, "Hello" 1; luna costs 0.1 and 0.5 dollars a million.
  expect(run).toMatchObject({
    output: "four words are here",
    tier: "main",
    usage: { input_tokens: 14, output_tokens: 4, estimated: false },
  });
  expect(run.cost_microusd).toBe(3.4);
});
