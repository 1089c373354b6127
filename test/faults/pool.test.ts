/** P43 and P44: providers as a whole. */
import { expect } from "vitest";
import { agent } from "../../src/index.ts";
import { chatError } from "../../src/testing/fault-chat.ts";
import { post } from "../whole-path/protocol-client.ts";
import { many, pending, row } from "./row.ts";
import { backoff } from "./world.ts";

pending("P43", "a wedged member of a pool", "waits for pools of self-hosted workers (C6)");

row(
  "P44",
  "all providers down",
  {
    injected: "503 from every provider",
    config: () => ({
      agents: [agent({ name: "last-resort", machine: "single", tiers: ["first", "second"], degraded: "Please come back later.", backoff })],
    }),
  },
  async (world) => {
    for (const who of ["primary", "secondary"] as const)
      world.answers(who, () => chatError(503, "Down.", { headers: { "retry-after": "0" } }));
    for (const { run } of await world.runs("last-resort", many(100, 30), 8))
      expect(run).toMatchObject({ status: "degraded", tier: "degraded", output: "Please come back later." });
    expect([world.breaker("m1"), world.breaker("m2")]).not.toContain("closed");
    const reached = world.primary.book.entries.length;
    const from = performance.now();
    for (const { run } of await world.runs("last-resort", many(200, 40), 8)) expect(run.status).toBe("degraded");
    const probes = world.primary.book.entries.length - reached;
    // One a cooldown (100 ms), and one for the part of a cooldown that had passed.
    expect(probes).toBeLessThanOrEqual(Math.ceil((performance.now() - from) / 100) + 1);
    const bare = await world.run("chain");
    expect(bare.run).toMatchObject({ status: "failed", error: { code: "provider_unavailable" } });
    expect((await post(world.url, "/v1/runs", { agent: "chain", input: "And now?" })).body).toMatchObject({
      status: "failed",
      error: { code: "provider_unavailable" },
    });
    return `the degraded answer every time; ${probes} probes through open breakers in ${Math.round(performance.now() - from)} ms; without one a typed failure`;
  },
);
