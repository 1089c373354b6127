/** From the settings about logs, redaction and alerts to what they mean. */
import { resolve } from "node:path";
import { type AlertRules, alertRules } from "../alerts/rules.ts";
import type { LogOptions } from "../observe/log.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { CheckedConfig } from "./schema.ts";
import { type Environment, readSecret } from "./secret.ts";

export type Observation = {
  readonly log: Omit<LogOptions, "redaction"> & {
    /** The configuration says something about the log: a program that says nothing gets none. */
    readonly isConfigured: boolean;
  };
  readonly redaction: {
    readonly pii: boolean;
    readonly ips: boolean;
    readonly record: readonly ("secrets" | "pii")[];
    /** Every secret that the configuration resolved. */
    readonly secrets: readonly string[];
  };
  readonly alerts:
    | {
        readonly isConfigured: boolean;
        readonly cooldownMs: number;
        readonly rules: AlertRules;
        readonly webhook?: { readonly url: string; readonly secret: string };
      }
    | false;
};

/** `secrets` are those found so far; the webhook's is added. */
export function observationOf(
  { log = {}, redaction = {}, alerts = {} }: CheckedConfig,
  secrets: Set<string>,
  from: { readonly env: Environment; readonly cwd: string },
): Observation {
  const { destination = "stderr" } = log;
  const settings = alerts === false ? false : alertsOf(alerts, from, secrets);
  return {
    log: {
      level: log.level ?? "info",
      content: log.content ?? true,
      destination: typeof destination === "object" && "file" in destination ? { file: resolve(from.cwd, destination.file) } : destination,
      isConfigured: Object.keys(log).length > 0,
    },
    redaction: {
      pii: redaction.pii ?? true,
      ips: redaction.ips ?? false,
      record: redaction.record ?? [],
      secrets: [...secrets],
    },
    alerts: settings,
  };
}

function alertsOf(
  { cooldown_minutes = 60, webhook, rules = {} }: Exclude<NonNullable<CheckedConfig["alerts"]>, false>,
  from: { readonly env: Environment; readonly cwd: string },
  secrets: Set<string>,
): Exclude<Observation["alerts"], false> {
  // Each rule by itself: what it leaves out holds as by default.
  // Its address may hold a token.
  if (webhook) secrets.add(webhook.url);
  const merged = Object.fromEntries(
    Object.entries(alertRules).map(([name, standard]) => {
      const set = rules[name as keyof typeof rules];
      return [name, typeof set === "object" ? { ...(standard as object), ...defined(set) } : (set ?? standard)];
    }),
  ) as AlertRules; // the schema has the same names and types
  return {
    isConfigured: webhook !== undefined || Object.keys(rules).length > 0,
    cooldownMs: cooldown_minutes * 60_000,
    rules: merged,
    ...(webhook && {
      webhook: { url: addressOf(webhook.url), secret: readSecret(webhook.secret, "alerts.webhook.secret", { ...from, secrets }) },
    }),
  };
}

const defined = (settings: object): object => Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));

/** The address is not repeated: it may hold a token. */
function addressOf(url: string): string {
  const { protocol } = URL.parse(url) ?? {};
  if (protocol === "https:" || protocol === "http:") return url;
  throw new EscapementError("invalid_request", "alerts.webhook.url must begin with https:// or http://", {
    details: { path: "alerts.webhook.url" },
  });
}
