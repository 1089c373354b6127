/** The first file of the command line: an older Node gets a sentence, not a syntax error. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const entry = fileURLToPath(new URL("../../src/cli/escapement.ts", import.meta.url));
const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly bin: { readonly escapement: string };
};
const needed = manifest.engines.node.replace(">=", "");

/** Starts the entry in a Node that says it is this version. */
function startIn(version: string) {
  const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: ${JSON.stringify(version)} } })`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`, entry, "--version"],
    { encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

const [major, minor] = needed.split(".").map(Number) as [number, number];

test.each([`${major}.${minor - 1}.9`, "20.20.2", "9.0.0"])("Node %s is too old", (version) => {
  const { status, stdout, stderr } = startIn(version);
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toMatch(new RegExp(`^escapement: Node ${needed} or newer is needed, and this is ${version}: install one .*\n$`));
});

test.each([`${needed}.0`, `${major + 1}.0.0`])("Node %s is new enough", (version) => {
  expect(startIn(version)).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: "" });
});

test("nothing is loaded before the version is known", () => {
  expect(manifest.bin.escapement).toBe("./dist/src/cli/escapement.js");
  // An import statement, or an await outside a function, would be read before the first line is done.
  expect(readFileSync(entry, "utf8")).not.toMatch(/^import\s|\bawait\b/m);
});
