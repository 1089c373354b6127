/**
 * The world of one fault: a whole runtime behind its HTTP server, its store in a file, and two providers behind HTTP that are scripted
 * byte by byte and keep their own books. Runs are started over WebSocket and followed there by a client that knows only the protocol,
 * the first few at the same time as an event stream.
 *
 * Waits and windows are a twentieth or less of the defaults, so that a row takes no longer than it must.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { agent, type Config, createRuntime, openai, type Runtime, type RuntimeExtras, sqlite, tool } from "../../src/index.ts";
import { createServer, type Listening } from "../../src/server/server.ts";
import type { ChatAnswer } from "../../src/testing/fault-chat.ts";
import type { Script } from "../../src/testing/fault-script.ts";
import { type FaultEntry, type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { getRun, ProtocolSocket, type RunBody, type Transcript } from "../whole-path/protocol-client.ts";
import { type Audit, audited } from "./audit.ts";
import { readStream } from "./event-stream.ts";
import { Invoices } from "./invoice.ts";

export type Answer = ChatAnswer | Script;
export type Answering = (request: FaultRequest, call: number) => Answer | Promise<Answer>;

export type WorldOptions = {
  /** Over the world's own configuration; agents and tiers are added to its own. */
  readonly config?: (world: { readonly primary: string; readonly secondary: string }) => Config & RuntimeExtras;
  /** More of `first`, the tier that is broken. */
  readonly first?: Partial<NonNullable<Config["tiers"]>[string]>;
  /** What a row opens beside the world, and closes after it. */
  readonly before?: () => Promise<void>;
  readonly after?: () => Promise<void>;
};

/** The keys of the providers. Nothing that anybody can read may hold them. */
export const canaries = { primary: "sk-canary-primary-0f3a9c71", secondary: "sk-canary-secondary-77b2e4d0" } as const;

export const price = { input_usd_per_mtok: 0.4, output_usd_per_mtok: 1.6 };
/** For rows in which a provider falls silent. The others have the defaults, which no busy machine reaches. */
export const impatient = { timeouts: { connect_ms: 5_000, headers_ms: 400, first_token_ms: 400, idle_ms: 400 } };
export const backoff = { first_ms: 20, max_ms: 100 };
export const reliability = { breaker: { windowMs: 3_000, cooldownMs: 100 }, retryBudget: { windowMs: 3_000 } };

export type Played = {
  readonly agent: string;
  readonly input: string;
  readonly transcript: Transcript;
  /** The same run as an event stream that was open at the same time. */
  readonly streamed: Promise<readonly unknown[]> | undefined;
  readonly run: RunBody;
  /** Requests that reached a provider. */
  readonly entries: readonly FaultEntry[];
};

/** Runs of a row that are also followed as an event stream. */
const followedTwice = 5;
export const goodText = "All is well again.";

export class FaultWorld {
  readonly runtime: Runtime;
  readonly url: string;
  readonly primary: FaultServer;
  readonly secondary: FaultServer;
  readonly invoices: Invoices;
  readonly audit: Audit;
  readonly folder: string;
  /** What operators were told, and defects of the server. */
  readonly told: string[];
  readonly played: Played[] = [];
  /** What the tool `note` did: the key of each use. */
  readonly noted: string[];
  private readonly socket: ProtocolSocket;
  private readonly listening: Listening;
  private readonly after: (() => Promise<void>) | undefined;
  private started = 0;

