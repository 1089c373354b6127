/** Who may import whom: `protocol` ← `machines` ← `runtime` ← `server`; adapters know their contract and the outside. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const files = globSync(["src/**/*.{ts,tsx}", "machines/**/*.ts", "tools/**/*.ts"], { cwd: root });

type Import = { readonly from: string; readonly to: string; readonly isType: boolean };

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8");
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm)) {
    const named = /^(?:import|export)\s*\{([^}]*)\}/.exec(match[0])?.[1];
    const allTypes = named?.split(",").every((name) => name.trim() === "" || name.trim().startsWith("type ")) ?? false;
    const target = match[2] as string;
    const to = target.startsWith(".") ? relative(root, join(root, dirname(file), target)) : target;
    found.push({ from: file, to, isType: match[1] !== undefined || allTypes });
  }
  return found;
}

const all = files.flatMap(importsOf);

/** Folder → what it may import: prefixes in the repository, or outside packages. `type:` allows types alone. */
const rules: Record<string, readonly string[]> = {
  "src/protocol/": ["src/protocol/", "zod", "nanoid"],
  "machines/": ["machines/", "src/protocol/", "xstate"],
  "tools/": [
    "tools/",
    "src/runtime/tool.ts",
    "type:src/runtime/tool-group.ts",
    "src/index.ts",
    "src/knowledge/",
    "src/embeddings/",
    "src/protocol/",
    "src/safety/egress.ts",
    "zod",
    "node:",
    "decimal.js",
    "@modelcontextprotocol/client",
    "linkedom",
    "@mozilla/readability",
    "node-html-markdown",
    "csv-parse",
    "re2js",
  ],
  "src/observe/": ["src/observe/", "src/protocol/", "src/safety/", "src/stores/store.ts", "type:machines/", "type:src/", "pino"],
  "src/alerts/": [
    "src/alerts/",
    "src/protocol/",
    "src/money/budgets.ts",
    "src/limits/sliding-sum.ts",
    "type:src/",
    "standardwebhooks",
    "node:",
  ],
  "src/safety/": ["src/safety/", "src/protocol/", "node:", "undici", "ipaddr.js"],
  "src/providers/": [
    "src/providers/",
    "src/protocol/",
    "src/safety/",
    "undici",
    "nanoid",
    "node:",
    "type:openai",
    "type:@anthropic-ai/sdk",
    "type:@google/genai",
  ],
  "src/stores/": ["src/stores/", "src/protocol/", "src/money/budget.ts", "node:", "pg"],
  "src/channels/": ["src/channels/", "src/protocol/"],
  "src/redis/": ["ioredis"],
  "src/sqlite/": ["node:"],
  "src/limits/": ["src/limits/", "src/redis/", "src/protocol/", "machines/breaker.ts", "xstate", "type:ioredis", "node:"],
  "src/money/": ["src/money/", "src/protocol/", "type:src/", "node:", "gpt-tokenizer", "@pydantic/genai-prices"],
  "src/routing/": ["src/routing/", "src/protocol/", "re2js", "node:"],
  "src/embeddings/": ["src/embeddings/", "src/protocol/", "node:", "@energetic-ai/"],
  "src/vectors/": ["src/vectors/", "src/embeddings/embedder.ts", "src/protocol/", "node:", "lru-cache"],
  "src/knowledge/": [
    "src/knowledge/",
    "src/sqlite/",
    "src/embeddings/embedder.ts",
    "src/vectors/",
    "src/money/tokens.ts",
    "src/protocol/",
    "node:",
    "fflate",
    "htmlparser2",
    "unpdf",
  ],
  "src/cache/": [
    "src/cache/",
    "src/knowledge/passages.ts",
    "src/embeddings/embedder.ts",
    "src/vectors/vectors.ts",
    "src/protocol/",
    "type:src/",
    "type:machines/",
    "node:",
    "lru-cache",
    "src/redis/",
    "src/sqlite/",
    "type:ioredis",
  ],
  "src/validators/": ["src/validators/", "src/protocol/", "type:src/runtime/validator.ts", "franc-min"],
  "src/evals/": [
    "src/evals/",
    "src/protocol/",
    "src/validators/",
    "src/embeddings/",
    "src/runtime/pattern.ts",
    "type:src/",
    "zod",
    "re2js",
    "node:",
  ],
  "src/prompts/": ["src/prompts/", "src/protocol/", "node:"],
  "src/client/": ["src/client/", "type:src/protocol/"],
  "src/server/": ["src/server/", "src/protocol/", "src/safety/", "hono", "@hono/node-server", "ws", "zod", "node:"],
  "src/mcp/": ["src/mcp/", "src/protocol/", "@modelcontextprotocol/server", "@hono/node-server", "node:"],
  "src/runtime/": [
    "src/runtime/",
    "src/stores/store.ts",
    "src/stores/damage.ts",
    "src/protocol/",
    "machines/",
    "src/limits/",
    "src/money/",
    "src/routing/",
    "src/safety/",
    "src/prompts/",
    "src/safety/",
    "src/observe/observer.ts",
    "src/observe/decisions.ts",
    "src/observe/recent.ts",
    "type:src/",
    "xstate",
    "effect",
    "zod",
    "jsonrepair",
    "nanoid",
    "node:",
  ],
};

const allows = (allowed: readonly string[], { to, isType }: Import): boolean =>
  allowed.some((rule) => {
    const [prefix, typesOnly] = rule.startsWith("type:") ? [rule.slice(5), true] : [rule, false];
    return (!typesOnly || isType) && (to === prefix || to.startsWith(prefix.endsWith("/") || prefix.endsWith(":") ? prefix : `${prefix}/`));
  });

for (const [folder, allowed] of Object.entries(rules)) {
  test(`${folder} imports only what it may`, () => {
    const own = all.filter(({ from }) => from.startsWith(folder));
    expect(own.length).toBeGreaterThan(0);
    expect(own.filter((one) => !allows(allowed, one)).map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  });
}

test("what reads pages is loaded by the thread that reads them alone", () => {
  const readers = all.filter(({ to }) => /^(linkedom|@mozilla\/readability|node-html-markdown)/.test(to));
  expect([...new Set(readers.map(({ from }) => from))]).toEqual(["tools/web/page-worker.ts"]);
});

test("nobody imports the entry point but tools, commands and documents", () => {
  const importers = all.filter(({ to }) => to === "src/index.ts").map(({ from }) => from);
  expect(importers.filter((from) => !/^(src\/cli\/|src\/docs\/|tools\/)/.test(from))).toEqual([]);
});
