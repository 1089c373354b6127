/**
 * The one socket of a client, and the next one when it is lost. Knows nothing of runs: frames go in and out as objects, and whoever owns
 * it says whether a connection is needed at all.
 *
 * Invariants:
 *  1. At most one socket is alive; what a given-up socket still says is not heard.
 *  2. `lost` is told exactly once for every `opened`, and nothing is sent in between.
 *  3. After `drain` the time the server named is waited; else backoff, which starts anew once the server has said something.
 */
import type { ClientFrame, ServerFrame } from "../protocol/frames.ts";
import { Backoff } from "./backoff.ts";
import { Pace } from "./pace.ts";

/** As much of the browser's WebSocket as is used here. Node has it as a global since 22. */
export type WebSocketLike = {
  readonly readyState: number;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: "open" | "message" | "close" | "error",
    listener: (event: { readonly data?: unknown; readonly code?: number }) => void,
  ): void;
};
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** `waiting`: lost, and to be tried again. `idle`: not connected, and nothing needs it. */
export type ConnectionState = "idle" | "connecting" | "open" | "waiting" | "closed";

export type ConnectionOptions = {
  readonly url: string;
  readonly WebSocket: WebSocketConstructor;
  /** Asked before every attempt, so that a token can be renewed. */
  readonly protocols: () => Promise<string[]>;
  readonly backoffMs: readonly [base: number, max: number];
  /** After so long without a word from the server it is asked for one; after twice that the socket is given up. */
  readonly quietMs: number;
  /** After so long without a connection `gaveUp` is told. */
  readonly maxOfflineMs: number;
};

export type ConnectionListener = {
  /** Whether there is anything to be done over a connection. */
  needed(): boolean;
  opened(): void;
  frame(frame: ServerFrame): void;
  lost(): void;
  gaveUp(): void;
  state(state: ConnectionState): void;
};

const openState = 1;
const keepAlive = "keep-alive";

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #listener: ConnectionListener;
  readonly #backoff: Backoff;
  #state: ConnectionState = "idle";
  #socket: WebSocketLike | undefined;
  #pace: Pace | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #quietTimer: ReturnType<typeof setInterval> | undefined;
  #drainMs: number | undefined;
  #heardAt = 0;
  #offlineSince: number | undefined;

  constructor(options: ConnectionOptions, listener: ConnectionListener) {
    this.#options = options;
    this.#listener = listener;
    this.#backoff = new Backoff(...options.backoffMs);
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Connects, unless it is connected, about to be, or closed. */
  want(): void {
    if (this.#state === "idle") void this.#connect();
  }

  /** Only while open; frames of a connection that is not open are the owner's to keep. */
  send(frame: ClientFrame): void {
    this.#pace?.push(JSON.stringify(frame));
  }

  close(): void {
    this.#setState("closed");
    this.#giveUpSocket(1000);
    clearTimeout(this.#retryTimer);
  }

  async #connect(): Promise<void> {
    this.#setState("connecting");
    this.#offlineSince ??= performance.now();
    let socket: WebSocketLike;
    try {
      const protocols = await this.#options.protocols();
      if (this.#state !== "connecting") return;
      socket = new this.#options.WebSocket(this.#options.url, protocols);
    } catch {
      // No token to be had, or a token that cannot be a protocol's name: time may help, and `gaveUp` ends it if not.
      if (this.#state === "connecting") this.#retry();
      return;
    }
    this.#socket = socket;
    const mine = () => this.#socket === socket;
    socket.addEventListener("open", () => mine() && this.#opened(socket));
    socket.addEventListener("message", ({ data }) => mine() && this.#heard(data));
    socket.addEventListener("close", () => mine() && this.#lost());
    // `close` follows and says all there is to say.
    socket.addEventListener("error", () => {});
  }

  #opened(socket: WebSocketLike): void {
    this.#pace = new Pace((text) => {
      if (socket.readyState === openState) socket.send(text);
    });
    this.#drainMs = undefined;
    this.#heardAt = performance.now();
    let asked = false;
    this.#quietTimer = setInterval(() => {
      const quiet = performance.now() - this.#heardAt >= this.#options.quietMs;
      if (quiet && asked) {
        this.#lost();
        return;
      }
      asked = quiet;
      if (quiet) this.send({ type: "ping", ref: keepAlive });
    }, this.#options.quietMs);
    this.#offlineSince = undefined;
    this.#setState("open");
    this.#listener.opened();
  }

  #heard(data: unknown): void {
    this.#heardAt = performance.now();
    this.#backoff.reset();
    if (typeof data !== "string") return;
    // The server's side of the contract; frames of a type that is not known are ignored by whoever reads them.
    const frame = JSON.parse(data) as ServerFrame;
    if (frame.type === "drain") this.#drainMs = frame.retry_ms;
    else if (frame.type !== "pong" || frame.ref !== keepAlive) this.#listener.frame(frame);
  }

  #lost(): void {
    const wasOpen = this.#state === "open";
    this.#giveUpSocket();
    this.#offlineSince ??= performance.now();
    this.#setState("waiting");
    if (wasOpen) this.#listener.lost();
    // The listener may have closed it.
    if (this.#state === "waiting") this.#retry();
  }

  #retry(): void {
    if (!this.#listener.needed()) {
      this.#offlineSince = undefined;
      this.#setState("idle");
      return;
    }
    if (this.#offlineSince !== undefined && performance.now() - this.#offlineSince >= this.#options.maxOfflineMs) {
      this.#offlineSince = undefined;
      this.#setState("idle");
      this.#listener.gaveUp();
      return;
    }
    this.#setState("waiting");
    const delay = this.#drainMs ?? this.#backoff.next();
    this.#drainMs = undefined;
    this.#retryTimer = setTimeout(() => void this.#connect(), delay);
  }

  /** `code` is 1000 or none: browsers let pages send no other below 3000. */
  #giveUpSocket(code?: 1000): void {
    clearInterval(this.#quietTimer);
    this.#pace?.stop();
    this.#pace = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    try {
      socket?.close(code);
    } catch {
      // Some implementations throw while they are still connecting; the socket is not listened to any more.
    }
  }

  #setState(state: ConnectionState): void {
    if (this.#state === "closed" || this.#state === state) return;
    this.#state = state;
    this.#listener.state(state);
  }
}
