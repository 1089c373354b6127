/**
 * A client written from the protocol's text alone: frames over `ws`, events kept as a transcript that holds them against what clients
 * may rely on. Nothing of our own client is in it; the only word taken from the sources is the schema of events.
 */
import { expect } from "vitest";
import { WebSocket } from "ws";
import { type Event, eventSchema } from "../../src/protocol/events.ts";
import { within } from "./until.ts";

/** A frame of the server, whatever it is. */
export type Frame = { readonly type: string; readonly [key: string]: unknown };

/** What a run told so far, over as many connections as it took. Throws at the first thing that a client may not see. */
export class Transcript {
  readonly run: string;
  readonly events: Event[] = [];
  #seq = 0;
  /** Calls that have begun and not finished: how much of their text was shown. */
  readonly #open = new Map<string, string>();
  /** Calls whose text is owed from an offset that the last cursor named. */
  #owed = new Set<string>();
  #resumed = false;
  /** Calls that were lost and not yet retracted. */
  readonly #lost = new Set<string>();
  #waiting: (() => void)[] = [];

  constructor(run: string) {
    this.run = run;
  }

  take(event: Event): void {
    expect(eventSchema.safeParse(event).error, JSON.stringify(event)).toBeUndefined();
    expect(event.run).toBe(this.run);
    expect(this.end, `an event after run.finished: ${JSON.stringify(event)}`).toBeUndefined();
    this.events.push(event);
    if (event.type === "text.delta") this.#text(event);
    else if (event.type === "reasoning.delta" || event.type === "partial") expect(event.seq).toBe(this.#seq);
    else this.#fact(event);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #text({ call, offset, seq, text }: Event & { type: "text.delta" }): void {
    const shown = this.#open.get(call);
    expect(shown, `text of ${call}, which is not open`).toBeDefined();
    expect({ seq, offset }).toEqual({ seq: this.#seq, offset: shown?.length });
    this.#open.set(call, shown + text);
  }

  #fact(event: Exclude<Event, { type: "text.delta" | "reasoning.delta" | "partial" }>): void {
    expect(event.seq, `the number of ${event.type}`).toBe(this.#seq + 1);
    this.#seq = event.seq;
    if (event.type === "call.started") {
      expect(this.events.filter((other) => other.type === "call.started" && other.call === event.call)).toHaveLength(1);
      expect([...this.#lost], "lost and not retracted before the next call").toEqual([]);
      this.#open.set(event.call, "");
    } else if (event.type === "call.finished") {
      const shown = this.#open.get(event.call);
      expect(shown, `the end of ${event.call}, which is not open`).toBeDefined();
      if (event.finish === "lost") {
        expect(event.text).toBeUndefined();
        this.#lost.add(event.call);
      }
      // Of a call that came and went while nobody was here, only the end is told.
      else if (!(this.#resumed && shown === "" && !this.#owed.has(event.call))) expect(shown).toBe(event.text);
      this.#open.delete(event.call);
    } else if (event.type === "retract") this.#lost.delete(event.call);
    else if (event.type === "run.finished") expect([...this.#open.keys()]).toEqual([]);
  }

  /** Position of this client, as `after` wants it. */
  cursor(): string {
    const calls = [...this.#open].map(([call, shown]) => `${call}=${shown.length}`);
    return calls.length === 0 ? String(this.#seq) : `${this.#seq}/${calls.join(",")}`;
  }

  /** The connection is another one from here on. */
  resumed(): void {
    this.#resumed = true;
    this.#owed = new Set(this.#open.keys());
  }

  get end(): (Event & { type: "run.finished" }) | undefined {
    const last = this.events.at(-1);
    return last?.type === "run.finished" ? last : undefined;
  }

  of<T extends Event["type"]>(type: T): (Event & { type: T })[] {
    return this.events.filter((event): event is Event & { type: T } => event.type === type);
  }

  /** Waits until an event fits; looks at those that came already, too. */
  async until<T extends Event>(what: string, fits: (event: Event) => event is T): Promise<T>;
  async until(what: string, fits: (event: Event) => boolean): Promise<Event>;
  async until(what: string, fits: (event: Event) => boolean): Promise<Event> {
    const found = async (): Promise<Event> => {
      for (;;) {
        const event = this.events.find(fits);
        if (event) return event;
        if (this.end) throw new Error(`the run ended (${JSON.stringify(this.end)}) before: ${what}`);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    };
    return within(`${what}; seen: ${this.events.map(({ type }) => type).join(" ")}`, found());
  }

  async finished(): Promise<Event & { type: "run.finished" }> {
    return this.until("run.finished", (event) => event.type === "run.finished");
  }
}

export class ProtocolSocket {
  readonly ws: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** Frames that are no events and answer nothing that was asked. */
  readonly others: Frame[] = [];
  /** All frames in the order in which they came; an event by its type. */
  readonly order: string[] = [];
  readonly #answers = new Map<string, (frame: Frame) => void>();
  readonly #transcripts = new Map<string, Transcript>();
  #ref = 0;
  /** What a transcript found wrong, which must not be lost in a callback. */
  #problem: unknown;

  static async open(url: string): Promise<ProtocolSocket> {
    const ws = new WebSocket(`${url.replace(/^http/, "ws")}/v1/ws`, ["escapement.v1"]);
    const socket = new ProtocolSocket(ws);
    await within(
      "the WebSocket",
      new Promise<void>((resolve, reject) => {
        ws.once("open", () => resolve());
        ws.once("error", reject);
      }),
    );
    expect(ws.protocol).toBe("escapement.v1");
    return socket;
  }

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on("error", () => {});
    ws.on("message", (data) => this.#receive(JSON.parse(String(data)) as Frame));
    this.closed = new Promise((resolve) => ws.once("close", (code, reason) => resolve({ code, reason: reason.toString() })));
  }

  #receive(frame: Frame): void {
    if (frame.type === "event") {
      // Checked by the transcript against the schema.
      const event = frame.event as Event;
      this.order.push(event.type);
      try {
        const known = this.#transcripts.get(event.run);
        if (!known) throw new Error(`an event of ${event.run} before the ok of its subscription`);
        known.take(event);
      } catch (error) {
        this.#problem ??= error;
        this.ws.terminate();
      }
      return;
    }
    this.order.push(frame.type);
    const answer = frame.ref === undefined ? undefined : this.#answers.get(String(frame.ref));
    if (!answer) {
      this.others.push(frame);
      return;
    }
    this.#answers.delete(String(frame.ref));
    answer(frame);
  }

  /** Throws what was wrong with any event so far. */
  check(): void {
    if (this.#problem) throw this.#problem;
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Sends a frame with a `ref` of its own and gives its one answer. `onAnswer` runs before any later frame is read. */
  async ask(frame: { readonly type: string; readonly [key: string]: unknown }, onAnswer?: (frame: Frame) => void): Promise<Frame> {
    const ref = `r${++this.#ref}`;
    const answer = new Promise<Frame>((resolve, reject) => {
      this.#answers.set(ref, (answered) => {
        onAnswer?.(answered);
        resolve(answered);
      });
      void this.closed.then(({ code }) =>
        reject(this.#problem ?? new Error(`the socket closed (${code}) before the answer to ${frame.type}`)),
      );
    });
    answer.catch(() => {});
    this.send({ ...frame, ref });
    return within(`the answer to ${frame.type}`, answer);
  }

  async start(body: { readonly [key: string]: unknown }): Promise<Transcript> {
    let transcript: Transcript | undefined;
    const answer = await this.ask({ type: "start", ...body }, ({ type, run, replayed }) => {
      if (type !== "ok") return;
      transcript = new Transcript(String(run));
      // The run began with an earlier start, while nobody was here.
      if (replayed === true) transcript.resumed();
      this.#transcripts.set(transcript.run, transcript);
    });
    if (!transcript) throw new Error(`the start was answered with ${JSON.stringify(answer)}`);
    return transcript;
  }

  /** Goes on with a run exactly where its transcript is, on this socket. */
  async resume(transcript: Transcript): Promise<Frame> {
    transcript.resumed();
    const answer = await this.ask({ type: "subscribe", run: transcript.run, after: transcript.cursor() }, ({ type }) => {
      if (type === "ok") this.#transcripts.set(transcript.run, transcript);
    });
    expect(answer).toMatchObject({ type: "ok", run: transcript.run });
    return answer;
  }

  close(): void {
    this.ws.terminate();
  }
}

/** A Run as JSON, as far as tests look into it. */
export type RunBody = {
  readonly id: string;
  readonly status: string;
  readonly output: unknown;
  readonly error?: { readonly code: string; readonly message: string; readonly details?: { readonly [key: string]: unknown } };
  readonly tier?: string;
  readonly cost_microusd: number;
  readonly held_microusd: number;
  readonly usage: { readonly input_tokens: number; readonly output_tokens: number; readonly estimated: boolean };
  readonly steps: number;
  readonly calls: number;
  readonly tool_calls: number;
  readonly waiting_for?: readonly { readonly id: string; readonly kind: string }[];
};

export async function post(
  url: string,
  path: string,
  body: unknown,
  headers: { readonly [name: string]: string } = {},
): Promise<{ readonly status: number; readonly headers: Headers; readonly body: unknown }> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
}

export async function getRun(url: string, id: string): Promise<RunBody> {
  const response = await fetch(`${url}/v1/runs/${id}`);
  expect(response.status).toBe(200);
  return (await response.json()) as RunBody; // the protocol's Run; tests check what they use of it
}
