/** A thousand runs at once: they all end, nothing of them stays, and a budget for 400 calls is one for 400 calls (FAULTS E01, O2, O6). */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { afterEach, expect, onTestFinished, test } from "vitest";
import type { Config } from "../../src/index.ts";
import { sqliteInThread } from "../../src/stores/sqlite.ts";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { type FaultHandler, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import type { Figures, Question, Told } from "./concurrency-process.ts";
import { ProtocolSocket, type Transcript } from "./protocol-client.ts";
import { endAll, newFolder } from "./served.ts";
import { until, within } from "./until.ts";

const processFile = fileURLToPath(new URL("concurrency-process.ts", import.meta.url));
const timeout = { timeout: 240_000 };
const runs = 1_000;

let children: ChildProcess[] = [];
afterEach(async () => {
  const dying = children.map((child) => new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) : resolve(null))));
  for (const child of children) child.kill("SIGKILL");
  children = [];
  await Promise.all(dying);
  await endAll();
});

type World = {
  readonly url: string;
  readonly provider: FaultServer;
  readonly database: string;
  /** Resources of the process before it had a runtime. */
  readonly before: Figures["resources"];
  ask(question: Question): Promise<Figures>;
};

const maxTokens = 100;
/** Micro-dollars of a token; input is free, so that the worst case of a call is its output. */
const tokenMicrousd = 10;

async function world(handler: FaultHandler, budgetMicrousd?: number): Promise<World> {
  const provider = await startFaultServer(handler);
  onTestFinished(() => provider.close());
  const database = join(newFolder(), "runs.db");
  const config: Config = {
    providers: { fault: { preset: "openai", wire: "chat", base_url: `${provider.url}/v1` } },
    tiers: {
      main: {
        provider: "fault",
        model: "m",
        price: { input_usd_per_mtok: 0, output_usd_per_mtok: tokenMicrousd },
        max_output_tokens: maxTokens,
        // All of them begin at once, on a machine that may be busy.
        timeouts: { connect_ms: 60_000, headers_ms: 60_000, first_token_ms: 60_000, idle_ms: 60_000 },
      },
    },
    agents: [{ name: "single", machine: "single", retries: 0 }],
    store: { path: database },
    ...(budgetMicrousd !== undefined && { budgets: { system: { per_hour_microusd: budgetMicrousd } } }),
  };
  const child = fork(processFile, {
    execArgv: ["--expose-gc"],
    env: { PATH: process.env.PATH, WHOLE_PATH_CONFIG: JSON.stringify(config) },
  });
  children.push(child);
  const next = (): Promise<Told> =>
    within("word from the process", new Promise((resolve) => child.once("message", (told: Told) => resolve(told))));
  const ready = await next();
  if (ready.type !== "ready") throw new Error("the process spoke before it was ready");
  return {
    url: ready.url,
    provider,
    database,
    before: ready.before,
    async ask(question) {
      const answer = next();
      child.send(question);
      const told = await answer;
      if (told.type !== "figures") throw new Error("figures were asked for");
      return told.figures;
    },
  };
}

const startAll = (socket: ProtocolSocket, count: number): Promise<Transcript[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => socket.start({ agent: "single", input: `run ${index}` })));

async function endsOf(socket: ProtocolSocket, transcripts: readonly Transcript[]): Promise<{ [end: string]: number }> {
  const ends: { [end: string]: number } = {};
  for (const transcript of transcripts) {
    const { status, error } = await transcript.finished();
    const end = error ? `${status}: ${error.code}` : status;
    ends[end] = (ends[end] ?? 0) + 1;
  }
  socket.check();
  return ends;
}

/** The system's budget is one an hour: a test that lives through the turn of the hour would have two. */
async function earlyInAnHour(): Promise<void> {
  const left = () => 3_600_000 - (Date.now() % 3_600_000);
  if (left() < 120_000) await until("the next hour", () => left() > 120_000, 180_000);
}

