/**
 * Runs of the real runtime whose outside world is chance: every outcome that work can have, in virtual time.
 * It keeps its own book of what was performed, to hold against what was said before the run began.
 */
import { z } from "zod";
import type { CallInput, CallOutput, WorkError } from "../../machines/work.ts";
import { memoryChannel } from "../../src/channels/memory.ts";
import { costNano } from "../../src/money/prices.ts";
import { errorBody } from "../../src/protocol/errors.ts";
import { callId } from "../../src/protocol/ids.ts";
import type { Json } from "../../src/protocol/json.ts";
import type { LimitsInput } from "../../src/protocol/limits.ts";
import type { Run } from "../../src/protocol/run.ts";
import type { RunHandle } from "../../src/protocol/runs.ts";
import type { Provider } from "../../src/providers/provider.ts";
import type { AgentSpec, TierSpec } from "../../src/runtime/agent.ts";
import type { Interpreter, Outcome, Work } from "../../src/runtime/interpreter.ts";
import { inputTokens } from "../../src/runtime/reserve.ts";
import type { Account } from "../../src/runtime/run.ts";
import { type DefinedAgent, Runtime } from "../../src/runtime/runtime.ts";
import type { Scheduler } from "../../src/runtime/scheduler.ts";
import { type Tool, tool } from "../../src/runtime/tool.ts";
import { sqliteInThread } from "../../src/stores/sqlite.ts";
import { patternsWith } from "./fuzzed-patterns.ts";
import { chance } from "./inputs.ts";

/** What was performed for a run. */
export type Performed = {
  calls: number;
  tools: number;
  inputTokens: number;
  outputTokens: number;
  costNano: number;
  grantedMicrousd: number;
};
export type Ended = { readonly run: Run; readonly performed: Performed };

/** How a call may end; one that names no way is left to chance. */
export type Script = (calls: number) => "lost" | "unavailable" | "chance";

const provider: Provider = {
  name: "fake",
  endpoint: "local",
  selfHosted: true,
  tokenizer: { encoding: "bytes", margin: 0 },
  stream: () => () => {},
  close: async () => {},
};
const timeouts = { connect: 3_000, headers: 10_000, firstToken: 10_000, idle: 10_000, total: 30_000 };
const tierOf = (name: string, nano: number, contextTokens: number): TierSpec => ({
  name,
  provider: "fake",
  model: name,
  price: { inputNano: nano, cachedNano: nano / 10, cacheWriteNano: nano * 1.25, outputNano: nano * 4 },
  maxOutputTokens: 400,
  contextTokens,
  stream: true,
  timeouts,
});
const tiers = [tierOf("first", 500, 20_000), tierOf("second", 100, 8_000), tierOf("third", 2_000, 4_000)];
const judging = tierOf("judge", 300, 8_000);
const judge = { tier: "judge", criteria: "It is true." };
const supervision = { agent: "restart", request: "restart", tool: "restart", max_restarts: 3, within_ms: 60_000 } as const;

const input = z.object({ argument: z.string() });
const tools: readonly Tool[] = [
  tool({ name: "look", description: "looks", input, class: "pure", run: () => null }),
  tool({ name: "send", description: "sends", input, class: "once", approval: true, run: () => null }),
];
const shown = tools.map(({ name, description, schema, class: effects, approval }) => ({
  name,
  group: "hands",
  description,
  schema,
  class: effects,
  approval,
}));

