/**
 * What each part of the prompts of the last days took (FEATURES C11), from what is stored: the definitions of agents, the journals (replayed,
 * so that the messages of each call are known), and the facts that say what calls were charged.
 *
 *  1. Tokens and money of a call are those that its provider told; how they fall on its parts is estimated, by our count of each part. So the
 *     parts of a day add up to what was charged.
 *  2. A run that does not replay here (another revision of its machine) is not left out: its messages are one part, `conversation`.
 *  3. Nothing is called and nothing is written. One run is held in memory at a time, and at most `maxRuns` are read.
 */
import type { CallInput } from "../../machines/work.ts";
import { ratesAt } from "../money/prices.ts";
import type { Tokenizer } from "../money/tokens.ts";
import type { Fact } from "../protocol/events.ts";
import { callId } from "../protocol/ids.ts";
import type { Message } from "../protocol/messages.ts";
import type { RunRecord, Store } from "../stores/store.ts";
import type { AgentSpec } from "./agent.ts";
import { factOf } from "./facts.ts";
import { messagesOf } from "./machine-input.ts";
import { type Counted, countParts, type PromptPart } from "./prompt-parts.ts";
import { bodyOf, turnsOf } from "./recovery.ts";
import { tierOf } from "./reserve.ts";
import type { LiveRun } from "./run.ts";

export type PromptAudit = {
  /** Days in UTC, both included. */
  readonly from: string;
  readonly to: string;
  readonly runs: number;
  readonly calls: number;
  /** Runs whose messages could not be told apart. */
  readonly not_replayed: number;
  /** There were more runs than are read. */
  readonly is_cut: boolean;
  readonly parts: readonly PartRow[];
  /** What tools and examples took, and whether anybody needed them. */
  readonly tools: readonly ItemRow[];
  readonly examples: readonly ItemRow[];
};
export type PartRow = {
  readonly day: string;
  readonly agent: string;
  /** `name@version`, where its instructions have one. */
  readonly prompt?: string;
  readonly part: PromptPart;
  readonly tokens: number;
  readonly cost_microusd: number;
};
/** `uses` of an example: runs whose input has half of its words. */
export type ItemRow = {
  readonly agent: string;
  readonly name: string;
  readonly uses: number;
  readonly tokens: number;
  readonly cost_microusd: number;
};

export type AuditDeps = {
  readonly store: Store;
  readonly specOf: (hash: string) => Promise<AgentSpec | null>;
  /** With the slots of its prompt filled. */
  readonly withInput: (spec: AgentSpec, record: RunRecord) => AgentSpec;
  readonly liveRun: (record: RunRecord, spec: AgentSpec, history: readonly Message[] | undefined) => LiveRun;
  readonly tokenizerOf: (provider: string) => Tokenizer;
};

const dayMs = 86_400_000;
const page = 100;
const maxRuns = 10_000;
const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

export async function auditPrompts(
  deps: AuditDeps,
  options: { readonly days: number; readonly now: number; readonly agent?: string },
): Promise<PromptAudit> {
  const from = Math.floor(options.now / dayMs) * dayMs - (options.days - 1) * dayMs;
  const book = new Book();
  let runs = 0;
  let isCut = false;
  let next: number | null = null;
  do {
    const found: Awaited<ReturnType<Store["list"]>> = await deps.store.list({
      limit: page,
      ...(options.agent !== undefined && { agent: options.agent }),
      ...(next !== null && { before: next }),
    });
    next = found.next;
    for (const record of found.rows) {
      if (record.info.createdAt < from) next = null;
      else if (runs >= maxRuns) [isCut, next] = [true, null];
      else {
        runs++;
        await new RunAudit(deps, book, record).read();
      }
    }
  } while (next !== null);
  return { from: dayOf(from), to: dayOf(options.now), runs, is_cut: isCut, ...book.told() };
}

