/** A Redis of its own for a test: Debian's `redis-server` on a port of its own, in memory alone. */
import { spawn, spawnSync } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { Redis } from "ioredis";
import { onTestFinished } from "vitest";

export const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export type RedisServer = {
  readonly url: string;
  /** A connection of the test's own. */
  readonly client: Redis;
  /** Kills it; what it held is gone. */
  kill(): Promise<void>;
  /** Again on the same port, empty. */
  start(): Promise<void>;
};

export async function redisServer(...options: string[]): Promise<RedisServer> {
  const port = await freePort();
  const begin = async () => {
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...options];
    const started = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise<void>((resolve, reject) => {
      started.once("exit", () => reject(new Error("redis-server did not start")));
      started.stdout.on("data", (data: Buffer) => data.includes("Ready to accept") && resolve());
    });
    return started;
  };
  let process = await begin();
  const client = new Redis(port, "127.0.0.1", { maxRetriesPerRequest: null });
  client.on("error", () => {});
  const kill = async () => {
    if (process.exitCode !== null || process.signalCode !== null) return;
    const exited = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGKILL");
    await exited;
  };
  onTestFinished(async () => {
    client.disconnect();
    await kill();
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    client,
    kill,
    start: async () => {
      process = await begin();
    },
  };
}
