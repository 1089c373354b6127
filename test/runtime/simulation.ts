/**
 * The real runtime, writer and store under a random scheduler: crashes at every boundary, zombies that live on, store
 * outages, cancels, answers, caps, denials, a fan-out with a quorum. Time, order and the outside world are the simulation's;
 * everything else is the product. One seed is one history; a violation throws.
 *
 * What must hold, at every instant or at the end:
 *  1. Whatever is published is in the store already, the same.
 *  2. spent + held <= limit on every meter after every transaction; no hold is left; what was spent is at least the invoice.
 *  3. No call and no `once` tool is performed twice; calls stay under the cap.
 *  4. Each accepted run ends once; facts are numbered without gap; a replay of its journal goes the same way.
 *  5. A client that resumes by cursor sees each fact once and each text whole.
 */
import { inspect } from "node:util";
import { type AnyStateMachine, assign, enqueueActions, setup } from "xstate";
import { z } from "zod";
import { agentMachine } from "../../machines/agent.ts";
import { type RequestOutput, requestMachine } from "../../machines/request.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import { type Answer, ask } from "../../machines/work.ts";
import type { Channel } from "../../src/channels/channel.ts";
import { memoryChannel } from "../../src/channels/memory.ts";
import type { AnswerBody } from "../../src/protocol/commands.ts";
import { EscapementError } from "../../src/protocol/errors.ts";
import type { Event, Fact } from "../../src/protocol/events.ts";
import type { Json } from "../../src/protocol/json.ts";
import { hasEnded } from "../../src/protocol/run.ts";
import type { EventReader, RunHandle } from "../../src/protocol/runs.ts";
import type { Provider } from "../../src/providers/provider.ts";
import type { AgentSpec } from "../../src/runtime/agent.ts";
import { appraise } from "../../src/runtime/appraise.ts";
import type { Interpreter } from "../../src/runtime/interpreter.ts";
import { Journal, type Written } from "../../src/runtime/journal.ts";
import { supervisorInput } from "../../src/runtime/machine-input.ts";
import { replay } from "../../src/runtime/recovery.ts";
import { LiveRun } from "../../src/runtime/run.ts";
import { type DefinedAgent, Runtime } from "../../src/runtime/runtime.ts";
import type { Scheduler } from "../../src/runtime/scheduler.ts";
import { tool } from "../../src/runtime/tool.ts";
import { supervise } from "../../src/runtime/work-logic.ts";
import type { Claimed } from "../../src/stores/sql/calls.ts";
import { type Call, storeOverCalls } from "../../src/stores/sql/store-over-calls.ts";
import { SqliteCore } from "../../src/stores/sqlite/core.ts";
import { storeOfCore } from "../../src/stores/sqlite.ts";
import type { Counts, Entry, EntryResult, OpenAsk, RunRecord, Store } from "../../src/stores/store.ts";

/** A rule broken on purpose, to see that the simulation notices. */
export type Mutation = "publish-early" | "start-early" | "no-fence";

export type Tally = {
  crashes: number;
  restarts: number;
  zombies: number;
  fenced: number;
  outages: number;
  calls: number;
  lost: number;
  denied: number;
  ends: Record<string, number>;
};

type Task = { readonly process: Process | null; readonly due: number; readonly run: () => void };

const price = { inputNano: 0, cachedNano: 0, cacheWriteNano: 0, outputNano: 1_000 };
const timeouts = { connect: 3_000, headers: 10_000, firstToken: 10_000, idle: 10_000, total: 30_000 };
const holdTokens = 5;
const usedTokens = 3;

