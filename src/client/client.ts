/**
 * `connect(url)`: the runtime seen from afar, in browsers and in Node. Commands and events go over one WebSocket, which is found again
 * when it is lost; what is read once goes over HTTP. No dependencies: of the protocol only its types are used.
 */
import type { AnswerBody, RunsQuery, StartBody } from "../protocol/commands.ts";
import type { Event } from "../protocol/events.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import type { Limits } from "../protocol/limits.ts";
import type { Run } from "../protocol/run.ts";
import type { EventsOptions, RunHandle, Runs, StartOptions } from "../protocol/runs.ts";
import { Commands } from "./commands.ts";
import { Connection, type ConnectionState, type WebSocketConstructor } from "./connection.ts";
import { hasEnded } from "./ends.ts";
import { clientError, EscapementError } from "./error.ts";
import { Feed, type FeedOwner } from "./feed.ts";
import { type HttpOptions, type HttpRequest, send } from "./http.ts";
import { Reader, type ReaderOwner } from "./reader.ts";
import { RemoteRun, type RemoteRunOwner } from "./remote-run.ts";

export type { ConnectionState, WebSocketConstructor } from "./connection.ts";
export { EscapementError } from "./error.ts";

export type ClientOptions = {
  /** An API key or JWT, or where to get one; asked anew for every connection and request. */
  readonly token?: string | (() => string | Promise<string>);
  /** How long a command or request may take, reconnects included: 30,000 ms. */
  readonly timeoutMs?: number;
  /** Reconnects wait a random time below `base`, doubled with every attempt, at most `max`: 250 and 10,000 ms. */
  readonly backoffMs?: readonly [base: number, max: number];
  /** After so long without a connection, readers fail with `unavailable`: 300,000 ms. */
  readonly maxOfflineMs?: number;
  /** After so long without a word the server is asked for one, and after twice that given up: 25,000 ms. */
  readonly quietMs?: number;
  /** Events that wait for one slow consumer; beyond that they stay on the server: 1,000. */
  readonly maxEvents?: number;
  readonly onState?: (state: ConnectionState) => void;
  readonly fetch?: typeof fetch;
  readonly WebSocket?: WebSocketConstructor;
};

/** An agent that can be started. Schemas are JSON Schema or null. */
export type AgentDescription = {
  readonly name: string;
  readonly description: string;
  readonly input_schema: unknown;
  readonly output_schema: unknown;
  readonly limits: Limits;
  readonly tool_groups: readonly string[];
};

export interface Client extends Runs {
  readonly state: ConnectionState;
  agents(): Promise<readonly AgentDescription[]>;
  /** Newest first; `next` is the `cursor` of the following page. */
  list(query?: RunsQuery): Promise<{ readonly data: readonly Run[]; readonly next: string | null }>;
}

/** Frames may have 256 KiB; larger starts go over HTTP. */
const maxFrameBytes = 256 * 1024;

/** `url` is the server's: `http://127.0.0.1:8787`, `wss://…` and a path before `/v1` are fine too. Connects when first needed. Throws `invalid_request` for no address. */
export function connect(url: string, options: ClientOptions = {}): Client {
  return new RemoteRuns(url, options);
}

class RemoteRuns implements Client, ReaderOwner, FeedOwner, RemoteRunOwner {
  readonly commands: Commands;
  readonly #connection: Connection;
  readonly #http: HttpOptions;
  readonly #timeoutMs: number;
  readonly #maxEvents: number;
  readonly #feeds = new Map<string, Feed>();
  readonly #readers = new Set<Reader>();
  readonly #closed = new AbortController();
  #state: ConnectionState = "idle";