/** One run. */
class RunAudit {
  private readonly deps: AuditDeps;
  private readonly book: Book;
  private readonly record: RunRecord;
  private readonly started = new Map<string, Fact & { type: "call.started" }>();
  private history: ReadonlySet<Message> = new Set();

  constructor(deps: AuditDeps, book: Book, record: RunRecord) {
    this.deps = deps;
    this.book = book;
    this.record = record;
  }

  async read(): Promise<void> {
    const { deps, book, record } = this;
    const found = await deps.specOf(record.info.agentHash);
    if (!found) {
      book.notReplayed++;
      return;
    }
    const spec = deps.withInput(found, record);
    const asked = await this.asked(spec);
    if (!asked) book.notReplayed++;
    book.saw(spec, JSON.stringify(record.info.input));
    for await (const fact of factsOf(deps.store, record.id)) {
      if (fact.type === "tool.started") book.usedTool(spec.name, fact.tool);
      else if (fact.type === "call.started") this.started.set(fact.call, fact);
      else if (fact.type === "call.finished") this.charge(spec, fact, asked);
    }
  }

  /** What each call was asked with, by its id; undefined where the journal does not replay. */
  private async asked(spec: AgentSpec): Promise<ReadonlyMap<string, CallInput> | undefined> {
    const calls = new Map<string, CallInput>();
    let live: LiveRun | undefined;
    try {
      for await (const row of turnsOf(this.deps.store, this.record.id)) {
        const { input, verdicts } = bodyOf(row);
        if (!live) {
          const history = input.type === "start" ? ((input.history ?? []) as unknown as readonly Message[]) : [];
          this.history = new Set(history);
          live = this.deps.liveRun(this.record, spec, history);
        }
        const turn = live.turn(input, row.at, verdicts ?? []);
        if (turn.hash !== row.hash) return undefined;
        for (const ask of turn.asks) if (ask.kind === "call") calls.set(callId(ask.ordinal), ask.input);
      }
    } catch {
      return undefined;
    }
    return calls;
  }

  private charge(spec: AgentSpec, fact: Fact & { type: "call.finished" }, asked: ReadonlyMap<string, CallInput> | undefined): void {
    const { cost_microusd: cost, usage } = fact;
    const start = this.started.get(fact.call);
    const tier = start && tierOf(spec, start.tier);
    if (!start || !tier || fact.cached || usage.input_tokens + usage.output_tokens === 0) return;
    this.book.calls++;
    const outputCost = Math.min(cost, (usage.output_tokens * ratesAt(tier.price, usage.input_tokens).outputNano) / 1_000);
    const known = asked?.get(fact.call);
    const input: CallInput = known ?? {
      for: start.for,
      step: start.step,
      attempt: start.attempt,
      retry: false,
      tier: start.tier,
      messages: messagesOf(this.record.info.input),
      tools: spec.tools.map(({ name }) => name),
      structured: spec.outputSchema !== undefined,
    };
    const counted = countParts(input, spec, this.history, this.deps.tokenizerOf(tier.provider), known !== undefined);
    const row = (part: PromptPart, tokens: number, money: number): void =>
      this.book.add(
        { day: fact.at.slice(0, 10), agent: spec.name, ...(start.prompt !== undefined && { prompt: start.prompt }), part },
        tokens,
        money,
      );
    row("output", usage.output_tokens, outputCost);
    if (start.for === "internal") {
      row("internal", usage.input_tokens, cost - outputCost);
      return;
    }
    this.share(spec, counted, known !== undefined, usage.input_tokens, cost - outputCost, row);
  }

