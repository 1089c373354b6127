/**
 * The configuration: one file, the environment, and what holds where neither says anything.
 *
 * Owns finding, reading and joining. The file wins over the environment, except for `HOST`, `PORT` and the data folder, which belong to
 * the place a process runs in. Nothing is started here: the store, the offline server and the runtime are the caller's.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { SamplingSettings } from "../evals/sampling.ts";
import type { LaneLimits, LaneSettings } from "../limits/provider-lane.ts";
import type { BudgetLimits, Cap } from "../money/budgets.ts";
import type { OfflineOptions } from "../offline/server.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Provider } from "../providers/provider.ts";
import type { AgentOptions, PriceOf, TierSpec } from "../runtime/agent.ts";
import type { Features } from "../runtime/features.ts";
import { groupsIn, type Pattern } from "../runtime/pattern.ts";
import type { OpenToolGroup, SourceContext, ToolSource } from "../runtime/tool-group.ts";
import type { Store } from "../stores/store.ts";
import { type AgentParts, defaultAgents, type ResolvedAgent, resolveAgents } from "./agents.ts";
import { settledGroups } from "./built-in-tools.ts";
import { type CacheSettings, cacheSettings } from "./cache.ts";
import { configError } from "./config-error.ts";
import { providersOf, serverOf } from "./environment.ts";
import type { KnowledgeSource } from "./knowledge.ts";
import { type Observation, observationOf } from "./observation.ts";
import { createProvider, presetOf } from "./providers.ts";
import { type ConfiguredRateLimits, providerLimitsOf, queueOf, rateLimitsOf } from "./rate-limits.ts";
import { type CheckedConfig, type Config, configSchema, type KnowledgeSettings } from "./schema.ts";
import { type Environment, readSecret, type SecretSource } from "./secret.ts";
import { type StorePlace, storeOf } from "./store.ts";
import { type ConfiguredProvider, createTier, defaultTiers, offlineTier, servedPrices } from "./tiers.ts";
import type { ToolGroups } from "./tool-groups.ts";
import { type AnyGroup, closeGroups, openSources } from "./tool-groups.ts";

export type { Config } from "./schema.ts";

/** Types the configuration in an editor; returns it unchanged. */
export const defineConfig = (config: Config): Config => config;

export type ResolvedConfig = {
  /** The file it came from. */
  readonly file?: string;
  /**
   * No provider is configured. The only tier is `offline`, and its provider is not in `providers`: the caller starts the offline server
   * and adds `offline({ url })` under that name. Or the configuration has tiers and an `offline` script: then their providers are there,
   * and played by it.
   */
  readonly offline: boolean;
  readonly script: OfflineOptions;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly tiers: readonly TierSpec[];
  /** Of models that a provider serves in place of a tier's. */
  readonly priceOf: PriceOf;
  readonly agents: readonly ResolvedAgent[];
  readonly tools: ToolGroups;
  /** Those that are to be started and closed. */
  readonly openGroups: readonly OpenToolGroup[];
  readonly budgets: BudgetLimits;
  readonly features: Features;
  readonly store: Store | StorePlace;
  readonly rateLimits?: ConfiguredRateLimits;
  readonly providerLimits: { readonly [provider: string]: LaneLimits };
  readonly queue: Partial<LaneSettings>;
  readonly data: string;
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly origins: readonly string[];
    readonly apiKeys: readonly string[];
  };
  readonly log: Observation["log"];
  readonly redaction: Observation["redaction"];
  readonly alerts: Observation["alerts"];
  readonly redisURL?: string;
  readonly cache: CacheSettings;
  readonly evals?: SamplingSettings;
};

export type LoadOptions = {
  /** Where the file is looked for, and what its paths are relative to. Default: the working folder. */
  readonly cwd?: string;
  readonly env?: Environment;
  /** The file; over `ESCAPEMENT_CONFIG`. */
  readonly path?: string;
  /** Machines beside `agent` and `single`, by name, with their revisions. */
  readonly machines?: AgentParts["machines"];
  /** Changes what the file says, once it was checked. */
  readonly adjust?: (config: Config) => Config;
  /** No tool will be used. */
  readonly passive?: boolean;
};

