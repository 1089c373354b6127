/**
 * Many calls at once against a budget that has room for a part of them, through whole runtimes in processes of their own that share one
 * database, with a real HTTP provider, random cancels and SIGKILLs (FEATURES B4, FAULTS E01, E02, O2). `contend` throws at the first sign
 * of a promise that was not kept, and tells what it saw.
 *
 *  1. At every instant that a connection of its own sees, and at every write that the database checks, spent + held <= limit on each meter.
 *  2. At the end exactly as many calls were admitted as the budget has room for (a budget of money: when nothing was cancelled).
 *  3. Every run was accepted once and has ended; nothing is held; the reconciler finds nothing.
 *  4. The ledger is the provider's own invoice, run by run, to the nano-dollar; where a call of the run is estimated (its process died, or it
 *     was cancelled), at least the invoice and at most what was held.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postgres } from "../../src/stores/postgres.ts";
import { sqlite } from "../../src/stores/sqlite.ts";
import type { RunRecord, Store } from "../../src/stores/store.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { until } from "../whole-path/until.ts";
import { answerTokens, type Budget, type Command, invoiceNano, type Order, type Place, type Told, usedInput } from "./terms.ts";
import { openView, type View } from "./view.ts";

export type ContentionOptions = {
  readonly place: Place;
  readonly calls: number;
  readonly processes: number;
  readonly budget: Budget;
  /** Part of the calls that the budget has room for; 0.4. */
  readonly share?: number;
  /** Part of the runs that is cancelled. */
  readonly cancels?: number;
  /** Processes that are killed; each has a successor. */
  readonly kills?: number;
  /** Times that the database's server is killed and started again, and how. */
  readonly restarts?: number;
  readonly restart?: () => void;
};

export type Report = {
  readonly calls: number;
  readonly room: number;
  readonly admitted: number;
  readonly ends: { readonly [status: string]: number };
  readonly requests: number;
  readonly estimatedRuns: number;
  /** Runs that an operator had to end. */
  readonly quarantined: number;
  readonly ledgerNano: number;
  readonly invoiceNano: number;
  /** How often the meters were looked at, and the most that was spent or held then, as a part of the limit. */
  readonly looks: number;
  readonly fullest: number;
  readonly corrections: number;
  readonly seconds: number;
};

/** The longest that an answer takes: so long that each process to be killed still has calls under way. */
const answerMsOf = (kills: number): number => 1_000 * (1 + kills);
const patienceMs = 900_000;

export async function contend(options: ContentionOptions): Promise<Report> {
  const { place, calls, processes, budget, share = 0.4, cancels = 0, kills = 0, restarts = 0, restart = () => {} } = options;
  await awayFromMidnight();
  const room = Math.round(calls * share);
  const answerMs = answerMsOf(kills + restarts);
  const store = "path" in place ? sqlite(place.path) : postgres(place.url, place);
  await store.nextDue();
  const view = await openView(place);
  let isOver = false;
  // No call has an answer before all are there: those that are admitted are under way at once.
  const areAccepted = until("all runs to be accepted", async () => isOver || (await view.runs()).all === calls, patienceMs);
  areAccepted.catch(() => {});
  const provider = await startFaultServer(async (request) => {
    await areAccepted;
    return chatScript(request, {
      text: Array.from({ length: answerTokens(budget) }, () => " yes"),
      usage: { input: usedInput, output: answerTokens(budget) },
      headersDelayMs: Math.random() * answerMs,
      paceMs: answerMs / 20 / answerTokens(budget),
    });
  });
  const started = performance.now();
  const monitor = watch(view);
  const workers = new Workers({ store: place, provider: provider.url, budget, admitted: room, cancels, answerMs }, calls, processes);
  const quarantined = new Set<string>();
  try {
    for (let i = 0; i < kills; i++) {
      await until("calls to be under way", async () => workers.haveBegun && (await view.meters())[0]?.heldNano, patienceMs);
      await pause(Math.random() * answerMsOf(0));
      workers.kill();
    }
    for (let i = 0; i < restarts; i++) {
      await until("calls to be under way", async () => (await view.meters())[0]?.heldNano, patienceMs);
      await pause(Math.random() * answerMsOf(0));
      restart();
    }
    for (;;) {
      monitor.check();
      workers.check();
      const runs = await view.runs();
      if (workers.areStarted && runs.all === calls && runs.unfinished === 0) break;
      // Whoever was taken over twice by a process that was killed at once waits for an operator, with its hold.
      const waiting = runs.all === calls && runs.unfinished > 0 ? await view.quarantined() : [];
      if (waiting.length > 0 && waiting.length === runs.unfinished) {
        for (const run of waiting) quarantined.add(run);
        workers.end(waiting);
        await pause(1_000);
      }
      if (performance.now() - started > patienceMs) throw new Error(`still not over after ${patienceMs} ms: ${JSON.stringify(runs)}`);
      await pause(50);
    }
    await workers.close();
    const seconds = (performance.now() - started) / 1_000;
    const { looks, fullest } = await monitor.stop();
    return { ...(await judge(options, room, store, view, provider)), calls, room, quarantined: quarantined.size, looks, fullest, seconds };
  } finally {
    isOver = true;
    workers.killAll();
    await monitor.stop().catch(() => {});
    await provider.close();
    await view.close();
    await store.close();
  }
}

