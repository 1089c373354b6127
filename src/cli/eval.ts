/**
 * `escapement eval`: runs an eval here, compares it with its baseline, and says by its exit code whether it holds: 1 when a score fell or is
 * too low, or the eval was stopped; 2 when the eval, its dataset or the configuration is wrong, and nothing was run.
 *
 * Its runs are kept in memory: it takes no run of a server over, and no budget's window counts it, so `budget_microusd` is its bound.
 */
import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { defaultAgents } from "../config/agents.ts";
import { type Config, loadConfig } from "../config/config.ts";
import { type Baseline, type Comparison, compare, isFailure, readBaseline, writeBaseline } from "../evals/baseline.ts";
import { checkInline, type PlacedCase, readDataset } from "../evals/dataset.ts";
import { checkEval, type Eval } from "../evals/definition.ts";
import { evaluate } from "../evals/evaluate.ts";
import { openScorers } from "../evals/open.ts";
import { asConfigured, type ModelReport, type Report } from "../evals/report.ts";
import type { Scorer } from "../evals/scorer.ts";
import { Spend } from "../evals/spend.ts";
import { agentNameOf, variantOf } from "../evals/variant.ts";
import { runtimeOf } from "../index.ts";
import { EscapementError } from "../protocol/errors.ts";
import { inWords } from "./eval-words.ts";
import { failureWords } from "./failure.ts";

export type EvalOptions = { config?: string; matrix?: string; baseline?: string; updateBaseline?: boolean; json?: boolean };

export async function evalFile(path: string, options: EvalOptions): Promise<void> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once("SIGINT", interrupt);
  const progress = (line: string): void => void (process.stderr.isTTY && process.stderr.write(`\r${line}\u001b[K`));
  try {
    const found = await runEval(path, options, { signal: interrupted.signal, progress });
    progress("");
    const { report, comparisons, baselineFile, updated } = found;
    process.stdout.write(
      options.json ? `${JSON.stringify({ ...report, comparisons })}\n` : inWords(report, comparisons, { baselineFile, updated }),
    );
    process.exitCode = report.stopped !== undefined || comparisons.some(isFailure) ? 1 : 0;
  } catch (error) {
    if (!(error instanceof EscapementError)) throw error;
    process.stderr.write(`escapement: ${failureWords(error)}\n`);
    process.exitCode = error.code === "invalid_request" || error.code === "not_found" ? 2 : 1;
  } finally {
    process.removeListener("SIGINT", interrupt);
  }
}

export type EvalFound = {
  readonly report: Report;
  readonly comparisons: readonly Comparison[];
  readonly baselineFile: string;
  readonly updated: boolean;
};

/** The same for a program. Throws `invalid_request` for what is wrong before anything was run. */
export async function runEval(
  path: string,
  { config, matrix, baseline, updateBaseline = false }: EvalOptions,
  { signal = new AbortController().signal, progress = () => {} }: { signal?: AbortSignal; progress?: (line: string) => void } = {},
): Promise<EvalFound> {
  const file = resolve(path);
  const definition = await readEval(file);
  const cases =
    typeof definition.dataset === "string" ? readDataset(resolve(dirname(file), definition.dataset)) : checkInline(definition.dataset);
  const baselineFile = resolve(baseline ?? `${file.replace(/(\.eval)?\.[cm]?[jt]s$/, "")}.baseline.json`);
  const before = readBaseline(baselineFile);
  const models = matrix?.split(",").map((tier) => tier.trim()) ?? definition.matrix ?? [asConfigured];
  const name = definition.name ?? basename(file).replace(/(\.eval)?\.[cm]?[jt]s$/, "");
  const opened = await openScorers(definition.scorers);
  try {
    const reports: ModelReport[] = [];
    let stopped: string | undefined;
    const spend = new Spend(definition.budget_microusd);
    for (const model of models) {
      const judged = await evaluateOn(definition, cases, opened.scorers, {
        model,
        spend,
        signal,
        ...(config !== undefined && { config }),
        onProgress: (done, total) => progress(`${name} (${model}): ${done} of ${total}`),
      });
      reports.push(judged.report);
      stopped = judged.stopped;
      if (stopped !== undefined) break;
    }
    const report: Report = {
      eval: name,
      agent: agentNameOf(definition),
      cases: cases.length,
      models: reports,
      ...(stopped !== undefined && { stopped }),
    };
    return settled(report, opened.scorers, { baselineFile, before, updateBaseline });
  } finally {
    await opened.close();
  }
}

type Settling = { readonly baselineFile: string; readonly before: Baseline | undefined; readonly updateBaseline: boolean };

/** What a stopped eval found is no baseline, and is compared with none. */
function settled(report: Report, scorers: readonly Scorer[], { baselineFile, before, updateBaseline }: Settling): EvalFound {
  if (report.stopped !== undefined) return { report, comparisons: [], baselineFile, updated: false };
  if (updateBaseline) writeBaseline(baselineFile, report, before);
  const comparisons = compare(report, scorers, updateBaseline ? readBaseline(baselineFile) : before);
  return { report, comparisons, baselineFile, updated: updateBaseline };
}

type On = Pick<Parameters<typeof evaluate>[2], "model" | "spend" | "signal" | "onProgress"> & { readonly config?: string };

async function evaluateOn(definition: Eval, cases: readonly PlacedCase[], scorers: readonly Scorer[], { config, ...on }: On) {
  const tier = on.model === asConfigured ? undefined : on.model;
  const adjust = (own: Config): Config => ({ ...variantOf(definition, own, defaultAgents, tier), store: { path: ":memory:" } });
  const resolved = await loadConfig({ adjust, ...(config !== undefined && { path: config }) });
  const runtime = await runtimeOf(resolved, { onError: (message) => void process.stderr.write(`${message}\n`) });
  try {
    return await evaluate(definition, cases, { runtime, scorers, ...on });
  } finally {
    await runtime.close();
  }
}

async function readEval(file: string): Promise<Eval> {
  if (!existsSync(file)) throw new EscapementError("invalid_request", `there is no eval file ${file}`);
  let module: { readonly default?: unknown };
  try {
    // A module's exports are whatever it exports.
    module = (await import(pathToFileURL(file).href)) as typeof module;
  } catch (error) {
    if (error instanceof EscapementError) throw new EscapementError(error.code, `${file}: ${error.message}`, error.body);
    throw new EscapementError("invalid_request", `${file} cannot be read: ${(error as Error).message}`);
  }
  return checkEval(file, module.default);
}