const fileNames = [
  "escapement.config.ts",
  "escapement.config.mts",
  "escapement.config.js",
  "escapement.config.mjs",
  "escapement.config.json",
];

/** Finds, reads and checks; nothing is resolved or started. */
export async function readSettings(options: Pick<LoadOptions, "cwd" | "env" | "path"> = {}): Promise<CheckedConfig> {
  const { cwd = process.cwd(), env = process.env } = options;
  const file = findFile(cwd, options.path || env.ESCAPEMENT_CONFIG);
  return file === undefined ? {} : check(await readConfig(file), file);
}

/** Finds, reads, checks and resolves. Throws `invalid_request` that names the file, the key, the value and the way out. */
export async function loadConfig(options: LoadOptions = {}): Promise<ResolvedConfig> {
  const { cwd = process.cwd(), env = process.env } = options;
  const file = findFile(cwd, options.path || env.ESCAPEMENT_CONFIG);
  const config = file === undefined ? {} : await readConfig(file);
  const resolved = await resolveConfig(config, { ...options, source: file ?? "configuration" });
  return { ...(file !== undefined && { file }), ...resolved };
}

/** The same for a configuration that a program holds. `source` begins the errors. */
export async function resolveConfig(
  value: unknown,
  options: Omit<LoadOptions, "path"> & { readonly source?: string } = {},
): Promise<Omit<ResolvedConfig, "file">> {
  const { cwd = process.cwd(), env = process.env, source = "configuration", adjust } = options;
  const checked = check(value, source);
  const config = adjust ? check(adjust(checked as Config), source) : checked;
  const secrets = new Set<string>();
  const data = resolve(cwd, serverOf(env).data);
  const from = { cwd, env, secrets, data, store: storeOf(config, { cwd, env, data }) };
  const groups = await openSources(await toolGroups(config, from), sourceContext(from, options.passive));
  try {
    return await resolveWith(config, groups, from, options.machines);
  } catch (error) {
    await closeGroups(Object.values(groups));
    throw error;
  }
}

async function resolveWith(
  config: CheckedConfig,
  groups: { readonly [group: string]: AnyGroup },
  { cwd, env, secrets, data, store }: Required<KnowledgeSource>,
  machines: LoadOptions["machines"],
): Promise<Omit<ResolvedConfig, "file">> {
  const providers = await configuredProviders(config, { cwd, env, secrets });
  const offline = providers.size === 0;
  const script = offlineOf(config);
  if (offline && config.offline) for (const name of providersIn(config)) providers.set(name, await played(name, script));
  const tiers = tiersOf(config, providers, offline);
  const server = serverOf(env);
  const rateLimits = rateLimitsOf(config);
  const tools = Object.fromEntries(Object.entries(groups).map(([name, group]) => [name, "tools" in group ? group.tools : group]));
  return {
    offline,
    script,
    providers: new Map([...providers].map(([name, { provider }]) => [name, provider])),
    tiers,
    priceOf: servedPrices(providers, config.prices ?? {}),
    agents: resolveAgents([...agentsOf(config), ...(config.evals?.scorers ?? []).flatMap((scorer) => scorer.agents ?? [])], {
      tiers,
      tools,
      machines: { ...(await ownMachines()), ...machines },
      ...(config.limits && { limits: config.limits }),
    }),
    tools,
    openGroups: Object.values(groups).flatMap((group) => ("tools" in group ? [group] : [])),
    budgets: budgetsOf(config),
    features: config.features ?? {},
    store,
    ...(rateLimits && { rateLimits }),
    providerLimits: providerLimitsOf(config),
    queue: queueOf(config),
    data,
    server: {
      host: server.host ?? config.server?.host ?? "127.0.0.1",
      port: server.port ?? config.server?.port ?? 8787,
      origins: [...(config.server?.origins ?? []), ...server.origins],
      apiKeys: server.apiKeys,
    },
    ...observationOf(config, withServers(secrets, server, [env.DATABASE_URL, "url" in store ? store.url : undefined]), { cwd, env }),
    ...(server.redisURL && { redisURL: server.redisURL }),
    cache: cacheSettings(config.cache ?? {}, { ...server, cwd, env, store, data }),
    ...(config.evals && { evals: { ...config.evals, queue: config.evals.queue ?? 100 } }),
  };
}

