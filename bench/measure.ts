/**
 * A contestant's process: warms it up in one scenario, measures, and sends the figure to its parent.
 * Fresh for every contestant, scenario and round, so nobody inherits another's heap, caches or compiled code.
 */
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Contestant, type ContestantName, contestants, type Hanging, type Session } from "./contestant.ts";
import type { Book } from "./provider.ts";
import { type Scenario, scenarioNamed } from "./scenarios.ts";
import { answers } from "./workload.ts";

export type MeasureOrder = {
  readonly contestant: ContestantName;
  readonly scenario: string;
  readonly port: number;
  readonly bookPort: number;
  readonly directory: string;
  /** How many times as long as usual. */
  readonly times?: number;
};

export type Figure = {
  /** In the scenario's unit. */
  readonly value: number;
  /** Sockets open at the provider when all was cancelled; 0 in other scenarios. */
  readonly left: number;
  /** What `value` was divided over: runs that ended in the window. */
  readonly runs: number;
  readonly wallMs: number;
  /** Resident memory beside the heap, for `heap`: native buffers, and the heaps of other threads. */
  readonly rssKiB?: number;
  /** The measured window on the machine's monotonic clock, in µs: where a CPU profile has to be read. */
  readonly window: readonly [fromUs: number, toUs: number];
};
export type MeasureReply = { readonly figure: Figure } | { readonly error: string };

const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Keeps `width` runs in flight for `ms`, waits for all to end and says how many there were. */
async function drive(session: Session, scenario: Scenario, ms: number): Promise<number> {
  const expected = answers[scenario.way].length;
  const until = nowMs() + ms;
  let runs = 0;
  const lane = async (): Promise<void> => {
    do {
      runs += 1;
      const text = await session.run();
      if (text.length !== expected) throw new Error(`an answer of ${text.length} characters instead of ${expected}`);
    } while (nowMs() < until);
  };
  await Promise.all(Array.from({ length: scenario.width }, lane));
  return runs;
}

async function hangAll(session: Session, count: number): Promise<Hanging[]> {
  return Promise.all(Array.from({ length: count }, () => session.hang()));
}

async function cancelAll(hanging: readonly Hanging[]): Promise<void> {
  for (const run of hanging) run.cancel();
  await Promise.all(hanging.map((run) => run.ended));
}

/** Without this, garbage of the warm-up would be collected, and paid, in the measured window. */
async function collect(): Promise<void> {
  for (let i = 0; i < 3; i += 1) {
    globalThis.gc?.();
    await sleep(20);
  }
}

async function measureCpu(session: Session, scenario: Scenario, times: number): Promise<Figure> {
  const text = await session.run();
  if (text !== answers[scenario.way]) throw new Error("an answer that is not the provider's");
  await drive(session, scenario, scenario.warmup);
  await collect();
  const from = nowMs();
  const before = process.cpuUsage();
  const runs = await drive(session, scenario, scenario.measured * times);
  const used = process.cpuUsage(before);
  const to = nowMs();
  const value = (used.user + used.system) / (runs * scenario.perRun);
  return { value, left: 0, runs, wallMs: to - from, window: [from * 1e3, to * 1e3] };
}

async function measureHeap(session: Session, scenario: Scenario): Promise<Figure> {
  if (globalThis.gc === undefined) throw new Error("heap is measured under --expose-gc only");
  // Code, pools and caches exist before the first look; what is kept for each run in flight does not.
  for (let i = 0; i < scenario.warmup; i += 1) await cancelAll(await hangAll(session, 50));
  await sleep(100);
  await collect();
  const from = nowMs();
  const before = process.memoryUsage();
  const hanging = await hangAll(session, scenario.width);
  await sleep(100);
  await collect();
  const after = process.memoryUsage();
  const to = nowMs();
  await cancelAll(hanging);
  const kib = (bytes: number): number => bytes / 1024 / scenario.width;
  return {
    value: kib(after.heapUsed - before.heapUsed),
    rssKiB: kib(after.rss - before.rss),
    left: 0,
    runs: scenario.width,
    wallMs: to - from,
    window: [from * 1e3, to * 1e3],
  };
}

async function measureCancel(session: Session, scenario: Scenario, bookPort: number): Promise<Figure> {
  const p99s: number[] = [];
  let left = 0;
  const from = nowMs();
  for (let round = 0; round < scenario.warmup + scenario.measured; round += 1) {
    const hanging = await hangAll(session, scenario.width);
    const streams = (await readBook(bookPort)).sockets.filter((socket) => socket.hanging && socket.closedMs === null).length;
    if (streams !== scenario.width) throw new Error(`${streams} streams hang at the provider instead of ${scenario.width}`);
    const asked = nowMs();
    await cancelAll(hanging);
    await sleep(300);
    const book = await readBook(bookPort);
    left = book.open;
    const closes = book.sockets
      .filter((socket) => socket.hanging && (socket.closedMs === null || socket.closedMs >= asked))
      .map((socket) => (socket.closedMs ?? Number.POSITIVE_INFINITY) - asked)
      .sort((a, b) => a - b);
    if (round >= scenario.warmup) p99s.push(closes[Math.ceil(closes.length * 0.99) - 1]!);
  }
  p99s.sort((a, b) => a - b);
  const to = nowMs();
  return {
    value: p99s[Math.floor(p99s.length / 2)]!,
    left,
    runs: scenario.width * scenario.measured,
    wallMs: to - from,
    window: [from * 1e3, to * 1e3],
  };
}

function readBook(bookPort: number): Promise<Book> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port: bookPort, path: "/book", agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      // What provider.ts wrote.
      response.on("end", () => resolve(JSON.parse(text) as Book));
    }).on("error", reject);
  });
}

async function measure(order: MeasureOrder): Promise<Figure> {
  const scenario = scenarioNamed(order.scenario);
  // Each file named there exports its contestant.
  const { contestant } = (await import(contestants[order.contestant].file)) as { contestant: Contestant };
  const baseUrl = `http://127.0.0.1:${order.port}/${scenario.way}/v1`;
  const session = await contestant.open({ name: order.contestant, baseUrl, way: scenario.way, directory: order.directory });
  const figure =
    scenario.kind === "cpu"
      ? await measureCpu(session, scenario, order.times ?? 1)
      : scenario.kind === "heap"
        ? await measureHeap(session, scenario)
        : await measureCancel(session, scenario, order.bookPort);
  await session.close();
  return figure;
}

// What processes.ts passes.
const order = JSON.parse(process.argv[2]!) as MeasureOrder;
const reply: MeasureReply = await measure(order).then(
  (figure) => ({ figure }),
  (error: unknown) => ({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
);
process.send?.(reply, () => process.exit(0));
