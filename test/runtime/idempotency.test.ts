/** Whose a repeated command is. */
import { expect, test } from "vitest";
import { agent } from "../../src/index.ts";
import type { Caller } from "../../src/protocol/caller.ts";
import { world } from "./world.ts";

const agents = [agent({ name: "helper", machine: "single" })];
const caller = (tenant: string, more: Partial<Caller> = {}): Caller => ({ tenant, scopes: [], ...more });

test("a key is its tenant's and its user's, however they are named; without a user it is the API key's", async () => {
  const { runtime } = await world(() => ({ text: "Yes." }), { agents });
  const start = async (who: Caller) => (await runtime.start({ agent: "helper", input: "?" }, { caller: who, idempotencyKey: "k" })).id;
  const callers = [
    caller("acme"),
    caller("acme/eu"),
    caller("acme", { user: "eu/" }),
    caller("acme", { user: "eu" }),
    caller("acme", { user: "" }),
    caller("acme", { key: "one" }),
    caller("acme", { key: "two" }),
    caller('acme",null,"one'),
  ];
  const runs: string[] = [];
  for (const one of callers) runs.push(await start(one));
  expect(new Set(runs).size).toBe(callers.length);
  // A user's own is the same whatever key it comes by.
  expect(await start(caller("acme", { user: "eu", key: "two" }))).toBe(runs[3]);
  for (const [at, one] of callers.entries()) expect(await start(one)).toBe(runs[at]);
});

test("a repeated start is no start: the rate limit, which is reached, does not refuse it", async () => {
  const plans = { free: { requests_per_minute: 1 } };
  const { runtime, provider } = await world(() => ({ text: "Yes." }), { agents, rate_limits: { plans } });
  const start = (idempotencyKey: string, input = "?") =>
    runtime.start({ agent: "helper", input }, { caller: caller("acme", { user: "ada" }), idempotencyKey });
  const first = await start("one");
  await expect(start("two")).rejects.toMatchObject({ code: "rate_limited" });
  const again = await start("one");
  expect([again.id, again.replayed]).toEqual([first.id, true]);
  await again.result();
  await expect(start("one", "??")).rejects.toMatchObject({ code: "idempotency_mismatch" });
  expect(provider.book.entries).toHaveLength(1);
});
