import { execFileSync } from "node:child_process";
import { mkdtempSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Config, defineConfig, loadConfig, resolveConfig } from "../../src/config/config.ts";
import { openai } from "../../src/providers/openai.ts";
import { sqliteInThread } from "../../src/stores/sqlite.ts";

const folder = () => mkdtempSync(join(tmpdir(), "escapement-config-"));
const load = (config: Config | Record<string, unknown>, env: Record<string, string> = {}) =>
  resolveConfig(config, { env, cwd: "/nowhere", source: "test" });
/** Any URL: nothing is called here. */
const url = "http://127.0.0.1:1/v1";

describe("without a file", () => {
  it("is offline: one scripted tier that costs nothing, and no provider", async () => {
    const config = await loadConfig({ cwd: folder(), env: {} });
    expect(config.offline).toBe(true);
    expect(config.file).toBeUndefined();
    expect([...config.providers.keys()]).toEqual([]);
    expect(config.tiers).toMatchObject([{ name: "offline", provider: "offline", price: { inputNano: 0, outputNano: 0 } }]);
    expect(config.agents.map(({ spec }) => spec.name)).toEqual(["assistant", "single"]);
    expect(Object.keys(config.tools)).toEqual(["compute", "clock"]);
    expect(config.server).toEqual({ host: "127.0.0.1", port: 8787, origins: [], apiKeys: [] });
  });

  it("keeps its data in .escapement, or where ESCAPEMENT_DATA says", async () => {
    const cwd = folder();
    expect((await loadConfig({ cwd, env: {} })).store).toEqual({ path: join(cwd, ".escapement", "escapement.db") });
    expect((await loadConfig({ cwd, env: { ESCAPEMENT_DATA: "/var/data" } })).store).toEqual({ path: "/var/data/escapement.db" });
  });

  it("counts empty variables as unset", async () => {
    const names = [
      "OPENAI_API_KEY",
      "OPENAI_BASE_URL",
      "ANTHROPIC_API_KEY",
      "GEMINI_API_KEY",
      "HOST",
      "PORT",
      "ESCAPEMENT_CONFIG",
      "ESCAPEMENT_DATA",
    ];
    const config = await loadConfig({ cwd: folder(), env: Object.fromEntries(names.map((name) => [name, ""])) });
    expect(config).toMatchObject({ offline: true, server: { host: "127.0.0.1", port: 8787 } });
  });
});

describe("providers of the environment", () => {
  it("default tiers take them in the protocol's order, each with a price, and none is offline", async () => {
    const config = await load(
      {},
      {
        FIREWORKS_API_KEY: "k",
        TOGETHER_API_KEY: "k",
        GROQ_API_KEY: "k",
        GEMINI_API_KEY: "k",
        ANTHROPIC_API_KEY: "k",
        OPENAI_API_KEY: "k",
      },
    );
    expect(config.offline).toBe(false);
    expect(config.tiers.map(({ name }) => name)).toEqual(["openai", "anthropic", "google", "groq", "together", "fireworks"]);
    for (const tier of config.tiers) {
      expect(tier.price.inputNano, tier.model).toBeGreaterThan(0);
      expect(tier.price.outputNano, tier.model).toBeGreaterThan(0);
      expect(config.providers.has(tier.provider)).toBe(true);
    }
  });

  it("a base URL alone configures a provider, at that address, with chat completions as its wire", async () => {
    const config = await load({}, { OPENAI_BASE_URL: "http://127.0.0.1:9/v1", ANTHROPIC_BASE_URL: "http://127.0.0.1:9" });
    expect(config.tiers.map(({ name }) => name)).toEqual(["openai", "anthropic"]);
    expect(config.tiers[0]?.parameters).toEqual({ reasoning_effort: "none" });
    expect(config.providers.get("openai")?.endpoint).toBe("127.0.0.1:9/v1");
    // ANTHROPIC_BASE_URL is given without the version.
    expect(config.providers.get("anthropic")?.endpoint).toBe("127.0.0.1:9/v1");
  });

  it("the file wins where both name a provider", async () => {
    const config = await load({ providers: { openai: { base_url: "http://127.0.0.1:8/v1" } } }, { OPENAI_BASE_URL: url });
    expect(config.providers.get("openai")?.endpoint).toBe("127.0.0.1:8/v1");
  });

  it("takes host, port, origins, keys and databases", async () => {
    const env = {
      HOST: "::1",
      PORT: "0",
      ESCAPEMENT_ORIGINS: "https://a.example, https://b.example",
      ESCAPEMENT_API_KEYS: "k1,k2",
      REDIS_URL: "redis://r",
    };
    expect(await load({ server: { host: "0.0.0.0", port: 1, origins: ["https://c.example"] } }, env)).toMatchObject({
      server: { host: "::1", port: 0, origins: ["https://c.example", "https://a.example", "https://b.example"], apiKeys: ["k1", "k2"] },
      redisURL: "redis://r",
    });
    await expect(load({}, { PORT: "80a" })).rejects.toThrow('PORT is a number from 0 to 65535 (0 takes any free port), not "80a"');
  });
});

