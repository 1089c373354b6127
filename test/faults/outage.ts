/**
 * A primary that goes down under a steady load, and one that is unreliable, through the whole runtime over HTTP: what share of the requests
 * was answered, by whom, what it cost in calls, and when the breaker opened and closed. All time constants are divided by {@link scale}.
 * `outage-report.ts` prints it, `outage.test.ts` asserts it in a smaller size.
 */
import { agent, createRuntime, openai, type Runtime } from "../../src/index.ts";
import type { Health } from "../../src/limits/health.ts";
import { createServer } from "../../src/server/server.ts";
import { chatError, chatScript } from "../../src/testing/fault-chat.ts";
import { chunk, head, lastChunk, type Script, streamHeaders } from "../../src/testing/fault-script.ts";
import { type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";

export const scale = 20;
const scaled = (ms: number): number => ms / scale;
/** FEATURES A7, A11, A6 and the default backoff. */
const timeouts = {
  connect_ms: scaled(3_000),
  headers_ms: scaled(10_000),
  first_token_ms: scaled(10_000),
  idle_ms: scaled(10_000),
  total_ms: scaled(120_000),
};
const breaker = { windowMs: scaled(60_000), minCalls: 5, cooldownMs: scaled(15_000) };
const retryBudget = { windowMs: scaled(60_000) };
const backoff = { first_ms: Math.ceil(scaled(250)), max_ms: scaled(8_000) };
export const outageMs = scaled(60_000);

/** How the primary is down: an error status, a reset, nothing that listens, an answer that never comes. */
export const ways = ["503", "reset", "refused", "silent"] as const;
export type Way = (typeof ways)[number];

export type Tally = {
  requests: number;
  /** Ended as `done`, by which tier. */
  readonly by: { first: number; second: number };
  /** Anything else, by its status and code. */
  readonly lost: Record<string, number>;
  /** Runs with more calls than a first attempt and its fallback. */
  readonly long: string[];
};

export type Outage = {
  readonly way: Way;
  readonly tally: Tally;
  /** Calls of the primary that were made while it was down. */
  readonly calls: number;
  /** Of them those that were made again after a failure. */
  readonly retries: number;
  /** Of them those that an open breaker let through. */
  readonly probes: number;
  /** From the moment at which more than half of the primary's calls in the window had failed to the breaker's opening; below 0 where its window, which is right to a twelfth, was ahead. */
  readonly openedAfterMs: number;
  /** From the end of the outage to the breaker's closing, and the probes that it took. */
  readonly closedAfterMs: number;
  readonly closedAfterProbes: number;
};

type World = { readonly runtime: Runtime; readonly url: string; readonly primary: FaultServer; close(): Promise<void> };

async function open(primaryAnswer: (request: FaultRequest) => Script): Promise<World> {
  const primary = await startFaultServer(primaryAnswer);
  const secondary = await startFaultServer((request) => chatScript(request, { text: "Second." }));
  const price = { input_usd_per_mtok: 0.4, output_usd_per_mtok: 1.6 };
  const runtime = await createRuntime({
    store: { path: ":memory:" },
    env: {},
    reliability: { breaker, retryBudget },
    providers: {
      primary: openai({ name: "primary", baseURL: `${primary.url}/v1`, apiKey: "k" }),
      secondary: openai({ name: "secondary", baseURL: `${secondary.url}/v1`, apiKey: "k" }),
    },
    tiers: {
      first: { provider: "primary", model: "m1", max_output_tokens: 50, price, timeouts },
      // It is not the subject: a busy machine must not time it out.
      second: { provider: "secondary", model: "m2", max_output_tokens: 50, price },
    },
    agents: [agent({ name: "chain", machine: "single", tiers: ["first", "second"], backoff })],
  });
  const listening = await createServer(runtime).listen({ port: 0 });
  return {
    runtime,
    url: listening.url,
    primary,
    async close() {
      await listening.close(0);
      await runtime.close();
      await primary.close();
      await secondary.close();
    },
  };
}

/** What the breaker of the primary was asked and told, with the state that followed. */
type Watched = {
  readonly asked: { readonly at: number; readonly answer: "pass" | "probe" | "no" }[];
  readonly told: { readonly at: number; readonly result: "ok" | "failed" | "neutral"; readonly state: string }[];
};

function watch(health: Health): Watched {
  const watched: Watched = { asked: [], told: [] };
  const [ask, report] = [health.ask.bind(health), health.report.bind(health)];
  health.ask = (key) => {
    const answer = ask(key);
    if (key.startsWith("primary ")) watched.asked.push({ at: performance.now(), answer });
    return answer;
  };
  health.report = (key, result) => {
    report(key, result);
    if (key.startsWith("primary ")) watched.told.push({ at: performance.now(), result, state: health.state(key) });
  };
  return watched;
}

const newTally = (): Tally => ({ requests: 0, by: { first: 0, second: 0 }, lost: {}, long: [] });

async function ask(url: string, tally: Tally): Promise<void> {
  tally.requests++;
  let end: string;
  try {
    const response = await fetch(`${url}/v1/runs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ agent: "chain", input: "Well?" }),
    });
    // The protocol's Run, as far as it is looked at here.
    const run = (await response.json()) as {
      id: string;
      status: string;
      tier?: "first" | "second";
      calls: number;
      error?: { message: string };
    };
    if (run.calls > (run.tier === "first" ? 1 : 2)) tally.long.push(run.id);
    if (run.status === "done" && run.tier) {
      tally.by[run.tier]++;
      return;
    }
    end = `${response.status} ${run.status}: ${run.error?.message}`;
  } catch (error) {
    end = String(error);
  }
  tally.lost[end] = (tally.lost[end] ?? 0) + 1;
}

/** Starts requests evenly until `isOver`, `perSecond` of them, however long each takes. Gives the end of those that are still under way. */
async function load(url: string, perSecond: number, tally: Tally, isOver: () => boolean): Promise<{ readonly rest: Promise<unknown> }> {
  const from = performance.now();
  const running = new Set<Promise<void>>();
  for (let sent = 0; !isOver(); ) {
    const due = ((performance.now() - from) * perSecond) / 1_000;
    for (; sent < due; sent++) {
      const one = ask(url, tally).finally(() => running.delete(one));
      running.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return { rest: Promise.all(running) };
}

const after = (ms: number): (() => boolean) => {
  const at = performance.now() + ms;
  return () => performance.now() > at;
};

/** One outage of a minute, in a twentieth of the time, with healthy time before it, until the breaker has closed again. */
export async function outage(way: Way, perSecond: number): Promise<Outage> {
  let isDown = false;
  const world = await open((request) => {
    if (!isDown) return chatScript(request, { text: "First." });
    return way === "503" ? chatError(503, "Down.") : way === "reset" ? [{ reset: true }] : [{ hang: true }];
  });
  try {
    const { primary, runtime, url } = world;
    const watched = watch(runtime.breakers);
    await (await load(url, perSecond, newTally(), after(500))).rest;

    isDown = true;
    if (way === "refused") await primary.down();
    const downAt = performance.now();
    const tally = newTally();
    const { rest } = await load(url, perSecond, tally, after(outageMs));
    if (way === "refused") await primary.up();
    isDown = false;
    const healedAt = performance.now();
    const isClosed = (): boolean => watched.told.some(({ at, state }) => at > healedAt && state === "closed");
    const late = after(20 * breaker.cooldownMs);
    await (await load(url, perSecond, newTally(), () => isClosed() || late())).rest;
    await rest;

    const made = watched.asked.filter(({ at, answer }) => at >= downAt && at < healedAt && answer !== "no");
    const opened = watched.told.find(({ at, state }) => at > downAt && state === "open");
    const closed = watched.told.find(({ at, state }) => at > healedAt && state === "closed");
    return {
      way,
      tally,
      calls: made.length,
      retries: await retriesIn(runtime, tally.long),
      probes: made.filter(({ answer }) => answer === "probe").length,
      openedAfterMs: (opened?.at ?? Number.POSITIVE_INFINITY) - thresholdAt(watched, downAt),
      closedAfterMs: (closed?.at ?? Number.POSITIVE_INFINITY) - healedAt,
      closedAfterProbes: watched.asked.filter(({ at, answer }) => at > healedAt && at < (closed?.at ?? 0) && answer === "probe").length,
    };
  } finally {
    await world.close();
  }
}

/** When more than half of the calls that had ended within an exact window had failed. */
function thresholdAt({ told }: Watched, downAt: number): number {
  const ended = told.filter(({ result }) => result !== "neutral");
  let from = 0;
  let failures = 0;
  for (const [index, { at, result }] of ended.entries()) {
    if (result === "failed") failures++;
    for (; (ended[from] as { at: number }).at < at - breaker.windowMs; from++) if (ended[from]?.result === "failed") failures--;
    const calls = index + 1 - from;
    if (at > downAt && calls >= breaker.minCalls && failures * 2 > calls) return at;
  }
  return Number.POSITIVE_INFINITY;
}

/** Calls of the primary after its first in a run, that were made: not refused by the breaker or the retry budget. */
async function retriesIn(runtime: Runtime, runs: readonly string[]): Promise<number> {
  let retries = 0;
  for (const run of runs) {
    const { data } = await runtime.facts(run);
    const again = new Set(
      data.flatMap((fact) => (fact.type === "call.started" && fact.tier === "first" && fact.attempt > 1 ? [fact.call] : [])),
    );
    for (const fact of data)
      if (
        fact.type === "call.finished" &&
        again.has(fact.call) &&
        !["breaker", "retry_budget"].includes(String(fact.error?.details?.reason))
      )
        retries++;
  }
  return retries;
}

export type Mixed = { readonly tally: Tally; readonly calls: number; readonly broken: number; readonly retries: number };

/** A fifth of the primary's answers go wrong before their first byte of text, in five ways by turns. */
export async function mixedFaults(requests: number, perSecond: number): Promise<Mixed> {
  let calls = 0;
  let broken = 0;
  const faults: ((request: FaultRequest) => Script)[] = [
    () => [{ reset: true }],
    () => chatError(500, "It broke."),
    () => [{ hang: true }],
    () => [head(200, { ...streamHeaders, "transfer-encoding": "chunked" }), chunk("data: {no JSON\n\n"), lastChunk],
    () => chatError(429, "Slow down.", { headers: { "retry-after-ms": String(scaled(1_000)) } }),
  ];
  // The same sequence each time, without a pattern that retries could fall in step with.
  let state = 1;
  const chance = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const world = await open((request) => {
    calls++;
    if (chance() >= 0.2) return chatScript(request, { text: "First." });
    return (faults[broken++ % faults.length] as (request: FaultRequest) => Script)(request);
  });
  try {
    const tally = newTally();
    await (await load(world.url, perSecond, tally, () => tally.requests >= requests)).rest;
    return { tally, calls, broken, retries: await retriesIn(world.runtime, tally.long) };
  } finally {
    await world.close();
  }
}

export const lostOf = ({ lost }: Tally): number => Object.values(lost).reduce((sum, count) => sum + count, 0);