  constructor(url: string, options: ClientOptions) {
    const base = url.replace(/^ws/, "http").replace(/\/+$/, "");
    if (!/^https?:\/\//i.test(base) || !URL.canParse(base))
      throw clientError("invalid_request", `${JSON.stringify(url)} is no address of a server: give one like http://127.0.0.1:8787`, false);
    const { token, backoffMs = [250, 10_000] } = options;
    const currentToken = async () => (typeof token === "function" ? token() : token);
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#maxEvents = options.maxEvents ?? 1_000;
    this.#http = {
      base,
      // Browsers want `fetch` called without another `this`.
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      token: currentToken,
      backoffMs,
      timeoutMs: this.#timeoutMs,
      closed: this.#closed.signal,
    };
    const Socket = options.WebSocket ?? globalThis.WebSocket;
    if (Socket === undefined)
      throw clientError(
        "invalid_request",
        "this JavaScript has no WebSocket: use Node 22.19 or newer, or give one as the option `WebSocket` (that of the package ws fits)",
        false,
      );
    this.#connection = new Connection(
      {
        url: `${base.replace(/^http/, "ws")}/v1/ws`,
        WebSocket: Socket,
        protocols: async () => {
          const current = await currentToken();
          return current === undefined ? ["escapement.v1"] : ["escapement.v1", `bearer.${current}`];
        },
        backoffMs,
        quietMs: options.quietMs ?? 25_000,
        maxOfflineMs: options.maxOfflineMs ?? 300_000,
      },
      {
        needed: () => !this.commands.isEmpty || this.#feeds.size > 0,
        opened: () => {
          this.commands.resend();
          for (const feed of [...this.#feeds.values()]) feed.opened();
        },
        frame: (frame) => this.#frame(frame),
        lost: () => {
          this.commands.lost();
          for (const feed of this.#feeds.values()) feed.lost();
        },
        gaveUp: () => this.#fail(clientError("unavailable", `${base} cannot be reached`, true)),
        state: (state) => {
          this.#state = state;
          options.onState?.(state);
        },
      },
    );
    this.commands = new Commands(this.#connection);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  async start(body: StartBody, options: StartOptions = {}): Promise<RunHandle> {
    this.#refuseClosed();
    // A key of our own makes it safe to send the start again when its answer was lost.
    const key = options.idempotencyKey ?? randomKey();
    const started = (run: string, replayed: boolean, first: Reader) =>
      new RemoteRun(run, this, { replayed: replayed && options.idempotencyKey !== undefined, first });
    if (isLarge(body)) {
      const headers = { prefer: "respond-async", "idempotency-key": JSON.stringify(key) };
      const answer = await send<Run>(this.#http, { method: "POST", path: "/v1/runs", body, headers });
      const first = this.read(answer.body.id, {});
      return started(answer.body.id, answer.headers.get("idempotent-replayed") === "true", first);
    }
    return this.commands.ask(
      { ...body, type: "start", idempotency_key: key },
      (ok) => {
        const run = ok.run ?? "";
        const first = this.#newReader(run, {});
        // The server has subscribed this socket to the run; its events are next.
        this.#feed(run).adopt(first);
        return started(run, ok.replayed === true, first);
      },
      this.#timeoutMs,
    );
  }

  run(id: string): RunHandle {
    return new RemoteRun(id, this);
  }

  get(id: string): Promise<Run> {
    return this.#read<Run>(`/v1/runs/${encodeURIComponent(id)}`);
  }

  async agents(): Promise<readonly AgentDescription[]> {
    return (await this.#read<{ data: readonly AgentDescription[] }>("/v1/agents")).data;
  }

  list(query: RunsQuery = {}): Promise<{ readonly data: readonly Run[]; readonly next: string | null }> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
    return this.#read(`/v1/runs?${parameters}`);
  }

  /** Ends every reader as if it were closed and fails what still waits with `cancelled`. Runs go on. */
  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.#connection.close();
    for (const reader of [...this.#readers]) reader.close();
    this.commands.failAll(clientError("cancelled", "the client was closed", false));
  }

  // For handles.

  read(run: string, options: EventsOptions): Reader {
    this.#refuseClosed();
    const reader = this.#newReader(run, options);
    this.join(reader);
    return reader;
  }

  async result(run: string): Promise<Run> {
    this.#refuseClosed();
    const after = this.#feeds.get(run)?.liveCursor();
    if (after === undefined) {
      const now = await this.get(run);
      if (hasEnded(now.status)) return now;
    }
    const reader = after === undefined ? this.read(run, {}) : this.#newReader(run, { after });
    if (after !== undefined) this.#feed(run).attach(reader);
    try {
      while ((await reader.read()) !== null) {
        // The events are not wanted, only their end.
      }
    } finally {
      reader.close();
    }
    this.#refuseClosed();
    return this.get(run);
  }

  async cancel(run: string, reason: string | undefined): Promise<Run> {
    this.#refuseClosed();
    await this.commands.ask({ type: "cancel", run, ...(reason === undefined ? {} : { reason }) }, () => {}, this.#timeoutMs);
    return this.get(run);
  }

  /** Over HTTP: each question can be answered once, and only there a repeated answer is known as the same one, by its key. */
  async answer(run: string, answer: AnswerBody): Promise<Run> {
    const headers = { "idempotency-key": JSON.stringify(randomKey()) };
    const path = `/v1/runs/${encodeURIComponent(run)}/answers`;
    return (await send<Run>(this.#http, { method: "POST", path, body: answer, headers })).body;
  }

  // For readers and feeds.

  join(reader: Reader): void {
    if (this.#closed.signal.aborted) {
      reader.close();
      return;
    }
    this.#readers.add(reader);
    this.#feed(reader.run).join(reader);
  }

  leave(reader: Reader): void {
    this.#feeds.get(reader.run)?.leave(reader);
    this.#readers.delete(reader);
  }

  isOpen(): boolean {
    return this.#connection.isOpen;
  }

  want(): void {
    this.#connection.want();
  }

  async isAtEnd(run: string, cursor: string): Promise<boolean> {
    const path = `/v1/runs/${encodeURIComponent(run)}/events?limit=1&after=${encodeURIComponent(cursor)}`;
    return (await this.#read<{ data: readonly Event[] }>(path)).data.length === 0;
  }

  empty(feed: Feed): void {
    if (this.#feeds.get(feed.run) === feed) this.#feeds.delete(feed.run);
  }

  #newReader(run: string, { after, internal = false }: EventsOptions): Reader {
    const reader = new Reader(run, this, { after, internal, maxEvents: this.#maxEvents });
    this.#readers.add(reader);
    return reader;
  }

  #feed(run: string): Feed {
    let feed = this.#feeds.get(run);
    if (!feed) {
      feed = new Feed(run, this);
      this.#feeds.set(run, feed);
    }
    return feed;
  }

  #frame(frame: ServerFrame): void {
    switch (frame.type) {
      case "event":
        this.#feeds.get(frame.event.run)?.event(frame.event);
        return;
      case "ok":
        this.commands.answered(frame);
        return;
      case "error":
        if (frame.ref !== undefined) this.commands.answered(frame);
        else if (frame.error.run !== undefined) this.#feeds.get(frame.error.run)?.failed(new EscapementError(frame.error));
    }
  }

  #fail(error: EscapementError): void {
    this.commands.failAll(error);
    for (const reader of [...this.#readers]) reader.fail(error);
  }

  async #read<T>(path: string): Promise<T> {
    const request: HttpRequest = { method: "GET", path };
    return (await send<T>(this.#http, request)).body;
  }

  #refuseClosed(): void {
    if (this.#closed.signal.aborted) throw clientError("cancelled", "the client was closed", false);
  }
}

/** A character is at most three bytes of UTF-8 (those of a surrogate pair are four for two). */
function isLarge(body: StartBody): boolean {
  const text = JSON.stringify(body);
  const room = maxFrameBytes - 1_024;
  return text.length * 3 > room && new TextEncoder().encode(text).length > room;
}

/** 128 random bits. `crypto.randomUUID` is not there on a page that came by plain HTTP from another host. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
