/** The reconciler where operators meet it: at a runtime's start, and as a command. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { createRuntime } from "../../src/index.ts";

const root = join(import.meta.dirname, "..", "..");

/** A run that has spent something of the system's budget, in a file that nobody has open. */
async function spent(): Promise<{ path: string; folder: string; damage: (sql: string) => void }> {
  const folder = mkdtempSync(join(tmpdir(), "escapement-reconcile-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "escapement.db");
  const runtime = await createRuntime({ store: { path }, env: {}, budgets: { system: { per_hour_microusd: 1_000 } } });
  await (await runtime.start({ agent: "single", input: "Well?" })).result();
  await runtime.close();
  const damage = (sql: string): void => {
    const db = new DatabaseSync(path);
    db.exec(sql);
    db.close();
  };
  return { path, folder, damage };
}

test("a runtime mends at its start what no open call holds, and tells it", async () => {
  const { path, damage } = await spent();
  damage("update meters set held_nano = 1500");
  const told: string[] = [];
  const runtime = await createRuntime({ store: { path }, env: {}, onError: (message) => told.push(message) });
  onTestFinished(() => runtime.close());
  await expect.poll(() => told, { timeout: 20_000 }).toHaveLength(1);
  expect(told[0]).toMatch(/^the meter system\/.* held 1.5 micro-dollars, and its open calls hold 0 micro-dollars: corrected$/);
  expect(await runtime.reconcile()).toEqual([]);
});

test("`escapement reconcile` prints what it has mended, and that there was nothing", async () => {
  const { folder, damage } = await spent();
  const command = (...args: string[]): string =>
    execFileSync(process.execPath, ["-C", "escapement-source", join(root, "src/cli/main.ts"), "reconcile", ...args], {
      cwd: folder,
      encoding: "utf8",
      env: { PATH: process.env.PATH, ESCAPEMENT_DATA: folder },
    });
  damage("update meters set held_nano = 1500");
  expect(JSON.parse(command("--json"))).toMatchObject({ of: "meter", unit: "nano", was: 1_500, is: 0 });
  expect(command()).toBe("everything that is held is held by an open call\n");
});
