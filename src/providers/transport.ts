/**
 * The HTTP transport of providers: one POST over undici's dispatcher, answered by callbacks.
 *
 * Owns: connections (one undici `Client` each, last in first out), the timers of a call, abort.
 * `call.ts` owns what the bytes mean; `http-error.ts` what a failure is called.
 *
 *  1. A receiver gets `head` at most once, then `data`, then exactly one of `end` and `fail`; nothing after `abort` or `release`.
 *  2. Nothing is called before `send` returned.
 *  3. `abort` destroys the socket in the same tick, in every phase, and no connection is opened in its place.
 *  4. One timer a call. Activity only stores a time; the timer looks at it when it fires and arms itself again.
 *
 * Why not fetch or undici's Pool: fetch costs seven times as much a call and opens a spare connection after an abort (PERF, lesson 1);
 * a Pool looks through all its busy clients at each dispatch and cannot take back a request that waits for its connection.
 * HTTP/1.1 only: an aborted call must close its socket, which is how every provider learns that it may stop generating.
 */
import type { Dispatcher } from "undici";
import buildConnector from "undici/lib/core/connect.js";
import Client from "undici/lib/dispatcher/client.js";
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { Timeouts } from "./provider.ts";

export type Phase = "connect" | "headers" | "firstToken" | "idle" | "total";

/** Why an exchange failed. `unsent`: no connection was made, so no byte of the request left. `cause` is the system's or TLS's code. */
export type Failure = {
  readonly kind: "connect" | "certificate" | "timeout" | "reset" | "protocol";
  readonly phase: Phase;
  readonly unsent: boolean;
  readonly cause: string;
};

export interface Receiver {
  head(status: number, headers: IncomingHttpHeaders): void;
  data(chunk: Buffer): void;
  /** The body is complete as framed: by length, by chunks, or by a clean end of the connection where the server gave neither. */
  end(): void;
  fail(failure: Failure): void;
}

export type TransportOptions = {
  /** Certificates (PEM) that are trusted besides the system's; checks cannot be turned off. */
  readonly ca?: string | readonly string[];
  /** Milliseconds that an idle connection is kept; below the 5 s of most servers. */
  readonly keepAlive?: number;
};

export type Post = {
  readonly path: string;
  /** Name, value, name, value, … */
  readonly headers: string[];
  readonly body: string;
  readonly timeouts: Timeouts;
  /** Unstreamed answers send their headers when they are complete: only `connect` and `total` hold for them. */
  readonly streamed: boolean;
};

/** Response headers larger than this end the exchange (`protocol`). */
const maxHeaderBytes = 32 * 1024;

export class Transport {
  readonly #origin: string;
  readonly #connector: ReturnType<typeof buildConnector>;
  readonly #keepAlive: number;
  readonly #idle: Connection[] = [];
  #closed = false;

  constructor(origin: string, options: TransportOptions = {}) {
    this.#origin = origin;
    this.#keepAlive = options.keepAlive ?? 4_000;
    // `timeout: 0`: the exchange's own timer covers connecting.
    const ca = options.ca === undefined ? {} : { ca: [...[options.ca].flat()] };
    this.#connector = buildConnector({ allowH2: false, timeout: 0, ...ca });
  }

