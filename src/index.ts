/**
 * `escapement`: agents as state machines under a supervisor, journaled, with a budget.
 * This file alone joins the runtime and its default adapters.
 */
import type { AnyStateMachine, InspectionEvent } from "xstate";
import { memoryChannel } from "./channels/memory.ts";
import { type Config, resolveConfig } from "./config/config.ts";
import type { LimitEvent } from "./limits/events.ts";
import type { Limiter } from "./limits/limiter.ts";
import { MemoryLimiter } from "./limits/memory-limiter.ts";
import { loadTokenizer } from "./money/tokens.ts";
import { offline, startOffline } from "./offline/offline.ts";
import { type Reliability, Runtime, type RuntimeOptions } from "./runtime/runtime.ts";
import { sqlite } from "./stores/sqlite.ts";
import type { Store } from "./stores/store.ts";

export { type Config, defineConfig, loadConfig } from "./config/config.ts";
export type { LimitEvent } from "./limits/events.ts";
export { type Prompts, prompts } from "./prompts/folder.ts";
export { type Example, type Prompt, type PromptOptions, prompt } from "./prompts/prompt.ts";
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
  /** Told once when a limit of a provider is nearly reached, its account used up, or Redis does not count limits any more. */
  readonly onLimit?: (event: LimitEvent) => void;
  /** Time constants, for tests that scale time. */
  readonly reliability?: Reliability;
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
  const { machines, inspect, onError, onLimit, reliability, env, cwd, ...settings } = config;
  const revisions = Object.fromEntries(Object.entries(machines ?? {}).map(([name, machine]) => [name, machine.version ?? "1"]));
  const resolved = await resolveConfig(settings, { ...(env && { env }), ...(cwd && { cwd }), machines: revisions });
  return runtimeOf(resolved, {
    ...(machines && { machines }),
    ...(inspect && { inspect }),
    ...(onError && { onError }),
    ...(onLimit && { onLimit }),
    ...(reliability && { reliability }),
  });
}

type Resolved = Awaited<ReturnType<typeof resolveConfig>>;

/** The same for a configuration that was resolved already (`loadConfig`). */
export async function runtimeOf(
  resolved: Resolved,
  extras: Pick<RuntimeExtras, "machines" | "inspect" | "onError" | "onLimit" | "reliability"> & Pick<RuntimeOptions, "passive"> = {},
): Promise<Runtime> {
  const script = resolved.offline ? await startOffline() : undefined;
  const providers = script ? new Map([...resolved.providers, ["offline", offline({ url: script.url })] as const]) : resolved.providers;
  // Exact counts need the tokenizer's table; until it is there, bytes are the bound.
  if ([...providers.values()].some((provider) => provider.tokenizer.encoding !== "bytes"))
    loadTokenizer().catch((error) => extras.onError?.(`the tokenizer could not be loaded: ${error}`));
  let limiter: Limiter | undefined;
  try {
    if (resolved.rateLimits && !extras.passive) limiter = await limiterOf(resolved, extras);
    return await Runtime.create({
      store: await openStore(resolved.store),
      channel: memoryChannel(),
      providers,
      agents: resolved.agents,
      tools: resolved.tools,
      budgets: resolved.budgets,
      priceOf: resolved.priceOf,
      features: resolved.features,
      ...(resolved.rateLimits && limiter && { rateLimits: { ...resolved.rateLimits, limiter } }),
      providerLimits: resolved.providerLimits,
      queue: resolved.queue,
      ...extras,
      ...(script && { onClosed: script.close }),
    });
  } catch (error) {
    await Promise.all([script?.close(), limiter?.close()]);
    throw error;
  }
}

async function openStore(store: Resolved["store"]): Promise<Store> {
  if ("commit" in store) return store;
  if ("path" in store) return sqlite(store.path);
  // Its driver is loaded by those alone who use it.
  const { postgres } = await import("./stores/postgres.ts");
  return postgres(store.url, store);
}

/** On Redis where `REDIS_URL` names one: then all processes share the limits. */
async function limiterOf(
  { redisURL, rateLimits }: Resolved,
  { onLimit, onError, reliability }: Pick<RuntimeExtras, "onError" | "onLimit" | "reliability">,
): Promise<Limiter> {
  if (!redisURL) return new MemoryLimiter();
  // Loaded when used.
  const { RedisLimiter } = await import("./limits/redis-limiter.ts");
  const onFailure = rateLimits?.onRedisFailure ?? "closed";
  return RedisLimiter.open({
    url: redisURL,
    onFailure,
    ...(reliability?.minuteMs && { longestMs: reliability.minuteMs }),
    ...(reliability?.redisDeadlineMs && { deadlineMs: reliability.redisDeadlineMs }),
    ...(onError && { onProblem: onError }),
    onChange: (isShared, reason = "") =>
      onLimit?.(isShared ? { type: "limiter.recovered" } : { type: "limiter.failed", reason, fallback: onFailure }),
  });
}
