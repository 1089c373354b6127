/**
 * Streams that are cancelled at random points, on every wire, and what they are charged, held against what the provider sent.
 *
 * The fake provider counts with OpenAI's tokenizer. Of what it handed to the system, a part may still be on its way when the run is
 * cancelled: nobody can be charged for what never arrived, and no client can know it. So there are two figures of a stream:
 *
 *  - `read`: the tokens of the events that our socket had handed to us whole, by the socket's own count of bytes;
 *  - `sent`: the tokens of everything that the provider had handed to the system when it noticed that we had left.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { agent, createRuntime, type Runtime } from "../../src/index.ts";
import { countText, loadTokenizer } from "../../src/money/tokens.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { chunk, head, type Step, streamHeaders } from "../../src/testing/fault-script.ts";
import { type FaultEntry, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { type WireUnderTest, wires } from "../providers/wires.ts";

export type Cancelled = {
  readonly wire: string;
  readonly charged: number;
  readonly read: number;
  readonly sent: number;
  /** How much more than the tokenizer's count this provider is charged by. */
  readonly margin: number;
};

/** Providers whose tokenizer is OpenAI's are charged by its count; the others by theirs, which is that and a margin. */
const exactly: Provider["tokenizer"] = { encoding: "o200k_base", margin: 0 };

const words =
  "the gauge of an escapement lets its wheel go on by one tooth at each swing: so time is counted, 1,024 beats an hour – größer".split(" ");

class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0;
  }
  below(n: number): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * n);
  }
}

/** Bytes that a socket of ours has handed to us, by its own port, also after it was closed. */
class Sockets {
  private readonly sockets = new Map<number, Socket>();
  private readonly seen = ({ socket }: { socket: Socket }): void => {
    socket.once("connect", () => this.sockets.set(socket.localPort ?? 0, socket));
  };
  private readonly listener = (message: unknown): void => this.seen(message as { socket: Socket });
  constructor() {
    subscribe("net.client.socket", this.listener);
  }
  bytesRead(port: number): number {
    const socket = this.sockets.get(port);
    if (!socket) throw new Error(`no socket of ours has the port ${port}`);
    return socket.bytesRead;
  }
  close(): void {
    unsubscribe("net.client.socket", this.listener);
  }
}

type Piece = { readonly bytes: number; readonly text: string };

export async function cancels(perWire: number, seed = 1, atOnce = 10): Promise<Cancelled[]> {
  await loadTokenizer();
  const all: Cancelled[] = [];
  for (const [index, wire] of wires.entries()) all.push(...(await cancelsOf(wire, perWire, new Random(seed + index), atOnce)));
  return all;
}

async function cancelsOf(wire: WireUnderTest, count: number, random: Random, atOnce: number): Promise<Cancelled[]> {
  /** By the words of the question: what each answer is made of. */
  const answers = new Map<string, { readonly pieces: readonly Piece[]; readonly script: readonly Step[] }>();
  const server = await startFaultServer((request) => {
    const question = /question \d+ of /.exec(request.body)?.[0] ?? "";
    const answer = answerOf(wire, random);
    answers.set(question, answer);
    return answer.script;
  });
  const sockets = new Sockets();
  // Anthropic's and Google's own margins; OpenAI's wires as OpenAI itself is counted.
  const provider = wire.make(server.url, { apiKey: "k" });
  const counted: Provider = wire.name.startsWith("openai") ? { ...provider, tokenizer: exactly } : provider;
  const runtime = await createRuntime({
    store: { path: ":memory:" },
    env: {},
    providers: { it: counted },
    // A token of output costs one micro-dollar and input nothing: the cost is the count.
    tiers: {
      main: { provider: "it", model: "gpt-4o", max_output_tokens: 10_000, price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } },
    },
    agents: [agent({ name: "single", machine: "single", limits: { max_output_tokens: 10_000, max_cost_microusd: 100_000 } })],
  });
  try {
    const all: Cancelled[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < count) {
        const question = `question ${next++} of `;
        const { charged, entry } = await cancelOne(runtime, server, question, 1 + random.below(200));
        const { pieces } = answers.get(question) as { pieces: readonly Piece[] };
        const read = textIn(pieces, sockets.bytesRead(entry.port) - entry.bytesBefore);
        const sent = textIn(pieces, entry.bytesSent);
        all.push({
          wire: wire.name,
          charged,
          read: countText(read, exactly),
          sent: countText(sent, exactly),
          margin: counted.tokenizer.margin,
        });
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, work));
    return all;
  } finally {
    await runtime.close();
    await server.close();
    sockets.close();
  }
}

