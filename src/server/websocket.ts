/**
 * The WebSocket side: judges handshakes and keeps the list of open sockets. A socket's own life is in `client-socket.ts`.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { type ErrorBody, errorBody, httpStatus } from "../protocol/errors.ts";
import { ClientSocket } from "./client-socket.ts";
import type { ServerContext } from "./context.ts";
import { retryAfter } from "./options.ts";
import { judgeOrigin } from "./origin.ts";
import { rawReply } from "./raw-reply.ts";
import { draining } from "./start.ts";

const subprotocol = "escapement.v1";

export class WebSockets {
  readonly #context: ServerContext;
  readonly #server: WebSocketServer;
  readonly #sockets = new Set<ClientSocket>();
  readonly #sweeper: NodeJS.Timeout;
  /** Milliseconds that this process could have served its sockets: its own pauses are not held against the clients. */
  #attentiveMs = 0;

  constructor(context: ServerContext) {
    const { limits, intervals } = context.settings;
    this.#context = context;
    // `closeTimeout` is missing in the published types of ws 8.18, not in ws 8.23.
    const options: ConstructorParameters<typeof WebSocketServer>[0] & Record<string, unknown> = {
      noServer: true,
      clientTracking: false,
      // Compression would cost memory a socket and is what decompression bombs need.
      perMessageDeflate: false,
      maxPayload: limits.frameBytes,
      maxFragments: limits.fragments,
      maxBufferedChunks: limits.chunks,
      closeTimeout: intervals.closeMs,
      handleProtocols: () => subprotocol,
    };
    this.#server = new WebSocketServer(options);
    let sweptAt = performance.now();
    this.#sweeper = setInterval(() => {
      const now = performance.now();
      this.#attentiveMs += Math.min(now - sweptAt, 2 * intervals.sweepMs);
      sweptAt = now;
      for (const socket of this.#sockets) socket.sweep(this.#attentiveMs);
    }, intervals.sweepMs);
    this.#sweeper.unref();
  }

  /** Takes over a connection that asked for an upgrade, or refuses it with an error in the protocol's shape. */
  upgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void {
    const refusal = this.#judge(request);
    if (refusal) {
      const { error, status } = refusal;
      raw.on("error", () => {});
      raw.end(rawReply(status ?? httpStatus(error.code), error));
      return;
    }
    this.#server.handleUpgrade(request, raw, head, (ws) => {
      const { gauges, settings } = this.#context;
      const socket = new ClientSocket(ws, raw, this.#context, settings.caller, this.#attentiveMs);
      this.#sockets.add(socket);
      gauges.add("escapement_websocket_connections");
      ws.on("close", () => {
        this.#sockets.delete(socket);
        gauges.add("escapement_websocket_connections", -1);
      });
    });
  }

  drain(): void {
    for (const socket of this.#sockets) socket.drain(retryAfter(this.#context.settings.intervals.retryMs));
  }

  get size(): number {
    return this.#sockets.size;
  }

  terminate(): void {
    clearInterval(this.#sweeper);
    for (const socket of this.#sockets) socket.terminate();
  }

  #judge(request: IncomingMessage): { error: ErrorBody; status?: number } | undefined {
    const { settings, drain } = this.#context;
    if (judgeOrigin(request.headers.origin, request.headers.host ?? "", settings.origins) === "foreign") {
      return { error: errorBody("forbidden", "this origin is not allowed; the operator can add it to ESCAPEMENT_ORIGINS") };
    }
    if ((request.url ?? "").split("?")[0] !== "/v1/ws") return { error: errorBody("not_found", "the WebSocket is at /v1/ws") };
    if (request.method !== "GET") return { error: errorBody("invalid_request", "a WebSocket begins with GET"), status: 405 };
    if (drain.draining.aborted) return { error: draining(this.#context).body };
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
    if (!offered.includes(subprotocol)) {
      const details = { path: "Sec-WebSocket-Protocol" };
      return { error: errorBody("invalid_request", `offer the subprotocol ${subprotocol}`, { details }) };
    }
    return undefined;
  }
}
