/**
 * The server as people start it: `serve` of the command line in a process of its own, in a folder of its own, with no environment
 * but what a test gives. Owns the child and its folder; whoever starts one calls {@link endAll} after the test.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deadlineMs, within } from "./until.ts";

export const mainFile = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly atMs: number };

export type Served = {
  readonly url: string;
  readonly pid: number;
  /** From the start of the process to its line. */
  readonly readyMs: number;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly exited: Promise<Exit>;
  /** Sends a signal and waits for the end. `ms`: from the signal to the end. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<Exit & { readonly ms: number }>;
};

const living = new Set<ChildProcess>();
const folders = new Set<string>();
// A test process that ends early leaves no server behind.
process.once("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "whole-path-"));
  folders.add(folder);
  return folder;
}

/** Kills what still runs and removes the folders. */
export async function endAll(): Promise<void> {
  await Promise.all(
    [...living].map(async (child) => {
      const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.kill("SIGKILL");
      await gone;
    }),
  );
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  folders.clear();
}

export type Command = {
  readonly cwd: string;
  readonly env?: { readonly [name: string]: string };
  /** After the program's name; `serve`. */
  readonly args?: readonly string[];
  /** What is started with Node, our program and its arguments behind it; nothing by default. */
  readonly program?: readonly string[];
};

type Started = {
  readonly child: ChildProcess;
  readonly at: number;
  readonly exited: Promise<Exit>;
  readonly stdout: () => string;
  readonly stderr: () => string;
};

/** A command that may go on: what it prints can be looked at meanwhile. */
export function start({ cwd, env = {}, args = ["serve"], program = [] }: Command): Started {
  const at = performance.now();
  // Nothing of this process's environment: a key in it would be a provider.
  const [file, ...rest] = [...program, process.execPath, mainFile, ...args] as [string, ...string[]];
  const child = spawn(file, rest, {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: cwd, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  living.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data) => {
    stdout += data;
  });
  child.stderr.on("data", (data) => {
    stderr += data;
  });
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      living.delete(child);
      resolve({ code, signal, atMs: performance.now() });
    });
  });
  return { child, at, exited, stdout: () => stdout, stderr: () => stderr };
}

export async function serve(command: Command): Promise<Served> {
  const { child, at, exited, stdout, stderr } = start(command);
  const ready = new Promise<string>((resolve) => {
    const look = () => {
      const url = /http:\/\/\S+/.exec(stdout())?.[0];
      if (url) resolve(url);
    };
    child.stdout?.on("data", look);
  });
  const failed = exited.then(({ code, signal }) => {
    throw new Error(`the server ended before it was ready: code ${code}, signal ${signal}\n${stderr()}`);
  });
  failed.catch(() => {});
  const url = await within("the server's line with its address", Promise.race([ready, failed]));
  return {
    url,
    pid: child.pid as number, // it has printed a line
    readyMs: performance.now() - at,
    stdout,
    stderr,
    exited,
    async end(signal) {
      const from = performance.now();
      child.kill(signal);
      const exit = await within(`the end after ${signal}`, exited, deadlineMs);
      return { ...exit, ms: exit.atMs - from };
    },
  };
}

/** A command that ends by itself. */
export async function run(command: Command & { readonly args: readonly string[] }): Promise<Exit & { stdout: string; stderr: string }> {
  const { child, exited, stdout, stderr } = start(command);
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const exit = await within(`escapement ${command.args.join(" ")}`, exited);
  await closed;
  return { ...exit, stdout: stdout(), stderr: stderr() };
}
