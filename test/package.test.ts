/** What others install. From git, npm runs `prepare` alone and packs what is there then. */
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freshClone } from "./fresh-clone.ts";

test("an install from git has everything that package.json names", () => {
  using clone = freshClone();
  // Nothing of the test runner's environment: Vite's configuration looks at it.
  const env = { PATH: process.env.PATH ?? "", HOME: clone.path };
  execFileSync("npm", ["run", "--silent", "prepare"], { cwd: clone.path, env, stdio: "pipe" });
  const { bin, exports, files } = JSON.parse(readFileSync(join(clone.path, "package.json"), "utf8")) as {
    readonly bin: Record<string, string>;
    readonly exports: Record<string, { readonly types: string; readonly default: string }>;
    readonly files: readonly string[];
  };
  const named = [...Object.values(bin), ...Object.values(exports).flatMap(({ types, default: file }) => [types, file])];
  const there = (path: string): boolean => globSync(path, { cwd: clone.path }).length > 0;
  expect([...named, "dist/console/index.html"].filter((path) => !there(path))).toEqual([]);
  expect(files.filter((path) => !existsSync(join(clone.path, path)))).toEqual([]);
  const [entry] = Object.values(bin);
  expect(execFileSync(process.execPath, [join(clone.path, entry as string), "verify", "single"], { encoding: "utf8" })).toContain("single");
});
