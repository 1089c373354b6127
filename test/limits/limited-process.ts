/** A process of its own for tests of shared limits: a server for a free and one for a paid caller over one runtime, on the Redis of `REDIS_URL`. */
import { createRuntime, sqlite } from "../../src/index.ts";
import { createServer } from "../../src/server/server.ts";
import { single } from "./limited-agent.ts";

const runtime = await createRuntime({
  store: sqlite(":memory:"),
  agents: [single],
  rate_limits: {},
  reliability: { redisDeadlineMs: 10_000 },
});
const addresses: string[] = [];
for (const [user, plan] of [
  ["ada", "free"],
  ["eve", "pro"],
] as const) {
  const listening = await createServer(runtime, { caller: { tenant: "acme", user, plan, scopes: [] } }).listen({ port: 0 });
  addresses.push(listening.url);
}
process.stdout.write(`${JSON.stringify(addresses)}\n`);
