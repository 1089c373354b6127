/** `escapement usage`: what calls have cost and how they went, in groups, of this configuration's store. */
import { runtimeOf } from "../index.ts";
import { dollars } from "../money/dollars.ts";
import { type UsageFigures, type UsageGroup, type UsageReport, usageQuery } from "../protocol/usage.ts";
import { oneLine } from "../safety/one-line.ts";
import { decode } from "../server/decode.ts";
import { localConfig } from "./local.ts";
import { table } from "./table.ts";

type Options = { by: string; from?: string; to?: string; config?: string; json?: boolean };

export async function usage({ by, from, to, config, json }: Options): Promise<void> {
  const query = decode(usageQuery, { by, ...(from !== undefined && { from: timeOf(from) }), ...(to !== undefined && { to: timeOf(to) }) });
  const runtime = await runtimeOf(await localConfig(config), { passive: true });
  try {
    const report = await runtime.usage(query);
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : inWords(report));
  } finally {
    await runtime.close();
  }
}

/** A day is its first moment in UTC. */
const timeOf = (text: string): string => (/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);

function inWords({ by, from, to, total, data }: UsageReport): string {
  const lines = [`${from} to ${to} (UTC)`];
  if (total.calls === 0) return `${lines[0]}: no calls\n`;
  const head = [by, "calls", "errors", "retries", "fallbacks", "cached", "tokens in", "tokens out", "cost", "saved", "p50 ms", "p95 ms"];
  lines.push("", ...table([head, ...data.map(({ group, ...rest }) => [nameOf(group, by), ...cells(rest)]), ["total", ...cells(total)]], 1));
  if (total.estimated > 0) lines.push("", `${number(total.estimated)} of the calls are charged by an estimate: the provider did not say.`);
  return `${lines.join("\n")}\n`;
}

const cells = (figures: UsageFigures): string[] => [
  number(figures.calls),
  number(figures.errors),
  number(figures.retries),
  number(figures.fallbacks),
  number(figures.cached),
  number(figures.input_tokens),
  number(figures.output_tokens),
  dollars(figures.cost_microusd),
  dollars(figures.saved_microusd),
  figures.duration_ms === null ? "" : number(Math.round(figures.duration_ms.p50)),
  figures.duration_ms === null ? "" : number(Math.round(figures.duration_ms.p95)),
];

const nameOf = (group: string | null, by: UsageGroup): string => (group === null ? `(no ${by})` : oneLine(group));
const number = (n: number): string => n.toLocaleString("en-US");
