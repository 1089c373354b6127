/**
 * What a configuration file may say, as zod schemas: strict, so that a misspelt limit is never a missing limit.
 * How an error is worded is `config-error.ts`; what the settings mean is in the files that resolve them.
 */
import { z } from "zod";
import type { ShadowJudge } from "../cache/shadow.ts";
import type { Embedder } from "../embeddings/embedder.ts";
import type { AnswerScorer } from "../evals/scorer.ts";
import type { Reranker } from "../knowledge/reranker.ts";
import type { Prompt } from "../prompts/prompt.ts";
import type { Json } from "../protocol/json.ts";
import { limitsSchema } from "../protocol/limits.ts";
import type { Provider } from "../providers/provider.ts";
import type { AgentOptions } from "../runtime/agent.ts";
import { isPatternKind, type Pattern } from "../runtime/pattern.ts";
import type { Tool } from "../runtime/tool.ts";
import type { OpenToolGroup, ToolSource } from "../runtime/tool-group.ts";
import type { Validator } from "../runtime/validator.ts";
import type { Store } from "../stores/store.ts";
import { secretSchema } from "./secret.ts";

const hasMethods = (value: unknown, ...names: string[]): boolean =>
  typeof value === "object" && value !== null && names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");

const name = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/, "a name of letters, digits, dots, dashes and underscores");
const positive = z.int().positive();
/** Milliseconds of one timer: a longer one would fire at once. */
const timerMs = positive.max(0x7fffffff);
const usd = z.number().min(0).max(1_000_000);

/** Providers that need no code: what `preset` may be. */
export const presets = [
  "openai",
  "anthropic",
  "google",
  "groq",
  "together",
  "fireworks",
  "vllm",
  "tgi",
  "ollama",
  "llama-cpp",
  "litellm",
] as const;
export type Preset = (typeof presets)[number];

export const providerSettings = z.strictObject({
  /** Default: the provider's own name. */
  preset: z.enum(presets).optional(),
  base_url: z.string().optional(),
  api_key: secretSchema.optional(),
  /** Further headers of every call. */
  headers: z.record(z.string(), secretSchema).optional(),
  /** OpenAI only: its responses, or chat completions, which other servers speak too. */
  wire: z.enum(["chat", "responses"]).optional(),
  /** Data stays with us: may be given sensitive runs. */
  self_hosted: z.boolean().optional(),
  /** What this process may send it. */
  limits: z
    .strictObject({
      requests_per_minute: positive.optional(),
      tokens_per_minute: positive.optional(),
      concurrent: positive.optional(),
    })
    .optional(),
});
export type ProviderSettings = z.infer<typeof providerSettings>;

const tokenPrice = z.strictObject({
  input_usd_per_mtok: usd,
  cached_usd_per_mtok: usd.optional(),
  cache_write_usd_per_mtok: usd.optional(),
  output_usd_per_mtok: usd,
});
const hardwarePrice = z.strictObject({ usd_per_gpu_hour: usd, tokens_per_hour: z.number().positive() });
const priceSetting = z.union([tokenPrice, hardwarePrice]);

const timeouts = z.strictObject({
  connect_ms: timerMs.optional(),
  headers_ms: timerMs.optional(),
  first_token_ms: timerMs.optional(),
  idle_ms: timerMs.optional(),
  total_ms: timerMs.optional(),
});

const tierRoute = z.strictObject({
  provider: name,
  model: z.string().min(1),
  /** Its share of the calls, beside the others' weights; 1. */
  weight: z.number().positive().max(1_000_000).optional(),
  price: priceSetting.optional(),
});
export type TierRouteSettings = z.infer<typeof tierRoute>;

