/**
 * `escapement`: agents as state machines under a supervisor, journaled, with a budget.
 * This file alone joins the runtime and its default adapters.
 */
import type { AnyStateMachine, InspectionEvent } from "xstate";
import { Alerts } from "./alerts/alerts.ts";
import { AlertWebhook } from "./alerts/webhook.ts";
import type { Answers } from "./cache/answers.ts";
import { memoryChannel } from "./channels/memory.ts";
import { type Config, resolveConfig } from "./config/config.ts";
import type { Sampling } from "./evals/sampling.ts";
import { type LimitEvent, sentenceOf } from "./limits/events.ts";
import type { Limiter } from "./limits/limiter.ts";
import { MemoryLimiter } from "./limits/memory-limiter.ts";
import { loadTokenizer } from "./money/tokens.ts";
import { Log } from "./observe/log.ts";
import type { Observer } from "./observe/observer.ts";
import { offline, startOffline } from "./offline/offline.ts";
import type { Alert } from "./protocol/alert.ts";
import { type Reliability, Runtime, type RuntimeOptions } from "./runtime/runtime.ts";
import { realScheduler } from "./runtime/scheduler.ts";
import { type Redaction, redaction } from "./safety/redaction.ts";
import { sqlite } from "./stores/sqlite.ts";
import type { Store } from "./stores/store.ts";

export { type Config, defineConfig, loadConfig } from "./config/config.ts";
export type { LimitEvent } from "./limits/events.ts";
export type { CommittedTurn, Observer, ProcessEvent } from "./observe/observer.ts";
export { type Prompts, prompts } from "./prompts/folder.ts";
export { type Example, type Prompt, type PromptOptions, prompt } from "./prompts/prompt.ts";
export type { Alert } from "./protocol/alert.ts";
export type { Decision } from "./protocol/decision.ts";
export { EscapementError } from "./protocol/errors.ts";
export type { Event } from "./protocol/events.ts";
export type { Run } from "./protocol/run.ts";
export type { EventReader, RunHandle, Runs } from "./protocol/runs.ts";
export { anthropic } from "./providers/anthropic.ts";
export { google } from "./providers/google.ts";
export { openai } from "./providers/openai.ts";
export { fireworks, groq, litellm, llamaCpp, ollama, tgi, together, vllm } from "./providers/presets.ts";
export { type Agent, type AgentOptions, agent } from "./runtime/agent.ts";
export { chain, fanOut, mapReduce, type Pattern, router } from "./runtime/pattern.ts";
export { Runtime } from "./runtime/runtime.ts";
export { type Tool, type ToolOptions, tool } from "./runtime/tool.ts";
export type { OpenToolGroup, ToolGroupHost, ToolSource } from "./runtime/tool-group.ts";
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
  /** Told of each committed turn and of what happens to the process. What it throws is dropped. */
  readonly observers?: readonly Observer[];
  /** Told of each alert. With it the standard rules hold, also where `alerts` says nothing. */
  readonly onAlert?: (alert: Alert) => void;
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
  const { machines, inspect, onError, onLimit, reliability, observers, onAlert, env, cwd, ...settings } = config;
  const revisions = Object.fromEntries(Object.entries(machines ?? {}).map(([name, machine]) => [name, machine.version ?? "1"]));
  const resolved = await resolveConfig(settings, { ...(env && { env }), ...(cwd && { cwd }), machines: revisions });
  return runtimeOf(resolved, {
    ...(machines && { machines }),
    ...(inspect && { inspect }),
    ...(onError && { onError }),
    ...(onLimit && { onLimit }),
    ...(reliability && { reliability }),
    ...(observers && { observers }),
    ...(onAlert && { onAlert }),
    ...(resolved.log.isConfigured && { log: logOf(resolved) }),
  });
}

type Resolved = Awaited<ReturnType<typeof resolveConfig>>;

/** The log that a configuration asks for. */
export const logOf = ({ log, redaction }: Resolved): Log => new Log({ ...log, redaction });

export type RuntimeParts = Pick<RuntimeExtras, "machines" | "inspect" | "onError" | "onLimit" | "reliability" | "observers" | "onAlert"> &
  Pick<RuntimeOptions, "passive"> & {
    /** Gets a line a call, a step, a decision and a run's end, the alerts, and what `onError` is told. */
    readonly log?: Log;
    /** Alerts also where the configuration says nothing of them. */
    readonly alerts?: boolean;
  };

