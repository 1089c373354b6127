/** Who sees which runs: a list shows exactly the runs that can be got one by one. */
import { expect, onTestFinished, test } from "vitest";
import { agent, createRuntime, type Runtime } from "../../src/index.ts";

type Caller = NonNullable<Parameters<Runtime["list"]>[1]>;

test("a list shows a caller exactly the runs that it can get", async () => {
  const runtime = await createRuntime({ store: { path: ":memory:" }, env: {}, agents: [agent({ name: "single", machine: "single" })] });
  onTestFinished(() => runtime.close());
  const scopes = ["users"];
  const callers: Caller[] = ["a", "b"].flatMap((tenant) => [
    { tenant, scopes },
    { tenant, user: "ada", scopes },
    { tenant, user: "bo", scopes },
    { tenant, scopes: [...scopes, "tenant"] },
    { tenant, user: "ada", scopes: [...scopes, "tenant"] },
  ]);
  const runs: string[] = [];
  for (const caller of callers) {
    const session = "s";
    runs.push((await runtime.start({ agent: "single", input: "hello", session }, { caller })).id);
  }
  for (const caller of callers) {
    const got: string[] = [];
    for (const run of runs)
      await runtime.get(run, caller).then(
        () => got.push(run),
        (error: { code: string }) => expect(error.code).toBe("not_found"),
      );
    const sees = caller.scopes.includes("tenant") ? 5 : caller.user === "bo" ? 1 : 2;
    expect(got).toHaveLength(sees);
    expect((await runtime.list({}, caller)).data.map(({ id }) => id).sort()).toEqual(got.toSorted());
    expect((await runtime.session("s", caller)).runs.map(({ id }) => id).sort()).toEqual(got.toSorted());
  }
});
