import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { agent, createRuntime, type Decision, type Runtime, tool } from "../../src/index.ts";
import { chatError, chats } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";

type Line = { readonly type: string; readonly decision?: string; readonly reason?: string; readonly numbers?: Record<string, number> };

async function world(answers: Parameters<typeof chats>[0], options: { limit?: number; onBudget?: "ask" } = {}) {
  const provider = await startFaultServer(chats(answers));
  const log: Line[] = [];
  const deploy = tool({
    name: "deploy",
    description: "Deploys.",
    class: "once",
    approval: true,
    input: z.strictObject({ to: z.string() }),
    run: () => "ok",
  });
  const runtime = await createRuntime({
    store: { path: ":memory:" },
    env: {},
    providers: { it: { preset: "vllm", base_url: `${provider.url}/v1` } },
    tiers: {
      main: { provider: "it", model: "m", price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } },
      cheap: { provider: "it", model: "c", price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } },
    },
    tools: { hands: [deploy] },
    agents: [
      agent({
        name: "worker",
        tools: ["hands"],
        retries: 1,
        limits: { max_output_tokens: 100, max_cost_microusd: options.limit ?? 10_000 },
        ...(options.onBudget && { on_budget: options.onBudget }),
      }),
    ],
    budgets: { user: { per_day_microusd: 1_000, per_day_calls: 5 }, system: { per_hour_tokens: 1_000_000 } },
    log: { destination: { write: (line) => void log.push(JSON.parse(line)) } },
  });
  onTestFinished(async () => {
    await runtime.close();
    await provider.close();
  });
  return { runtime, log };
}

const said = ({ data }: { data: Decision[] }): string[] => data.map(({ decision, reason }) => `${decision}: ${reason}`);
/** What the log said while it happened is what is read afterwards. */
async function same(runtime: Runtime, run: string, log: readonly Line[]): Promise<Decision[]> {
  const read = await runtime.decisions(run);
  const logged = log.filter(({ type }) => type === "decision").map(({ decision, reason, numbers }) => ({ decision, reason, numbers }));
  expect(
    read.data.filter(({ decision }) => decision !== "accepted").map(({ decision, reason, numbers }) => ({ decision, reason, numbers })),
  ).toEqual(logged);
  return read.data;
}

test("every yes with how the budgets stood, every retry and fallback with the provider's words, and the end", async () => {
  const busy = chatError(503, "busy");
  const { runtime, log } = await world([busy, busy, { text: "fine", usage: { input: 10, output: 7 } }]);
  const run = await runtime.start({ agent: "worker", input: "go" });
  await run.result();
  const data = await same(runtime, run.id, log);
  expect(said({ data })).toEqual([
    expect.stringMatching(/^accepted: at worst \d+ calls, \d+ tool calls and [\d,.]+ µ\$$/),
    "granted: call c0 of m (main, attempt 1): hold 100 µ$, run 0 µ$ of 10,000 µ$ used, user 0 µ$ of 1,000 µ$ and 0 of 5 calls used, system 0 of 1,000,000 tokens used",
    expect.stringMatching(/^retried: again in 250 ms, as attempt 2: provider_unavailable, it answered 503: busy\. .*\(status 503\)$/),
    expect.stringMatching(
      /^granted: call c2 of m \(main, attempt 2\): hold 100 µ\$, run 0 µ\$ of 10,000 µ\$ used, user 0 µ\$ of 1,000 µ\$ and 1 of 5 calls used/,
    ),
    expect.stringMatching(/^fell_back: from main to cheap: provider_unavailable, it answered 503: busy\. .*\(status 503\)$/),
    expect.stringMatching(/^granted: call c3 of c \(cheap, attempt 3\)/),
    "ended: done",
  ]);
  expect(data[1]?.numbers).toMatchObject({
    hold_microusd: 100,
    run_used_microusd: 0,
    run_limit_microusd: 10_000,
    user_used_microusd: 0,
    user_limit_calls: 5,
    system_limit_tokens: 1_000_000,
  });
  expect(data.at(-1)?.numbers).toMatchObject({ cost_microusd: 7, calls: 3 });
});

test("a denial by a budget with its level and numbers; clients are told no numbers of it", async () => {
  const { runtime, log } = await world([{ text: "fine", usage: { input: 10, output: 7 } }]);
  for (let i = 0; i < 5; i++) await (await runtime.start({ agent: "worker", input: "go" })).result();
  log.length = 0;
  const run = await runtime.start({ agent: "worker", input: "go" });
  expect(await run.result()).toMatchObject({ status: "exhausted", error: { code: "budget_exceeded" } });
  const data = await same(runtime, run.id, log);
  expect(said({ data })).toContain(
    "denied: the user budget does not allow the call (user 35 µ$ of 1,000 µ$ and 5 of 5 calls used, system 85 of 1,000,000 tokens used)",
  );
  const facts = (await runtime.facts(run.id)).data;
  expect(JSON.stringify(facts)).not.toContain("ledger");
  const other = await runtime.decisions(run.id, { tenant: "local", scopes: ["tenant"] });
  expect(said(other)).toContain("denied: the user budget does not allow the call");
});

test("approvals, top-ups and refusals", async () => {
  const use = (to: string) => ({ tools: [{ name: "deploy", input: { to } }], usage: { input: 10, output: 90 } });
  const { runtime, log } = await world([use("here"), use("there"), { text: "done", usage: { input: 1, output: 1 } }], {
    limit: 150,
    onBudget: "ask",
  });
  const run = await runtime.start({ agent: "worker", input: "go" });
  let approvals = 0;
  for await (const event of run) {
    if (event.type !== "input.requested") continue;
    const { id, kind } = event;
    if (kind === "budget") await run.answer({ id, amount_microusd: 500 });
    else await run.answer(approvals++ === 0 ? { id, approve: true } : { id, approve: false, reason: "not there" });
  }
  const data = await same(runtime, run.id, log);
  const told = said({ data }).filter((reason) => /^(asked|approved|overspent|topped_up|rejected|denied|ended|granted: tool)/.test(reason));
  expect(told).toEqual([
    expect.stringMatching(/^asked: approval q\d+: /),
    expect.stringMatching(/^approved: q\d+$/),
    "granted: tool deploy of hands",
    "overspent: the run has cost 180 µ$, and its limit is 150 µ$",
    expect.stringMatching(/^asked: approval q\d+: /),
    expect.stringMatching(/^rejected: q\d+: not there$/),
    expect.stringMatching(/^denied: tool deploy: .* \(tool_denied\)$/),
    expect.stringMatching(/^denied: the run budget does not allow the call/),
    expect.stringMatching(/^asked: budget q\d+: /),
    expect.stringMatching(/^topped_up: q\d+ by 500 µ\$$/),
    "ended: done",
  ]);
  expect(data.at(-2)?.numbers).toMatchObject({ run_limit_microusd: 650 });
});
