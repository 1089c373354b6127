/** Identical calls that are under way at once share one (FEATURES D6): through the runtime, on a provider that answers when it is told to. */
import { expect, test } from "vitest";
import { type AgentOptions, agent, type Config, type Event, type RunHandle, type Runtime } from "../../src/index.ts";
import { chunk, event, head, json, lastChunk, type Script, streamHeaders } from "../../src/testing/fault-script.ts";
import type { FaultRequest, FaultServer } from "../../src/testing/fault-server.ts";
import { world as inMemory } from "../runtime/world.ts";
import { until } from "../whole-path/until.ts";

/** A call costs 10 micro-dollars, and reserves 100. */
const usage = { prompt_tokens: 5, completion_tokens: 10, total_tokens: 15 };
const said = (content: string) =>
  event({ id: "x", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta: { content } }] });
const end = [
  event({ id: "x", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }),
  event({ id: "x", object: "chat.completion.chunk", model: "m", choices: [], usage }),
  event("[DONE]"),
];
const begun: Script = [head(200, { ...streamHeaders, "transfer-encoding": "chunked" })];
const all = (...texts: string[]): Script => [...begun, ...[...texts.map(said), ...end].map((one) => chunk(one)), lastChunk];
const hanging = (...texts: string[]): Script => [...begun, ...texts.map((text) => chunk(said(text))), { hang: true }];

type World = { runtime: Runtime; provider: FaultServer; start: (limits?: object, input?: string) => Promise<Started> };

async function world(
  scripts: readonly ((request: FaultRequest) => Script | Promise<Script>)[],
  more: Partial<AgentOptions> = {},
  config: Config = {},
) {
  let call = 0;
  const { runtime, provider } = await inMemory((request) => scripts[Math.min(call++, scripts.length - 1)]!(request), {
    agents: [agent({ name: "helper", machine: "single", retries: 0, cache: { single_flight: true, scope: "tenant" }, ...more })],
    budgets: { system: { per_hour_microusd: 1_000_000 } },
    ...config,
  });
  const made: World = {
    runtime,
    provider,
    start: async (limits, input = "Is it?") => started(await runtime.start({ agent: "helper", input, ...(limits && { limits }) })),
  };
  return made;
}

type Started = { handle: RunHandle; events: Event[]; ended: Promise<void>; text: () => string };

/** A run and what is told of it, as it comes. */
function started(handle: RunHandle): Started {
  const events: Event[] = [];
  const ended = (async () => {
    for await (const event of handle) events.push(event);
  })();
  ended.catch(() => {});
  return { handle, events, ended, text: () => events.map((one) => (one.type === "text.delta" ? one.text : "")).join("") };
}

const gate = () => {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), opened };
};

const after = (opened: Promise<void>, script: Script) => async (): Promise<Script> => {
  await opened;
  return script;
};

const spent = async (runtime: Runtime) => {
  const [system] = await runtime.budgets();
  return [system?.spent.cost_microusd, system?.held.cost_microusd];
};
const callOf = ({ events }: Started) => events.findLast((one) => one.type === "call.finished");

test("five at once are one call: each is told all of it, one pays, the others nothing and are marked", async () => {
  const { open, opened } = gate();
  const { runtime, provider, start } = await world([after(opened, all("It ", "is ", "so."))]);
  const runs = await Promise.all(Array.from({ length: 5 }, () => start()));
  await until("the five", () => runtime.cacheCounts()?.shared === 4);
  expect((await spent(runtime))[1]).toBe(500);
  open();
  await Promise.all(runs.map(({ ended }) => ended));
  expect(provider.book.entries).toHaveLength(1);
  expect(runs.map((run) => run.text())).toEqual(Array(5).fill("It is so."));
  const ended = await Promise.all(runs.map(({ handle }) => handle.result()));
  expect(ended.map(({ status }) => status)).toEqual(Array(5).fill("done"));
  expect(ended.map((run) => run.cost_microusd).sort((a, b) => b - a)).toEqual([10, 0, 0, 0, 0]);
  expect(runs.map((run) => (callOf(run) as { cached?: boolean }).cached ?? false).sort()).toEqual([false, true, true, true, true]);
  expect(await spent(runtime)).toEqual([10, 0]);
});