/** Asks n requests at once and ends with the first `quorum` answers; then a person says yes. */
const fanMachine = setup({
  types: {
    input: {} as { messages: never[]; tiers: string[]; retries: number; onBudget: "stop"; input: { n: number; quorum: number } },
    context: {} as {
      messages: never[];
      tiers: string[];
      retries: number;
      onBudget: "stop";
      n: number;
      quorum: number;
      got: string[];
      ended: number;
    },
    events: {} as { type: "cancel" } | { type: "xstate.done.actor.*"; output: RequestOutput },
    output: {} as Answer,
  },
  actors: { request: requestMachine, ask },
  guards: {
    hasQuorum: ({ context }) => context.got.length >= context.quorum,
    hasAll: ({ context }) => context.ended === context.n,
  },
  actions: {
    spawnAll: enqueueActions(({ context, enqueue }) => {
      for (let i = 0; i < context.n; i++) {
        const { messages, tiers, retries, onBudget } = context;
        enqueue.spawnChild("request", {
          id: `branch-${i + 1}`,
          input: { for: "internal", step: i + 1, messages, tiers, retries, onBudget },
        });
      }
    }),
    keep: assign(({ context }, { output }: { output: RequestOutput }) => ({
      ended: context.ended + 1,
      got: output.status === "done" ? [...context.got, output.text ?? ""] : context.got,
    })),
  },
}).createMachine({
  id: "fan",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ ...input, n: input.input.n, quorum: input.input.quorum, got: [], ended: 0 }),
  output: ({ context }) =>
    context.got.length >= context.quorum ? { status: "done", text: context.got.join("|") } : { status: "failed", text: null },
  on: { cancel: ".ended" },
  initial: "working",
  states: {
    working: {
      entry: "spawnAll",
      on: { "xstate.done.actor.*": { actions: { type: "keep", params: ({ event }) => event } } },
      always: [
        { guard: "hasQuorum", target: "approving" },
        { guard: "hasAll", target: "ended" },
      ],
    },
    approving: {
      invoke: {
        id: "ask",
        src: "ask",
        input: { kind: "approval", message: "all right?", expiresMs: 200_000 },
        onDone: "ended",
        onError: "ended",
      },
    },
    ended: { type: "final" },
  },
});

const machines: Record<string, AnyStateMachine> = {
  "agent@2": supervise(supervisorMachine, agentMachine),
  "single@2": supervise(supervisorMachine, requestMachine),
  "fan@1": supervise(supervisorMachine, fanMachine),
};

const pureTool = tool({ name: "look", description: "looks", input: z.object({ at: z.string() }), class: "pure", run: () => null });
const onceTool = tool({ name: "pay", description: "pays", input: z.object({ at: z.string() }), class: "once", run: () => null });
const approvedTool = tool({
  name: "send",
  description: "sends",
  input: z.object({ at: z.string() }),
  class: "once",
  approval: true,
  run: () => null,
});
const tools = [pureTool, onceTool, approvedTool];

export async function simulate(seed: number, mutation?: Mutation): Promise<Tally> {
  const world = new World(seed, mutation);
  try {
    return await world.play();
  } finally {
    world.core.close();
  }
}

export class World {
  readonly random: () => number;
  readonly core: SqliteCore;
  readonly store: Store;
  readonly tally: Tally = { crashes: 0, restarts: 0, zombies: 0, fenced: 0, outages: 0, calls: 0, lost: 0, denied: 0, ends: {} };
  now = Date.UTC(2026, 0, 1, 12);
  tasks: Task[] = [];
  down = false;
  readonly performed = new Map<string, number>();
  readonly callsOf = new Map<string, number>();
  readonly zombieFree = (): boolean => this.tally.zombies === 0;
  invoiceNano = 0;
  current!: Process;
  readonly mutation: Mutation | undefined;
  readonly config: {
    crash: number;
    restart: number;
    outage: number;
    unanswered: number;
    fail: number;
    maxCalls: number;
    systemNano: number;
    retries: number;
  };
  private violation: unknown;
  /** Takeovers at the present head: a run that was taken over twice without progress, and only such a run, is quarantined. */
  private readonly takeovers = new Map<string, { head: number; times: number }>();

  constructor(seed: number, mutation: Mutation | undefined) {
    this.random = mulberry(seed);
    this.mutation = mutation;
    this.core =
      mutation === "no-fence"
        ? new (class extends SqliteCore {
            override isCurrent() {
              return true;
            }
          })(":memory:")
        : new SqliteCore(":memory:");
    this.store = storeOfCore(this.core);
    const { random } = this;
    this.config = {
      crash: random() < 0.2 ? 0 : 0.02,
      restart: random() < 0.7 ? 0 : 0.01,
      outage: random() < 0.5 ? 0 : 0.03,
      unanswered: random() < 0.7 ? 0 : 0.1,
      fail: random() < 0.5 ? 0.3 : 0.05,
      maxCalls: random() < 0.3 ? 4 : 30,
      systemNano: random() < 0.3 ? 22_000 : 10_000_000,
      retries: 2,
    };
  }

