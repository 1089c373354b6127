/** The processes of a bench run: the provider on one core, one contestant at a time on another. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Figure, MeasureOrder, MeasureReply } from "./measure.ts";
import type { ProviderReady } from "./provider.ts";

export type Cores = { readonly client: number; readonly provider: number };

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const root = here("..");
/** Longer than any contestant needs: a process that hangs must not hang the bench. Not a limit on what is measured. */
const stallMs = 180_000;

/** Two cores that this process may use, or null when it cannot pin. */
export function findCores(): Cores | null {
  try {
    execFileSync("taskset", ["-V"], { stdio: "ignore" });
    const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
    const cores = list.split(",").flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
    const [client, provider] = cores;
    return client === undefined || provider === undefined ? null : { client, provider };
  } catch {
    return null; // no taskset, or not Linux
  }
}

function start(core: number | undefined, args: readonly string[]): ChildProcess {
  const command = [...(core === undefined ? [] : ["taskset", "-c", String(core)]), process.execPath, ...args];
  return spawn(command[0]!, command.slice(1), { stdio: ["ignore", "ignore", "inherit", "ipc"], cwd: root });
}

/** The first message of a process, or why there was none. */
function firstMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const stall = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`no word after ${stallMs / 1000} s`));
    }, stallMs);
    child.once("message", (message) => {
      clearTimeout(stall);
      // Each process sends one kind of message, named by its file.
      resolve(message as T);
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      clearTimeout(stall);
      reject(new Error(`ended with ${signal ?? code} and without a word`));
    });
  });
}

export type ProviderProcess = ProviderReady & { stop(): Promise<void> };

export async function startProvider(cores: Cores | null): Promise<ProviderProcess> {
  const child = start(cores?.provider, [here("provider.ts")]);
  const ready = await firstMessage<ProviderReady>(child);
  return {
    ...ready,
    async stop() {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.disconnect();
      await gone;
    },
  };
}

export type MeasureOptions = Omit<MeasureOrder, "port" | "bookPort" | "directory"> & { readonly nodeArgs?: readonly string[] };

/** Measures once, with a provider of its own: no socket, timer or byte of the one before is left. */
export async function measureOnce(cores: Cores | null, { nodeArgs = [], ...options }: MeasureOptions): Promise<Figure> {
  // In the checkout and not in the system's temporary directory, which may be memory.
  mkdirSync(join(root, ".escapement"), { recursive: true });
  const directory = mkdtempSync(join(root, ".escapement", "bench-"));
  const provider = await startProvider(cores);
  try {
    const order: MeasureOrder = { ...options, port: provider.port, bookPort: provider.bookPort, directory };
    const child = start(cores?.client, ["--expose-gc", ...nodeArgs, here("measure.ts"), JSON.stringify(order)]);
    const gone = new Promise((resolve) => child.once("exit", resolve));
    const reply = await firstMessage<MeasureReply>(child);
    await gone; // a CPU profile is written at the exit
    if ("error" in reply) throw new Error(reply.error);
    return reply.figure;
  } finally {
    await provider.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