/** A file of its own, for SQLite; the caller deletes its folder. */
export function newFile(): { readonly path: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "escapement-contention-"));
  return { path: join(folder, "runs.db"), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

type Verdict = Omit<Report, "calls" | "room" | "quarantined" | "looks" | "fullest" | "seconds">;

async function judge(
  { budget, cancels = 0, calls }: ContentionOptions,
  room: number,
  store: Store,
  view: View,
  provider: FaultServer,
): Promise<Verdict> {
  const corrections = await store.reconcile();
  if (corrections.length > 0) throw new Error(`the reconciler had to correct ${JSON.stringify(corrections)}`);
  const runs = await allRuns(store);
  if (new Set(runs.map(({ info }) => info.input)).size !== calls) throw new Error("a call was accepted twice, or never");
  for (const run of runs) if (run.heldNano !== 0 || run.open.length > 0) throw new Error(`${run.id} still holds ${run.heldNano}`);

  const invoices = new Map<string, number>();
  for (const { request, isPlayed, textTokensSent } of provider.book.entries) {
    const input = String(request.json().messages.at(-1).content);
    const tokens = isPlayed ? answerTokens(budget) : textTokensSent;
    invoices.set(input, (invoices.get(input) ?? 0) + invoiceNano(budget, tokens));
  }
  let estimatedRuns = 0;
  for (const run of runs) {
    const invoice = invoices.get(run.info.input as string) ?? 0;
    if (run.progress.estimated) estimatedRuns++;
    const [least, most] = run.progress.estimated ? [invoice, await heldBy(store, run)] : [invoice, invoice];
    if (run.spentNano < least || run.spentNano > most)
      throw new Error(
        `${run.id} (${run.status}, estimated: ${run.progress.estimated}) is charged ${run.spentNano}, and the provider's book says ${least} to ${most}`,
      );
  }

  const [meter, ...others] = await view.meters();
  if (!meter || others.length > 0) throw new Error("there is not one meter");
  const ledgerNano = runs.reduce((sum, { spentNano }) => sum + spentNano, 0);
  if (meter.heldNano !== 0 || meter.spentNano !== ledgerNano)
    throw new Error(`the meter says ${JSON.stringify(meter)}, runs spent ${ledgerNano}`);
  const requests = provider.book.entries.length;
  const admitted = meter.counts?.calls.spent ?? meter.spentNano / invoiceNano(budget, answerTokens(budget));
  if (meter.counts && (meter.counts.calls.held !== 0 || meter.counts.tokens.held !== 0))
    throw new Error(`still held: ${JSON.stringify(meter)}`);
  if ((budget === "calls" || cancels === 0) && admitted !== room)
    throw new Error(`${admitted} calls were admitted, and the budget has room for ${room}`);
  // A call whose process died or lost its lease before it was sent, or that was cancelled first, was admitted and never came to the provider.
  if (requests > room || (estimatedRuns === 0 && requests !== room && cancels === 0))
    throw new Error(`the provider had ${requests} requests, and the budget has room for ${room}`);
  const ends: Record<string, number> = {};
  for (const { status } of runs) ends[status] = (ends[status] ?? 0) + 1;
  return {
    admitted,
    ends,
    requests,
    estimatedRuns,
    ledgerNano,
    invoiceNano: [...invoices.values()].reduce((sum, nano) => sum + nano, 0),
    corrections: corrections.length,
  };
}

async function allRuns(store: Store): Promise<RunRecord[]> {
  const all: RunRecord[] = [];
  for (let before: number | null | undefined; before !== null; ) {
    const page = await store.list({ limit: 1_000, ...(before !== undefined && { before }) });
    all.push(...page.rows);
    before = page.next;
  }
  return all;
}

/** The most that the calls of a run may cost: what was held for each when it began. */
async function heldBy(store: Store, { id }: RunRecord): Promise<number> {
  const facts = (await store.facts(id, 0, 1_000)).map(({ json }) => JSON.parse(json) as { type: string; hold_microusd?: number });
  return facts.reduce((sum, fact) => sum + (fact.type === "call.started" ? Math.round((fact.hold_microusd ?? 0) * 1_000) : 0), 0);
}

/** Looks at the meters all the time. */
function watch(view: View): { check(): void; stop(): Promise<{ readonly looks: number; readonly fullest: number }> } {
  let looks = 0;
  let fullest = 0;
  let problem: Error | undefined;
  let isOver = false;
  const look = async (): Promise<void> => {
    while (!isOver && !problem) {
      for (const { key, limitNano, spentNano, heldNano, counts } of await view.meters()) {
        const parts: [taken: number, limit: number][] = [[spentNano + heldNano, limitNano]];
        if (counts) for (const { spent, held, limit } of [counts.calls, counts.tokens]) parts.push([spent + held, limit]);
        for (const [taken, limit] of parts) {
          if (taken > limit) problem = new Error(`the meter ${key} is at ${taken} of ${limit}`);
          if (limit > 0) fullest = Math.max(fullest, taken / limit);
        }
      }
      looks++;
      await pause(2);
    }
  };
  const looking = look().catch((error: Error) => {
    problem = error;
  });
  const check = (): void => {
    if (problem) throw problem;
  };
  return {
    check,
    stop: async () => {
      isOver = true;
      await looking;
      check();
      return { looks, fullest };
    },
  };
}

type Worker = { readonly process: ChildProcess; readonly share: Pick<Order, "from" | "to">; stage: "starting" | "accepted" | "cancelled" };

/** The processes; one that is killed has a successor at once, which starts the same share again and so takes part in what it left. */
class Workers {
  readonly #order: Omit<Order, "from" | "to">;
  readonly #all = new Set<Worker>();
  readonly #problems: string[] = [];

  constructor(order: Omit<Order, "from" | "to">, calls: number, processes: number) {
    this.#order = order;
    for (let i = 0; i < processes; i++)
      this.#start({ from: Math.round((calls * i) / processes), to: Math.round((calls * (i + 1)) / processes) });
  }

  get areStarted(): boolean {
    return [...this.#all].every(({ stage }) => stage === "cancelled");
  }

  /** At least one has. */
  get haveBegun(): boolean {
    return [...this.#all].some(({ stage }) => stage !== "starting");
  }

  /** One that has begun. */
  kill(): void {
    const all = [...this.#all].filter(({ stage }) => stage !== "starting");
    const worker = all[Math.floor(Math.random() * all.length)] as Worker;
    this.#all.delete(worker);
    worker.process.kill("SIGKILL");
    this.#start(worker.share);
  }

  end(runs: readonly string[]): void {
    const [worker] = this.#all;
    worker?.process.send({ end: runs } satisfies Command);
  }

  killAll(): void {
    for (const { process } of this.#all) process.kill("SIGKILL");
    this.#all.clear();
  }

  check(): void {
    if (this.#problems.length > 0) throw new Error(this.#problems.join("; "));
  }

  async close(): Promise<void> {
    const ended = [...this.#all].map((worker) => {
      this.#all.delete(worker);
      return new Promise<void>((resolve) => {
        worker.process.once("exit", () => resolve());
        worker.process.send("close" satisfies Command);
      });
    });
    await Promise.all(ended);
    this.check();
  }

  #start(share: Worker["share"]): void {
    const order: Order = { ...this.#order, ...share };
    const child = spawn(process.execPath, [join(import.meta.dirname, "worker.ts")], {
      env: { ...process.env, CONTENTION_ORDER: JSON.stringify(order) },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const worker: Worker = { process: child, share, stage: "starting" };
    this.#all.add(worker);
    child.on("message", (told: Told) => {
      if (told.type !== "error") worker.stage = told.type;
      // What concerns time (a lease under load) is no broken promise; a hold that had to be corrected or a run that could not be written is.
      else if (/corrected|broken|could not be stored|damaged/.test(told.message)) this.#problems.push(told.message);
    });
    child.on("exit", (code) => {
      if (this.#all.has(worker)) this.#problems.push(`a process ended by itself with ${code}`);
    });
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A day's budget begins anew at midnight (UTC): then the day must not end midway. */
async function awayFromMidnight(): Promise<void> {
  const day = 86_400_000;
  const left = day - (Date.now() % day);
  if (left < 120_000) await pause(left + 1_000);
}