/** The same for a configuration that was resolved already (`loadConfig`). */
export async function runtimeOf(resolved: Resolved, parts: RuntimeParts = {}): Promise<Runtime> {
  const { log, alerts: isWatched = false, onAlert, observers = [], ...extras } = parts;
  const script = resolved.offline ? await startOffline(resolved.script) : undefined;
  const providers = script ? new Map([...resolved.providers, ["offline", offline({ url: script.url })] as const]) : resolved.providers;
  const secrets = [...resolved.redaction.secrets, ...[...providers.values()].flatMap((provider) => provider.secrets?.() ?? [])];
  const { pii, ips, record } = resolved.redaction;
  const door = redaction({ secrets, pii, ips });
  const recordDoor = redaction({ secrets, shapes: record.includes("secrets"), pii: record.includes("pii") });
  const onError = (message: string, run?: string): void => {
    log?.error(message, { run });
    extras.onError?.(door.text(message), run);
  };
  const onLimit = (event: LimitEvent): void => {
    log?.warn(sentenceOf(event));
    extras.onLimit?.(event);
  };
  // Exact counts need the tokenizer's table; until it is there, bytes are the bound.
  if ([...providers.values()].some((provider) => provider.tokenizer.encoding !== "bytes"))
    loadTokenizer().catch((error) => onError(`the tokenizer could not be loaded: ${error}`));
  const isAlerting = !extras.passive && resolved.alerts && (isWatched || onAlert || resolved.alerts.isConfigured);
  const closeGroups = () => Promise.all(resolved.openGroups.map((group) => group.close()));
  const alerts = isAlerting ? startAlerts(resolved.alerts, door, onError, [log && ((alert) => log.alert(alert)), onAlert]) : undefined;
  let cache: Answers | undefined;
  let limiter: Limiter | undefined;
  let store: Store | undefined;
  try {
    const sampling = extras.passive ? undefined : await samplingOf(resolved, onError);
    // Who has no cache loads none.
    if (!extras.passive && resolved.agents.some(({ spec }) => spec.caching))
      cache = await (await import("./config/cache.ts")).openAnswers(resolved.cache, resolved.agents, onError);
    if (resolved.rateLimits && !extras.passive) limiter = await limiterOf(resolved, { ...extras, onError, onLimit });
    const opened = await openStore(resolved.store);
    store = opened;
    const runtime = await Runtime.create({
      store: opened,
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
      onLimit,
      ...(cache && { cache }),
      onError,
      observers: [...(log ? [log] : []), ...(alerts ? [alerts.rules] : []), ...(sampling ? [sampling] : []), ...observers],
      redaction: door,
      ...(!recordDoor.isIdle && { record: recordDoor }),
      ...(alerts && { alerts: alerts.rules }),
      onClosed: async () => {
        await sampling?.close();
        alerts?.close();
        log?.close();
        await Promise.all([closeGroups(), script?.close()]);
      },
    });
    sampling?.begin(runtime);
    const answers = cache;
    const host = { onError, ...(answers && { purge: (tag: string) => answers.purge({ tag }) }) };
    if (!extras.passive) for (const group of resolved.openGroups) group.start(host);
    alerts?.rules.watch(() => opened.meters()).catch((error) => onError(`what was spent before is not known to the alerts: ${error}`));
    return runtime;
  } catch (error) {
    alerts?.close();
    // A store that was given is its giver's.
    const own = store === resolved.store ? undefined : store;
    await Promise.allSettled([cache?.close(), script?.close(), limiter?.close(), own?.close(), closeGroups()]);
    log?.close();
    throw error;
  }
}

/** Who samples no runs loads no scorers. */
async function samplingOf({ evals }: Resolved, onError: (message: string, run?: string) => void): Promise<Sampling | undefined> {
  if (!evals) return undefined;
  const { Sampling } = await import("./evals/sampling.ts");
  return new Sampling(evals, onError, () => realScheduler.monotonic());
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

/** The rules with whoever is told: the log, the program, a webhook. */
function startAlerts(
  { rules, cooldownMs, webhook }: Exclude<Resolved["alerts"], false>,
  door: Redaction,
  onError: (message: string) => void,
  listeners: readonly (((alert: Alert) => void) | undefined)[],
): { readonly rules: Alerts; close(): void } {
  const scheduler = realScheduler;
  const sender = webhook && new AlertWebhook({ ...webhook, scheduler, onError });
  const alerts = new Alerts({ rules, cooldownMs, scheduler, redaction: door, onError });
  for (const listener of [...listeners, sender && ((alert: Alert) => sender.send(alert))]) if (listener) alerts.onAlert(listener);
  return {
    rules: alerts,
    close() {
      alerts.close();
      sender?.close();
    },
  };
}
