/**
 * A fake OpenAI-chat provider in a process of its own, lean enough not to be what is measured: raw sockets, answers made
 * once (answers.ts), the way of answering taken from the path (`/burst/v1/chat/completions`).
 *
 * It keeps a book of requests and sockets, readable on a second port, so that reading it opens no socket in it:
 * `GET /book`, and `POST /reset` to forget what is over. Times are milliseconds of the machine's monotonic clock
 * (`process.hrtime`), so a contestant can compare them with its own.
 */
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { burstSegments, hangSegment, jsonAnswer, jsonResponse, loopAnswers, modelList, pacedSegments } from "./answers.ts";
import { isStreamed, type Way, ways } from "./workload.ts";

export type SocketRecord = {
  readonly openedMs: number;
  /** When the provider first saw that the other side was gone. */
  readonly closedMs: number | null;
  readonly requests: number;
  /** Its last request was answered with a stream that never ends. */
  readonly hanging: boolean;
};
export type Book = {
  readonly requests: number;
  readonly rejected: number;
  readonly open: number;
  readonly sockets: readonly SocketRecord[];
};
/** What the process sends its parent when it listens. */
export type ProviderReady = { readonly port: number; readonly bookPort: number };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const now = (): number => Number(process.hrtime.bigint()) / 1e6;
const rejection = (message: string): Buffer => jsonResponse("400 Bad Request", { error: { message, type: "invalid_request_error" } });

let requests = 0;
let rejected = 0;
const sockets = new Set<Mutable<SocketRecord>>();

/** Paced streams get a token every `paceMs`, spread over the ticks in between so that tokens of two streams rarely meet in one read. */
const paceMs = 5;
const wheel: Set<() => boolean>[] = Array.from({ length: paceMs }, () => new Set());
let tick = 0;
setInterval(() => {
  tick += 1;
  const slot = wheel[tick % paceMs]!;
  for (const step of slot) if (!step()) slot.delete(step);
}, 1).unref();
let nextSlot = 0;

function stream(socket: Socket, segments: readonly Buffer[], schedule: (step: () => boolean) => void): void {
  let at = 0;
  schedule(() => {
    if (socket.destroyed) return false;
    socket.write(segments[at]!);
    at += 1;
    return at < segments.length;
  });
}

function perTick(step: () => boolean): void {
  setImmediate(() => {
    if (step()) perTick(step);
  });
}

function perPace(step: () => boolean): void {
  nextSlot = (nextSlot + 1) % paceMs;
  wheel[nextSlot]!.add(step);
}

function countToolResults(body: Buffer): number {
  let count = 0;
  for (let at = body.indexOf('"role":"tool"'); at !== -1; at = body.indexOf('"role":"tool"', at + 13)) count += 1;
  return count;
}

function respond(socket: Socket, record: Mutable<SocketRecord>, path: string, body: Buffer): void {
  requests += 1;
  record.requests += 1;
  record.hanging = false;
  // Only compared with the list: the cast decides nothing.
  const way = path.slice(1, path.indexOf("/", 1)) as Way;
  if (path.endsWith("/models")) {
    socket.write(modelList);
    return;
  }
  if (!ways.includes(way) || !path.endsWith("/chat/completions") || body.includes('"stream":true') !== isStreamed(way)) {
    rejected += 1;
    socket.write(rejection(`no such way, or streamed where it should not be (or the other way round): ${path}`));
    return;
  }
  switch (way) {
    case "json":
      socket.write(jsonAnswer);
      break;
    case "loop":
      socket.write(loopAnswers[countToolResults(body)] ?? rejection("more tool results than turns"));
      break;
    case "burst":
      stream(socket, burstSegments, perTick);
      break;
    case "paced":
      stream(socket, pacedSegments, perPace);
      break;
    case "hang":
      record.hanging = true;
      socket.write(hangSegment);
      break;
  }
}

/** Reads requests with a content length, one after the other; what clients of this bench send is nothing else. */
function serve(socket: Socket): void {
  const record: Mutable<SocketRecord> = { openedMs: now(), closedMs: null, requests: 0, hanging: false };
  sockets.add(record);
  let pending: Buffer | null = null;
  const gone = () => {
    record.closedMs ??= now();
  };
  socket.setNoDelay(true);
  socket.on("end", gone).on("error", gone).on("close", gone);
  socket.on("data", (data: Buffer) => {
    pending = pending === null ? data : Buffer.concat([pending, data]);
    while (pending !== null) {
      const end = pending.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = pending.toString("latin1", 0, end);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      const size: number = end + 4 + length;
      if (pending.length < size) return;
      const body = pending.subarray(end + 4, size);
      pending = pending.length === size ? null : pending.subarray(size);
      const pathAt = head.indexOf(" ") + 1;
      respond(socket, record, head.slice(pathAt, head.indexOf(" ", pathAt)), body);
    }
  });
}

function book(): Book {
  const all = [...sockets];
  return { requests, rejected, open: all.filter((socket) => socket.closedMs === null).length, sockets: all };
}

function reset(): void {
  requests = 0;
  rejected = 0;
  for (const socket of sockets) if (socket.closedMs !== null) sockets.delete(socket);
}

/** 2,000 streams are opened at once in D: the default backlog of 511 would drop connections and wait for their retry. */
const listen = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    // A server that listens on a host and port has an address of that kind.
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => resolve((server.address() as AddressInfo).port));
  });

const bookServer = createHttpServer((request, response) => {
  if (request.method === "POST") reset();
  response.setHeader("content-type", "application/json").end(JSON.stringify(book()));
});
const ready: ProviderReady = { port: await listen(createServer(serve)), bookPort: await listen(bookServer) };
process.send?.(ready);
process.on("disconnect", () => process.exit(0));
if (process.send === undefined) console.log(ready);
