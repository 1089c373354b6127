/**
 * Runs an eval's cases through a runtime and scores what comes back, for one model. Owns the order and the width; a single run is
 * `perform.ts`, and what the scores mean for CI is `baseline.ts`.
 *
 *  1. At most `concurrency` attempts are under way; each is scored before its place is given on.
 *  2. When the eval is stopped, attempts that are under way end, and a case counts only if all its attempts did.
 *  3. Every attempt has a score of each scorer that has something to say: a run that gave no answer scores 0.
 */

import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Run } from "../protocol/run.ts";
import type { PlacedCase } from "./dataset.ts";
import type { Eval } from "./definition.ts";
import { type Performing, perform } from "./perform.ts";
import { type Attempt, type CaseResult, isAnswered, type ModelReport, modelReport, type Scores } from "./report.ts";
import type { Answer, Case, JudgedAnswer, Scored, Scorer, ScorerContext } from "./scorer.ts";
import { isStopped, wordsOf } from "./spend.ts";
import { agentNameOf } from "./variant.ts";
import { textOf } from "./words.ts";

export type Evaluating = Omit<Performing, "approve"> & {
  readonly model: string;
  /** That were opened. */
  readonly scorers: readonly Scorer[];
  readonly onProgress?: (done: number, total: number) => void;
};
export type Evaluated = { readonly report: ModelReport; readonly stopped?: string };

type Tried = { readonly attempt: Attempt; readonly answer?: Answer };

/** Throws `invalid_request` that names the case when the agent does not take its input. */
export async function evaluate(definition: Eval, cases: readonly PlacedCase[], options: Evaluating): Promise<Evaluated> {
  const { repeat = 1, concurrency = 4, approve = false } = definition;
  const agent = agentNameOf(definition);
  const { runtime, scorers, model, onProgress } = options;
  for (const { at, ...one } of cases) checkCase(() => runtime.estimate(bodyOf(agent, one)), at);
  const performing: Performing = { ...options, approve };
  const tried: Tried[][] = cases.map(() => []);
  const total = cases.length * repeat;
  let done = 0;
  const stopped = await eachOf(total, concurrency, async (unit) => {
    const place = Math.floor(unit / repeat);
    const { at: _at, ...one } = cases[place] as PlacedCase;
    (tried[place] as Tried[])[unit % repeat] = await attempt(performing, agent, one, scorers);
    onProgress?.(++done, total);
  });
  const whole = cases.flatMap(({ id }, i) => {
    const all = (tried[i] as Tried[]).filter(() => true);
    return all.length === repeat ? [{ id, all }] : [];
  });
  const results: CaseResult[] = [];
  for (const { id, all } of whole) results.push(await caseResult(performing, id, all, scorers));
  const report = modelReport(
    model,
    results,
    await datasetScores(
      whole.flatMap(({ all }) => all),
      scorers,
    ),
  );
  return { report, ...(stopped !== undefined && { stopped }) };
}

/** Calls `work` for 0, 1, 2, …, at most `width` at once. Why it stopped, if it did; any other failure rejects when all have ended. */
async function eachOf(total: number, width: number, work: (unit: number) => Promise<void>): Promise<string | undefined> {
  let next = 0;
  let stopped: string | undefined;
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    while (next < total && stopped === undefined && !failure) {
      try {
        await work(next++);
      } catch (error) {
        if (isStopped(error)) stopped ??= error.message;
        else failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, total) }, worker));
  if (failure) throw failure.error;
  return stopped;
}

const bodyOf = (agent: string, { input, metadata }: Case) => ({
  agent,
  // JSON by the dataset's check; zod's own type of it is wider in optional members.
  input: input as never,
  ...(metadata && { metadata: metadata as never }),
});

function checkCase(check: () => unknown, at: string): void {
  try {
    check();
  } catch (error) {
    if (error instanceof EscapementError)
      throw new EscapementError(error.code, `${at}: ${error.message}`, { details: { path: "dataset" } });
    throw error;
  }
}