/** Looks at the ledger's file all the time, by a connection of its own. */
function watchMeter(database: string): { stop(): { polls: number; most: number; spent: number; held: number } } {
  const store = sqliteInThread(database);
  let polls = 0;
  let most = 0;
  let last = { spentNano: 0, heldNano: 0 };
  let over = false;
  const look = async (): Promise<void> => {
    const [meter] = await store.meters();
    if (!meter) return;
    polls++;
    last = meter;
    most = Math.max(most, meter.spentNano + meter.heldNano);
  };
  const watching = (async () => {
    while (!over) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  onTestFinished(async () => {
    over = true;
    await watching;
    await store.close();
  });
  return {
    stop() {
      over = true;
      return { polls, most: most / 1_000, spent: last.spentNano / 1_000, held: last.heldNano / 1_000 };
    },
  };
}

test("a thousand runs that are all called at once end, and leave nothing behind", timeout, async () => {
  let arrived = 0;
  let most = 0;
  let gate = Promise.withResolvers<void>();
  const { url, provider, ask, before } = await world(async (request, book) => {
    // Answered when all have come: so many are under way at once.
    if (++arrived === runs) gate.resolve();
    await gate.promise;
    most = Math.max(most, book.openSockets());
    return chatScript(request, { text: "Hello there", usage: { input: 10, output: 2 } });
  });
  const fresh = await until("a process that rests", async () => {
    const now = await ask("figures");
    return now.resources.MessagePort === undefined && now;
  });
  const idle = async (): Promise<Figures> => {
    await until("no run, no topic", async () => {
      const { load } = await ask("figures");
      return load.runs === 0 && load.topics === 0;
    });
    await until("idle connections to be closed", () => provider.book.openSockets() === 0);
    // A heartbeat may be on its way to the store's thread at the very moment.
    let now = await ask("figures");
    await until("nothing open", async () => {
      now = await ask("figures");
      return isDeepStrictEqual(now.resources, fresh.resources);
    }).catch(() => {});
    expect(now.resources).toEqual(fresh.resources);
    return now;
  };
  const round = async (): Promise<{ ms: number; figures: Figures }> => {
    arrived = 0;
    gate = Promise.withResolvers<void>();
    const from = performance.now();
    const socket = await ProtocolSocket.open(url);
    const transcripts = await startAll(socket, runs);
    expect(await endsOf(socket, transcripts)).toEqual({ done: runs });
    const ms = performance.now() - from;
    socket.close();
    await socket.closed;
    return { ms, figures: await idle() };
  };
  // The first round fills what is filled once: compiled code, statements, caches.
  const first = await round();
  const second = await round();
  expect(most).toBe(runs);
  expect(provider.book.entries).toHaveLength(2 * runs);
  expect(second.figures.load).toEqual({ runs: 0, topics: 0 });
  expect(second.figures.heapMiB - first.figures.heapMiB).toBeLessThan(8);
  const closed = await ask("close");
  expect(closed.resources).toEqual(before);
  const shown = (figures: Figures) => `${figures.heapMiB.toFixed(1)} MiB`;
  console.log(
    `${runs} runs at once: ${Math.round(first.ms)} and ${Math.round(second.ms)} ms; heap ${shown(fresh)} fresh, ${shown(first.figures)} after the first ` +
      `${runs}, ${shown(second.figures)} after the next, ${shown(closed)} closed; open ${JSON.stringify(second.figures.resources)}, closed ${JSON.stringify(closed.resources)}`,
  );
});

test("a budget for 400 calls lets exactly 400 of a thousand through", timeout, async () => {
  await earlyInAnHour();
  const callMicrousd = maxTokens * tokenMicrousd;
  const limit = 400 * callMicrousd;
  const { url, provider, database, ask } = await world(
    (request) => chatScript(request, { text: "Hello there", usage: { input: 10, output: request.json().max_tokens } }),
    limit,
  );
  const watch = watchMeter(database);
  const socket = await ProtocolSocket.open(url);
  const transcripts = await startAll(socket, runs);
  const ends = await endsOf(socket, transcripts);
  expect(ends).toEqual({ done: 400, "exhausted: budget_exceeded": 600 });
  expect(provider.book.entries).toHaveLength(400);
  await until("the meter to be settled", async () => (await ask("figures")).load.runs === 0);
  const meter = sqliteInThread(database);
  onTestFinished(() => meter.close());
  expect(await meter.meters()).toMatchObject([{ level: "system", spentNano: limit * 1_000, heldNano: 0, limitNano: limit * 1_000 }]);
  for (const transcript of transcripts) {
    if (transcript.end?.status === "done") continue;
    expect(transcript.end).toMatchObject({ cost_microusd: 0, calls: expect.any(Number) });
    expect(transcript.of("call.started")).toEqual([]);
    expect(transcript.of("limit.hit")).toMatchObject([{ which: "budget.system" }]);
  }
  const seen = watch.stop();
  expect(seen.most).toBeLessThanOrEqual(limit);
  console.log(
    `400 of ${runs}: ${JSON.stringify(ends)}, spent ${seen.spent} of ${limit} microusd; at most ${seen.most} spent and held in ${seen.polls} looks`,
  );
});

test("holds that are not used up let later calls in, and never more than the budget", timeout, async () => {
  await earlyInAnHour();
  const limit = 400 * maxTokens * tokenMicrousd;
  let arrived = 0;
  let used = 0;
  const gate = Promise.withResolvers<void>();
  const { url, provider, database, ask } = await world(async (request) => {
    // The first 400 hold all there is until each of them has come.
    if (++arrived === 400) gate.resolve();
    await gate.promise;
    const output = Math.min(40, request.json().max_tokens);
    used += output;
    return chatScript(request, { text: "Hello there", usage: { input: 10, output } });
  }, limit);
  const watch = watchMeter(database);
  const socket = await ProtocolSocket.open(url);
  const first = await startAll(socket, runs / 2);
  const firstEnds = await endsOf(socket, first);
  expect(firstEnds.done).toBeGreaterThanOrEqual(400);
  const second = await startAll(socket, runs / 2);
  const secondEnds = await endsOf(socket, second);
  const calls = provider.book.entries.length;
  expect((firstEnds.done ?? 0) + (secondEnds.done ?? 0)).toBe(calls);
  // What the first 400 left free, at the least.
  expect(calls).toBeGreaterThanOrEqual(400 + 240);
  await until("the meter to be settled", async () => (await ask("figures")).load.runs === 0);
  const meter = sqliteInThread(database);
  onTestFinished(() => meter.close());
  expect(await meter.meters()).toMatchObject([{ spentNano: used * tokenMicrousd * 1_000, heldNano: 0 }]);
  const seen = watch.stop();
  expect(seen.most).toBeLessThanOrEqual(limit);
  expect(used * tokenMicrousd).toBeLessThanOrEqual(limit);
  console.log(
    `worst case ${maxTokens} tokens, used 40: ${calls} of ${runs} calls for a budget of 400 worst cases; spent ${used * tokenMicrousd} of ${limit} microusd, ` +
      `at most ${seen.most} spent and held in ${seen.polls} looks; ends ${JSON.stringify(firstEnds)} and ${JSON.stringify(secondEnds)}`,
  );
});
