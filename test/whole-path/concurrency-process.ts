/**
 * A server in a process of its own that answers for itself: what its runtime holds, its heap after a collection, what is open.
 * Run with `--expose-gc` and an IPC channel; the settings come from the environment.
 */
import { type Config, createRuntime } from "../../src/index.ts";
import { createServer } from "../../src/server/server.ts";

export type Figures = {
  readonly load: { readonly runs: number; readonly topics: number };
  readonly heapMiB: number;
  /** Open resources by type, as Node counts them, and listeners of the process itself. */
  readonly resources: { readonly [type: string]: number };
};
export type Question = "figures" | "close";
export type Told =
  | { readonly type: "ready"; readonly url: string; readonly before: Figures["resources"] }
  | { readonly type: "figures"; readonly figures: Figures };

const { WHOLE_PATH_CONFIG = "{}" } = process.env;
const collect = (globalThis as { gc?: () => void }).gc; // there with --expose-gc

function resources(): Figures["resources"] {
  const counts: Record<string, number> = {};
  for (const type of process.getActiveResourcesInfo()) counts[type] = (counts[type] ?? 0) + 1;
  for (const event of process.eventNames()) counts[`on ${String(event)}`] = process.listenerCount(event);
  return counts;
}

async function figures(load: Figures["load"]): Promise<Figures> {
  // What finalizers release is collected by the next round.
  for (let round = 0; round < 3; round++) {
    collect?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { load, heapMiB: process.memoryUsage().heapUsed / 2 ** 20, resources: resources() };
}

const tell = (told: Told): void => void process.send?.(told);

// Node opens these when a thread is started, and keeps them.
void [process.stdout, process.stderr];
// Registered before the first count, so that it is in all of them.
process.on("message", async (question: Question) => {
  if (question === "close") {
    await listening.close(0);
    await runtime.close();
  }
  tell({ type: "figures", figures: await figures(runtime.load()) });
});
const before = resources();
const runtime = await createRuntime(JSON.parse(WHOLE_PATH_CONFIG) as Config); // written by the test
const listening = await createServer(runtime).listen({ port: 0 });
tell({ type: "ready", url: listening.url, before });