  chance(p: number): boolean {
    return this.random() < p;
  }

  later(process: Process | null, run: () => void, ms = 0): () => void {
    const task = { process, due: this.now + ms, run };
    this.tasks.push(task);
    return () => {
      const i = this.tasks.indexOf(task);
      if (i >= 0) this.tasks.splice(i, 1);
    };
  }

  fail(what: string): void {
    this.violation ??= new Error(what);
  }

  crash(): void {
    this.tally.crashes++;
    const old = this.current;
    if (this.chance(0.5)) old.die();
    else {
      // It stops seeing time go by, and goes on as if its lease held.
      old.frozenAt = this.now;
      this.tally.zombies++;
    }
    this.now += 11_000;
    this.down = false;
    this.current = new Process(this);
  }

  /** An orderly end of the process and a start of the next. */
  private restart(): void {
    const old = this.current;
    if (!old.runtime || old.isEnding) return;
    old.isEnding = true;
    this.tally.restarts++;
    const over = (): void => {
      old.die();
      if (this.current === old) this.current = new Process(this);
    };
    old.runtime.close(this.chance(0.5) ? 0 : 100).then(over, over);
  }

  get mayCrash(): boolean {
    if (this.tally.crashes >= 6 || this.down) return false;
    return this.core.list({ limit: 10 }).rows.every(([run, status, , , head]) => {
      const taken = this.takeovers.get(run);
      return hasEnded(status) || taken === undefined || taken.head !== head;
    });
  }

  isQuarantined(run: string): boolean {
    const [, status, , , head] = this.core.get(run) ?? [];
    if (status !== "quarantined") return false;
    const taken = this.takeovers.get(run);
    if (!taken || taken.head !== head || taken.times < 2) this.fail(`quarantined after ${JSON.stringify(taken)}, its head is ${head}`);
    return true;
  }

  tookOver(run: string, head: number): void {
    const before = this.takeovers.get(run);
    this.takeovers.set(run, { head, times: before?.head === head ? before.times + 1 : 1 });
  }

  checkLedger(): void {
    for (const { key, spentNano, heldNano, limitNano } of this.meters())
      if (spentNano + heldNano > limitNano) this.fail(`overshoot on ${key}: ${spentNano} + ${heldNano} > ${limitNano}`);
  }

  private meters(): { key: string; spentNano: number; heldNano: number; limitNano: number }[] {
    return this.core.meters().map(([key, , limitNano, spentNano, heldNano]) => ({ key, limitNano, spentNano, heldNano }));
  }

  /** A call is counted once, and what it held is given back, through crashes, takeovers and repeated commits. */
  private checkCounts(): void {
    const open = this.core.list({ limit: 100_000 }).rows.flatMap((row) => JSON.parse(row[9]) as OpenAsk[]);
    const heldTokens = open.reduce((sum, { holdTokens = 0 }) => sum + holdTokens, 0);
    const heldCalls = open.filter(({ counted }) => counted).length;
    let calls = 0;
    const held = { tokens: 0, calls: 0 };
    for (const [key, , , , , json] of this.core.meters()) {
      const counts = JSON.parse(json ?? "null") as Counts | null;
      if (!counts) throw new Error(`the meter ${key} does not count`);
      calls += counts.calls.spent;
      held.tokens += counts.tokens.held;
      held.calls += counts.calls.held;
    }
    if (held.tokens !== heldTokens || held.calls !== heldCalls)
      throw new Error(`meters hold ${JSON.stringify(held)}, open calls ${heldTokens} tokens, ${heldCalls} calls`);
    // A granted call may have been stopped or lost before it was begun; a call that was made was granted.
    if (calls + held.calls < this.tally.calls) throw new Error(`${calls} calls are counted, ${this.tally.calls} were made`);
  }

