import { expect, test } from "vitest";
import { alertRules } from "../../src/alerts/rules.ts";
import { resolveConfig } from "../../src/config/config.ts";

const load = (config: unknown, env: Record<string, string> = {}) => resolveConfig(config, { env, cwd: "/nowhere", source: "test" });
const secret = `whsec_${Buffer.from("a secret of 24 characters").toString("base64")}`;

test("without settings there are the defaults", async () => {
  expect(await load({})).toMatchObject({
    log: { level: "info", content: true, destination: "stderr", isConfigured: false },
    redaction: { pii: true, ips: false, record: [], secrets: [] },
    alerts: { cooldownMs: 3_600_000, rules: alertRules, isConfigured: false },
  });
});

test("every secret that was resolved is known to redaction", async () => {
  const { redaction } = await load(
    {
      providers: { a: { preset: "vllm", base_url: "http://127.0.0.1:1/v1", api_key: { env: "A" }, headers: { "x-b": "header-secret" } } },
      alerts: { webhook: { url: "https://hooks.example/token", secret } },
    },
    { A: "key-of-a", OPENAI_API_KEY: "key-of-openai", ESCAPEMENT_API_KEYS: "one-key,two-key", DATABASE_URL: "postgres://u:p@h/d" },
  );
  expect(redaction.secrets.toSorted()).toEqual(
    [
      "key-of-a",
      "header-secret",
      "key-of-openai",
      "one-key",
      "two-key",
      "postgres://u:p@h/d",
      secret,
      "https://hooks.example/token",
    ].toSorted(),
  );
});

test("a rule keeps what it does not set, and can be off; all alerts can", async () => {
  const { alerts } = await load({
    alerts: { cooldown_minutes: 5, rules: { spend_hour: { factor: 3 }, run_cost: false, breaker_open: false } },
  });
  expect(alerts).toMatchObject({
    isConfigured: true,
    cooldownMs: 300_000,
    rules: { ...alertRules, spend_hour: { factor: 3, min_usd: 0.1 }, run_cost: false, breaker_open: false },
  });
  expect((await load({ alerts: false })).alerts).toBe(false);
});

test("a log file is relative to the working folder", async () => {
  expect((await load({ log: { destination: { file: "log.jsonl" } } })).log).toMatchObject({
    destination: { file: "/nowhere/log.jsonl" },
    isConfigured: true,
  });
});

test.each([
  [{ alerts: { rules: { spend_hours: false } } }, /alerts\.rules\.spend_hours is not a key: did you mean "spend_hour"/],
  [{ alerts: { rules: { budget: { used: 80 } } } }, /alerts\.rules\.budget\.used/],
  [{ alerts: { webhook: { url: "ftp://canary", secret } } }, /^(?!.*canary).*alerts\.webhook\.url must begin with https/],
  [
    { alerts: { webhook: { url: "https://x.example", secret: { env: "NONE" } } } },
    /alerts\.webhook\.secret: the environment variable NONE is not set/,
  ],
  [{ alerts: { webhook: { url: "https://x.example", secret: ["canary"] } } }, /^(?!.*canary)/],
  [{ redaction: { record: ["everything"] } }, /redaction\.record/],
  [{ log: { destination: "syslog" } }, /log\.destination/],
])("%j is refused", async (config, message) => {
  await expect(load(config)).rejects.toThrow(message);
});