export const tierSettings = z.strictObject({
  /** One provider and model, or `routes`. */
  provider: name.optional(),
  model: z.string().min(1).optional(),
  /** Several providers, models or keys that share the tier's calls. */
  routes: z.array(tierRoute).min(1).max(16).optional(),
  price: priceSetting.optional(),
  /** What the model can produce in one call; 16,384. */
  max_output_tokens: positive.optional(),
  context_tokens: positive.optional(),
  stream: z.boolean().optional(),
  /** When no token has come after that long, a call of the other tier begins too; the first that gives one wins. */
  hedge: z.strictObject({ after_ms: timerMs, tier: name }).optional(),
  /** Names, mails and long numbers go out as placeholders, and come back in the answer. */
  anonymise: z.boolean().optional(),
  /** Further parameters in the provider's own words: `temperature`, `reasoning_effort`, … */
  parameters: z.record(z.string(), z.json()).optional(),
  timeouts: timeouts.optional(),
  /** The provider may keep what begins its calls alike, where that must be asked for; true. */
  prompt_cache: z.boolean().optional(),
});
export type TierSettings = z.infer<typeof tierSettings>;

const zodType = z.custom<z.ZodType>(
  (value) => hasMethods(value, "safeParse"),
  "a zod schema (a JSON file cannot hold one: use escapement.config.ts)",
);

const instructions = z
  .string()
  .or(z.custom<Prompt>((value) => (value as Prompt | undefined)?.kind === "prompt", "text, or a prompt made by prompt()"));

const tierUse = z.strictObject({
  tier: z.string(),
  instructions: instructions.optional(),
  parameters: z.record(z.string(), z.json()).optional(),
  max_output_tokens: positive.optional(),
  timeouts: timeouts.optional(),
  prompt_cache: z.boolean().optional(),
});

const route = z.strictObject({
  rules: z
    .array(
      z.strictObject({
        match: z.string().min(1).optional(),
        keywords: z.array(z.string().min(1)).min(1).optional(),
        tier: z.string().optional(),
        answer: z.string().min(1).optional(),
        sensitive: z.literal(true).optional(),
      }),
    )
    .optional(),
  tasks: z.record(z.string(), z.string()).optional(),
  classifier: z
    .strictObject({
      tier: z.string(),
      labels: z.record(name, z.strictObject({ description: z.string().min(1), tier: z.string() })),
    })
    .optional(),
  default: z.string().optional(),
});

/** An agent as data, or what `agent()` made of it. */
const agentSettings = z.strictObject({
  kind: z.literal("agent").optional(),
  name: z.string(),
  description: z.string().optional(),
  instructions: instructions.optional(),
  tiers: z.array(z.string().or(tierUse)).min(1).optional(),
  tools: z.array(z.union([z.string(), z.lazy(() => part)])).optional(),
  expose: z.custom<AgentOptions["expose"]>((value) => typeof value === "function", "a function").optional(),
  input: zodType.optional(),
  output: zodType.optional(),
  limits: limitsSchema.optional(),
  retries: z.int().min(0).max(10).optional(),
  backoff: z
    .strictObject({ first_ms: positive.optional(), max_ms: positive.optional(), max_retry_after_ms: positive.optional() })
    .optional(),
  on_budget: z.enum(["stop", "ask", "cheaper"]).optional(),
  on_length: z.enum(["fail", "continue"]).optional(),
  on_cut: z.enum(["retract", "continue", "keep"]).optional(),
  stream: z.enum(["live", "checked"]).optional(),
  validators: z
    .array(z.custom<Validator>((value) => hasMethods(value, "check"), "a validator: an object with a name and check()"))
    .optional(),
  judge: z.strictObject({ tier: z.string(), criteria: z.string().min(1) }).optional(),
  escalate_below: z.number().gt(0).max(1).optional(),
  degraded: z.string().optional(),
  context: z
    .strictObject({
      keep_turns: z.int().min(1).max(1_000).optional(),
      max_tokens: positive.optional(),
      summarise: z.strictObject({ tier: z.string(), max_output_tokens: z.int().min(16).optional() }).optional(),
    })
    .optional(),
  prompt_cache: z.boolean().optional(),
  cache: z
    .strictObject({
      exact: z.strictObject({ ttl_ms: positive.optional(), stale_ms: z.int().min(0).optional() }).optional(),
      semantic: z.strictObject({ mode: z.enum(["on", "shadow"]), threshold: z.number().min(0.5).max(1).optional() }).optional(),
      version: z.string().min(1).max(200).optional(),
      tags: z.array(z.string().min(1).max(200)).max(20).optional(),
      scope: z.enum(["tenant", "user"]).optional(),
      single_flight: z.boolean().optional(),
    })
    .optional(),
  parallel_tools: z.int().min(1).max(16).optional(),
  supervision: z
    .strictObject({
      agent: z.enum(["restart", "escalate"]).optional(),
      request: z.enum(["restart", "escalate"]).optional(),
      tool: z.enum(["restart", "stop", "escalate"]).optional(),
      max_restarts: z.int().min(1).max(10).optional(),
      within_ms: positive.optional(),
    })
    .optional(),
  confirm_above_microusd: z.number().min(0).max(9_000_000_000_000).optional(),
  bounds: z.enum(["cut", "strict"]).optional(),
  route: route.optional(),
  sensitive: z.boolean().optional(),
  untrusted_input: z.boolean().optional(),
  anonymise: z.strictObject({ names: z.array(z.string().min(2).max(100)).max(1_000) }).optional(),
  priority: z.enum(["realtime", "batch"]).optional(),
  machine: z.string().optional(),
});

