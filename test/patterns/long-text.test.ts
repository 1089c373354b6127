/** A text of 500 pages through a map-reduce (FEATURES B9, E1; FAULTS E13): known before it starts, bounded while it runs. */
import { expect, test } from "vitest";
import { agent, type Event, mapReduce } from "../../src/index.ts";
import { loadTokenizer } from "../../src/money/tokens.ts";
import { world } from "../runtime/world.ts";

const pages = 500;
const wordsOfPage = 300;
/** Words that differ from page to page, so that no two chunks are alike. */
function page(number: number): string {
  const word = (i: number): string =>
    ["river", "stone", "winter", "letter", "garden", "window", "harbour"][(number * 7 + i * 3) % 7] as string;
  const sentences = Array.from(
    { length: wordsOfPage / 10 },
    (_, s) => `Page ${number} says ${Array.from({ length: 7 }, (_, i) => word(s * 7 + i)).join(" ")}.`,
  );
  return `${sentences.join(" ")}\n\n`;
}
const book = Array.from({ length: pages }, (_, i) => page(i + 1)).join("");

test("500 pages: an estimate, a yes, a width, progress, dropped chunks, and a heap that stays flat", { timeout: 120_000 }, async () => {
  await loadTokenizer();
  let running = 0;
  let widest = 0;
  let asked = 0;
  const width = 6;
  const { runtime, provider } = await world(
    async (request) => {
      running++;
      widest = Math.max(widest, running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
      const text = JSON.stringify(request.json());
      asked++;
      // What was on page 250 cannot be read.
      return text.includes("You are reader.") && text.includes("Page 250 says") ? { text: "" } : { text: "a summary of it" };
    },
    {
      tiers: {
        main: { provider: "self", model: "m", max_output_tokens: 100, price: { input_usd_per_mtok: 1, output_usd_per_mtok: 1 } },
      },
      agents: [
        mapReduce({
          name: "book",
          map: agent({ name: "reader", instructions: "You are reader.", machine: "single", retries: 0 }),
          reduce: agent({ name: "writer", instructions: "You are writer.", machine: "single", retries: 0 }),
          chunk: { tokens: 1_500, overlap: 50, max: 400 },
          width,
          on_failure: "drop",
          confirm_above_microusd: 100_000,
          limits: { max_cost_microusd: 5_000_000 },
        }),
      ],
    },
  );
  const body = { agent: "book", input: book };
  const estimate = runtime.estimate(body);
  // The agent's own worst case has as many chunks as it may take.
  expect(estimate.cost_microusd).toBeLessThan(runtime.bounds("book").cost_microusd);

  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  let peak = 0;
  const run = await runtime.start(body);
  const progress: (Event & { type: "progress" })[] = [];
  const dropped: Event[] = [];
  let confirmed: number | undefined;
  for await (const event of run) {
    peak = Math.max(peak, process.memoryUsage().heapUsed - before);
    if (event.type === "input.requested") {
      expect(asked).toBe(0);
      confirmed = event.amount_microusd;
      await run.answer({ id: event.id, approve: true });
    }
    if (event.type === "progress") progress.push(event);
    if (event.type === "data" && event.name === "dropped") dropped.push(event);
  }
  const ended = await run.result();
  const maps = progress.filter(({ message }) => message === "map");
  const [calls, mib] = [provider.book.entries.length, Math.round(peak / 2 ** 20)];
  console.log(
    `${pages} pages, ${Math.round(book.length / 1_024)} KiB: ${maps.length} chunks, ${calls} calls, ${widest} at once, estimate ${estimate.calls} calls and ${estimate.cost_microusd} µ$, ` +
      `cost ${ended.cost_microusd} µ$, peak heap ${mib} MiB above the start`,
  );
  expect(ended).toMatchObject({ status: "done", output: "a summary of it" });
  expect(confirmed).toBe(estimate.cost_microusd);
  expect(widest).toBeLessThanOrEqual(width);
  expect(widest).toBeGreaterThan(1);
  expect(maps.length).toBeGreaterThan(100);
  expect(maps.map(({ done }) => done)).toEqual(maps.map((_, i) => i + 1));
  expect(dropped.length).toBe(1);
  expect(calls).toBeLessThanOrEqual(estimate.calls);
  expect(ended.cost_microusd).toBeLessThanOrEqual(estimate.cost_microusd);
  expect(mib).toBeLessThan(200);
});