  static async open(options: WorldOptions): Promise<FaultWorld> {
    await options.before?.();
    const invoices = new Invoices();
    const primary = await startFaultServer(invoices.of("primary", () => ({ text: goodText })));
    const secondary = await startFaultServer(invoices.of("secondary", () => ({ text: "Second best." })));
    const folder = mkdtempSync(join(tmpdir(), "escapement-fault-"));
    const told: string[] = [];
    const noted: string[] = [];
    const { store, audit } = audited(sqlite(join(folder, "journal.db")));
    const tier = { max_output_tokens: 200, price };
    const more = options.config?.({ primary: primary.url, secondary: secondary.url }) ?? {};
    const text = z.strictObject({ text: z.string() });
    const note = tool({
      name: "note",
      description: "Notes a text.",
      class: "idempotent",
      input: text,
      run: ({ text: said }, { key }) => {
        noted.push(key);
        return `noted ${said}`;
      },
    });
    const runtime = await createRuntime({
      store,
      env: {},
      reliability,
      onError: (message) => told.push(message),
      budgets: { system: { per_hour_microusd: 1_000_000_000 } },
      ...more,
      providers: {
        primary: openai({ name: "primary", baseURL: `${primary.url}/v1`, apiKey: canaries.primary }),
        secondary: openai({ name: "secondary", baseURL: `${secondary.url}/v1`, apiKey: canaries.secondary }),
        ...more.providers,
      },
      tiers: {
        first: { provider: "primary", model: "m1", ...tier, ...options.first },
        second: { provider: "secondary", model: "m2", ...tier },
        ...more.tiers,
      },
      tools: { hands: [note], ...more.tools },
      agents: [
        agent({ name: "alone", machine: "single", tiers: ["first"], backoff }),
        agent({ name: "chain", machine: "single", tiers: ["first", "second"], backoff }),
        agent({ name: "other", machine: "single", tiers: ["second"], backoff }),
        agent({ name: "worker", tiers: ["first"], tools: ["hands"], limits: { max_steps: 6 }, backoff }),
        ...(more.agents ?? []),
      ],
    });
    const server = createServer(runtime, { onDefect: (message, cause) => told.push(`${message}: ${cause}`) });
    const listening = await server.listen({ port: 0 });
    const socket = await ProtocolSocket.open(listening.url);
    return new FaultWorld({ runtime, primary, secondary, invoices, audit, folder, told, noted, listening, socket, after: options.after });
  }

  private constructor(
    parts: Pick<FaultWorld, "runtime" | "primary" | "secondary" | "invoices" | "audit" | "folder" | "told" | "noted"> & {
      listening: Listening;
      socket: ProtocolSocket;
      after: (() => Promise<void>) | undefined;
    },
  ) {
    this.runtime = parts.runtime;
    this.primary = parts.primary;
    this.secondary = parts.secondary;
    this.invoices = parts.invoices;
    this.audit = parts.audit;
    this.folder = parts.folder;
    this.told = parts.told;
    this.noted = parts.noted;
    this.listening = parts.listening;
    this.socket = parts.socket;
    this.after = parts.after;
    this.url = parts.listening.url;
  }

  /** How a provider answers from now on; `call` counts its requests from 0. A list gives each the next answer, and the last one from then on. */
  answers(who: "primary" | "secondary", answer: Answering | readonly Answer[]): void {
    let calls = 0;
    const answering: Answering = typeof answer === "function" ? answer : (_, call) => answer[Math.min(call, answer.length - 1)] as Answer;
    this[who].use(this.invoices.of(who, async (request) => answering(request, calls++)));
  }

  /** The fault is over: both providers answer well. */
  heal(): void {
    this.answers("primary", [{ text: goodText }]);
    this.answers("secondary", [{ text: "Second best." }]);
  }

  /** Starts a run over WebSocket and follows it to its end. The input is the run's own, so that its requests can be found in the books. */
  async run(name: string, more: { readonly [key: string]: unknown } = {}): Promise<Played> {
    const input = `question ${++this.started} of ${name}?`;
    const transcript = await this.socket.start({ agent: name, input, ...more });
    const streamed = this.played.length < followedTwice ? readStream(`${this.url}/v1/runs/${transcript.run}/events`) : undefined;
    await transcript.finished();
    this.socket.check();
    const run = await getRun(this.url, transcript.run);
    const played = { agent: name, input, transcript, streamed, run, entries: this.entriesOf(input) };
    this.played.push(played);
    return played;
  }

  async runs(name: string, count: number, atOnce = 20): Promise<Played[]> {
    const all: Played[] = [];
    let left = count;
    const work = async (): Promise<void> => {
      while (left-- > 0) all.push(await this.run(name));
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, work));
    return all;
  }

  entriesOf(input: string): FaultEntry[] {
    return [...this.primary.book.entries, ...this.secondary.book.entries].filter(({ request }) => request.body.includes(input));
  }

  breaker(model = "m1"): string {
    const server = model === "m1" ? this.primary : this.secondary;
    const name = model === "m1" ? "primary" : "secondary";
    return this.runtime.breakers.state(`${name} ${model} ${server.url.slice("http://".length)}/v1`);
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.listening.close(0);
    await this.runtime.close();
    await this.primary.close();
    await this.secondary.close();
    await this.after?.();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