const patternBase = {
  name: z.string(),
  description: z.string().optional(),
  input: zodType.optional(),
  limits: limitsSchema.optional(),
  confirm_above_microusd: z.number().min(0).max(9_000_000_000_000).optional(),
  sensitive: z.boolean().optional(),
  untrusted_input: z.boolean().optional(),
  priority: z.enum(["realtime", "batch"]).optional(),
  bounds: z.enum(["cut", "strict"]).optional(),
  supervision: agentSettings.shape.supervision,
};
const failing = {
  retries: z.int().min(0).max(10).optional(),
  on_failure: z.enum(["fail", "drop"]).optional(),
  siblings: z.enum(["cancel", "drain"]).optional(),
  width: z.int().min(1).max(64).optional(),
};
/** By the kind: what is wrong is said of the kind that was meant. */
const part: z.ZodType = z.unknown().superRefine((value, context) => {
  const { kind } = (value ?? {}) as { kind?: unknown };
  const schema = isPatternKind(kind) ? patternSettings[kind] : agentSettings;
  for (const issue of schema.safeParse(value).error?.issues ?? []) context.issues.push({ ...issue, input: value } as never);
});
const patternSettings = {
  chain: z.strictObject({
    kind: z.literal("chain"),
    ...patternBase,
    stages: z
      .array(
        z.unknown().superRefine((value, context) => {
          const isStage = typeof value === "object" && value !== null && "agent" in value;
          for (const issue of (isStage ? stage : part).safeParse(value).error?.issues ?? [])
            context.issues.push({ ...issue, input: value } as never);
        }),
      )
      .min(1),
    redos: z.int().min(0).max(20).optional(),
  }),
  router: z.strictObject({
    kind: z.literal("router"),
    ...patternBase,
    routes: z.array(part).min(2).max(64),
    classifier: z.strictObject({ tier: z.string(), sure_from: z.number().gt(0).max(1).optional() }).optional(),
    tasks: z.record(z.string(), z.string()).optional(),
    default: z.string().optional(),
  }),
  "fan-out": z.strictObject({
    kind: z.literal("fan-out"),
    ...patternBase,
    ...failing,
    branches: z.union([z.array(part), z.strictObject({ agent: part, times: z.int().min(2).max(64) })]),
    prompt: z.string().optional(),
    aggregate: z.union([
      z.enum(["first", "vote"]),
      z.strictObject({ vote: z.string() }),
      z.strictObject({ best: part }),
      z.strictObject({ merge: part }),
    ]),
    least: z.int().min(1).optional(),
  }),
  "map-reduce": z.strictObject({
    kind: z.literal("map-reduce"),
    ...patternBase,
    ...failing,
    map: part,
    reduce: part,
    text: z.string().optional(),
    chunk: z
      .strictObject({ tokens: z.int().min(16).optional(), overlap: z.int().min(0).optional(), max: z.int().min(1).max(10_000).optional() })
      .optional(),
    confirm_above_chunks: z.int().min(0).optional(),
    map_prompt: z.string().optional(),
    reduce_prompt: z.string().optional(),
    fan_in: z.int().min(2).max(64).optional(),
  }),
} as const;
const stage = z.strictObject({
  agent: part,
  prompt: z.string().optional(),
  review: z.boolean().optional(),
  optional: z.boolean().optional(),
});