  async play(): Promise<Tally> {
    this.current = new Process(this);
    const runs: Client[] = [];
    const n = this.chance(0.5) ? 1 : 2;
    for (let i = 0; i < n; i++) runs.push(new Client(this));
    for (let step = 0; step < 6_000; step++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.violation) throw this.violation;
      if (runs.every((run) => run.isOver)) break;
      if (this.chance(this.config.outage)) {
        this.down = !this.down;
        if (this.down) this.tally.outages++;
      } else if (this.down && this.chance(0.2)) this.down = false;
      if (this.chance(this.config.crash) && this.mayCrash) this.crash();
      if (this.chance(this.config.restart)) this.restart();
      this.step();
    }
    if (!runs.every((run) => run.isOver)) throw new Error(`runs do not end: ${runs.map((run) => run.describe()).join(", ")}`);
    this.down = false;
    await this.judge(runs);
    return this.tally;
  }

  private step(): void {
    const ready = this.tasks.filter((task) => task.due <= this.now);
    if (ready.length === 0) {
      if (this.tasks.length === 0) return;
      this.now = Math.min(...this.tasks.map((task) => task.due));
      return;
    }
    const task = ready[Math.floor(this.random() * ready.length)] as Task;
    this.tasks.splice(this.tasks.indexOf(task), 1);
    if (task.process?.dead) return;
    this.now += Math.floor(this.random() * 4);
    task.run();
  }

  private async judge(runs: readonly Client[]): Promise<void> {
    let spent = 0;
    let held = 0;
    for (const client of runs) {
      if (client.id === undefined) continue;
      const record = await this.store.get(client.id);
      if (!record) throw new Error("an accepted run is gone");
      spent += record.spentNano;
      this.tally.ends[record.status] = (this.tally.ends[record.status] ?? 0) + 1;
      held += record.heldNano;
      if (record.status === "quarantined") continue;
      if (record.heldNano !== 0 || record.open.length > 0)
        throw new Error(`left over after the end: held ${record.heldNano}, open ${JSON.stringify(record.open)}`);
      const facts = (await this.store.facts(client.id, 0, 10_000)).map((row, i) => {
        if (row.seq !== i + 1) throw new Error(`a gap: fact ${row.seq} at place ${i + 1}`);
        const { ledger: _ledger, ...fact } = JSON.parse(row.json) as { ledger?: unknown };
        return { ...fact, seq: row.seq } as Fact;
      });
      if (facts.length !== record.seq) throw new Error("the run's seq is not its number of facts");
      const ends = facts.filter((fact) => fact.type === "run.finished");
      if (ends.length !== 1 || facts.at(-1)?.type !== "run.finished")
        throw new Error(`ends: ${ends.length}, last is ${facts.at(-1)?.type}`);
      const started = facts.filter((fact) => fact.type === "call.started").length;
      const finished = facts.filter((fact) => fact.type === "call.finished").length;
      if (started !== finished) throw new Error(`${started} calls started, ${finished} finished`);
      this.tally.lost += facts.filter((fact) => fact.type === "call.finished" && fact.finish === "lost").length;
      this.tally.denied += facts.filter((fact) => fact.type === "limit.hit").length;
      client.judge(facts);
      await replayed(this.store, record);
    }
    const everything = { tenant: "local", by: "agent", from: 0, to: Number.MAX_SAFE_INTEGER, limit: 1 } as const;
    const { total } = await this.store.usage(everything);
    const spentByAll = this.core.list({ limit: 100_000 }).rows.reduce((sum, [, , , , , , , spentNano]) => sum + spentNano, 0);
    if (total.costNano !== spentByAll) throw new Error(`calls cost ${total.costNano}, the runs spent ${spentByAll}`);
    if (spent + held < this.invoiceNano) throw new Error(`charged ${spent}, the provider's book says ${this.invoiceNano}`);
    // Holds of a quarantined run are kept for the operator.
    const heldAbove = this.meters().reduce((sum, meter) => sum + meter.heldNano, 0);
    if (this.meters().length > 0 && heldAbove !== held) throw new Error(`the system holds ${heldAbove}, the runs ${held}`);
    const meters = this.meters().reduce((sum, meter) => sum + meter.spentNano, 0);
    if (this.meters().length > 0 && meters !== spent) throw new Error(`the system's meter says ${meters}, the runs ${spent}`);
    this.checkCounts();
    for (const [key, times] of this.performed) if (times > 1) throw new Error(`performed ${times} times: ${key}`);
    for (const [run, calls] of this.callsOf)
      if (calls > this.config.maxCalls) throw new Error(`${calls} calls in ${run}, ${this.config.maxCalls} are allowed`);
  }
}

