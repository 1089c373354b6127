/** `escapement budgets`: how the budgets above the run stand in this configuration's store, and their change while running. */
import { runtimeOf } from "../index.ts";
import { dollars } from "../money/dollars.ts";
import { type Budget, type BudgetAmounts, budgetChange } from "../protocol/budget.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { oneLine } from "../safety/one-line.ts";
import { decode } from "../server/decode.ts";
import { localConfig } from "./local.ts";
import { table } from "./table.ts";

type Options = { readonly config?: string; readonly json?: boolean };
type Limits = { readonly money?: string; readonly tokens?: string; readonly calls?: string; readonly reset?: boolean };

export const list = (options: Options): Promise<void> => show(options, (runtime) => runtime.budgets());

export async function set(level: string, subject: string, { money, tokens, calls, reset, ...options }: Limits & Options): Promise<void> {
  const limit = {
    // Nano-dollars are the smallest unit.
    ...(money !== undefined && { cost_microusd: Math.round(numberOf("--money", money) * 1e9) / 1_000 }),
    ...(tokens !== undefined && { tokens: numberOf("--tokens", tokens) }),
    ...(calls !== undefined && { calls: numberOf("--calls", calls) }),
  };
  if ((Object.keys(limit).length === 0) !== (reset === true))
    throw new EscapementError("invalid_request", "say what is limited: --money, --tokens or --calls; or --reset alone");
  const change = decode(budgetChange, { limit: reset ? null : limit });
  await show(options, async (runtime) => [await runtime.setBudget(level, subject, change)]);
}

async function show({ config, json }: Options, read: (runtime: Runtime) => Promise<readonly Budget[]>): Promise<void> {
  const runtime = await runtimeOf(await localConfig(config), { passive: true });
  try {
    const budgets = await read(runtime);
    if (json) for (const budget of budgets) process.stdout.write(`${JSON.stringify(budget)}\n`);
    else if (budgets.length === 0) process.stdout.write("no budget above the run is set, or nothing was spent of one yet\n");
    else process.stdout.write(inWords(budgets));
  } finally {
    await runtime.close();
  }
}

function numberOf(option: string, text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number) || number < 0)
    throw new EscapementError("invalid_request", `${option} must be a number from 0 on, not ${JSON.stringify(text.slice(0, 80))}`);
  return number;
}

const units: { readonly [unit in keyof Required<BudgetAmounts>]: string } = { cost_microusd: "money", tokens: "tokens", calls: "calls" };

/** A line for each unit that is limited; money also where it is not. */
function inWords(budgets: readonly Budget[]): string {
  const rows = budgets.flatMap((budget) => {
    const limited = (Object.keys(units) as (keyof BudgetAmounts)[]).filter((unit) => budget.limit[unit] !== undefined);
    const { level, subject, changed, resets_at } = budget;
    return (limited.length > 0 ? limited : (["cost_microusd"] as const)).map((unit) => [
      level,
      subject == null ? "-" : oneLine(subject),
      units[unit],
      ...[budget.limit[unit], budget.spent[unit], budget.held[unit]].map((amount) => words(amount, unit)),
      resets_at,
      changed ? `${changed.at} by ${oneLine(changed.by)}` : "",
    ]);
  });
  return `${table([["level", "subject", "of", "limit", "spent", "held", "resets at", "limit set at"], ...rows], 3).join("\n")}\n`;
}

const words = (amount: number | undefined, unit: keyof BudgetAmounts): string =>
  amount === undefined ? "none" : unit === "cost_microusd" ? dollars(amount) : amount.toLocaleString("en-US");