const spec = (name: string, more: Partial<AgentSpec>): AgentSpec => ({
  name,
  description: "",
  instructions: "Be brief.",
  machine: "agent@2",
  tiers,
  tools: [],
  limits: {
    max_steps: 6,
    max_calls: 60,
    max_tool_calls: 40,
    max_depth: 4,
    max_cost_microusd: 60_000,
    max_output_tokens: 200,
    deadline_ms: 600_000,
  },
  retries: 2,
  onBudget: "stop",
  parallelTools: 3,
  ...more,
});
export const agents: readonly AgentSpec[] = [
  spec("single", { machine: "single@2" }),
  spec("one-tier", { machine: "single@2", tiers: tiers.slice(1, 2), retries: 0, degraded: "Sorry." }),
  spec("structured", { outputSchema: { type: "object" }, retries: 1 }),
  spec("tools", { tools: shown, tiers: tiers.slice(0, 2), retries: 1 }),
  spec("routed", {
    machine: "single@2",
    escalateBelow: 0.85,
    route: { classifier: { tier: "third", labels: { short: { description: "short", tier: "second" } } }, default: "third" },
  }),
  spec("forgetful", {
    tools: shown,
    tiers: tiers.slice(0, 2),
    retries: 1,
    context: { max_tokens: 4_000, summarise: { tier: "third", max_output_tokens: 100 } },
    helpers: tiers.slice(2),
  }),
  spec("topped-up", { tools: shown, tiers: tiers.slice(0, 1), onBudget: "ask" }),
  spec("going-on", { machine: "single@2", tiers: tiers.slice(0, 2), onLength: "continue", onCut: "continue" }),
  spec("keeping", { onCut: "keep", outputSchema: { type: "object" }, onLength: "continue" }),
  spec("judged", { machine: "single@2", tiers: tiers.slice(0, 2), helpers: [judging], judge, retries: 1, degraded: "Sorry." }),
  spec("judged-tools", { tools: shown, tiers: tiers.slice(0, 1), helpers: [judging], judge, onLength: "continue", onCut: "continue" }),
  spec("checked", { stream: "checked", outputSchema: { type: "object" }, tiers: tiers.slice(1) }),
  spec("cheaper", {
    machine: "single@2",
    tiers: [tiers[2] as TierSpec, tiers[0] as TierSpec, tiers[1] as TierSpec],
    onBudget: "cheaper",
    retries: 0,
  }),
  spec("supervised", { tools: shown, tiers: tiers.slice(0, 1), retries: 0, supervision }),
  spec("restarted", { machine: "single@2", tiers: tiers.slice(0, 2), retries: 0, supervision: { ...supervision, within_ms: 2_000 } }),
  spec("confirmed", { tools: shown, tiers: tiers.slice(0, 2), retries: 1, confirmAbove: 20_000 }),
];
const defined = (of: AgentSpec): DefinedAgent => ({ spec: of, options: {} });
const definedPatterns = patternsWith(tiers, tools, 32, chance(Number(process.env.FUZZ_SEED ?? 1)));
export const patterns: readonly AgentSpec[] = definedPatterns.map((pattern) => pattern.spec);

export class FuzzedWorld {
  readonly runtime: Promise<Runtime>;
  private readonly performed = new Map<string, Performed>();
  private readonly pick: (below: number) => number;
  private readonly script: Script;
  private now = Date.UTC(2026, 0, 1);
  private deferred: (() => void)[] = [];
  private timers: { due: number; task: () => void }[] = [];
  private ended: Ended[] = [];
  private failure: unknown;
  private readonly fail = (error: unknown): void => {
    this.failure ??= error;
  };

  constructor(pick: (below: number) => number, script: Script = () => "chance") {
    this.pick = pick;
    this.script = script;
    this.runtime = Runtime.create({
      store: sqliteInThread(":memory:"),
      channel: memoryChannel(),
      scheduler: this.scheduler(),
      interpreter: this.interpreter(),
      providers: new Map([["fake", provider]]),
      tools: { hands: tools },
      agents: [...agents.map(defined), ...definedPatterns],
    });
  }

  /** Starts runs, a few at once, and gives them when they have ended. */
  async play(count: number, agentOf: (i: number) => AgentSpec = (i) => agents[i % agents.length] as AgentSpec): Promise<readonly Ended[]> {
    const runtime = await this.until(this.runtime);
    let started = 0;
    while (this.ended.length < count) {
      while (started < count && started - this.ended.length < 50) this.follow(runtime, agentOf(started++)).catch(this.fail);
      await this.tick();
      if (this.failure) throw this.failure;
    }
    await this.until(runtime.close());
    return this.ended;
  }

  // --- a run from outside

  private async follow(runtime: Runtime, agent: AgentSpec): Promise<void> {
    // A pattern's own limits are what it can need: they are left to it.
    const limits = agent.plan ? this.moneyAndTime() : this.limits();
    const handle = await runtime.start({ agent: agent.name, input: "x".repeat(1 + this.pick(3_000)), limits });
    if (this.chance(0.05)) this.after(this.pick(60_000), () => void handle.cancel("enough").catch(() => {}));
    for await (const event of handle) {
      if (event.type === "input.requested" && this.chance(0.8))
        this.after(this.pick(20_000), () => this.answer(handle, event.id, event.kind));
    }
    const run = await handle.result();
    this.ended.push({ run, performed: this.bookOf(run.id) });
  }

  /** A question may be over by then. */
  private answer(handle: RunHandle, id: string, kind: string): void {
    const amount = 1_000 * (1 + this.pick(20));
    const said =
      kind === "budget" && this.chance(0.7)
        ? { id, amount_microusd: amount }
        : kind === "question"
          ? { id, value: { took_effect: this.chance(0.5) } }
          : { id, approve: this.chance(0.7) };
    handle.answer(said).then(
      () => {
        if ("amount_microusd" in said) this.bookOf(handle.id).grantedMicrousd += amount;
      },
      () => {},
    );
  }

