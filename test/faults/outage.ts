/**
 * A primary that goes down under a steady load, and one that is unreliable, through the whole runtime over HTTP: what share of the requests
 * was answered, by whom, what it cost in calls, and when the breaker opened and closed. All time constants are divided by {@link scale}.
 * `outage-report.ts` prints it, `outage.test.ts` asserts it in a smaller size.
 */
import { agent, createRuntime, openai, type Runtime } from "../../src/index.ts";
import { createServer } from "../../src/server/server.ts";
import { type ChatAnswer, chatError, chatScript } from "../../src/testing/fault-chat.ts";
import { chunk, event, head, lastChunk, type Script, streamHeaders } from "../../src/testing/fault-script.ts";
import { type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";

export const scale = 20;
const scaled = (ms: number): number => ms / scale;
/** FEATURES A7, A11, A6 and the defaults of backoff. */
const timeouts = { connect_ms: scaled(3_000), headers_ms: scaled(10_000), first_token_ms: scaled(10_000), idle_ms: scaled(10_000), total_ms: scaled(120_000) };
const breaker = { windowMs: scaled(60_000), cooldownMs: scaled(15_000) };
const retryBudget = { windowMs: scaled(60_000) };
const backoff = { first_ms: 13, max_ms: scaled(8_000) };
export const outageMs = scaled(60_000);

/** How the primary is down. */
export const ways = ["503", "reset", "refused", "silent"] as const;
export type Way = (typeof ways)[number];

export type Tally = {
  requests: number;
  /** Ended as `done`, by which tier. */
  readonly by: { first: number; second: number };
  /** Anything else, by its status and code. */
  readonly lost: Record<string, number>;
};

export type Outage = {
  readonly way: Way;
  readonly tally: Tally;
  /** Requests that reached the primary while it was down: first attempts, retries, probes of the open breaker. */
  readonly firsts: number;
  readonly retries: number;
  readonly probes: number;
  /** From the moment at which more than half of the primary's calls in a window had failed to the breaker's opening. */
  readonly openedAfterMs: number;
  /** From the end of the outage to the first answer of the primary, and the calls that it took. */
  readonly recoveredAfterMs: number;
  readonly recoveredAfterCalls: number;
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

const good = (request: FaultRequest, answer: ChatAnswer = { text: "First." }): Script => chatScript(request, answer);
const newTally = (): Tally => ({ requests: 0, by: { first: 0, second: 0 }, lost: {} });

async function ask(url: string, tally: Tally): Promise<void> {
  tally.requests++;
  let end: string;
  try {
    const response = await fetch(`${url}/v1/runs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ agent: "chain", input: "Well?" }),
    });
    const run = (await response.json()) as { status: string; tier?: "first" | "second"; error?: { code: string; message: string } };
    if (run.status === "done" && run.tier) {
      tally.by[run.tier]++;
      return;
    }
    end = `${response.status} ${run.status} ${run.error?.code}: ${run.error?.message}`;
  } catch (error) {
    end = String(error);
  }
  tally.lost[end] = (tally.lost[end] ?? 0) + 1;
}

/** Starts requests evenly until `isOver`, `perSecond` of them, however long each takes; gives those that are still under way. */
async function load(url: string, perSecond: number, tally: Tally, isOver: () => boolean): Promise<Promise<unknown>> {
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
  return Promise.all(running);
}

/** One outage of a minute, in a twentieth of the time, with healthy time before it and after it. */
export async function outage(way: Way, perSecond: number): Promise<Outage> {
  let isDown = false;
  /** When a call of the primary ended, and how, in order; those of the outage that came back to us. */
  const ends: { at: number; failed: boolean }[] = [];
  const world = await open((request) => {
    if (isDown && way === "503") ends.push({ at: performance.now(), failed: true });
    if (!isDown) ends.push({ at: performance.now(), failed: false });
    if (!isDown) return good(request);
    return way === "503" ? chatError(503, "Down.") : way === "reset" ? [{ reset: true }] : [{ hang: true }];
  });
  try {
    const { primary, runtime, url } = world;
    const key = `primary m1 ${primary.url.slice("http://".length)}/v1`;
    let openedAt: number | undefined;
    let closedAt: number | undefined;
    let probing = 0;
    let last = "closed";
    const look = setInterval(() => {
      const state = runtime.breakers.state(key);
      if (state === last) return;
      if (state === "open" && last === "closed") openedAt ??= performance.now();
      if (state === "probing") probing++;
      if (state === "closed") closedAt = performance.now();
      last = state;
    }, 1);
    const healthy = newTally();
    await (await load(url, perSecond, healthy, ((until) => () => performance.now() > until)(performance.now() + 500)));

    const reached = primary.book.entries.length;
    isDown = true;
    if (way === "refused") await primary.down();
    const downAt = performance.now();
    const tally = newTally();
    const running = await load(url, perSecond, tally, () => performance.now() > downAt + outageMs);
    if (way === "refused") await primary.up();
    isDown = false;
    const healedAt = performance.now();
    const during = primary.book.entries.length - reached;
    await running;

    const before = primary.book.entries.length;
    const after = newTally();
    const limit = healedAt + 10 * breaker.cooldownMs;
    await (await load(url, perSecond, after, () => runtime.breakers.state(key) === "closed" || performance.now() > limit));
    clearInterval(look);
    const attempts = await attemptsOf(runtime);
    return {
      way,
      tally,
      firsts: attempts.firsts - healthy.requests,
      retries: attempts.retries,
      probes: probing,
      openedAfterMs: openedAt === undefined ? Number.POSITIVE_INFINITY : openedAt - thresholdAt(ends, downAt, openedAt),
      recoveredAfterMs: (closedAt ?? Number.POSITIVE_INFINITY) - healedAt,
      recoveredAfterCalls: primary.book.entries.length - before - after.by.first + (during >= 0 ? 0 : 0),
    };
  } finally {
    await world.close();
  }
}