/** One process: the real runtime over the shared store. */
class Process {
  dead = false;
  isEnding = false;
  frozenAt: number | null = null;
  runtime: Runtime | null = null;
  readonly ready: Promise<Runtime>;
  private readonly world: World;
  private readonly store: Store;

  constructor(world: World) {
    this.world = world;
    const { random } = world;
    const scheduler: Scheduler = {
      now: () => this.frozenAt ?? world.now,
      monotonic: () => this.frozenAt ?? world.now,
      defer: (task) => void world.later(this, task),
      after: (ms, task) => world.later(this, task, Math.max(0, ms)),
      hold: () => () => {},
      random,
    };
    this.store = storeOverCalls(this.call, async () => {});
    this.ready = Runtime.create({
      store: this.store,
      scheduler,
      channel: this.channel(),
      interpreter: this.interpreter(),
      providers: new Map([["fake", fakeProvider]]),
      tools: { hands: tools },
      machines: { fan: fanMachine },
      agents: agents(world.config),
      budgets: { system: { nano: world.config.systemNano, calls: 1_000_000, tokens: 1_000_000_000 } },
      journal: this.journal(),
      onError: () => {},
    });
    this.ready.then(
      (runtime) => {
        this.runtime = runtime;
      },
      () => {},
    );
  }

  die(): void {
    this.dead = true;
    this.world.tasks = this.world.tasks.filter((task) => task.process !== this);
  }

  /** Every call of the store is a task of its own; a commit may be the last thing that the process sees. */
  private readonly call: Call = (method, ...args) =>
    new Promise((resolve, reject) => {
      const { world } = this;
      world.later(this, () => {
        if (world.down) {
          reject(new EscapementError("unavailable", "the store is down", { details: { reason: "store" } }));
          return;
        }
        let result: unknown;
        try {
          // The arguments are those of this method, as `Call` says.
          result = (world.core[method] as (...all: unknown[]) => unknown)(...args);
        } catch (error) {
          reject(error);
          return;
        }
        world.checkLedger();
        const corrections = method === "reconcile" ? (result as readonly object[]) : [];
        if (corrections.length > 0) world.fail(`the store had to be corrected: ${JSON.stringify(corrections)}`);
        if (method === "claim") for (const [, run, , , , head] of result as Claimed[]) world.tookOver(run, head);
        if (method === "commit") {
          for (const entry of result as EntryResult[]) if (entry.type === "fenced") world.tally.fenced++;
          const crashes = world.chance(world.config.crash) && world.mayCrash && world.current === this;
          if (crashes) {
            // Committed, and nothing of it released.
            const zombie = world.chance(0.3);
            if (zombie) world.later(this, () => resolve(result as never), 1);
            world.crash();
            if (!zombie) this.die();
            return;
          }
          if (world.chance(world.config.unanswered)) {
            reject(new EscapementError("unavailable", "written, and the answer was lost", { details: { reason: "store" } }));
            return;
          }
        }
        resolve(result as never);
      });
    });

  private channel(): Channel {
    const channel = memoryChannel();
    return {
      openCall: (run, call) => channel.openCall(run, call),
      nudge: (run) => channel.nudge(run),
      release: (run) => channel.release(run),
      join: (run) => channel.join(run),
      publish: (run, facts) => {
        if (this.world.mutation !== "start-early") for (const fact of facts) this.checkStored(run, fact);
        channel.publish(run, facts);
      },
    };
  }

  private checkStored(run: string, fact: Fact): void {
    const { world } = this;
    const json = storedFacts(world.core, run, fact.seq - 1).get(fact.seq);
    const { run: _run, seq: _seq, ...told } = fact;
    if (json === undefined || sorted(json) !== sorted(told))
      world.fail(`published, and the store says otherwise: ${JSON.stringify(fact)} / ${JSON.stringify(json)}`);
  }