  private moneyAndTime(): LimitsInput {
    return this.chance(0.3) ? { max_cost_microusd: 1_000 + this.pick(20_000), deadline_ms: 1_000 + this.pick(200_000) } : {};
  }

  private limits(): LimitsInput {
    const some = <T>(value: T): T | undefined => (this.chance(0.25) ? value : undefined);
    const limits = {
      max_steps: some(1 + this.pick(6)),
      max_calls: some(1 + this.pick(30)),
      max_tool_calls: some(1 + this.pick(10)),
      max_cost_microusd: some(1 + this.pick(20_000)),
      max_output_tokens: some(1 + this.pick(200)),
      deadline_ms: some(1_000 + this.pick(200_000)),
    };
    return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
  }

  // --- the world

  private interpreter(): Interpreter {
    return {
      perform: (work, report) => {
        const limitMs = Math.min(work.ask.kind === "call" ? timeouts.total : 30_000, Math.max(1, work.remainingMs));
        const { outcome, account } = work.ask.kind === "call" ? this.call(work) : this.other(work);
        const cancel = this.after(this.chance(0.1) ? limitMs : this.pick(Math.min(2_000, limitMs) + 1), () => {
          this.charge(work.run, account);
          report.done(outcome);
        });
        return {
          stop: cancel,
          account: () => {
            // What had been streamed by then: some of it.
            const part = account && {
              ...account,
              costNano: Math.floor(account.costNano / 2),
              outputTokens: Math.floor(account.outputTokens / 2),
              estimated: true,
            };
            this.charge(work.run, part);
            return part;
          },
        };
      },
    };
  }

  private call(work: Work): { outcome: Outcome; account: Account } {
    const book = this.bookOf(work.run);
    const script = this.script(book.calls++);
    const { call, input: asked } = { call: callId(work.ask.ordinal), input: work.ask.input as unknown as CallInput };
    const account = this.account(work, asked);
    const ok = (more: Partial<CallOutput>): Outcome => {
      const value: CallOutput = { call, finish: "stop", text: "An answer.", ...more };
      return { ok: true, value: value as unknown as Json, account };
    };
    const failed = (error: WorkError, shown = 0): Outcome => ({ ok: false, value: { ...error, call, shown } as unknown as Json, account });
    const lost: WorkError = { code: "lost", message: "the process died", retryable: true };
    if (script === "lost") return { outcome: failed(lost), account };
    if (script === "unavailable") return { outcome: failed(errorBody("provider_unavailable", "503")), account };
    const machines = (asked.tools ?? []).filter((name) => name !== "look" && name !== "send");
    const named = ["look", "look", "send", "unheard", ...machines];
    const uses = Array.from({ length: this.chance(0.1) ? 50 : 1 + this.pick(4) }, (_, i) => ({
      id: `u${i}`,
      name: named[this.pick(named.length)] as string,
      input: (this.chance(0.1) ? {} : { argument: String(this.pick(1_000)) }) as Json,
    })).map((use) =>
      machines.includes(use.name) && "argument" in (use.input as object) ? { ...use, input: { input: "Is it so?" } } : use,
    );
    const wantsTools = asked.tools !== undefined && asked.tools.length > 0;
    if (asked.for === "internal" && (asked.part === undefined || asked.part.endsWith("classifier")))
      return { outcome: this.verdict(ok, failed), account };
    const ways: (() => Outcome)[] = [
      ...(work.spec.onLength ? [() => ok({ finish: "length" })] : []),
      ...(work.spec.onCut ? [() => failed({ ...errorBody("interrupted", "the stream broke"), text: "An an" }, 5)] : []),
      ...(work.spec.stream === "checked" ? [() => ok({ text: `{${this.pick(3)}`, problem: "it is no JSON", unseen: true })] : []),
      () => (wantsTools ? ok({ finish: "tools", text: "", tools: uses }) : ok({})),
      () => (wantsTools ? ok({ finish: "tools", text: "", tools: uses }) : ok({ text: "" })),
      () =>
        ok({ text: asked.part === undefined ? "short" : (["short", "1"][this.pick(2)] as string), confidence: this.chance(0.5) ? 1 : 0.5 }),
      () => (asked.structured ? ok({ text: `{${this.pick(3)}`, problem: "it is no JSON" }) : ok({ text: "" })),
      () => ok({ text: "", finish: "tools", tools: uses }),
      () => failed(errorBody("provider_unavailable", "503")),
      () => failed(errorBody("provider_rate_limited", "slow down", { retry_after_ms: [0, 1_500, 30_000, 90_000][this.pick(4)] as number })),
      () => failed(errorBody("timeout", "no first token")),
      () => failed(errorBody("interrupted", "the stream broke"), 5),
      () => failed(lost),
      () =>
        [
          ok({}),
          ok({ finish: "length" }),
          ok({ finish: "refused" }),
          failed(errorBody("provider_rejected", "401")),
          failed(errorBody("internal", "a defect")),
        ][this.pick(5)] as Outcome,
    ];
    return { outcome: (ways[this.pick(ways.length)] as () => Outcome)(), account };
  }

