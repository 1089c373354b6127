import { expect, test } from "vitest";
import { world } from "./world.ts";

test("DELETE /v1/cache purges what fits everything that is said", async () => {
  const { url, runtime } = await world();
  const purge = async (query: string) => {
    const response = await fetch(`${url}/v1/cache${query}`, { method: "DELETE" });
    return [response.status, await response.json()];
  };
  expect(await purge("?tag=prices&agent=helper")).toEqual([200, { purged: 3 }]);
  expect(await purge("?key=abc")).toEqual([200, { purged: 3 }]);
  expect(await purge("?all=true")).toEqual([200, { purged: 3 }]);
  expect(runtime.purged).toEqual([{ tag: "prices", agent: "helper" }, { key: "abc" }, {}]);
});

test("a purge that says nothing, or something unknown, purges nothing", async () => {
  const { url, runtime } = await world();
  for (const query of ["", "?tag=", "?tags=prices", "?all=yes"]) {
    const response = await fetch(`${url}/v1/cache${query}`, { method: "DELETE" });
    expect([query, response.status, (await response.json()).error.code]).toEqual([query, 400, "invalid_request"]);
  }
  expect((await fetch(`${url}/v1/cache`)).status).toBe(405);
  expect(runtime.purged).toEqual([]);
});

test("the metrics tell what the caches did, and the false hits of shadow mode", async () => {
  const { url } = await world();
  const text = await (await fetch(`${url}/metrics`)).text();
  for (const line of ["escapement_cache_exact_hits 5", "escapement_cache_misses 1", "escapement_cache_shadow_wrong 1"])
    expect(text).toContain(`\n${line}\n`);
});