test("whoever comes late is told the text so far, then the rest", async () => {
  const { open, opened } = gate();
  const { provider, start, runtime } = await world([async () => hanging("It ")]);
  const first = await start();
  await until("the first word", () => first.text() === "It ");
  const second = await start();
  await until("the first word again", () => second.text() === "It ");
  expect([provider.book.entries.length, runtime.cacheCounts()?.shared]).toEqual([1, 1]);
  open();
  await opened;
  await Promise.all([first.handle.cancel(), second.handle.cancel()]);
});

test("whoever paid may leave: the call goes on for the others, and the next one pays the whole bill", async () => {
  const { open, opened } = gate();
  const { runtime, provider, start } = await world([after(opened, all("It ", "is."))]);
  const payer = await start();
  await provider.book.entry(0);
  const [second, third] = await Promise.all([start(), start()]);
  await until("the others", () => runtime.cacheCounts()?.shared === 2);
  await payer.handle.cancel();
  await payer.ended;
  expect(await payer.handle.result()).toMatchObject({ status: "cancelled", cost_microusd: 0 });
  open();
  await Promise.all([second.ended, third.ended]);
  const costs = await Promise.all([second, third].map(async ({ handle }) => (await handle.result()).cost_microusd));
  expect(costs.sort()).toEqual([0, 10]);
  expect([second.text(), third.text()]).toEqual(["It is.", "It is."]);
  expect(provider.book.entries).toHaveLength(1);
  expect(await spent(runtime)).toEqual([10, 0]);
});

test("when the last one leaves the call is stopped, and that one pays what was streamed", async () => {
  const { runtime, provider, start } = await world([() => hanging("one two three four")]);
  const runs = [await start()];
  await until("the text", () => runs[0]?.text() !== "");
  runs.push(await start());
  await until("the text", () => runs[1]?.text() !== "");
  await runs[0]?.handle.cancel();
  expect(provider.book.entries[0]?.closedAt).toBeUndefined();
  await runs[1]?.handle.cancel();
  await provider.book.idle();
  const ended = await Promise.all(runs.map(({ handle }) => handle.result()));
  expect(ended.map(({ status }) => status)).toEqual(["cancelled", "cancelled"]);
  expect(ended[0]?.cost_microusd).toBe(0);
  expect(ended[1]?.cost_microusd).toBeGreaterThan(0);
  expect(ended[1]?.usage.estimated).toBe(true);
  expect(await spent(runtime)).toEqual([ended[1]?.cost_microusd, 0]);
});

test("when it fails before a word, its payer ends by its own policy and the others make one call more, together", async () => {
  const { open, opened } = gate();
  const { provider, start, runtime } = await world([after(opened, json(500, { error: { message: "no" } })), () => all("So.")]);
  const runs = await Promise.all([start(), start(), start()]);
  await until("the three", () => runtime.cacheCounts()?.shared === 2);
  open();
  await Promise.all(runs.map(({ ended }) => ended));
  const ended = await Promise.all(runs.map(({ handle }) => handle.result()));
  expect(ended.map(({ status }) => status).sort()).toEqual(["done", "done", "failed"]);
  expect(ended.map((run) => run.cost_microusd).sort()).toEqual([0, 0, 10]);
  expect(provider.book.entries).toHaveLength(2);
  expect(await spent(runtime)).toEqual([10, 0]);
});

test("it does not fail for ever: who has called anew once gets the error, and may retry it", async () => {
  const { open, opened } = gate();
  const { provider, start, runtime } = await world([after(opened, json(500, { error: { message: "no" } }))]);
  const runs = await Promise.all([start(), start(), start()]);
  await until("the three", () => runtime.cacheCounts()?.shared === 2);
  open();
  await Promise.all(runs.map(({ ended }) => ended));
  expect(provider.book.entries).toHaveLength(2);
  for (const { handle } of runs) expect(await handle.result()).toMatchObject({ status: "failed", cost_microusd: 0 });
});

test("when it breaks after words were shown, each takes them back and goes on by its own policy", async () => {
  const { open, opened } = gate();
  const broken = [...begun, chunk(said("It is n")), { reset: true } as const];
  const { start, provider } = await world([after(opened, broken), () => all("It is so.")], { retries: 1, backoff: { first_ms: 1 } });
  const runs = await Promise.all([start(), start()]);
  open();
  await Promise.all(runs.map(({ ended }) => ended));
  for (const { handle, events } of runs) {
    expect(await handle.result()).toMatchObject({ status: "done", output: "It is so." });
    expect(events.some(({ type }) => type === "retract")).toBe(true);
  }
  expect(provider.book.entries.length).toBeGreaterThanOrEqual(2);
});