describe("providers and tiers of the file", () => {
  it("takes presets by name or by setting, and providers that a program made", async () => {
    const config = await load(
      {
        providers: {
          groq: { api_key: { env: "MY_KEY" } },
          gpu: { preset: "vllm", base_url: url },
          mine: openai({ baseURL: url, name: "mine", selfHosted: true }),
        },
        tiers: {
          fast: { provider: "groq", model: "llama-3.3-70b-versatile", timeouts: { first_token_ms: 2_000 } },
          local: { provider: "gpu", model: "qwen", stream: false, max_output_tokens: 900, parameters: { temperature: 0 } },
          own: { provider: "mine", model: "any" },
        },
      },
      { MY_KEY: "secret" },
    );
    expect(config.tiers).toMatchObject([
      { name: "fast", price: { inputNano: 590, outputNano: 790 }, stream: true, timeouts: { firstToken: 2_000, total: 120_000 } },
      {
        name: "local",
        price: { inputNano: 0 },
        stream: false,
        maxOutputTokens: 900,
        parameters: { temperature: 0 },
        timeouts: { total: 30_000 },
      },
      { name: "own", price: { outputNano: 0 } },
    ]);
    expect(config.providers.get("gpu")).toMatchObject({ name: "gpu", selfHosted: true });
  });

  it("prices a renamed provider by its preset at its own address only", async () => {
    const tiers = { main: { provider: "work", model: "gpt-4o" } };
    const config = await load({ providers: { work: { preset: "openai", api_key: "k" } }, tiers });
    expect(config.tiers[0]?.price.inputNano).toBe(2500);
    await expect(load({ providers: { work: { preset: "openai", base_url: url } }, tiers })).rejects.toThrow(/work\/gpt-4o is not known/);
  });

  it("refuses a tier without a price and names both ways out, which both work", async () => {
    const providers = { openai: { api_key: "k" } };
    const main = { provider: "openai", model: "gpt-imaginary" };
    const price = { input_usd_per_mtok: 1, output_usd_per_mtok: 2 };
    await expect(load({ providers, tiers: { main } })).rejects.toThrow(
      /tiers\.main: the price of openai\/gpt-imaginary is not known.*price: \{.*prices: \{ "openai\/gpt-imaginary"/,
    );
    expect((await load({ providers, tiers: { main: { ...main, price } } })).tiers[0]?.price.inputNano).toBe(1000);
    expect((await load({ providers, tiers: { main }, prices: { "openai/gpt-imaginary": price } })).tiers[0]?.price.inputNano).toBe(1000);
  });

  it("says what to do when a provider has no default model, or a tier no provider", async () => {
    await expect(load({ providers: { vllm: {} } })).rejects.toThrow(/\(vllm\) has a default model: say which one to use.*provider: "vllm"/);
    await expect(load({ tiers: { main: { provider: "openai", model: "gpt-4o" } } })).rejects.toThrow(
      /tiers\.main\.provider: there is no provider "openai"; there are: none/,
    );
    await expect(load({ providers: { gpu: { base_url: url } } })).rejects.toThrow(/no preset is named "gpu"/);
  });
});

describe("the file", () => {
  const write = (name: string, text: string) => {
    const cwd = folder();
    writeFileSync(join(cwd, name), text);
    return cwd;
  };

  it("is found by its name, TypeScript before JSON", async () => {
    const cwd = write("escapement.config.json", JSON.stringify({ server: { port: 1 } }));
    expect((await loadConfig({ cwd, env: {} })).server.port).toBe(1);
    writeFileSync(join(cwd, "escapement.config.ts"), "export default { server: { port: 2 as number } };");
    const config = await loadConfig({ cwd, env: {} });
    expect(config.server.port).toBe(2);
    expect(config.file).toBe(join(cwd, "escapement.config.ts"));
  });

  it("is named by ESCAPEMENT_CONFIG, and must be there then", async () => {
    const cwd = write("other.json", JSON.stringify({ agents: [{ name: "plain", machine: "single" }] }));
    const config = await loadConfig({ cwd, env: { ESCAPEMENT_CONFIG: "other.json" } });
    expect(config.agents.map(({ spec }) => spec.name)).toEqual(["plain"]);
    await expect(loadConfig({ cwd, env: { ESCAPEMENT_CONFIG: "nope.json" } })).rejects.toThrow(
      /no configuration file .*nope\.json: correct --config or ESCAPEMENT_CONFIG, or leave them out/,
    );
  });

  it("that is a module in a package without modules, as `npm init` makes it, is told the way out", async () => {
    const cwd = folder();
    writeFileSync(join(cwd, "package.json"), '{"type":"commonjs"}');
    writeFileSync(join(cwd, "escapement.config.ts"), "export default {};");
    // A process of its own: the test runner reads every file as a module.
    const script = `import { loadConfig } from ${JSON.stringify(new URL("../../src/config/config.ts", import.meta.url).href)};
      await loadConfig({ cwd: ${JSON.stringify(cwd)}, env: {} }).then(() => console.log("read"), ({ message }) => console.log(message));`;
    const said = () => execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
    expect(said()).toMatch(/cannot be read: .*: run `npm pkg set type=module`, or name it escapement\.config\.mts$/m);
    renameSync(join(cwd, "escapement.config.ts"), join(cwd, "escapement.config.mts"));
    expect(said()).toBe("read\n");
  });

  it("that cannot be read is said so, without showing what is in it", async () => {
    const json = write("escapement.config.json", '{"providers": {"openai": {"api_key": "hunter2" x}}}');
    await expect(loadConfig({ cwd: json, env: {} })).rejects.toThrow(/escapement\.config\.json cannot be read: it is no JSON/);
    await expect(loadConfig({ cwd: json, env: {} })).rejects.not.toThrow(/hunter2/);
    const empty = write("escapement.config.mjs", "export const config = {};");
    await expect(loadConfig({ cwd: empty, env: {} })).rejects.toThrow(/no default export; write: export default defineConfig/);
    const broken = write("escapement.config.mjs", 'throw new Error("broken inside");');
    await expect(loadConfig({ cwd: broken, env: {} })).rejects.toThrow(/cannot be read: broken inside/);
  });

  it("takes limits, a budget and a store", async () => {
    const store = sqliteInThread(":memory:");
    const config = await load(
      defineConfig({ limits: { max_steps: 5, max_depth: 2 }, budgets: { system: { per_hour_microusd: 1_000_000 } }, store }),
    );
    expect(config.agents[0]?.spec.limits).toMatchObject({ max_steps: 5, max_depth: 2, max_calls: 40 });
    expect(config.budgets).toEqual({ system: { nano: 1_000_000_000 } });
    expect(config.store).toBe(store);
    await store.close();
    expect((await load({ store: { path: ":memory:" } })).store).toEqual({ path: ":memory:" });
    expect((await load({ store: { path: "x.db" } })).store).toEqual({ path: "/nowhere/x.db" });
  });

  it("takes a Postgres database from the file or from DATABASE_URL, and never shows its address", async () => {
    const url = "postgres://ada:hunter2@db.example:5432/runs";
    expect((await load({}, { DATABASE_URL: url })).store).toEqual({ url });
    expect((await load({ store: { url: { env: "DB" }, schema: "agents" } }, { DB: url, DATABASE_URL: "x" })).store).toEqual({
      url,
      schema: "agents",
    });
    expect((await load({ store: { path: ":memory:" } }, { DATABASE_URL: url })).store).toEqual({ path: ":memory:" });
    const wrong: [object, object, RegExp][] = [
      [{}, { DATABASE_URL: "mysql://ada:hunter2@db/runs" }, /^DATABASE_URL must be the address of a Postgres database/],
      [{ store: { url: "postgres//hunter2" } }, {}, /^store\.url must be the address of a Postgres database/],
      [{ store: url }, {}, /store must be an object, not a string \(not shown\)/],
      [{ store: { url, schema: "Not This" } }, {}, /store\.schema must be a name of lower-case letters, .*, not "Not This"/],
      [{ store: { url, shcema: "a" } }, {}, /store\.shcema is not a key: did you mean "schema"/],
    ];
    for (const [config, env, reason] of wrong) {
      await expect(load(config, env as Record<string, string>)).rejects.toThrow(reason);
      await expect(load(config, env as Record<string, string>)).rejects.not.toThrow(/hunter2/);
    }
  });
});

describe("what is wrong is said with the key, the value and the way out", () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["a misspelt key", { limits: { max_step: 3 } }, /^test: limits\.max_step is not a key: did you mean "max_steps"\?$/],
    ["a misspelt section", { provider: {} }, /provider is not a key: did you mean "providers"\?/],
    ["an unknown key far from any", { zzz: 1 }, /zzz is not a key; there are providers, tiers, agents/],
    [
      "a misspelt key in a record",
      { tiers: { fast: { provider: "x", model: "y", max_output_token: 1 } } },
      /tiers\.fast\.max_output_token is not a key: did you mean "max_output_tokens"/,
    ],
    [
      "a misspelt key in a union",
      { providers: { openai: { api_keys: "hunter2" } } },
      /providers\.openai\.api_keys is not a key: did you mean "api_key"\?$/,
    ],
    [
      "a misspelt key of a price",
      { prices: { "a/b": { input_usd_per_mtok: 1, output_usd_per_mtk: 2 } } },
      /output_usd_per_mtok is missing: it must be a number; .*did you mean "output_usd_per_mtok"/,
    ],
    ["a wrong type", { server: { port: "80" } }, /server\.port must be a number, not "80"/],
    ["a number out of range", { limits: { max_steps: -1 } }, /limits\.max_steps must be more than 0, not -1/],
    [
      "a number out of range in two ways",
      { limits: { max_steps: 1e30 } },
      /^test: limits\.max_steps must be at most 9,007,199,254,740,991, not 1e\+30$/,
    ],
    [
      "a time that is longer than a timer",
      { tiers: { fast: { provider: "openai", model: "m", hedge: { after_ms: 3_000_000_000, tier: "slow" } } } },
      /tiers\.fast\.hedge\.after_ms must be at most 2,147,483,647, not 3000000000/,
    ],
    [
      "a timeout that is longer than a timer",
      { tiers: { fast: { provider: "openai", model: "m", timeouts: { total_ms: 2 ** 31 } } } },
      /timeouts\.total_ms must be at most 2,147,483,647/,
    ],
    ["a name that is none", { tiers: { "a b": {} } }, /^test: tiers\.a b needs another name: it must be a name of letters, digits, dots/],
    ["a missing key", { tiers: { fast: { provider: "openai" } } }, /tiers\.fast\.model is missing: it must be text/],
    [
      "a wrong word",
      { providers: { x: { preset: "opnai" } } },
      /providers\.x\.preset must be one of "openai", "anthropic", .*, not "opnai"/,
    ],
    ["a secret in a wrong place", { providers: { openai: "hunter2" } }, /providers\.openai must be an object, not a string \(not shown\)/],
    ["a secret of a wrong kind", { providers: { openai: { api_key: { evn: "X" } } } }, /providers\.openai\.api_key/],
    [
      "an agent of JSON with a schema",
      { agents: [{ name: "a", output: { type: "object" } }] },
      /agents\.0\.output must be a zod schema \(.*use escapement\.config\.ts\), not /,
    ],
    [
      "a tool that is none",
      { tools: { web: [{ name: "fetch" }] } },
      /tools\.web\.0 must be a tool, made by tool\(\), not \{"name":"fetch"\}/,
    ],
    ["no object", [] as unknown as Record<string, unknown>, /the configuration must be an object, not \[\]/],
  ])("%s", async (_, config, reason) => {
    await expect(load(config)).rejects.toThrow(reason);
    await expect(load(config)).rejects.not.toThrow(/hunter2/);
  });

  it("tells several at once", async () => {
    await expect(load({ limits: { max_steps: 0 }, server: { prt: 1 } })).rejects.toThrow(/limits\.max_steps.*; server\.prt.*"port"/);
  });

  it("is invalid_request with the path for programs", async () => {
    await expect(load({ server: { port: "80" } })).rejects.toMatchObject({
      code: "invalid_request",
      body: { details: { path: "server.port" } },
    });
  });
});

