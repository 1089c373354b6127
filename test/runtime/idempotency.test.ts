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