/** The largest that is an exact number of nano-dollars. */
const microusd = z.number().positive().max(9_000_000_000_000);
const count = z.int().positive();
const perDay = z.strictObject({ per_day_microusd: microusd.optional(), per_day_tokens: count.optional(), per_day_calls: count.optional() });

const embedderSettings = z.strictObject({
  model: z.string().min(1).optional(),
  base_url: z.string().optional(),
  api_key: secretSchema.optional(),
  dimensions: positive.optional(),
  usd_per_mtok: usd.optional(),
  threshold: z.number().min(0.5).max(1).optional(),
  /** Texts stay with us: may be given those of sensitive runs. */
  self_hosted: z.boolean().optional(),
});
export type EmbedderSettings = z.infer<typeof embedderSettings>;

const embedder = z
  .custom<Embedder>((value) => hasMethods(value, "embed", "close"))
  .or(z.literal("local"))
  .or(embedderSettings);

const toolGroup = z
  .array(z.custom<Tool>((value) => hasMethods(value, "parse", "run"), "a tool, made by tool()"))
  .or(z.custom<OpenToolGroup>((value) => hasMethods(value, "start", "close"), "a tool group"))
  .or(z.custom<ToolSource>((value) => hasMethods(value, "open"), "a tool group"));

/** The folder that `search_knowledge` searches: see docs/knowledge.md. */
const knowledgeSettings = z.strictObject({
  folder: z.string().min(1),
  about: z.string().min(1).max(500).optional(),
  embedder: embedder.optional(),
  /** Settings are those of Cohere's API. */
  rerank: z
    .custom<Reranker>((value) => hasMethods(value, "rerank"))
    .or(z.literal("local"))
    .or(z.literal(false))
    .or(z.strictObject({ model: z.string().min(1).optional(), base_url: z.string().optional(), api_key: secretSchema.optional() }))
    .optional(),
  chunk: z.strictObject({ tokens: z.int().min(32).max(4_096).optional(), overlap: z.number().min(0).max(0.5).optional() }).optional(),
  base_url: z.string().min(1).optional(),
});
export type KnowledgeSettings = z.infer<typeof knowledgeSettings>;

const mapping = z.strictObject({
  results: z.string(),
  title: z.string().min(1),
  url: z.string().min(1),
  text: z.string().min(1).optional(),
});
const searchEndpoint = z
  .strictObject({ searxng: z.string().min(1) })
  .or(z.strictObject({ url: z.string().min(1), headers: z.record(z.string(), secretSchema).optional(), mapping }));
const root = z.string().min(1);
/** What built-in groups need: see docs/tools.md. */
const webSettings = z.strictObject({ search: searchEndpoint.optional() });
const filesSettings = z.strictObject({ root, write: z.boolean().optional() });
const dataSettings = z.strictObject({ root });
export type WebSettings = z.infer<typeof webSettings>;

/** What callers may do a minute; what is left out has no limit. */
const plan = z.strictObject({
  requests_per_minute: positive.optional(),
  tokens_per_minute: positive.optional(),
  /** Of a key, over all the users that it names. */
  per_key: z.strictObject({ requests_per_minute: positive.optional(), tokens_per_minute: positive.optional() }).optional(),
  /** Its calls go first where a provider is busy. Default: every plan but `free` is. */
  paid: z.boolean().optional(),
});
export type PlanSettings = z.infer<typeof plan>;
const share = z.number().positive().max(1);
/** Off, or what differs from the rule as it is by default. */
const rule = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape).or(z.literal(false)).optional();
const spendRule = rule({ factor: z.number().positive().optional(), min_usd: usd.optional() });
const alertMinutes = z.int().min(1).max(60);

