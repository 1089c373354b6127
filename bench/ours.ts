/**
 * Ours, as a whole: supervised, budgeted, journaled to SQLite on a disk, its events delivered to a subscriber that reads
 * them all. The name chooses the durability, nothing else differs.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Event, RunHandle, Runtime } from "../src/index.ts";
import type { Contestant, Hanging, Session, Site } from "./contestant.ts";
import * as workload from "./workload.ts";

/** The public entry point. Not an import: this bench also runs where it does not exist yet. */
const entry = new URL("../src/index.ts", import.meta.url);
export const isThere = (): boolean => existsSync(entry);

async function openRuntime(site: Site): Promise<Runtime> {
  const { agent, createRuntime, openai, sqlite, tool } = (await import(entry.href)) as typeof import("../src/index.ts");
  const lookup = tool({
    name: workload.toolName,
    description: workload.toolDescription,
    input: z.strictObject({ step: z.int() }),
    class: "pure",
    run: ({ step }) => workload.lookup(step),
  });
  return createRuntime({
    store: sqlite(join(site.directory, "bench.db"), { durability: site.name === "ours-full" ? "full" : "process" }),
    providers: { openai: openai({ apiKey: "bench", baseURL: site.baseUrl, wire: "chat" }) },
    tiers: {
      bench: {
        provider: "openai",
        model: workload.model,
        max_output_tokens: workload.maxTokens,
        stream: workload.isStreamed(site.way),
      },
    },
    agents: [
      agent({ name: "single", machine: "single", instructions: workload.instructions }),
      agent({ name: "loop", machine: "agent", instructions: workload.instructions, tools: ["manual"] }),
    ],
    tools: { manual: [lookup] },
    env: {},
    onError: (message, run) => process.stderr.write(`${run ?? "runtime"}: ${message}\n`),
  });
}

/** Reads all events of a run; gives the last call's text as it streamed, or as its fact told it when it did not. */
async function read(handle: RunHandle, onText?: () => void): Promise<string> {
  let streamed = "";
  let told = "";
  let end: Event | undefined;
  for await (const event of handle) {
    if (event.type === "text.delta") {
      streamed += event.text;
      onText?.();
    } else if (event.type === "call.finished") {
      told = event.text ?? "";
    } else if (event.type === "run.finished") {
      end = event;
    }
  }
  if (end?.type !== "run.finished") throw new Error("the events ended before the run did");
  if (end.status !== "done" && end.status !== "cancelled") throw new Error(`${end.status}: ${JSON.stringify(end.error)}`);
  return streamed === "" ? told : streamed;
}

export const contestant: Contestant = {
  async open(site: Site): Promise<Session> {
    const runtime = await openRuntime(site);
    const body = { agent: site.way === "loop" ? "loop" : "single", input: workload.question };
    return {
      run: async () => read(await runtime.start(body)),
      async hang(): Promise<Hanging> {
        const handle = await runtime.start(body);
        const started = Promise.withResolvers<void>();
        const ended = read(handle, started.resolve).catch((error: unknown) => {
          started.reject(error);
          return error;
        });
        await started.promise;
        return { cancel: () => void handle.cancel(), ended };
      },
      close: () => runtime.close(),
    };
  },
};
