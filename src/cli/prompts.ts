/** `escapement prompts audit`: what each part of the prompts took, by day, and which tools and examples nobody needed. */
import { runtimeOf } from "../index.ts";
import { dollars } from "../money/dollars.ts";
import { loadTokenizer } from "../money/tokens.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { ItemRow, PromptAudit } from "../runtime/prompt-audit.ts";
import { localConfig } from "./local.ts";
import { table } from "./table.ts";

export async function audit(agent: string | undefined, options: { config?: string; json?: boolean; days: string }): Promise<void> {
  const days = Number(options.days);
  if (!Number.isInteger(days) || days < 1 || days > 30)
    throw new EscapementError(
      "invalid_request",
      `--days must be a whole number from 1 to 30, not ${options.days}: runs are kept for 30 days`,
    );
  const resolved = await localConfig(options.config, true);
  const runtime = await runtimeOf(resolved, { passive: true });
  try {
    await loadTokenizer();
    const found = await runtime.auditPrompts({ days, ...(agent !== undefined && { agent }) });
    process.stdout.write(options.json ? `${JSON.stringify(found)}\n` : inWords(found));
  } finally {
    await runtime.close();
  }
}

function inWords(audit: PromptAudit): string {
  const { from, to, runs, calls, parts, tools, examples } = audit;
  const lines = [`${from} to ${to} (UTC): ${count(runs, "run")}, ${count(calls, "call")}`];
  if (audit.is_cut) lines.push("There were more runs; the newest are read.");
  if (audit.not_replayed > 0)
    lines.push(`${count(audit.not_replayed, "run")} could not be replayed here: what was said in them is one part, "conversation".`);
  if (parts.length === 0) return `${lines.join("\n")}\n`;
  const total = parts.reduce((sum, { cost_microusd }) => sum + cost_microusd, 0);
  lines.push(
    "",
    ...table(
      [
        ["day", "agent", "part", "tokens", "cost", "share"],
        ...parts.map(({ day, agent, prompt, part, tokens, cost_microusd }) => [
          day,
          prompt === undefined ? agent : `${agent} (${prompt})`,
          part,
          tokens.toLocaleString("en-US"),
          dollars(cost_microusd),
          total === 0 ? "" : `${((100 * cost_microusd) / total).toFixed(1)} %`,
        ]),
      ],
      3,
    ),
    "",
    ...unused("tools that were never used", tools),
    ...unused("examples that no input was like (by its words: a hint)", examples),
    "Tokens and money of a call are as charged; how they fall on its parts is estimated from our own count of each part.",
  );
  return `${lines.join("\n")}\n`;
}

function unused(title: string, items: readonly ItemRow[]): readonly string[] {
  const idle = items.filter(({ uses }) => uses === 0);
  if (idle.length === 0) return [];
  const rows = idle.map(({ agent, name, tokens, cost_microusd }) => [
    `  ${agent}`,
    name,
    `${tokens.toLocaleString("en-US")} tokens`,
    dollars(cost_microusd),
  ]);
  return [`${title}:`, ...table(rows, 3), ""];
}

const count = (n: number, what: string): string => `${n.toLocaleString("en-US")} ${what}${n === 1 ? "" : "s"}`;