const offlineOf = ({ offline: { script, pace_ms } = {} }: CheckedConfig): OfflineOptions => ({
  ...(script && { script }),
  ...(pace_ms !== undefined && { paceMs: pace_ms }),
});

const providersIn = ({ tiers = {} }: CheckedConfig): ReadonlySet<string> =>
  new Set(
    Object.values(tiers)
      .flatMap(({ provider, routes = [] }) => [provider, ...routes.map((route) => route.provider)])
      .filter((name) => name !== undefined),
  );

/** At list prices: what a run costs offline is what its tokens would cost. */
const played = async (name: string, options: OfflineOptions): Promise<ConfiguredProvider> => ({
  provider: (await import("../offline/stand-in.ts")).standIn(name, options),
  elsewhere: true,
});

// Checked by the schema, key by key; zod's optional keys also allow undefined.
const agentsOf = ({ agents }: CheckedConfig): readonly (AgentOptions | Pattern)[] =>
  (agents as readonly (AgentOptions | Pattern)[] | undefined) ?? defaultAgents;

function budgetsOf({ budgets = {} }: CheckedConfig): BudgetLimits {
  const { user, key, feature, system } = budgets;
  const perDay = (each: NonNullable<typeof user>): Cap => cap(each.per_day_microusd, each.per_day_tokens, each.per_day_calls);
  return {
    ...(user && { user: perDay(user) }),
    ...(key && { key: cap(key.per_month_microusd, key.per_month_tokens, key.per_month_calls) }),
    ...(feature && { feature: Object.fromEntries(Object.entries(feature).map(([name, each]) => [name, perDay(each)])) }),
    ...(system && { system: cap(system.per_hour_microusd, system.per_hour_tokens, system.per_hour_calls) }),
  };
}

/** A part of a nano-dollar is left to nobody. */
const cap = (microusd: number | undefined, tokens: number | undefined, calls: number | undefined): Cap => ({
  ...(microusd !== undefined && { nano: Math.floor(microusd * 1_000) }),
  ...(tokens !== undefined && { tokens }),
  ...(calls !== undefined && { calls }),
});

/** Keys of clients, and the addresses of databases, which hold passwords. */
function withServers(
  secrets: Set<string>,
  { apiKeys, redisURL }: ReturnType<typeof serverOf>,
  databases: readonly (string | undefined)[],
): Set<string> {
  for (const secret of [...apiKeys, ...databases, redisURL]) if (secret) secrets.add(secret);
  return secrets;
}

function findFile(cwd: string, named: string | undefined): string | undefined {
  if (named) {
    const file = resolve(cwd, named);
    if (existsSync(file)) return file;
    throw new EscapementError(
      "invalid_request",
      `there is no configuration file ${file}: correct --config or ESCAPEMENT_CONFIG, or leave them out`,
    );
  }
  return fileNames.map((name) => join(cwd, name)).find((file) => existsSync(file));
}

async function readConfig(file: string): Promise<unknown> {
  try {
    if (file.endsWith(".json")) return JSON.parse(readFileSync(file, "utf8"));
    // A module's exports are whatever it exports.
    const module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown };
    if (module.default !== undefined) return module.default;
  } catch (error) {
    if (error instanceof EscapementError) throw new EscapementError(error.code, `${file}: ${error.message}`, error.body);
    // JSON.parse quotes the text around a mistake, which may be a key; a position is enough to find it.
    const reason = file.endsWith(".json") ? "it is no JSON" : (error as Error).message;
    const position = file.endsWith(".json") ? (/\(line \d+ column \d+\)/.exec((error as Error).message)?.[0] ?? "") : "";
    throw new EscapementError("invalid_request", `${file} cannot be read: ${reason} ${position}`.trim() + asModule(file, error));
  }
  throw new EscapementError("invalid_request", `${file} has no default export; write: export default defineConfig({ … })`);
}