test("a run whose deadline is over leaves, and the others are not held up", async () => {
  const { open, opened } = gate();
  const { start, runtime, provider } = await world([after(opened, all("So."))]);
  const patient = await start();
  await provider.book.entry(0);
  const hasty = await start({ deadline_ms: 200 });
  await until("both", () => runtime.cacheCounts()?.shared === 1);
  await hasty.ended;
  expect(await hasty.handle.result()).toMatchObject({ status: "exhausted", cost_microusd: 0, error: { code: "limit_hit" } });
  open();
  await patient.ended;
  expect(await patient.handle.result()).toMatchObject({ status: "done", cost_microusd: 10 });
});

test("a call with another grant goes alone: nobody could pay for another's", async () => {
  const { open, opened } = gate();
  const { start, provider } = await world([after(opened, all("So."))]);
  const runs = [await start(), await start({ max_output_tokens: 50 })];
  await provider.book.entry(1);
  open();
  await Promise.all(runs.map(({ ended }) => ended));
  expect(provider.book.entries).toHaveLength(2);
});

test("with a cache behind it: one call for many at once, none for those that come later", async () => {
  const { open, opened } = gate();
  const cache = { exact: {}, single_flight: true, scope: "tenant" } as const;
  const { start, provider, runtime } = await world([after(opened, all("So."))], { cache }, { store: { path: ":memory:" } });
  const runs = await Promise.all([start(), start()]);
  await until("both", () => runtime.cacheCounts()?.shared === 1);
  open();
  await Promise.all(runs.map(({ ended }) => ended));
  const later = await start();
  await later.ended;
  expect(await later.handle.result()).toMatchObject({ cached: true, cost_microusd: 0 });
  // The price of the one that paid, for the one that shared its call and the one that came later.
  expect((await runtime.usage({ by: "agent" })).total).toMatchObject({ calls: 3, cached: 2, cost_microusd: 10, saved_microusd: 20 });
  expect(provider.book.entries).toHaveLength(1);
});

test("whoever asks after a purge shares no call that was begun before it, and nothing old is kept", async () => {
  const [first, second] = [gate(), gate()];
  const cache = { exact: {}, single_flight: true, scope: "tenant", tags: ["prices"] } as const;
  const scripts = [after(first.opened, all("Old.")), after(second.opened, all("New."))];
  const { start, provider, runtime } = await world(scripts, { cache }, { store: { path: ":memory:" } });
  const before = await start();
  await provider.book.entry(0);
  await runtime.purgeCache({ tag: "prices" });
  const later = await start();
  const third = await start();
  await until("the third shares with the second", () => runtime.cacheCounts()?.shared === 1);
  second.open();
  await Promise.all([later.ended, third.ended]);
  first.open();
  await before.ended;
  expect([before, later, third].map((one) => one.text())).toEqual(["Old.", "New.", "New."]);
  const last = await start();
  await last.ended;
  expect(await last.handle.result()).toMatchObject({ cached: true, output: "New." });
});

test("cancels and joins in any order leave nothing behind, and what all paid is the one bill", async () => {
  const gates = new Map<string, ReturnType<typeof gate>>();
  const { start, runtime, provider } = await world([
    async (request) => {
      await gates.get(request.json().messages.at(-1).content)?.opened;
      return all("It ", "is.");
    },
  ]);
  let total = 0;
  for (let seed = 1; seed <= 20; seed++) {
    let state = seed;
    const random = (below: number): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    const before = provider.book.entries.length;
    const { open, opened } = gate();
    gates.set(`Question ${seed}`, { open, opened });
    const runs: Started[] = [];
    for (let step = 0; step < 8; step++) {
      if (runs.length === 0 || random(3) > 0) runs.push(await start(undefined, `Question ${seed}`));
      else await runs[random(runs.length)]?.handle.cancel();
    }
    open();
    await Promise.all(runs.map(({ ended }) => ended));
    const ended = await Promise.all(runs.map(({ handle }) => handle.result()));
    const made = provider.book.entries.slice(before);
    await Promise.all(made.map(({ over }) => over));
    const billed = made.filter(({ closedAt }) => closedAt === undefined).length * 10;
    total += billed;
    expect(
      ended.reduce((sum, run) => sum + run.cost_microusd, 0),
      `seed ${seed}`,
    ).toBe(billed);
    expect(await spent(runtime), `seed ${seed}`).toEqual([total, 0]);
    for (const { status, held_microusd } of ended) expect([["done", "cancelled"].includes(status), held_microusd]).toEqual([true, 0]);
  }
});