  /** What was charged for the input, on its parts. */
  private share(
    spec: AgentSpec,
    { parts, tools, examples }: Counted,
    isKnown: boolean,
    tokens: number,
    cost: number,
    row: (part: PromptPart, tokens: number, cost: number) => void,
  ): void {
    const counted = [...parts.values()].reduce((total, count) => total + count, 0);
    // Of messages that are not known there is what is left; then our counts stand for themselves.
    const total = isKnown ? counted : Math.max(counted, tokens);
    if (total === 0) return;
    const [perToken, perCost] = [tokens / total, cost / total];
    for (const [part, count] of parts) row(part, count * perToken, count * perCost);
    if (total > counted) row("conversation", (total - counted) * perToken, (total - counted) * perCost);
    for (const [name, count] of tools) this.book.item("tools", spec.name, name, count * perToken, count * perCost);
    for (const [name, count] of examples) this.book.item("examples", spec.name, name, count * perToken, count * perCost);
  }
}

type Item = { agent: string; name: string; uses: number; tokens: number; cost_microusd: number };

/** The sums. */
class Book {
  calls = 0;
  notReplayed = 0;
  private readonly rows = new Map<string, { key: Omit<PartRow, "tokens" | "cost_microusd">; tokens: number; cost: number }>();
  private readonly items = { tools: new Map<string, Item>(), examples: new Map<string, Item>() };

  add(key: Omit<PartRow, "tokens" | "cost_microusd">, tokens: number, cost: number): void {
    const name = JSON.stringify(key);
    const row = this.rows.get(name) ?? { key, tokens: 0, cost: 0 };
    row.tokens += tokens;
    row.cost += cost;
    this.rows.set(name, row);
  }

  item(kind: "tools" | "examples", agent: string, name: string, tokens: number, cost: number): Item {
    const id = `${agent} ${name}`;
    const item = this.items[kind].get(id) ?? { agent, name, uses: 0, tokens: 0, cost_microusd: 0 };
    item.tokens += tokens;
    item.cost_microusd += cost;
    this.items[kind].set(id, item);
    return item;
  }

  usedTool(agent: string, tool: string): void {
    this.item("tools", agent, tool, 0, 0).uses++;
  }

  /** An input of an agent: its examples that are like it are used. */
  saw(spec: AgentSpec, input: string): void {
    const words = new Set(wordsOf(input));
    const all = [spec.prompt, ...spec.tiers.map(({ prompt }) => prompt)].flatMap((prompt) => prompt?.examples ?? []);
    for (const example of all) {
      const own = wordsOf(example.input);
      const item = this.item("examples", spec.name, example.name, 0, 0);
      if (own.length > 0 && own.filter((word) => words.has(word)).length * 2 >= own.length) item.uses++;
    }
  }

  told(): Pick<PromptAudit, "calls" | "not_replayed" | "parts" | "tools" | "examples"> {
    const parts = [...this.rows.values()]
      .map(({ key, tokens, cost }) => ({ ...key, tokens: Math.round(tokens), cost_microusd: rounded(cost) }))
      .sort(
        (a, b) => b.day.localeCompare(a.day) || a.agent.localeCompare(b.agent) || b.cost_microusd - a.cost_microusd || b.tokens - a.tokens,
      );
    const items = (kind: "tools" | "examples"): ItemRow[] =>
      [...this.items[kind].values()]
        .map((item) => ({ ...item, tokens: Math.round(item.tokens), cost_microusd: rounded(item.cost_microusd) }))
        .sort((a, b) => a.uses - b.uses || b.tokens - a.tokens);
    return { calls: this.calls, not_replayed: this.notReplayed, parts, tools: items("tools"), examples: items("examples") };
  }
}

/** Words of three letters and more, and numbers. */
const wordsOf = (text: string): string[] => text.toLowerCase().match(/\p{L}{3,}|\p{N}+/gu) ?? [];

/** To the nano-dollar. */
const rounded = (microusd: number): number => Math.round(microusd * 1_000) / 1_000;

async function* factsOf(store: Store, run: string): AsyncGenerator<Fact> {
  for (let after = 0; ; ) {
    const rows = await store.facts(run, after, 1_000);
    for (const { seq, json } of rows) yield factOf(run, seq, json);
    const last = rows.at(-1);
    if (rows.length < 1_000 || !last) return;
    after = last.seq;
  }
}
