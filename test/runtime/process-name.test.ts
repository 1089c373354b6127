/** Names of processes, with real processes: in this pid namespace and, where the system allows it, in one of their own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { isGone, newProcessName } from "../../src/runtime/process-name.ts";

const module = new URL("../../src/runtime/process-name.ts", import.meta.url).href;
const script = `console.log((await import(${JSON.stringify(module)})).newProcessName()); setInterval(() => {}, 1e6);`;

const hasProc = process.platform === "linux";
const unshare = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
const canUnshare = (() => {
  try {
    execFileSync("unshare", [...unshare, "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

async function named(command: string, args: readonly string[] = []): Promise<{ name: string; process_: ChildProcess }> {
  const process_ = spawn(command, [...args, ...(command === "unshare" ? [process.execPath] : []), "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void process_.kill("SIGKILL"));
  for await (const line of createInterface({ input: process_.stdout as NodeJS.ReadableStream })) return { name: line, process_ };
  throw new Error("it ended without a name");
}

test.runIf(hasProc)("a process that was killed is gone at once, one that lives is not", async () => {
  const { name, process_ } = await named(process.execPath);
  expect(name.split(":")[1]).toBe(String(process_.pid));
  expect(isGone(name)).toBe(false);
  const exit = new Promise((resolve) => process_.once("exit", resolve));
  process_.kill("SIGKILL");
  await exit;
  expect(isGone(name)).toBe(true);
});

test.runIf(hasProc)("a pid that came again is another process", () => {
  const mine = newProcessName();
  expect(isGone(mine)).toBe(false);
  const [host, pid, place, started, random] = mine.split(":");
  expect(isGone([host, pid, place, Number(started) - 1, random].join(":"))).toBe(true);
  // The first process of every system is another user's, or in a container may be ours: it lives in any case.
  const init = readFileSync("/proc/1/stat", "utf8");
  expect(isGone([host, 1, place, init.slice(init.lastIndexOf(")") + 2).split(" ")[19], random].join(":"))).toBe(false);
});

test("of a process elsewhere nothing is known, whatever its host is called", () => {
  const [host, , , started, random] = newProcessName().split(":");
  const boot = "00000000-0000-4000-8000-000000000000";
  // No process has this pid.
  for (const place of [`${boot}.4026531836`, "", undefined])
    expect(isGone([host, 4_194_305, place, started, random].join(":"))).toBe(false);
  expect(isGone(`${host}:4194305:${random}`)).toBe(false);
});

test.runIf(canUnshare)("a process of another container with the same host name is not taken for dead", async () => {
  const { name } = await named("unshare", unshare);
  const [host, pid] = name.split(":");
  expect(host).toBe(newProcessName().split(":")[0]);
  // Its pid is one that means another process here, or none.
  expect(Number(pid)).toBeLessThan(10);
  expect(isGone(name)).toBe(false);
});