  private journal(): typeof Journal {
    const { world } = this;
    const channel = this;
    if (world.mutation === "publish-early") {
      return class extends Journal {
        override submit(entry: Entry, done: (result: Written) => void): void {
          if (entry.type === "turn")
            for (const json of entry.facts.slice(0, 1))
              channel.checkStored(entry.run, { ...JSON.parse(json), run: entry.run, seq: nextSeq(world, entry.run) } as Fact);
          super.submit(entry, done);
        }
      };
    }
    if (world.mutation === "start-early") {
      return class extends Journal {
        override submit(entry: Entry, done: (result: Written) => void): void {
          if (entry.type !== "turn") {
            super.submit(entry, done);
            return;
          }
          const grants = entry.asks.map((asked) => ({
            ordinal: asked.ordinal,
            granted: true as const,
            holdNano: holdTokens * 1_000,
            maxTokens: holdTokens,
          }));
          world.later(channel, () => done({ type: "written", firstSeq: nextSeq(world, entry.run), grants }));
          super.submit(entry, () => {});
        }
      };
    }
    return Journal;
  }

  private interpreter(): Interpreter {
    const { world } = this;
    return {
      perform: (work, report) => {
        const key = `${work.run}/${work.ask.ordinal}`;
        let stopped = false;
        const account = {
          costNano: usedTokens * 1_000,
          inputTokens: 0,
          cachedTokens: 0,
          outputTokens: usedTokens,
          estimated: false,
          model: "m",
          durationMs: 1,
        };
        const soon = (run: () => void): void => void world.later(this, () => !stopped && run());
        if (work.ask.kind === "call") {
          world.performed.set(key, (world.performed.get(key) ?? 0) + 1);
          world.callsOf.set(work.run, (world.callsOf.get(work.run) ?? 0) + 1);
          world.tally.calls++;
          world.invoiceNano += account.costNano;
          const text = `text of ${work.ask.ordinal} `;
          soon(() => {
            report.text(text);
            soon(() => {
              if (world.chance(world.config.fail)) {
                report.done({
                  ok: false,
                  value: {
                    code: "provider_unavailable",
                    message: "503",
                    retryable: true,
                    call: `c${work.ask.ordinal}`,
                    shown: text.length,
                  },
                  account,
                });
                return;
              }
              report.text("and more");
              report.done({
                ok: true,
                value: answer(
                  work.ask.ordinal,
                  `${text}and more`,
                  (work.ask.input as { tools?: string[] }).tools,
                  world,
                ) as unknown as Json,
                account,
              });
            });
          });
        } else {
          if (work.ask.class === "once") world.performed.set(key, (world.performed.get(key) ?? 0) + 1);
          soon(() => {
            if (world.chance(0.3)) report.progress("half way");
            soon(() =>
              report.done(
                world.chance(0.2)
                  ? { ok: false, value: { code: "tool_failed", message: "no", retryable: false } }
                  : { ok: true, value: { output: 1, content: "1" } },
              ),
            );
          });
        }
        return {
          stop: () => {
            stopped = true;
          },
          account: () => (work.ask.kind === "call" ? { ...account, estimated: true } : undefined),
        };
      },
    };
  }
}

/** A person with a page: starts a run, follows it by cursor over crashes, answers, sometimes cancels. */
class Client {
  id: string | undefined;
  private ended = false;
  private readonly world: World;
  private readonly facts: Fact[] = [];
  private readonly texts = new Map<string, string>();
  private cursor = "0";
  private readonly key = `key-${Math.random()}`;
  private readonly wantsCancel: boolean;
  private readonly agent: string;
  private readonly quorum: number;

  constructor(world: World) {
    this.world = world;
    this.agent = ["agent", "fan", "single"][Math.floor(world.random() * 3)] as string;
    this.wantsCancel = world.chance(0.3);
    this.quorum = world.chance(0.5) ? 2 : 4;
    this.live().catch((error) => world.fail(`the client: ${error instanceof Error ? error.stack : error}`));
  }

  get isOver(): boolean {
    return this.ended || (this.id !== undefined && this.world.isQuarantined(this.id));
  }

  describe(): string {
    const record = this.id === undefined ? null : this.world.core.get(this.id);
    const host = (this.world.current.runtime as unknown as { host?: { owner: string; runs: Map<string, object> } } | null)?.host;
    const owned = host?.runs.get(this.id ?? "");
    return `${this.agent} ${this.id}: stored ${JSON.stringify(record)}; owner ${host?.owner}; in memory ${inspect(owned, { depth: 1 })}; tasks ${this.world.tasks.length}; seen ${JSON.stringify(this.facts.at(-1))}`;
  }

