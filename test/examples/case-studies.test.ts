/** The larger examples: they run without a key, and what their READMEs say of lines, cases and costs is so. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { play, root } from "./play.ts";

const studies = [
  {
    name: "content-pipeline",
    agent: "pipeline",
    says: /^done: "Loose leaf tea: three numbers are enough", 6 calls, [\d.]+ micro-dollars$/m,
  },
  {
    name: "support-chatbot",
    agent: "support",
    says: /\(cached\), 0 \+ 0 tokens, 0 micro-dollars\ndone by cheap: Delivery is free from 60 euros\./,
  },
];

describe.each(studies)("$name", ({ name, agent, says }) => {
  const folder = join(root, "examples", name);
  const read = (file: string): string => readFileSync(join(folder, file), "utf8");

  test("runs by one command", async () => {
    expect(await play(join(folder, "main.ts"))).toMatch(says);
  });

  test("costs what its README says", async () => {
    expect(read("README.md")).toContain(await play(join(folder, "costs.ts")));
  });

  test("its agents take under 30 lines, and its cases are what they take", async () => {
    expect(read("agents.ts").trimEnd().split("\n").length).toBeLessThan(30);
    const cases = read("cases.jsonl")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string; input: unknown; expect: string });
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    expect(cases.length).toBeGreaterThanOrEqual(20);
    // A process of its own, since the configuration imports the package by its name.
    const refused = `
      import { loadConfig } from "./src/config/config.ts";
      const { agents } = await loadConfig({ path: ${JSON.stringify(join(folder, "escapement.config.ts"))}, env: {} });
      const { input } = agents.find(({ spec }) => spec.name === "${agent}").options;
      console.log(JSON.stringify(${JSON.stringify(cases)}.filter((one) => !(input ? input.safeParse(one.input).success : typeof one.input === "string"))));`;
    expect(await play("--input-type=module-typescript", "-e", refused)).toBe("[]");
  });
});
