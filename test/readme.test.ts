import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freshClone } from "./fresh-clone.ts";

const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");

test("the README shows the example that runs", () => {
  expect(readme).toContain(readFileSync(join(root, "examples/01-hello.ts"), "utf8").trim());
});

test("the example answers through the calculator", async () => {
  const child = spawn("npm", ["run", "--silent", "example", "--", "examples/01-hello.ts"], {
    cwd: root,
    env: { ...process.env, OPENAI_API_KEY: "", ANTHROPIC_API_KEY: "" },
  });
  let output = "";
  for await (const chunk of child.stdout) output += chunk;
  expect(output).toMatch(/1057\.5.*\ndone: 2 calls, 1 use of a tool, 0 micro-dollars\n$/);
});

test("the configuration starts in a clone where nothing was built", async () => {
  using clone = freshClone();
  const config = /```ts\n(import \{ agent, defineConfig[\s\S]*?)```/.exec(readme)?.[1] ?? "";
  expect(config).toContain("export default defineConfig(");
  writeFileSync(join(clone.path, "escapement.config.ts"), config);
  expect(existsSync(join(clone.path, "dist"))).toBe(false);
  const child = spawn("npm", ["run", "--silent", "escapement", "--", "verify"], {
    cwd: clone.path,
    env: { PATH: process.env.PATH ?? "", HOME: clone.path, OPENAI_API_KEY: "none", ANTHROPIC_API_KEY: "none" },
  });
  let output = "";
  child.stderr.on("data", (data) => {
    output += data;
  });
  for await (const chunk of child.stdout) output += chunk;
  // The agent and the limit that the README gives it.
  expect(output).toMatch(/^guide .* verified$/m);
  expect(output).toMatch(/cost_microusd +50,000 +limits\.max_cost_microusd/);
});

test("the tree names every folder, and nothing else", () => {
  const tree = /## The tree\s+```\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const named = tree
    .trim()
    .split("\n")
    .map((line) => line.split(/\s/)[0] as string);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const folders = readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `src/${name}/`);
  expect(folders.filter((folder) => !named.includes(folder))).toEqual([]);
});

test("links of the README lead somewhere", () => {
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] as string).filter((link) => !link.startsWith("http"));
  expect(links.length).toBeGreaterThan(5);
  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([]);
});
