/**
 * `escapement`: agents as state machines under a supervisor, journaled, with a budget.
 * This file alone joins the runtime and its default adapters.
 */
import type { AnyStateMachine, InspectionEvent } from "xstate";
import type { Answers } from "./cache/answers.ts";
import { memoryChannel } from "./channels/memory.ts";
import { type Config, resolveConfig } from "./config/config.ts";
import { loadTokenizer } from "./money/tokens.ts";
import { offline, startOffline } from "./offline/offline.ts";
import { Runtime, type RuntimeOptions } from "./runtime/runtime.ts";
import { sqlite } from "./stores/sqlite.ts";
import type { Store } from "./stores/store.ts";

export { type Config, defineConfig, loadConfig } from "./config/config.ts";
export { EscapementError } from "./protocol/errors.ts";
export type { Event } from "./protocol/events.ts";
export type { Run } from "./protocol/run.ts";
export type { EventReader, RunHandle, Runs } from "./protocol/runs.ts";
export { anthropic } from "./providers/anthropic.ts";
export { google } from "./providers/google.ts";
export { openai } from "./providers/openai.ts";
export { fireworks, groq, litellm, llamaCpp, ollama, tgi, together, vllm } from "./providers/presets.ts";
export { type Agent, type AgentOptions, agent } from "./runtime/agent.ts";
export { Runtime } from "./runtime/runtime.ts";
export { type Tool, type ToolOptions, tool } from "./runtime/tool.ts";
export type { Validator } from "./runtime/validator.ts";
export { sqlite } from "./stores/sqlite.ts";

/** What a program adds to the configuration: things that are no data. */
export type RuntimeExtras = {
  /** Further machines by the name that agents give in `machine`. Built from the work of `escapement/machines/work`. */
  readonly machines?: { readonly [name: string]: AnyStateMachine };
  /** Gets XState's inspection events of each turn, after that turn was committed. What it throws is dropped. */
  readonly inspect?: (run: string, event: InspectionEvent) => void;
  /** Told of what operators should know: a lease that was lost, a run that was quarantined. */
  readonly onError?: (message: string, run?: string) => void;
  /** Environment to read keys and addresses from; `process.env`. */
  readonly env?: { readonly [name: string]: string | undefined };
  /** What paths are relative to; the working folder. */
  readonly cwd?: string;
};

/**
 * A runtime from a configuration and the environment. Without a configured provider its models are answered by the offline
 * provider (scripted answers, over HTTP). Throws `invalid_request` naming the key that is wrong and the way out.
 */
export async function createRuntime(config: Config & RuntimeExtras = {}): Promise<Runtime> {
  const { machines, inspect, onError, env, cwd, ...settings } = config;
  const revisions = Object.fromEntries(Object.entries(machines ?? {}).map(([name, machine]) => [name, machine.version ?? "1"]));
  const resolved = await resolveConfig(settings, { ...(env && { env }), ...(cwd && { cwd }), machines: revisions });
  return runtimeOf(resolved, { ...(machines && { machines }), ...(inspect && { inspect }), ...(onError && { onError }) });
}

type Resolved = Awaited<ReturnType<typeof resolveConfig>>;

/** The same for a configuration that was resolved already (`loadConfig`). */
export async function runtimeOf(
  resolved: Resolved,
  extras: Pick<RuntimeExtras, "machines" | "inspect" | "onError"> & Pick<RuntimeOptions, "passive"> = {},
): Promise<Runtime> {
  const script = resolved.offline ? await startOffline() : undefined;
  const providers = script ? new Map([...resolved.providers, ["offline", offline({ url: script.url })] as const]) : resolved.providers;
  // Exact counts need the tokenizer's table; until it is there, bytes are the bound.
  if ([...providers.values()].some((provider) => provider.tokenizer.encoding !== "bytes"))
    loadTokenizer().catch((error) => extras.onError?.(`the tokenizer could not be loaded: ${error}`));
  let cache: Answers | undefined;
  try {
    // Who has no cache loads none.
    if (!extras.passive && resolved.agents.some(({ spec }) => spec.caching))
      cache = await (await import("./config/cache.ts")).openAnswers(resolved.cache, resolved.agents, extras.onError);
    return await Runtime.create({
      store: isStore(resolved.store) ? resolved.store : sqlite(resolved.store.path),
      channel: memoryChannel(),
      providers,
      agents: resolved.agents,
      tools: resolved.tools,
      budgets: resolved.budgets,
      features: resolved.features,
      ...extras,
      ...(cache && { cache }),
      ...(script && { onClosed: script.close }),
    });
  } catch (error) {
    await cache?.close();
    await script?.close();
    throw error;
  }
}

const isStore = (store: Resolved["store"]): store is Store => "commit" in store;
