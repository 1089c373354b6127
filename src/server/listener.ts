/**
 * The listening side: Node's HTTP server with its time limits, the check of `Host`, upgrades, and the orderly end.
 * What is served is the app's business.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { EscapementError, errorBody } from "../protocol/errors.ts";
import type { FetchHandler } from "./app.ts";
import type { ServerContext } from "./context.ts";
import { failure } from "./failure.ts";
import { hostIsLoopback, isLoopback } from "./origin.ts";
import { rawReply } from "./raw-reply.ts";
import { errorReply } from "./reply.ts";
import { WebSockets } from "./websocket.ts";

export type ListenOptions = {
  /** 127.0.0.1. Only loopback addresses as long as there is no auth. */
  readonly host?: string;
  /** 8787; 0 for any free port. */
  readonly port?: number;
};

export type Listening = {
  /** Like `http://127.0.0.1:8787`. */
  readonly url: string;
  /**
   * Takes nothing new, tells sockets, event streams and who waits for a run to come back later, lets other requests end for at most
   * `graceMs` (5,000), and closes every connection. Runs go on: ending the runtime is its owner's business.
   */
  close(graceMs?: number): Promise<void>;
};

/** Rejects when the host is no loopback address, or with Node's error when the port cannot be had (`EADDRINUSE`). */
export async function listen(context: ServerContext, fetch: FetchHandler, options: ListenOptions = {}): Promise<Listening> {
  const host = options.host ?? "127.0.0.1";
  if (!isLoopback(host)) {
    throw new EscapementError(
      "invalid_request",
      `HOST is ${JSON.stringify(host)}, but this server has no auth yet and listens on loopback only: leave HOST unset or set it to 127.0.0.1`,
      { details: { path: "HOST" } },
    );
  }
  const { intervals } = context.settings;
  const sockets = new WebSockets(context);
  const active = new Set<ServerResponse>();
  const serve = getRequestListener(fetch, {
    hostname: host.includes(":") ? `[${host.replace(/^\[|\]$/g, "")}]` : host,
    // A target or Host that makes no URL; everything else is answered by the app.
    errorHandler: (error) => {
      if (error instanceof Error && error.name === "RequestError") {
        return errorReply(errorBody("invalid_request", "the request's target or Host is no valid URL"));
      }
      return errorReply(failure(error, context, "a request"));
    },
  });
  const server = createHttpServer(
    {
      headersTimeout: intervals.headersMs,
      requestTimeout: intervals.bodyMs,
      // How often Node looks for requests over these limits; its default of 30 s would make them 35 and 45.
      connectionsCheckingInterval: Math.min(1_000, intervals.headersMs / 2),
      // Others (h2c, which some clients offer with every request) are served as if they had not asked.
      shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === "websocket",
    },
    (request, response) => {
      active.add(response);
      context.gauges.add("escapement_http_requests_in_flight");
      response.once("close", () => {
        active.delete(response);
        context.gauges.add("escapement_http_requests_in_flight", -1);
      });
      if (context.drain.draining.aborted) response.setHeader("connection", "close");
      if (!namesThisMachine(request)) return void refuse(response);
      void serve(request, response);
    },
  );
  server.on("upgrade", (request: IncomingMessage, raw: Duplex, head: Buffer) => {
    if (namesThisMachine(request)) sockets.upgrade(request, raw, head);
    else raw.end(rawReply(403, wrongHost));
  });
  server.on("clientError", answerBrokenRequest);

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 8787, host.replace(/^\[|\]$/g, ""), resolve);
  });
  // A listening TCP server's address is never a pipe's name.
  const { address, port, family } = server.address() as AddressInfo;
  const url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  let closed: Promise<void> | undefined;
  return {
    url,
    close: (graceMs = 5_000) => {
      closed ??= end(context, server, sockets, active, graceMs);
      return closed;
    },
  };
}

async function end(
  context: ServerContext,
  server: Server,
  sockets: WebSockets,
  active: ReadonlySet<ServerResponse>,
  graceMs: number,
): Promise<void> {
  context.drain.begin();
  sockets.drain();
  // While requests end, `readyz` still answers (503), so that a load balancer sees why.
  const idle = () => active.size === 0 && sockets.size === 0;
  await settled(idle, graceMs);
  const over = new Promise<void>((resolve) => server.close(() => resolve()));
  sockets.terminate();
  server.closeAllConnections();
  await over;
}

/** Resolves when `done` says so or the time is over. */
async function settled(done: () => boolean, ms: number): Promise<void> {
  const until = performance.now() + ms;
  while (!done() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, Math.min(20, ms)));
}

const wrongHost = errorBody("forbidden", "the Host header names no loopback address; this server is only for this machine");

/** HTTP/1.0 without `Host` is no browser. */
function namesThisMachine(request: IncomingMessage): boolean {
  return request.headers.host === undefined || hostIsLoopback(request.headers.host);
}

function refuse(response: ServerResponse): void {
  const body = JSON.stringify({ error: wrongHost });
  response.writeHead(403, { "content-type": "application/json", "x-content-type-options": "nosniff" }).end(body);
}

/** What Node's parser refused, or what did not arrive in time: answered in the protocol's shape where the connection still takes it. */
function answerBrokenRequest(error: NodeJS.ErrnoException, raw: Duplex): void {
  if (error.code === "ECONNRESET" || !raw.writable) return void raw.destroy();
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT")
    return void raw.end(rawReply(408, errorBody("timeout", "the request did not arrive in time")));
  if (error.code === "HPE_HEADER_OVERFLOW") return void raw.end(rawReply(431, errorBody("too_large", "the headers are too large")));
  raw.end(rawReply(400, errorBody("invalid_request", "this is no valid HTTP request")));
}
