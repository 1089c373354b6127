/** Prompts with versions on the whole way: definition, run, journal. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type AgentOptions, agent, type Event, prompt } from "../../src/index.ts";
import { chat } from "../../src/testing/fault-chat.ts";
import { type Model, world } from "./world.ts";

const guide = prompt({ name: "guide", version: "7", template: "You know {{city}}. Days: {{days}}." });
const input = z.object({ city: z.string(), days: z.number(), note: z.string().optional() });
const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tiers = { main: { provider: "self", model: "m", price }, second: { provider: "self", model: "m2", price } };
const defined = (options: Partial<AgentOptions>) =>
  agent({ name: "a", machine: "single", tiers: ["main"], instructions: guide, input, retries: 0, ...options });
const system = (request: { json(): { messages: { content: string }[] } }): string => request.json().messages[0]?.content ?? "";

test("a run's input fills the slots of its agent and of its tiers; each call says its version", async () => {
  const model: Model = (request) => (request.json().model === "m" ? { text: "" } : { text: '{"ok":true}' });
  const { runtime, provider } = await world(model, {
    tiers,
    agents: [
      defined({
        tiers: ["main", { tier: "second", instructions: prompt({ name: "short", version: "1", template: "{{city}}!" }) }],
        output: z.object({ ok: z.literal(true) }),
      }),
    ],
  });
  const run = await runtime.start({ agent: "a", input: { city: "{{days}}", days: 3 } });
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  expect(await run.result()).toMatchObject({ status: "done", output: { ok: true } });
  expect(provider.book.entries.map(({ request }) => system(request))).toEqual(["You know {{days}}. Days: 3.", "{{days}}!"]);
  expect(events.filter(({ type }) => type === "call.started")).toMatchObject([{ prompt: "guide@7" }, { prompt: "short@1" }]);
  let turns = 0;
  for await (const _ of runtime.replay(run.id)) turns++;
  expect(turns).toBeGreaterThan(1);
  expect(runtime.spec("a").prompt).toMatchObject({ name: "guide", version: "7", variables: ["city", "days"] });
});

test("runs at once are told each its own", async () => {
  const { runtime, provider } = await world((request) => ({ text: system(request) }), { tiers, agents: [defined({})] });
  const runs = await Promise.all(
    ["Köln", "Bonn", "Trier"].map(async (city, days) => (await runtime.start({ agent: "a", input: { city, days } })).result()),
  );
  expect(runs.map(({ output }) => output)).toEqual(["You know Köln. Days: 0.", "You know Bonn. Days: 1.", "You know Trier. Days: 2."]);
  expect(provider.book.entries).toHaveLength(3);
});

describe("is refused when it is defined", () => {
  const refused = async (options: Partial<AgentOptions>): Promise<string> => {
    try {
      await world(chat({ text: "" }) as unknown as Model, { tiers, agents: [defined(options)] });
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  test("a slot that the input does not have, may leave out, or that has no input at all", async () => {
    const slot = (template: string) => prompt({ name: "guide", version: "1", template });
    expect(await refused({ instructions: slot("{{town}}") })).toMatch(
      /guide@1 has the slot \{\{town\}\}.*its members are city, days, note/,
    );
    expect(await refused({ instructions: slot("{{note}}") })).toMatch(/it is optional there, and a slot needs a value/);
    const { input: _, ...without } = defined({});
    await expect(world(chat({ text: "" }) as unknown as Model, { tiers, agents: [without as AgentOptions] })).rejects.toThrow(
      /give the agent an input schema with it: input: z\.object\(\{ city: z\.string\(\) \}\)/,
    );
    expect(await refused({ tiers: [{ tier: "main", instructions: slot("{{town}}") }] })).toMatch(/\{\{town\}\}/);
  });
});
