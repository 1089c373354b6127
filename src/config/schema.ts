/**
 * What a configuration file may say, as zod schemas: strict, so that a misspelt limit is never a missing limit.
 * How an error is worded is `config-error.ts`; what the settings mean is in the files that resolve them.
 */
import { z } from "zod";
import type { ShadowJudge } from "../cache/shadow.ts";
import type { Embedder } from "../embeddings/embedder.ts";
import type { Prompt } from "../prompts/prompt.ts";
import type { Json } from "../protocol/json.ts";
import { limitsSchema } from "../protocol/limits.ts";
import type { Provider } from "../providers/provider.ts";
import type { AgentOptions } from "../runtime/agent.ts";
import type { Tool } from "../runtime/tool.ts";
import type { Validator } from "../runtime/validator.ts";
import type { Store } from "../stores/store.ts";
import { secretSchema } from "./secret.ts";

const hasMethods = (value: unknown, ...names: string[]): boolean =>
  typeof value === "object" && value !== null && names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");

const name = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/, "a name of letters, digits, dots, dashes and underscores");
const positive = z.int().positive();
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
  connect_ms: positive.optional(),
  headers_ms: positive.optional(),
  first_token_ms: positive.optional(),
  idle_ms: positive.optional(),
  total_ms: positive.optional(),
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
  hedge: z.strictObject({ after_ms: positive, tier: name }).optional(),
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
  tools: z.array(z.string()).optional(),
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
  anonymise: z.strictObject({ names: z.array(z.string().min(2).max(100)).max(1_000) }).optional(),
  priority: z.enum(["realtime", "batch"]).optional(),
  machine: z.string().optional(),
});

const toolList = z.array(z.custom<Tool>((value) => hasMethods(value, "parse", "run"), "a tool, made by tool()"));
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

/** Groups by name: the tools of a program, or what the built-in group of that name needs. */
const toolSettings = z
  .object({
    web: toolList.or(z.strictObject({ search: searchEndpoint.optional() })).optional(),
    files: toolList.or(z.strictObject({ root, write: z.boolean().optional() })).optional(),
    data: toolList.or(z.strictObject({ root })).optional(),
  })
  .catchall(toolList)
  .superRefine((groups, context) => {
    for (const group of Object.keys(groups)) {
      const { success, error } = name.safeParse(group);
      if (!success) context.addIssue({ code: "invalid_key", origin: "record", path: [group], issues: error.issues });
    }
  });
export type ToolSettings = z.infer<typeof toolSettings>;

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

export const configSchema = z.strictObject({
  providers: z.record(name, z.custom<Provider>((value) => hasMethods(value, "stream", "close")).or(providerSettings)).optional(),
  tiers: z.record(name, tierSettings).optional(),
  agents: z.array(agentSettings).optional(),
  tools: toolSettings.optional(),
  /** Where requests that a model steers may go beside the public internet. */
  egress: z
    .strictObject({
      allow: z.array(z.string().min(1)).max(1_000).optional(),
      ports: z.array(z.int().min(1).max(65_535)).max(100).optional(),
    })
    .optional(),
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
      embedder: z
        .custom<Embedder>((value) => hasMethods(value, "embed", "close"))
        .or(z.literal("local"))
        .or(embedderSettings)
        .optional(),
      judge: z.custom<ShadowJudge>((value) => typeof value === "function", "a function").optional(),
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
});

/** After validation. */
export type CheckedConfig = z.infer<typeof configSchema>;

/** What a configuration file exports. Every key is optional. */
export type Config = Omit<z.input<typeof configSchema>, "agents" | "tools" | "tiers"> & {
  readonly tiers?: { readonly [name: string]: Omit<TierSettings, "parameters"> & { readonly parameters?: { [key: string]: Json } } };
  readonly agents?: readonly AgentOptions[];
  readonly tools?: { readonly [group: string]: readonly Tool[] | NonNullable<ToolSettings["web" | "files" | "data"]> };
};
