/** The store does not answer: who starts a run is told so in bounded time, and nothing of that run comes later. */
import { expect, onTestFinished, test } from "vitest";
import { memoryChannel } from "../../src/channels/memory.ts";
import { resolveConfig } from "../../src/config/config.ts";
import { offline, startOffline } from "../../src/offline/offline.ts";
import { EscapementError } from "../../src/protocol/errors.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { realScheduler } from "../../src/runtime/scheduler.ts";
import { sqlite } from "../../src/stores/sqlite.ts";
import type { Store } from "../../src/stores/store.ts";

/** A runtime over a store that can be taken away, with a clock that can be put forward. */
async function world() {
  const inner = sqlite(":memory:");
  const state = { isDown: false, forward: 0 };
  const mayFail =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (state.isDown) throw new EscapementError("unavailable", "store: connect ECONNREFUSED");
      return call(...args);
    };
  const store: Store = {
    ...inner,
    commit: mayFail(inner.commit),
    heartbeat: mayFail(inner.heartbeat),
    release: mayFail(inner.release),
    owners: mayFail(inner.owners),
  };
  const scheduler = {
    ...realScheduler,
    monotonic: () => realScheduler.monotonic() + state.forward,
    after: (ms: number, task: () => void) => realScheduler.after(ms / 10, task),
  };
  const { agents, tools } = await resolveConfig({}, { env: {} });
  const script = await startOffline();
  const told: string[] = [];
  const providers = new Map([["offline", offline({ url: script.url })]]);
  const onError = (message: string) => void told.push(message);
  const runtime = await Runtime.create({ store, scheduler, channel: memoryChannel(), providers, agents, tools, onError });
  onTestFinished(async () => {
    state.isDown = false;
    await runtime.close();
    await script.close();
  });
  return { runtime, state, told };
}

test("a start that the store does not take is refused, and nothing of it comes when the store is back", async () => {
  const { runtime, state } = await world();
  state.isDown = true;
  const refused = runtime.start({ agent: "single", input: "lost" }).catch((error: unknown) => error);
  await new Promise((resolve) => setImmediate(resolve));
  state.forward = 5_001;
  expect(await refused).toMatchObject({ code: "unavailable", body: { retryable: true, retry_after_ms: 1_000 } });
  state.isDown = false;
  await expect.poll(() => runtime.health().ready, { timeout: 20_000 }).toBe(true);
  const run = await runtime.start({ agent: "single", input: "hello" });
  expect(await run.result()).toMatchObject({ status: "done", calls: 1 });
  expect((await runtime.list()).data.map(({ id }) => id)).toEqual([run.id]);
});

test("a process that writes nothing is not ready either, and says why once", async () => {
  const { runtime, state, told } = await world();
  state.isDown = true;
  await expect.poll(() => told, { timeout: 20_000 }).toContainEqual(expect.stringContaining("ECONNREFUSED"));
  state.forward = 5_001;
  await expect.poll(() => runtime.health(), { timeout: 20_000 }).toEqual({ ready: false, reason: "store" });
  await expect(runtime.start({ agent: "single", input: "hello" })).rejects.toMatchObject({ code: "unavailable" });
  // Ten heartbeats on.
  await new Promise<void>((resolve) => realScheduler.after(3_000, resolve));
  expect(told.filter((message) => message.includes("ECONNREFUSED")).length).toBeLessThanOrEqual(2);
  state.isDown = false;
  await expect.poll(() => runtime.health(), { timeout: 20_000 }).toEqual({ ready: true });
});
