/** A process that could not renew its lease while runs were on their way into the store. */
import { expect, onTestFinished, test } from "vitest";
import { memoryChannel } from "../../src/channels/memory.ts";
import { resolveConfig } from "../../src/config/config.ts";
import { offline, startOffline } from "../../src/offline/offline.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { realScheduler } from "../../src/runtime/scheduler.ts";
import { sqlite } from "../../src/stores/sqlite.ts";

test("goes on with the runs that were accepted after it had given up what it owned", async () => {
  const inner = sqlite(":memory:");
  let held: Promise<void> | undefined;
  let letGo = (): void => {};
  const store = {
    ...inner,
    commit: async (...args: Parameters<typeof inner.commit>) => {
      await held;
      return inner.commit(...args);
    },
  };
  // A tenth of the waits, and a clock that can be put forward: as if the process had stood still.
  let forward = 0;
  const scheduler = {
    ...realScheduler,
    monotonic: () => realScheduler.monotonic() + forward,
    after: (ms: number, task: () => void) => realScheduler.after(ms / 10, task),
  };
  const { agents, tools } = await resolveConfig({}, { env: {} });
  const script = await startOffline();
  const told: string[] = [];
  const runtime = await Runtime.create({
    store,
    scheduler,
    channel: memoryChannel(),
    providers: new Map([["offline", offline({ url: script.url })]]),
    agents,
    tools,
    onError: (message) => told.push(message),
  });
  onTestFinished(async () => {
    letGo();
    await runtime.close();
    await script.close();
  });
  held = new Promise((resolve) => {
    letGo = resolve;
  });
  const starting = Promise.all(Array.from({ length: 3 }, (_, i) => runtime.start({ agent: "single", input: `${i}` })));
  await new Promise((resolve) => setImmediate(resolve));
  forward = 11_000;
  await expect.poll(() => told, { timeout: 20_000 }).toContainEqual(expect.stringContaining("3 runs were dropped"));
  // Its next lease has begun: what it owned is given up, and these three are not in the store yet.
  await expect.poll(async () => runtime.load().runs, { timeout: 20_000 }).toBe(0);
  await new Promise<void>((resolve) => scheduler.after(7_000, resolve));
  held = undefined;
  letGo();
  const handles = await starting;
  // Their calls had been asked for, and none was made: nothing was lost.
  for (const handle of handles) expect(await handle.result()).toMatchObject({ status: "done", calls: 1, usage: { estimated: false } });
});