const alertSettings = z.strictObject({
  cooldown_minutes: z.number().positive().optional(),
  webhook: z.strictObject({ url: z.string().min(1), secret: secretSchema }).optional(),
  rules: z
    .strictObject({
      spend_hour: spendRule,
      spend_10_minutes: spendRule,
      run_cost: rule({ usd: usd.optional() }),
      budget: rule({ used: share.optional() }),
      error_rate: rule({ rate: share.optional(), min_runs: positive.optional(), minutes: alertMinutes.optional() }),
      step_caps: rule({ count: positive.optional(), minutes: alertMinutes.optional() }),
      provider_window: rule({ used: share.optional() }),
      provider_exhausted: z.boolean().optional(),
      breaker_open: z.boolean().optional(),
    })
    .optional(),
});

/** A program, or an address; what the keys mean is said in tools/mcp. */
const mcpSettings = z.strictObject({
  command: z.string().min(1).optional(),
  args: z.array(z.string()).optional(),
  /** Names of variables that it gets of our environment. */
  env: z.array(z.string().min(1)).optional(),
  cwd: z.string().min(1).optional(),
  url: z.string().optional(),
  headers: z.record(z.string(), secretSchema).optional(),
  tools: z.array(z.string().min(1)).min(1).optional(),
  pin: z.record(z.string(), z.string()).optional(),
  class: z.record(z.string(), z.enum(["pure", "idempotent", "once"])).optional(),
  approval: z.array(z.string().min(1)).optional(),
  trust_annotations: z.boolean().optional(),
  protocol: z.enum(["auto", "legacy"]).optional(),
  timeout_ms: positive.optional(),
  connect_ms: positive.optional(),
  result_bytes: positive.optional(),
  lock_file: z.string().min(1).optional(),
});
export type McpSettings = z.infer<typeof mcpSettings>;

