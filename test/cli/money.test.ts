/** `escapement usage` and `escapement budgets` over the store that runs of this machine are in. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { endAll, newFolder, run } from "../whole-path/served.ts";

afterEach(endAll);

const config = {
  agents: [{ name: "assistant" }],
  budgets: { user: { per_day_calls: 100 }, system: { per_hour_microusd: 5_000_000 } },
};

function folder(): string {
  const cwd = newFolder();
  writeFileSync(join(cwd, "escapement.config.json"), JSON.stringify(config));
  return cwd;
}

async function output(cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run({ cwd, args });
  expect({ args, code, stderr: stderr.replace(/^No model is connected.*\n/, "") }).toEqual({ args, code: 0, stderr: "" });
  return stdout;
}

async function refusal(cwd: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run({ cwd, args });
  expect({ args, code, stdout }).toEqual({ args, code: 1, stdout: "" });
  return stderr.replace(/^No model is connected.*\n/, "").trimEnd();
}

test("usage of the runs here, in a table and as JSON, by what it is asked and in a time", { timeout: 60_000 }, async () => {
  const cwd = folder();
  expect((await run({ cwd, args: ["run", "assistant", "What is 17 times 23?", "--quiet"] })).code).toBe(0);
  const report = JSON.parse(await output(cwd, "usage", "--by", "agent", "--json"));
  expect(report).toMatchObject({ by: "agent", data: [{ group: "assistant" }], next: null });
  expect(report.total.calls).toBeGreaterThan(0);
  const lines = (await output(cwd, "usage", "--by", "user")).trimEnd().split("\n");
  expect(lines[2]).toMatch(/^user +calls +errors +retries .* cost +saved/);
  expect(lines[3]).toMatch(new RegExp(`^\\(no user\\) +${report.total.calls} +0 `));
  expect(lines[4]).toMatch(new RegExp(`^total +${report.total.calls} +0 `));
  expect(await output(cwd, "usage", "--from", "2026-01-01", "--to", "2026-01-02")).toBe(
    "2026-01-01T00:00:00.000Z to 2026-01-02T00:00:00.000Z (UTC): no calls\n",
  );
  expect(await refusal(cwd, "usage", "--by", "colour")).toMatch(/^escapement: by must be one of .*feature.* \(invalid_request\)$/);
});

test("budgets as they stand; a limit that is set denies the next call, and is taken back", { timeout: 60_000 }, async () => {
  const cwd = folder();
  expect((await run({ cwd, args: ["run", "assistant", "What is 17 times 23?", "--quiet"] })).code).toBe(0);
  const lines = (await output(cwd, "budgets")).trimEnd().split("\n");
  expect(lines.map((line) => line.split(/ {2,}/).slice(0, 4))).toEqual([
    ["level", "subject", "of", "limit"],
    ["system", "-", "money", "$5.00"],
    ["user", "-", "calls", "100"],
  ]);
  const set = JSON.parse(await output(cwd, "budgets", "set", "user", "-", "--calls", "1", "--money", "0.25", "--json"));
  expect(set).toMatchObject({ level: "user", subject: null, limit: { cost_microusd: 250_000, calls: 1 }, changed: { by: "local" } });
  const denied = await run({ cwd, args: ["run", "assistant", "What is 17 times 23?", "--json"] });
  expect(denied.stdout).toContain('"exhausted"');
  expect(await output(cwd, "budgets", "set", "user", "-", "--reset")).toMatch(/\nuser +- +calls +100 /);
  expect(
    (await output(cwd, "budgets", "list", "--json"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).level),
  ).toEqual(["system", "user"]);
});

test("a limit that cannot be set is said, with what to do", { timeout: 60_000 }, async () => {
  const cwd = folder();
  for (const [args, said] of [
    [["user", "ada"], "say what is limited: --money, --tokens or --calls; or --reset alone"],
    [["user", "ada", "--money", "much"], '--money must be a number from 0 on, not "much"'],
    [["system", "ada", "--money", "1"], "the system has no subject: write - in its place"],
  ] as const)
    expect(await refusal(cwd, "budgets", "set", ...args)).toContain(said);
});