/** An endless answer: a head, and events of one or a few words, each sent on its own. */
function answerOf(wire: WireUnderTest, random: Random): { pieces: readonly Piece[]; script: readonly Step[] } {
  const text = Array.from({ length: 240 }, () =>
    Array.from({ length: 1 + random.below(3) }, () => `${words[random.below(words.length)]} `).join(""),
  );
  const { events, proof } = wire.stream({ text, usage: false });
  const script: Step[] = [head(200, { ...streamHeaders, "transfer-encoding": "chunked" })];
  const pieces: Piece[] = [{ bytes: size(script[0]), text: "" }];
  let said = 0;
  for (const event of events.slice(0, proof)) {
    // Each event of text says the next of the texts; the others say none.
    const isText = said < text.length && event.includes(JSON.stringify(text[said]).slice(1, -1));
    const step = chunk(event, isText ? text[said] : undefined);
    script.push(step, { delayMs: random.below(3) });
    pieces.push({ bytes: size(step), text: isText ? (text[said++] as string) : "" });
  }
  return { pieces, script: [...script, { hang: true }] };
}

const size = (step: Step | undefined): number => (step && "send" in step ? Buffer.byteLength(step.send) : 0);

/** The text of the pieces that are whole within so many bytes. */
function textIn(pieces: readonly Piece[], bytes: number): string {
  let left = bytes;
  let text = "";
  for (const piece of pieces) {
    left -= piece.bytes;
    if (left < 0) break;
    text += piece.text;
  }
  return text;
}

/** Cancels a run after so many of its deltas. */
async function cancelOne(
  runtime: Runtime,
  server: FaultServer,
  question: string,
  deltas: number,
): Promise<{ charged: number; entry: FaultEntry }> {
  const run = await runtime.start({ agent: "single", input: `${question}many?` });
  let seen = 0;
  let charged: number | undefined;
  for await (const event of run) {
    if (event.type === "text.delta" && ++seen === deltas) void run.cancel();
    if (event.type === "call.finished") charged = event.cost_microusd;
  }
  const entry = server.book.entries.find(({ request }) => request.body.includes(question));
  if (charged === undefined || !entry) throw new Error(`${question}was never called`);
  await entry.over;
  return { charged, entry };
}

export type Summary = {
  readonly wire: string;
  readonly streams: number;
  readonly charged: number;
  readonly read: number;
  readonly sent: number;
  readonly margin: number;
  /** Streams that were charged less than what was read, or more than that and the margin. */
  readonly under: number;
  readonly over: number;
  /** The largest difference of one stream between what was charged and what was read, beyond the margin, as a share. */
  readonly worst: number;
};

export function summaries(all: readonly Cancelled[]): Summary[] {
  return [...new Set(all.map(({ wire }) => wire))].map((wire) => {
    const own = all.filter((one) => one.wire === wire);
    const sum = (of: (one: Cancelled) => number): number => own.reduce((total, one) => total + of(one), 0);
    const margin = own[0]?.margin ?? 0;
    return {
      wire,
      streams: own.length,
      charged: sum(({ charged }) => charged),
      read: sum(({ read }) => read),
      sent: sum(({ sent }) => sent),
      margin,
      under: own.filter(({ charged, read }) => charged < read).length,
      over: own.filter(({ charged, read }) => charged > Math.ceil(read * (1 + margin))).length,
      worst: Math.max(
        ...own.map(
          ({ charged, read }) =>
            (charged < read ? read - charged : Math.max(0, charged - Math.ceil(read * (1 + margin)))) / Math.max(1, read),
        ),
      ),
    };
  });
}