export const configSchema = z.strictObject({
  providers: z.record(name, z.custom<Provider>((value) => hasMethods(value, "stream", "close")).or(providerSettings)).optional(),
  tiers: z.record(name, tierSettings).optional(),
  agents: z.array(part).optional(),
  tools: z
    .object({
      knowledge: knowledgeSettings.or(toolGroup).optional(),
      web: webSettings.or(toolGroup).optional(),
      files: filesSettings.or(toolGroup).optional(),
      data: dataSettings.or(toolGroup).optional(),
    })
    .catchall(toolGroup)
    .optional(),
  /** Where requests that a model steers may go beside the public internet. */
  egress: z
    .strictObject({
      allow: z.array(z.string().min(1)).max(1_000).optional(),
      ports: z.array(z.int().min(1).max(65_535)).max(100).optional(),
    })
    .optional(),
  /** MCP servers, each a tool group of its name. */
  mcp: z.record(z.string(), mcpSettings).optional(),
  limits: limitsSchema.extend({ max_depth: positive.optional() }).optional(),
  budgets: z
    .strictObject({
      user: perDay.optional(),
      key: z
        .strictObject({ per_month_microusd: microusd.optional(), per_month_tokens: count.optional(), per_month_calls: count.optional() })
        .optional(),
      feature: z.record(name, perDay).optional(),
      system: z
        .strictObject({ per_hour_microusd: microusd.optional(), per_hour_tokens: count.optional(), per_hour_calls: count.optional() })
        .optional(),
    })
    .optional(),
  features: z.record(name, z.strictObject({ plans: z.array(name).min(1).optional() })).optional(),
  rate_limits: z
    .strictObject({
      /** Beside `free` and `pro`, which it may change. */
      plans: z.record(name, plan).optional(),
      /** Of callers that bring no plan; `free`. */
      default_plan: name.optional(),
      /** What holds while Redis does not answer: nothing is admitted, or each process admits a share of each limit. */
      on_redis_failure: z.union([z.literal("closed"), z.strictObject({ share: z.number().positive().max(1) })]).optional(),
    })
    .optional(),
  /** Calls that wait because a provider is busy. */
  queue: z
    .strictObject({ length: positive.max(100_000).optional(), wait_ms: positive.optional(), aging_ms: positive.optional() })
    .optional(),
  store: z
    .custom<Store>((value) => hasMethods(value, "commit", "close"))
    .or(z.strictObject({ path: z.string().min(1).optional() }))
    .or(
      z.strictObject({
        url: secretSchema,
        schema: z
          .string()
          .regex(/^[a-z_][a-z0-9_]{0,62}$/, "a name of lower-case letters, digits and underscores")
          .optional(),
      }),
    )
    .optional(),
  cache: z
    .strictObject({
      memory_entries: positive.optional(),
      memory_bytes: positive.optional(),
      file_bytes: positive.optional(),
      redis_timeout_ms: positive.optional(),
      embedder: embedder.optional(),
      judge: z.custom<ShadowJudge>((value) => typeof value === "function", "a function").optional(),
    })
    .optional(),
  /** Where no provider is configured: what is answered in place of models. */
  offline: z
    .strictObject({
      script: z
        .array(
          z.strictObject({
            as: z.string().optional(),
            when: z.string().optional(),
            after: z.string().optional(),
            say: z.string().optional(),
            use: z.strictObject({ tool: z.string(), input: z.json() }).optional(),
          }),
        )
        .optional(),
      /** Milliseconds between two words. */
      pace_ms: z.int().min(0).max(10_000).optional(),
    })
    .optional(),
  prices: z.record(z.string().regex(/^[^/]+\/.+$/, 'a key "provider/model" or "provider/*"'), priceSetting).optional(),
  server: z
    .strictObject({
      host: z.string().min(1).optional(),
      port: z.int().min(0).max(65_535).optional(),
      origins: z.array(z.string().min(1)).optional(),
    })
    .optional(),
  log: z
    .strictObject({
      level: z.enum(["silent", "error", "warn", "info", "debug"]).optional(),
      /** Prompts, answers, and what tools get and give. */
      content: z.boolean().optional(),
      destination: z
        .enum(["stderr", "stdout"])
        .or(z.strictObject({ file: z.string().min(1) }))
        .or(z.custom<{ write(line: string): void }>((value) => hasMethods(value, "write"), "something with a write method"))
        .optional(),
    })
    .optional(),
  redaction: z
    .strictObject({
      /** Personal data, in logs, errors and alerts. */
      pii: z.boolean().optional(),
      ips: z.boolean().optional(),
      /** What is kept out of answers and results of tools before they are stored. */
      record: z.array(z.enum(["secrets", "pii"])).optional(),
    })
    .optional(),
  alerts: alertSettings.or(z.literal(false)).optional(),
  /** A share of the finished runs is scored in the background. */
  evals: z
    .strictObject({
      sample: share,
      scorers: z
        .array(
          z.custom<AnswerScorer>(
            (value) => hasMethods(value, "score") && (value as AnswerScorer).of === "answer",
            "a scorer of single answers: exact(), schema(), regex(), similarity(), judge(), grounding()",
          ),
        )
        .min(1),
      /** Runs that wait to be scored; 100. More are not scored. */
      queue: positive.max(10_000).optional(),
    })
    .optional(),
});

/** After validation. */
export type CheckedConfig = z.infer<typeof configSchema>;

/** What a configuration file exports. Every key is optional. */
export type Config = Omit<z.input<typeof configSchema>, "agents" | "tools" | "tiers"> & {
  readonly tiers?: { readonly [name: string]: Omit<TierSettings, "parameters"> & { readonly parameters?: { [key: string]: Json } } };
  readonly agents?: readonly (AgentOptions | Pattern)[];
  readonly tools?: {
    readonly [group: string]:
      | readonly Tool[]
      | OpenToolGroup
      | ToolSource
      | z.input<typeof knowledgeSettings>
      | WebSettings
      | z.infer<typeof filesSettings>
      | z.infer<typeof dataSettings>
      | undefined;
  };
};
