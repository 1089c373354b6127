/** Marks on runs, through the runtime and over HTTP: a real provider wire, a real store, a real server. */
import { expect, onTestFinished, test } from "vitest";
import { agent } from "../../src/index.ts";
import { createServer } from "../../src/server/server.ts";
import { world } from "./world.ts";

const office = () =>
  world(() => ({ text: "yes" }), {
    tiers: { only: { provider: "self", model: "m", price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
    agents: [agent({ name: "single", machine: "single" })],
  });

test("a run is scored by who sees it; who does not is told that there is none", async () => {
  const { runtime } = await office();
  const as = (user: string, scopes: readonly string[] = []) => ({ tenant: "acme", user, scopes });
  const handle = await runtime.start({ agent: "single", input: "?" }, { caller: as("ada") });
  // Also while it runs.
  expect(await runtime.score(handle.id, { name: "thumbs", value: 1 }, as("ada"))).toMatchObject({ name: "thumbs", value: 1, by: "ada" });
  await handle.result();
  await runtime.score(handle.id, { name: "thumbs", value: -1, comment: "changed my mind" }, as("ada"));
  await runtime.score(handle.id, { name: "thumbs", value: 0.5 }, as("eve", ["tenant"]));
  const { data } = await runtime.scores(handle.id, as("ada"));
  expect(data.map(({ by, value, comment }) => [by, value, comment])).toEqual([
    ["ada", -1, "changed my mind"],
    ["eve", 0.5, undefined],
  ]);
  expect(Date.parse(data[0]?.at ?? "")).toBeGreaterThan(Date.now() - 60_000);
  for (const asked of [
    runtime.score(handle.id, { name: "x", value: 1 }, as("bob")),
    runtime.scores(handle.id, as("bob")),
    runtime.score("r_none", { name: "x", value: 1 }, as("ada")),
  ])
    await expect(asked).rejects.toMatchObject({ code: "not_found" });
  await expect(runtime.score(handle.id, { name: "x", value: Number.NaN }, as("ada"))).rejects.toMatchObject({
    code: "invalid_request",
    body: { details: { path: "value" } },
  });
});

test("POST and GET /v1/runs/{id}/scores", async () => {
  const { runtime } = await office();
  const { id } = await (await runtime.start({ agent: "single", input: "?" })).result();
  const listening = await createServer(runtime).listen({ port: 0 });
  onTestFinished(() => listening.close());
  const scores = (run: string) => `${listening.url}/v1/runs/${run}/scores`;
  const post = async (run: string, body: unknown) => {
    const answer = await fetch(scores(run), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return [answer.status, await answer.json()];
  };
  expect(await post(id, { name: "correct", value: 0.75, comment: "nearly" })).toEqual([
    201,
    { name: "correct", value: 0.75, comment: "nearly", by: "local", at: expect.any(String) },
  ]);
  expect(await (await fetch(scores(id))).json()).toMatchObject({ data: [{ name: "correct", value: 0.75 }], next: null });
  expect(await post(id, { name: "correct", value: "good" })).toMatchObject([
    400,
    { error: { code: "invalid_request", details: { path: "value" } } },
  ]);
  expect(await post(id, { name: "", value: 1 })).toMatchObject([400, { error: { details: { path: "name" } } }]);
  expect(await post(id, { name: "correct", value: 1, by: "somebody" })).toMatchObject([400, {}]);
  expect(await post("run_000000000000000000000", { name: "correct", value: 1 })).toMatchObject([404, { error: { code: "not_found" } }]);
});