describe("limits", () => {
  it("are off where they are not named; named, free has 10 requests a minute and pro 60", async () => {
    expect((await load({})).rateLimits).toBeUndefined();
    expect((await load({ rate_limits: {} })).rateLimits).toEqual({
      plans: { free: { isPaid: false, requests: 10 }, pro: { isPaid: true, requests: 60 } },
      defaultPlan: "free",
      onRedisFailure: "closed",
    });
  });

  it("take plans beside those two, and in their place", async () => {
    const { rateLimits } = await load({
      rate_limits: {
        plans: {
          pro: { requests_per_minute: 100, tokens_per_minute: 50_000 },
          intern: { per_key: { requests_per_minute: 5 }, paid: false },
        },
        default_plan: "intern",
        on_redis_failure: { share: 0.25 },
      },
    });
    expect(rateLimits).toMatchObject({
      plans: { free: { requests: 10 }, pro: { isPaid: true, requests: 100, tokens: 50_000 }, intern: { isPaid: false, keyRequests: 5 } },
      defaultPlan: "intern",
      onRedisFailure: { share: 0.25 },
    });
  });

  it("of a provider and of the queue are what they say", async () => {
    const config = await load({
      providers: { vllm: { base_url: url, limits: { requests_per_minute: 100, tokens_per_minute: 1_000, concurrent: 4 } } },
      tiers: { main: { provider: "vllm", model: "m" } },
      queue: { length: 10, wait_ms: 2_000, aging_ms: 1_000 },
    });
    expect(config.providerLimits).toEqual({ vllm: { requestsPerMinute: 100, tokensPerMinute: 1_000, concurrent: 4 } });
    expect(config.queue).toEqual({ length: 10, waitMs: 2_000, agingMs: 1_000 });
  });

  it.for([
    [{ rate_limits: { default_plan: "gold" } }, 'rate_limits.default_plan: there is no plan "gold"; there are free, pro'],
    [{ rate_limits: { plans: { free: { request_per_minute: 10 } } } }, 'did you mean "requests_per_minute"?'],
    [{ rate_limits: { plans: { free: { requests_per_minute: 0 } } } }, "rate_limits.plans.free.requests_per_minute"],
    [{ rate_limits: { on_redis_failure: { share: 2 } } }, "rate_limits.on_redis_failure.share"],
    [{ queue: { length: 0 } }, "queue.length"],
  ])("%j is refused", async ([config, words]) => {
    await expect(load(config as Record<string, unknown>)).rejects.toThrow(words as string);
  });

  it("REDIS_URL must be an address, and is not shown", async () => {
    expect((await load({}, { REDIS_URL: "rediss://:secret@redis.example:6380/1" })).redisURL).toBe("rediss://:secret@redis.example:6380/1");
    const refused = await load({}, { REDIS_URL: "secret@redis.example" }).catch((error: Error) => error.message);
    expect(refused).toContain("REDIS_URL is an address like redis://host:6379");
    expect(refused).not.toContain("secret");
  });
});
