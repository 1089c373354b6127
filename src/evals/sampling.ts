/**
 * Scores a share of the runs that finish, in the background: an observer that never holds a run up. Owns which runs, the queue and what is
 * told of runs that are not scored; the marks go where a person's go, on the run.
 *
 *  1. Whether a run is taken follows from its id alone, so it is the same wherever and how often it is asked.
 *  2. At most `queue` runs wait and one is scored; what comes beyond that is dropped, counted and told, at most once a minute.
 *  3. Runs of the scorers' own agents are never sampled. What a judge costs is charged to the run's tenant, under the key `evals`.
 *  4. A scorer that fails writes no mark: a mark of 0 would be said of the answer.
 */
import { hash } from "node:crypto";
import type { CommittedTurn, Observer } from "../observe/observer.ts";
import type { Caller } from "../protocol/caller.ts";
import type { Run } from "../protocol/run.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { RunInfo } from "../stores/store.ts";
import { type Opened, openScorers } from "./open.ts";
import { isAnswered } from "./report.ts";
import type { Answer, AnswerScorer, Case } from "./scorer.ts";
import { wordsOf } from "./spend.ts";
import { textOf } from "./words.ts";

export type SamplingSettings = {
  /** 0 to 1. */
  readonly sample: number;
  readonly scorers: readonly AnswerScorer[];
  readonly queue: number;
};

export type SamplingCounts = { readonly scored: number; readonly failed: number; readonly dropped: number; readonly waiting: number };

type SamplingRuntime = Pick<Runtime, "get" | "facts" | "start" | "score">;
type Finished = { readonly run: string; readonly info: RunInfo };

const tellEveryMs = 60_000;
const commentLength = 2_000;

export class Sampling implements Observer {
  readonly #settings: SamplingSettings;
  readonly #own: ReadonlySet<string>;
  readonly #onError: (message: string, run?: string) => void;
  readonly #clock: () => number;
  readonly #queue: Finished[] = [];
  #runtime: SamplingRuntime | undefined;
  #opened: Promise<Opened<AnswerScorer>> | undefined;
  #working: Promise<void> = Promise.resolve();
  #isWorking = false;
  #closed = false;
  #counts = { scored: 0, failed: 0, dropped: 0 };
  #untold = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(settings: SamplingSettings, onError: (message: string, run?: string) => void, clock: () => number) {
    this.#settings = settings;
    this.#own = new Set(settings.scorers.flatMap(({ agents = [] }) => agents.map(({ name }) => name)));
    this.#onError = onError;
    this.#clock = clock;
  }

  /** From now on runs are scored through it. */
  begin(runtime: SamplingRuntime): void {
    this.#runtime = runtime;
    this.#work();
  }

  get counts(): SamplingCounts {
    return { ...this.#counts, waiting: this.#queue.length };
  }

  turn({ run, info, facts }: CommittedTurn): void {
    const end = facts.at(-1);
    if (end?.type !== "run.finished" || !isAnswered(end.status) || this.#own.has(info.agent) || this.#closed) return;
    if (!isTaken(run, this.#settings.sample)) return;
    if (this.#queue.length >= this.#settings.queue) this.#drop();
    else {
      this.#queue.push({ run, info });
      this.#work();
    }
  }

  /** When what waits was scored. */
  async idle(): Promise<void> {
    while (this.#isWorking) await this.#working;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#queue.length = 0;
    await (await this.#opened)?.close();
  }

  #drop(): void {
    this.#counts.dropped++;
    this.#untold++;
    const now = this.#clock();
    if (now - this.#toldAt < tellEveryMs) return;
    this.#onError(
      `evals: ${this.#untold} finished ${this.#untold === 1 ? "run was" : "runs were"} not scored, since ${this.#settings.queue} wait already: lower evals.sample or raise evals.queue`,
    );
    this.#toldAt = now;
    this.#untold = 0;
  }

  #work(): void {
    if (this.#isWorking || !this.#runtime) return;
    this.#isWorking = true;
    const runtime = this.#runtime;
    this.#working = (async () => {
      for (let next = this.#queue.shift(); next && !this.#closed; next = this.#queue.shift()) await this.#score(runtime, next);
      this.#isWorking = false;
    })();
  }

  async #score(runtime: SamplingRuntime, { run: id, info }: Finished): Promise<void> {
    const caller: Caller = { tenant: info.tenant, key: "evals", scopes: ["tenant"] };
    this.#opened ??= openScorers(this.#settings.scorers);
    for (const scorer of (await this.#opened).scorers) {
      try {
        const answer = answerOf(runtime, await runtime.get(id, caller), info, caller);
        const scored = await scorer.score(answer, {
          run: async (agent, input) => {
            const body = { agent, input: input as never, ...(info.sensitive && { sensitive: true }) };
            const { status, output, error } = await (await runtime.start(body, { caller })).result();
            if (!isAnswered(status)) throw new Error(`${agent} ended as ${status}${error ? `: ${error.message}` : ""}`);
            return output;
          },
          spend: () => {},
        });
        if (!scored) continue;
        await runtime.score(id, { name: scorer.name, value: scored.score, comment: scored.reason.slice(0, commentLength) }, caller);
        this.#counts.scored++;
      } catch (error) {
        if (this.#closed) return;
        this.#counts.failed++;
        this.#onError(`evals: "${scorer.name}" could not score: ${wordsOf(error)}`, id);
      }
    }
  }
}

/** The same share of all ids, whatever they look like. */
export const isTaken = (run: string, sample: number): boolean =>
  Number.parseInt(hash("sha1", run, "hex").slice(0, 8), 16) < sample * 2 ** 32;

function answerOf(runtime: Pick<Runtime, "facts">, run: Run, info: RunInfo, caller: Caller): Answer {
  // Metadata came as JSON; a member that is undefined is none.
  const metadata = info.metadata as Case["metadata"] | undefined;
  return {
    case: { id: run.id, input: info.input, ...(metadata && { metadata }) },
    run,
    output: run.output,
    text: textOf(run.output),
    facts: async () => (await runtime.facts(run.id, { caller })).data,
  };
}