async function attempt(performing: Performing, agent: string, one: Case, scorers: readonly Scorer[]): Promise<Tried> {
  let run: Run;
  try {
    run = await perform(performing, bodyOf(agent, one));
  } catch (error) {
    if (isStopped(error)) throw error;
    const nothing = { output: null, cost_microusd: 0, scorer_cost_microusd: 0, input_tokens: 0, output_tokens: 0, duration_ms: 0 };
    const why = wordsOf(error);
    return {
      attempt: { status: "refused_start", ...nothing, error: why, scores: unanswered(scorers, `the run was not accepted: ${why}`) },
    };
  }
  const { id, status, output, error, cost_microusd, usage } = run;
  const told = error && { error: `${error.message} (${error.code})` };
  const common = {
    run: id,
    // `result` resolves at the end.
    status: status as Attempt["status"],
    output,
    ...told,
    cost_microusd,
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    duration_ms: Date.parse(run.finished_at ?? run.created_at) - Date.parse(run.created_at),
  };
  if (!isAnswered(status)) {
    const why = `the run ended as ${status}${told ? `: ${told.error}` : ""}`;
    return { attempt: { ...common, scorer_cost_microusd: 0, scores: unanswered(scorers, why) } };
  }
  const answer = answerOf(performing, one, run);
  const bill = new Bill(performing);
  const scores: { [scorer: string]: Scored } = {};
  for (const scorer of scorers) {
    if (scorer.of !== "answer") continue;
    const scored = await scoredBy(scorer.name, () => scorer.score(answer, bill));
    if (scored) scores[scorer.name] = scored;
  }
  return { attempt: { ...common, scorer_cost_microusd: bill.microusd, scores }, answer };
}

const unanswered = (scorers: readonly Scorer[], reason: string): Scores =>
  Object.fromEntries(scorers.filter(({ of }) => of === "answer").map(({ name }) => [name, { score: 0, pass: false, reason }]));

function answerOf({ runtime }: Performing, one: Case, run: Run): Answer {
  return {
    case: one,
    run,
    output: run.output,
    text: textOf(run.output),
    async facts() {
      const facts = [];
      for (let after: string | null = "0"; after !== null; ) {
        const page: Awaited<ReturnType<typeof runtime.facts>> = await runtime.facts(run.id, { after });
        facts.push(...page.data);
        after = page.next;
      }
      return facts;
    },
  };
}

/** What scorers spend for one answer, and the door through which they run agents. */
class Bill implements ScorerContext {
  readonly #performing: Performing;
  microusd = 0;

  constructor(performing: Performing) {
    this.#performing = performing;
  }

  async run(agent: string, input: Json): Promise<Json> {
    const run = await perform(this.#performing, { agent, input: input as never });
    this.microusd += run.cost_microusd;
    if (!isAnswered(run.status)) throw new Error(`${agent} ended as ${run.status}${run.error ? `: ${run.error.message}` : ""}`);
    return run.output;
  }

  spend(costNano: number): void {
    this.microusd += costNano / 1_000;
    this.#performing.spend.settle(0, costNano / 1_000);
  }
}

async function scoredBy(name: string, score: () => Scored | null | Promise<Scored | null>): Promise<Scored | null> {
  try {
    const scored = await score();
    if (scored && !(scored.score >= 0 && scored.score <= 1)) throw new Error(`"${name}" gave ${scored.score}, and a score is 0 to 1`);
    return scored;
  } catch (error) {
    if (isStopped(error)) throw error;
    return { score: 0, pass: false, reason: `could not be scored: ${wordsOf(error)}` };
  }
}

async function caseResult(performing: Performing, id: string, all: readonly Tried[], scorers: readonly Scorer[]): Promise<CaseResult> {
  const scores: { [scorer: string]: Scored } = {};
  const bill = new Bill(performing);
  for (const scorer of scorers) {
    if (scorer.of !== "case") continue;
    const scored = await scoredBy(scorer.name, () =>
      scorer.score(
        all.map(({ answer }) => answer),
        bill,
      ),
    );
    if (scored) scores[scorer.name] = scored;
  }
  const attempts = all.map(({ attempt: one }, i) =>
    i === 0 ? { ...one, scorer_cost_microusd: one.scorer_cost_microusd + bill.microusd } : one,
  );
  return { id, attempts, scores };
}

async function datasetScores(all: readonly Tried[], scorers: readonly Scorer[]): Promise<Scores> {
  const answers: JudgedAnswer[] = all.flatMap(({ answer, attempt: { scores } }) => (answer ? [{ answer, scores }] : []));
  const found: { [scorer: string]: Scored } = {};
  for (const scorer of scorers) {
    if (scorer.of !== "dataset") continue;
    const scored = await scoredBy(scorer.name, () => scorer.score(answers));
    if (scored) found[scorer.name] = scored;
  }
  return found;
}