  /** What was seen is what is stored: each fact once, in order; each text whole. */
  judge(stored: readonly Fact[]): void {
    this.facts.forEach((fact, i) => {
      if (fact.seq !== i + 1) throw new Error(`the client saw ${fact.seq} at place ${i + 1}`);
      if (sorted(fact) !== sorted({ ...stored[i], run: this.id }))
        throw new Error(`the client saw another fact than the store has: ${JSON.stringify(fact)} / ${JSON.stringify(stored[i])}`);
    });
    if (this.facts.length !== stored.length) throw new Error(`the client saw ${this.facts.length} of ${stored.length} facts`);
    for (const fact of stored) {
      if (fact.type !== "call.finished" || fact.text === undefined) continue;
      const seen = this.texts.get(fact.call);
      if (seen !== undefined && seen !== fact.text) throw new Error(`deltas of ${fact.call} give "${seen}", its text is "${fact.text}"`);
    }
  }

  private async live(): Promise<void> {
    if (this.wantsCancel) this.world.later(null, () => void this.cancelSoon());
    for (;;) {
      const { current } = this.world;
      const handle = await this.attempt(current, (runtime) =>
        this.id === undefined
          ? runtime.start({ agent: this.agent, input: { n: 4, quorum: this.quorum } }, { idempotencyKey: this.key })
          : Promise.resolve(runtime.run(this.id)),
      );
      if (!handle) continue;
      this.id = handle.id;
      await this.follow(current, handle);
      if (this.ended) return;
    }
  }

  private async follow(process: Process, handle: RunHandle): Promise<void> {
    let reader: EventReader;
    try {
      reader = handle.events({ after: this.cursor, internal: true });
      for (;;) {
        const events = await Promise.race([reader.read(), this.gone(process)]);
        if (events === "gone") {
          reader.close();
          return;
        }
        if (events === null) {
          if (this.facts.at(-1)?.type === "run.finished") this.ended = true;
          return;
        }
        for (const event of events) this.see(event);
        this.cursor = reader.cursor();
      }
    } catch (error) {
      if (!(error instanceof EscapementError) || error.code !== "unavailable") throw error;
      await this.pause();
    }
  }

  private see(event: Event): void {
    if (event.type === "text.delta") {
      const before = this.texts.get(event.call) ?? "";
      if (event.offset !== before.length) throw new Error(`a delta of ${event.call} at ${event.offset}, ${before.length} were shown`);
      this.texts.set(event.call, before + event.text);
      return;
    }
    if (event.type === "reasoning.delta" || event.type === "partial") return;
    this.facts.push(event);
    // Its text is void; if the call was lost, it never had an end of its own.
    if (event.type === "call.finished" && event.finish === "lost") this.texts.delete(event.call);
    if (event.type === "input.requested") {
      const { id, kind } = event;
      const value = kind === "question" ? { id, value: { took_effect: this.world.chance(0.5) } } : { id, approve: this.world.chance(0.8) };
      this.world.later(null, () => void this.answer(value));
    }
  }

  private async answer(value: AnswerBody): Promise<void> {
    for (;;) {
      const { current } = this.world;
      const done = await this.attempt(current, (runtime) => runtime.answer(this.id as string, value).then(() => true)).catch(
        (error: EscapementError) => {
          if (error.code === "conflict") return true;
          throw error;
        },
      );
      if (done || this.ended) return;
    }
  }

  private async cancelSoon(): Promise<void> {
    for (;;) {
      if (this.ended) return;
      if (this.id !== undefined) {
        const { current } = this.world;
        const done = await this.attempt(current, (runtime) => runtime.cancel(this.id as string, { reason: "enough" }).then(() => true));
        if (done) return;
      }
      await this.pause();
    }
  }

  /** Undefined: the process or its store was gone; try again. */
  private async attempt<T>(process: Process, what: (runtime: Runtime) => Promise<T>): Promise<T | undefined> {
    try {
      const result = await Promise.race([process.ready.then(what), this.gone(process)]);
      if (result !== "gone") return result as T;
    } catch (error) {
      if (!(error instanceof EscapementError) || error.code !== "unavailable") throw error;
      if (process.runtime === null && process === this.world.current) {
        process.die();
        this.world.now += 11_000;
        this.world.current = new Process(this.world);
      }
    }
    await this.pause();
    return undefined;
  }