/** `npm init -y` writes `"type": "commonjs"`, and then a module is read as if it were none. */
function asModule(file: string, error: unknown): string {
  const isModule = /Unexpected token 'export'|Cannot use import statement/.test(error instanceof SyntaxError ? error.message : "");
  if (!isModule) return "";
  return `. It is a module in a package that has none: run \`npm pkg set type=module\`, or name it ${basename(file).replace(/\.([jt])s$/, ".m$1s")}`;
}

function check(value: unknown, source: string): CheckedConfig {
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) throw configError(source, parsed.error, value, configSchema);
  return parsed.data;
}

/** Those of the environment in their order, then those of the file, which win where a name is the same. */
async function configuredProviders(config: CheckedConfig, from: SecretSource): Promise<Map<string, ConfiguredProvider>> {
  const found = new Map<string, ConfiguredProvider>();
  const settings = new Map<string, NonNullable<CheckedConfig["providers"]>[string]>([
    ...providersOf(from.env),
    ...Object.entries(config.providers ?? {}),
  ]);
  for (const [name, setting] of settings) {
    if ("stream" in setting) found.set(name, { provider: setting, elsewhere: true });
    else {
      const preset = presetOf(name, setting);
      const elsewhere = setting.base_url !== undefined;
      const chat = preset === "openai" && (setting.wire === "chat" || (setting.wire === undefined && elsewhere));
      found.set(name, { provider: await createProvider(name, setting, from), preset, elsewhere, chat });
    }
  }
  return found;
}

function tiersOf(config: CheckedConfig, providers: ReadonlyMap<string, ConfiguredProvider>, offline: boolean): readonly TierSpec[] {
  const prices = config.prices ?? {};
  const tiers = Object.entries(config.tiers ?? {});
  if (tiers.length > 0) return tiers.map(([name, settings]) => createTier(name, settings, providers, prices));
  return offline ? [offlineTier] : defaultTiers(providers, prices);
}

/** What a source of tools may use of the configuration. */
export const sourceContext = (from: SecretSource, isPassive = false): SourceContext => ({
  cwd: from.cwd,
  env: from.env,
  isPassive,
  secret: (value, path) => readSecret(value, path, from),
});

/** Our groups, and those of the file, which may replace them. Ours, and sources such as MCP servers, are there when an agent asks for them. */
async function toolGroups(config: CheckedConfig, from: KnowledgeSource): Promise<{ readonly [group: string]: AnyGroup | ToolSource }> {
  const { knowledge, web, files, data, ...groups } = config.tools ?? {};
  const own = { ...(config.mcp && (await import("./mcp.ts")).mcpGroups(config.mcp, groups)), ...groups };
  const wanted = new Set(agentsOf(config).flatMap(groupsIn));
  return {
    ...(wanted.has("compute") && !Object.hasOwn(own, "compute") && { compute: (await import("../../tools/compute/index.ts")).compute }),
    ...(wanted.has("clock") && !Object.hasOwn(own, "clock") && { clock: (await import("../../tools/clock/index.ts")).clock }),
    ...(wanted.has("people") && !Object.hasOwn(own, "people") && { people: (await import("../../tools/people/index.ts")).people }),
    ...(await settledGroups({ web, files, data }, new Set([...wanted].filter((name) => !Object.hasOwn(own, name))), config.egress, from)),
    ...(knowledge && {
      knowledge: Array.isArray(knowledge) || "start" in knowledge || "open" in knowledge ? knowledge : await knowledgeOf(knowledge, from),
    }),
    ...Object.fromEntries(Object.entries(own).filter(([name, group]) => !("open" in group) || wanted.has(name))),
  };
}

/** The tool group `knowledge` of its settings; its code is loaded by those alone who have it. */
const knowledgeOf = async (settings: KnowledgeSettings, from: KnowledgeSource): Promise<OpenToolGroup> =>
  (await import("./knowledge.ts")).knowledgeGroup(settings, from);

/** Revisions as the runtime names them. Loaded here so that reading a type of this file loads no machine. */
async function ownMachines(): Promise<AgentParts["machines"]> {
  const { machines } = await import("../runtime/machines.ts");
  return Object.fromEntries(Object.entries(machines).map(([name, machine]) => [name, machine.version ?? "1"]));
}
