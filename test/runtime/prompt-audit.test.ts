/** The audit of prompts, from runs that were really made: its parts add up to what was charged. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { agent, prompt, sqlite, tool } from "../../src/index.ts";
import { loadTokenizer } from "../../src/money/tokens.ts";
import { run as command, endAll } from "../whole-path/served.ts";
import { type Model, world } from "./world.ts";

afterAll(endAll);

const price = { input_usd_per_mtok: 2, cached_usd_per_mtok: 0.2, output_usd_per_mtok: 10 };
const tiers = { main: { provider: "self", model: "m", max_output_tokens: 100, price }, cheap: { provider: "self", model: "c", price } };
const made = (name: string) =>
  tool({ name, description: `Looks at ${name}. `.repeat(20), input: z.object({}), class: "pure", run: () => "seen ".repeat(200) });
const guide = prompt({
  name: "guide",
  version: "3",
  template: "You look at things. ".repeat(30),
  examples: [
    { name: "weather", input: "How is the weather in Köln?", output: "It rains." },
    { name: "trains", input: "When does the train leave from Bonn?", output: "At nine." },
  ],
});

const model: Model = (request) => {
  const { model: name, messages } = request.json();
  const usage = { input: JSON.stringify(messages).length, output: 20, cached: 100 };
  if (name === "c") return { text: "A summary.", usage };
  return messages.at(-1).role === "tool" ? { text: "Seen.", usage } : { text: "", tools: [{ id: "u", name: "sky", input: {} }], usage };
};

async function played(store = sqlite(":memory:")) {
  await loadTokenizer();
  const { runtime } = await world(model, {
    store,
    tiers,
    tools: { eyes: [made("sky"), made("sea")] },
    agents: [
      agent({
        name: "guide",
        tiers: ["main"],
        instructions: guide,
        tools: ["eyes"],
        context: { keep_turns: 1, summarise: { tier: "cheap" } },
      }),
    ],
  });
  const runs = [];
  for (const question of ["How is the weather in Trier?", "And the sky?", "And now?"])
    runs.push(await (await runtime.start({ agent: "guide", input: question, session: "s" })).result());
  return { runtime, runs };
}

test("tokens and money of each part, which together are what was charged; tools and examples that nobody needed", async () => {
  const { runtime, runs } = await played();
  const audit = await runtime.auditPrompts({ days: 1 });
  expect(audit).toMatchObject({ runs: 3, calls: 7, not_replayed: 0, is_cut: false });
  const charged = runs.reduce((sum, { cost_microusd }) => sum + cost_microusd, 0);
  const tokens = runs.reduce((sum, { usage }) => sum + usage.input_tokens + usage.output_tokens, 0);
  expect(Math.abs(audit.parts.reduce((sum, part) => sum + part.cost_microusd, 0) - charged)).toBeLessThan(0.05);
  expect(Math.abs(audit.parts.reduce((sum, part) => sum + part.tokens, 0) - tokens)).toBeLessThan(20);
  const of = (part: string) => audit.parts.filter((row) => row.part === part).reduce((sum, row) => sum + row.tokens, 0);
  for (const part of ["instructions", "examples", "tools", "history", "summary", "input", "answers", "results", "internal", "output"])
    expect([part, of(part) > 0]).toEqual([part, true]);
  // Two hundred words of a result, told to the second call of each run; six words of a question.
  expect(of("results")).toBeGreaterThan(5 * of("input"));
  expect(audit.parts.filter(({ part }) => part === "instructions")).toMatchObject([{ agent: "guide", prompt: "guide@3" }]);
  expect(audit.tools).toMatchObject([
    { name: "sea", uses: 0 },
    { name: "sky", uses: 3 },
  ]);
  expect(audit.examples).toMatchObject([
    { name: "trains", uses: 0 },
    { name: "weather", uses: 1 },
  ]);
  expect(await runtime.auditPrompts({ days: 1, agent: "nobody" })).toMatchObject({ runs: 0, parts: [] });
});

test("at the command line, as a table and as JSON", async () => {
  const folder = mkdtempSync(join(tmpdir(), "audit-"));
  const { runtime, runs } = await played(sqlite(join(folder, "runs.db")));
  await runtime.close();
  writeFileSync(join(folder, "escapement.config.json"), JSON.stringify({ store: { path: "runs.db" } }));
  const table = await command({ cwd: folder, args: ["prompts", "audit", "--days", "2"] });
  expect(table.code, table.stderr).toBe(0);
  expect(table.stdout).toMatch(/3 runs, 7 calls\n/);
  expect(table.stdout).toMatch(/guide \(guide@3\) +instructions +[\d,]+ +\$[\d.]+ +[\d.]+ %/);
  expect(table.stdout).toMatch(/tools that were never used:\n {2}guide {2}sea +[\d,]+ tokens +\$[\d.]+\n/);
  expect(table.stdout).toContain("trains");
  const json = await command({ cwd: folder, args: ["prompts", "audit", "guide", "--json"] });
  const audit = JSON.parse(json.stdout);
  const charged = runs.reduce((sum, { cost_microusd }) => sum + cost_microusd, 0);
  expect(
    Math.abs(audit.parts.reduce((sum: number, part: { cost_microusd: number }) => sum + part.cost_microusd, 0) - charged),
  ).toBeLessThan(0.05);
  const wrong = await command({ cwd: folder, args: ["prompts", "audit", "--days", "90"] });
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("--days must be a whole number from 1 to 30") });
});
