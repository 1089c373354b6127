/**
 * A real Redis for tests: a process of its own on a free port of loopback, without persistence, that a test may kill and start again.
 * On Debian as root it is installed when it is missing; anywhere else the tests fail with the sentence that says what to do. They never skip.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { Redis } from "ioredis";

export type RedisServer = {
  readonly url: string;
  /** A client of its own, for what a test does to the server. Ends with it. */
  readonly admin: Redis;
  /** Kills it as `kill -9` does. Its data is gone. */
  kill(): Promise<void>;
  /** It stays and takes connections, but does nothing until {@link RedisServer.wake}. */
  freeze(): void;
  wake(): void;
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>;
  close(): Promise<void>;
};

const living = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

/** `args`: further settings, as `["--maxmemory", "10mb"]`. The caller closes it. */
export async function startRedis(...args: string[]): Promise<RedisServer> {
  const path = redisPath();
  const port = await freePort();
  const launch = (): Promise<ChildProcess> =>
    ready(path, ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...args]);
  let child = await launch();
  const url = `redis://127.0.0.1:${port}`;
  const admin = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  admin.on("error", () => {});
  const kill = (): Promise<void> =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else {
        child.once("exit", () => resolve());
        child.kill("SIGKILL");
      }
    });
  return {
    url,
    admin,
    kill,
    freeze: () => void child.kill("SIGSTOP"),
    wake: () => void child.kill("SIGCONT"),
    restart: async () => {
      await kill();
      child = await launch();
    },
    close: async () => {
      admin.disconnect();
      await kill();
    },
  };
}

function ready(path: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/tmp" });
  living.add(child);
  child.once("exit", () => living.delete(child));
  return new Promise((resolve, reject) => {
    let said = "";
    const hear = (data: Buffer): void => {
      said += data;
      if (said.includes("Ready to accept connections")) resolve(child);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}:\n${said}`)));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function redisPath(): string {
  const path = find();
  if (path) return path;
  if (process.platform === "linux" && existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    const run = (...args: string[]): unknown =>
      execFileSync("apt-get", args, { stdio: "ignore", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    run("update");
    run("install", "-y", "--no-install-recommends", "redis-server");
    const installed = find();
    if (installed) return installed;
  }
  throw new Error("The tests of limits need Redis: install it (`sudo apt-get install redis-server`, or your system's package).");
}

const find = (): string | undefined =>
  (process.env.PATH ?? "")
    .split(delimiter)
    .concat("/usr/bin", "/usr/local/bin")
    .map((folder) => join(folder, "redis-server"))
    .find((path) => existsSync(path));
