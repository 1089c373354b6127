/** One process of the contention: a whole runtime that starts its share of the calls at once, cancels some, and goes on with what others left. */
import { agent, createRuntime, EscapementError, openai, type RunHandle } from "../../src/index.ts";
import { budgetOf, type Command, maxTokens, type Order, price, type Told } from "./terms.ts";

const { CONTENTION_ORDER = "{}" } = process.env;
const order = JSON.parse(CONTENTION_ORDER) as Order; // written by contention.ts
const tell = (told: Told): void => void process.send?.(told);

const patienceMs = 120_000;
/** As any client would: while the database restarts, it asks again. */
async function insist<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof EscapementError) || !error.isRetryable) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

const make = () =>
  createRuntime({
    store: order.store,
    env: {},
    // Counted by bytes: an upper bound that needs no table, in any process and at any time.
    providers: { fault: openai({ name: "fault", baseURL: `${order.provider}/v1`, tokenizer: { encoding: "bytes", margin: 0 } }) },
    tiers: {
      main: {
        provider: "fault",
        model: "m",
        max_output_tokens: maxTokens,
        price: price(order.budget),
        timeouts: { connect_ms: patienceMs, headers_ms: patienceMs, first_token_ms: patienceMs, idle_ms: patienceMs, total_ms: patienceMs },
      },
    },
    agents: [agent({ name: "single", machine: "single", retries: 0, limits: { max_output_tokens: maxTokens } })],
    budgets: { user: budgetOf(order.budget, order.admitted) },
    onError: (message) => tell({ type: "error", message }),
  });
const runtime = await insist(make);

const starting: Promise<RunHandle>[] = [];
for (let i = order.from; i < order.to; i++) {
  const name = `call ${i}`;
  // Under a key: a successor of this process starts what this one may have started already.
  starting.push(insist(() => runtime.start({ agent: "single", input: name }, { idempotencyKey: name })));
  // As requests would come: with the event loop between them, so that the lease is renewed.
  if (i % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
}
const handles = await Promise.all(starting);
tell({ type: "accepted" });
await Promise.all(
  handles.map(async (handle) => {
    if (handle.replayed || Math.random() >= order.cancels) return;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * order.answerMs));
    await insist(() => handle.cancel("enough"));
  }),
);
tell({ type: "cancelled" });
process.on("message", async (command: Command) => {
  if (command !== "close") {
    for (const run of command.end) await insist(() => runtime.cancel(run, { reason: "an operator ends it" }));
    return;
  }
  await runtime.close();
  process.disconnect?.();
});