  send(post: Post, receiver: Receiver): Exchange {
    const exchange = new Exchange(this, this.#idle.pop() ?? new Connection(this.#origin, this.#connector, this.#keepAlive), post, receiver);
    if (this.#closed) exchange.refuse();
    else exchange.start(post);
    return exchange;
  }

  /** Closes idle connections; running exchanges end by themselves. Calls made afterwards fail unsent. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#idle.splice(0).map((connection) => connection.client.destroy()));
  }

  /** @internal A connection whose exchange is complete. */
  giveBack(connection: Connection): void {
    if (this.#closed) void connection.client.destroy();
    else if (connection.open) {
      connection.onClosed = this.#forget;
      this.#idle.push(connection);
    }
  }

  readonly #forget = (connection: Connection): void => {
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  };
}

/** One undici client, which holds one socket. Dropped when its socket closes. */
class Connection {
  readonly client: Client;
  open = false;
  onClosed: ((connection: Connection) => void) | undefined;
  /** From the moment it begins to connect. */
  #socket: { destroy(reason: Error): void } | undefined;

  constructor(origin: string, connector: ReturnType<typeof buildConnector>, keepAliveTimeout: number) {
    this.client = new Client(origin, {
      // The built-in connector returns the socket that connects, which its types do not say.
      connect: (options, callback) => {
        this.#socket = connector(options, callback) as unknown as { destroy(reason: Error): void } | undefined;
        return this.#socket;
      },
      allowH2: false,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout,
      keepAliveMaxTimeout: keepAliveTimeout,
    });
    this.client.on("connect", () => {
      this.open = true;
    });
    this.client.on("disconnect", () => {
      this.open = false;
      this.onClosed?.(this);
    });
  }

  /**
   * Ends it in any phase, also while it connects (undici itself would wait for the connection first). The socket comes first, with our
   * reason: undici makes an error for each, whose stack Node then formats, which takes longer than closing.
   */
  destroy(controller: Dispatcher.DispatchController | undefined): void {
    this.#socket?.destroy(aborted);
    if (controller) controller.abort(aborted);
    else void this.client.destroy(aborted);
  }
}

/** One reason for all aborts: an error with a stack for each would cost more than the abort. */
const aborted = new Error("aborted");

export class Exchange implements Dispatcher.DispatchHandler {
  readonly #transport: Transport;
  readonly #connection: Connection;
  readonly #timeouts: Timeouts;
  readonly #streamed: boolean;
  #receiver: Receiver | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #phase: Phase | "drain" = "connect";
  /** Its connection is no longer its own. */
  #isOver = false;
  #dispatching = false;
  readonly #startedAt = performance.now();
  /** When the current phase began; while idle, when the last bytes came. */
  #since = this.#startedAt;

  constructor(transport: Transport, connection: Connection, post: Post, receiver: Receiver) {
    this.#transport = transport;
    this.#connection = connection;
    this.#timeouts = post.timeouts;
    this.#streamed = post.streamed;
    this.#receiver = receiver;
  }

  /** @internal */
  start({ path, headers, body }: Post): void {
    this.#arm();
    this.#dispatching = true;
    this.#connection.client.dispatch({ method: "POST", path, headers, body }, this);
    this.#dispatching = false;
  }

  /** @internal The transport was closed. */
  refuse(): void {
    queueMicrotask(() => this.#fail("connect", "CLOSED"));
  }

  /** The model has begun: from now the idle limit holds instead of the one for the first token. */
  began(): void {
    if (this.#phase === "firstToken") this.#enter("idle");
  }

  /** The answer is complete: the receiver hears no more; the rest of the body may come until the timer's next look. */
  release(): void {
    this.#receiver = undefined;
    this.#phase = "drain";
  }

  /** Destroys the socket at once. Safe in any phase and more than once. */
  abort(): void {
    this.#receiver = undefined;
    this.#stop();
    if (!this.#isOver) this.#connection.destroy(this.#controller);
  }

  // undici calls the rest.

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#enter("headers");
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // Slices of the chunk that they came in, which undici would keep for as long as the answer streams (8 KiB a call).
    controller.rawHeaders = null;
    if (status < 200) return;
    this.#enter("firstToken");
    this.#receiver?.head(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#phase === "idle") this.#since = performance.now();
    this.#receiver?.data(chunk);
  }

  onResponseEnd(): void {
    this.#stop();
    this.#isOver = true;
    this.#transport.giveBack(this.#connection);
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#stop();
    this.#isOver = true;
    if (!this.#receiver) return;
    const [kind, cause] = kindOf(error, this.#controller !== undefined);
    if (this.#dispatching) queueMicrotask(() => this.#fail(kind, cause));
    else this.#fail(kind, cause);
  }

  #enter(phase: Phase): void {
    if (this.#phase === "drain") return;
    this.#phase = phase;
    this.#since = performance.now();
  }

  /** When the current phase runs out, in ms of `performance.now()`, and by which limit. */
  #due(): readonly [at: number, phase: Phase] {
    const timeouts = this.#timeouts;
    const total = this.#startedAt + timeouts.total;
    if (this.#phase === "drain" || (!this.#streamed && this.#phase !== "connect")) return [total, "total"];
    const phase = this.#since + timeouts[this.#phase === "total" ? "idle" : this.#phase];
    return phase < total ? [phase, this.#phase] : [total, "total"];
  }

  /** Looks again no later than the shortest limit that a later phase may bring, so that every limit fires on time. */
  #arm(): void {
    const timeouts = this.#timeouts;
    const remaining = this.#due()[0] - performance.now();
    const next =
      !this.#streamed || this.#phase === "idle" ? remaining : Math.min(remaining, timeouts.headers, timeouts.firstToken, timeouts.idle);
    this.#timer = setTimeout(look, Math.min(Math.max(1, Math.ceil(next)), 0x7fffffff), this);
  }

  /** @internal The timer fired. */
  look(): void {
    const [at, phase] = this.#due();
    if (this.#phase !== "drain" && performance.now() < at) {
      this.#arm();
      return;
    }
    const receiver = this.#receiver;
    const unsent = this.#controller === undefined;
    this.abort();
    receiver?.fail({ kind: "timeout", phase, unsent, cause: `${phase} limit` });
  }

  #fail(kind: Failure["kind"], cause: string): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    const phase = this.#phase === "drain" ? "idle" : this.#phase;
    receiver?.fail({ kind, phase, unsent: this.#controller === undefined, cause });
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

const look = (exchange: Exchange): void => exchange.look();

/** OpenSSL's and Node's codes for a certificate that is not to be trusted. */
const certificate =
  /^(ERR_TLS_CERT|CERT_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|UNABLE_TO_(GET|VERIFY|DECRYPT|DECODE)|INVALID_(CA|PURPOSE)|CRL_|HOSTNAME_MISMATCH)/;

function kindOf(error: Error & { code?: unknown }, sent: boolean): readonly [Failure["kind"], string] {
  const code = typeof error.code === "string" ? error.code : error.name;
  if (certificate.test(code)) return ["certificate", code];
  if (!sent) return [code.startsWith("UND_ERR_INVALID") ? "protocol" : "connect", code];
  if (code.startsWith("HPE_") || code === "UND_ERR_HEADERS_OVERFLOW" || code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH")
    return ["protocol", code];
  return ["reset", code];
}