  /** A judge passes, fails, says something else, or cannot be asked. */
  private verdict(ok: (more: Partial<CallOutput>) => Outcome, failed: (error: WorkError) => Outcome): Outcome {
    const ways: readonly (() => Outcome)[] = [
      () => ok({ text: "PASS" }),
      () => ok({ text: "PASS" }),
      () => ok({ text: `FAIL: it is wrong (${this.pick(3)})` }),
      () => ok({ text: "" }),
      () => failed(errorBody("provider_unavailable", "503")),
      () => failed({ code: "lost", message: "the process died", retryable: true }),
    ];
    return (ways[this.pick(ways.length)] as () => Outcome)();
  }

  /** What costs no money. */
  private other(work: Work): { outcome: Outcome; account?: Account } {
    const { ask } = work;
    if (ask.kind === "delegate") return { outcome: { ok: true, value: null } };
    if (ask.kind !== "split") return this.tool(work);
    const count = this.pick(8);
    return { outcome: { ok: true, value: { chunks: Array.from({ length: count }, () => ask.input.text.slice(0, 500)) } } };
  }

  private tool(work: Work): { outcome: Outcome; account?: Account } {
    this.bookOf(work.run).tools++;
    const ways: readonly Outcome[] = [
      { ok: true, value: { output: 1, content: "1" } },
      { ok: true, value: { output: 1, content: "1" } },
      { ok: false, value: errorBody("tool_failed", "it failed") as unknown as Json },
      { ok: false, value: errorBody("tool_unknown", "it took too long") as unknown as Json },
    ];
    return { outcome: ways[this.pick(ways.length)] as Outcome };
  }

  /** What a call took: any part of what was counted and granted, the whole of it now and then. */
  private account(work: Work, asked: CallInput): Account {
    const tier = [...tiers, judging].find(({ name }) => name === asked.tier) as TierSpec;
    const part = (most: number): number => (this.chance(0.2) ? most : this.pick(most + 1));
    const usage = {
      inputTokens: part(inputTokens(asked, work.spec, provider)),
      cachedTokens: 0,
      cacheWriteTokens: 0,
      outputTokens: part(work.maxTokens),
    };
    const cached = this.chance(0.5) ? part(usage.inputTokens) : 0;
    return {
      costNano: costNano(tier.price, { ...usage, cachedTokens: cached }),
      inputTokens: usage.inputTokens,
      cachedTokens: cached,
      outputTokens: usage.outputTokens,
      estimated: false,
      model: tier.model,
      durationMs: 1,
    };
  }

  private charge(run: string, account: Account | undefined): void {
    if (!account) return;
    const book = this.bookOf(run);
    book.inputTokens += account.inputTokens;
    book.outputTokens += account.outputTokens;
    book.costNano += account.costNano;
  }

  private bookOf(run: string): Performed {
    let book = this.performed.get(run);
    if (!book) {
      book = { calls: 0, tools: 0, inputTokens: 0, outputTokens: 0, costNano: 0, grantedMicrousd: 0 };
      this.performed.set(run, book);
    }
    return book;
  }

  // --- time

  private chance(p: number): boolean {
    return this.pick(1_000) < p * 1_000;
  }

  private scheduler(): Scheduler {
    return {
      now: () => this.now,
      monotonic: () => this.now,
      defer: (task) => void this.deferred.push(task),
      after: (ms, task) => this.after(ms, task),
      hold: () => () => {},
      random: () => this.pick(1_000) / 1_000,
    };
  }

  private after(ms: number, task: () => void): () => void {
    const timer = { due: this.now + Math.max(0, ms), task };
    this.timers.push(timer);
    return () => {
      const i = this.timers.indexOf(timer);
      if (i >= 0) this.timers.splice(i, 1);
    };
  }

  /** What can be done now is done; when nothing is left, time goes on to the next timer. */
  private async tick(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.deferred.length > 0) {
      for (const task of this.deferred.splice(0)) task();
      return;
    }
    if (this.timers.length === 0) return;
    let next = this.timers[0] as { due: number; task: () => void };
    for (const timer of this.timers) if (timer.due < next.due) next = timer;
    this.timers.splice(this.timers.indexOf(next), 1);
    this.now = Math.max(this.now, next.due);
    next.task();
  }

  private async until<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    promise.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    while (!over) await this.tick();
    return promise;
  }
}