  private gone(process: Process): Promise<"gone"> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.world.current !== process) resolve("gone");
        else if (!this.ended) this.world.later(null, look, 300);
      };
      this.world.later(null, look, 300);
    });
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => this.world.later(null, resolve, 20));
  }
}

/** The journal gives the same run again, with nothing left open. */
async function replayed(store: Store, record: RunRecord): Promise<void> {
  const { spec } = agents({ maxCalls: 1, retries: 2 }).find((agent) => agent.spec.name === record.info.agent) as DefinedAgent;
  const pinned = JSON.parse((await store.getAgent(record.info.agentHash)) ?? "null") as AgentSpec;
  const providers = new Map([["fake", fakeProvider]]);
  const appraised = appraise(pinned, false, providers, (_, name) => tools.find((one) => one.name === name));
  await replay(
    store,
    record,
    () => new LiveRun(machines[spec.machine] as AnyStateMachine, supervisorInput(pinned, record.info), appraised),
  );
}

/** Facts from `after` on, read at once: the turns that hold them, as the core gives them. */
function storedFacts(core: SqliteCore, run: string, after: number): Map<number, unknown> {
  const found = new Map<number, unknown>();
  for (const [lastSeq, joined] of core.facts(run, after, 10_000)) {
    const facts = JSON.parse(joined) as { ledger?: unknown }[];
    // How the budgets above the run stood is stored, and no part of the event.
    facts.forEach(({ ledger: _ledger, ...fact }, i) => {
      found.set(lastSeq - facts.length + 1 + i, fact);
    });
  }
  return found;
}

const nextSeq = (world: World, run: string): number => Math.max(0, ...storedFacts(world.core, run, 0).keys()) + 1;

function answer(ordinal: number, text: string, names: readonly string[] | undefined, world: World): object {
  const call = `c${ordinal}`;
  if (!names?.length || !world.chance(0.4)) return { call, finish: "stop", text };
  const wanted = Array.from({ length: 1 + Math.floor(world.random() * 3) }, (_, i) => {
    const name = ["look", "pay", "send", "nothing"][Math.floor(world.random() * 4)] as string;
    return { id: `u${ordinal}-${i}`, name, input: world.chance(0.9) ? { at: String(ordinal) } : {} };
  });
  return { call, finish: "tools", text, tools: wanted };
}

function agents({ maxCalls, retries }: { maxCalls: number; retries: number }): DefinedAgent[] {
  const limits = {
    max_steps: 6,
    max_calls: maxCalls,
    max_tool_calls: 12,
    max_depth: 8,
    max_cost_microusd: 100,
    max_output_tokens: holdTokens,
    deadline_ms: 300_000,
  };
  const tier = { provider: "fake", model: "m", price, maxOutputTokens: 100, stream: true, timeouts };
  const base = {
    description: "",
    instructions: "",
    tiers: [
      { ...tier, name: "first" },
      { ...tier, name: "second" },
    ],
    limits,
    retries,
    onBudget: "stop" as const,
    parallelTools: 2,
    tools: [],
  };
  const exposed = tools.map(({ name, description, schema, class: sideEffects, approval }) => ({
    name,
    description,
    schema,
    class: sideEffects,
    approval,
    group: "hands",
  }));
  const any = z.json();
  return [
    { spec: { ...base, name: "agent", machine: "agent@2", tools: exposed }, options: { input: any } },
    { spec: { ...base, name: "fan", machine: "fan@1" }, options: { input: any } },
    { spec: { ...base, name: "single", machine: "single@2" }, options: { input: any } },
  ];
}

const fakeProvider: Provider = {
  name: "fake",
  endpoint: "simulated",
  selfHosted: true,
  tokenizer: { encoding: "bytes", margin: 0 },
  stream: () => {
    throw new Error("the simulation performs calls itself");
  },
  close: async () => {},
};

/** JSON with its keys in order. */
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

/** mulberry32: 32 bits of state are enough to choose among tasks. */
function mulberry(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
