/**
 * A provider that misbehaves to the byte: an HTTP server over `node:net` that plays scripts and keeps its own book.
 *
 * Owns requests, sockets and the book, against which a ledger or a cancel can be checked. `fault-script.ts` has the steps,
 * `fault-chat.ts` answers in OpenAI's chat format. Requests must come with a `content-length`, as every client of ours sends them.
 *
 *  1. What the book says was sent was handed to the system; what the client saw of it is the client's to say.
 *  2. `closedAt` of an entry is set when the client left before its script was over, and only then.
 */
import { createServer, type Socket } from "node:net";
import type { Script, Step } from "./fault-script.ts";

export type FaultRequest = {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
  /** The body as JSON; throws when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of any shape.
  json(): any;
};

/** One request in the book. */
export type FaultEntry = {
  readonly request: FaultRequest;
  /** `performance.now()` when the whole request was there. */
  readonly at: number;
  /** Port of the client's end, and bytes that its connection had been sent by earlier answers. */
  readonly port: number;
  readonly bytesBefore: number;
  bytesSent: number;
  /** Pieces of text of the model that were sent. */
  textTokensSent: number;
  textSent: string;
  /** The script was played to its end. */
  isPlayed: boolean;
  /** `performance.now()` when the client left. */
  closedAt: number | undefined;
  /** Settles when the script is played or the client has left, with `closedAt`. */
  readonly over: Promise<number | undefined>;
};

export type FaultBook = {
  readonly entries: readonly FaultEntry[];
  /** The entry with this index, once its request has come. */
  entry(index: number): Promise<FaultEntry>;
  /** Connections that are open now. */
  openSockets(): number;
  /** Connections made so far. */
  sockets(): number;
  /** Settles when no connection is open. */
  idle(): Promise<void>;
};

export type FaultHandler = (request: FaultRequest, book: FaultBook) => Script | Promise<Script>;

export type FaultServer = {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly book: FaultBook;
  /** Answers with another handler from now on. */
  use(handler: FaultHandler): void;
  /** Kills all connections and refuses new ones, until {@link up}. */
  down(): Promise<void>;
  /** Listens again, at the same address. */
  up(): Promise<void>;
  /** Kills all connections and stops listening. */
  close(): Promise<void>;
};

export async function startFaultServer(handler: FaultHandler): Promise<FaultServer> {
  let current = handler;
  let made = 0;
  const open = new Set<Socket>();
  const entries: FaultEntry[] = [];
  let waiting: (() => void)[] = [];
  const changed = (): void => {
    const all = waiting;
    waiting = [];
    for (const wake of all) wake();
  };
  const when = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const book: FaultBook = {
    entries,
    entry: async (index) => {
      await when(() => entries.length > index);
      return entries[index]!;
    },
    openSockets: () => open.size,
    sockets: () => made,
    idle: () => when(() => open.size === 0),
  };

  const server = createServer({ noDelay: true }, (socket) => {
    made++;
    open.add(socket);
    let leave = (): void => {};
    const gone = new Promise<void>((resolve) => {
      leave = resolve;
    });
    // A client's FIN and its RST both mean that it has left: no client of ours half-closes.
    socket.on("end", leave);
    socket.on("error", leave);
    socket.on("close", () => {
      leave();
      open.delete(socket);
      changed();
    });
    const port = socket.remotePort ?? 0;
    let bytes = 0;
    void serve(socket, async (request) => {
      const { entry, finish } = newEntry(request, port, bytes);
      entries.push(entry);
      changed();
      const script = await current(request, book);
      await play(socket, script, entry, gone);
      bytes += entry.bytesSent;
      finish();
    });
  });
  const listen = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const stop = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  await listen(0);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The fault server has no port.");
  return {
    url: `http://127.0.0.1:${address.port}`,
    book,
    use(next) {
      current = next;
    },
    down: stop,
    up: () => listen(address.port),
    close: stop,
  };
}

function newEntry(request: FaultRequest, port: number, bytesBefore: number): { entry: FaultEntry; finish(): void } {
  let settle = (_closedAt: number | undefined): void => {};
  const over = new Promise<number | undefined>((resolve) => {
    settle = resolve;
  });
  const entry: FaultEntry = {
    request,
    at: performance.now(),
    port,
    bytesBefore,
    bytesSent: 0,
    textTokensSent: 0,
    textSent: "",
    isPlayed: false,
    closedAt: undefined,
    over,
  };
  return { entry, finish: () => settle(entry.closedAt) };
}

async function play(socket: Socket, script: Script, entry: FaultEntry, gone: Promise<void>): Promise<void> {
  let isGone = false;
  const left = gone.then(() => {
    if (entry.isPlayed) return;
    isGone = true;
    entry.closedAt ??= performance.now();
  });
  for (const step of script) {
    if (isGone) return;
    await perform(socket, step, entry, left);
  }
  if (isGone) return;
  entry.isPlayed = true;
}

async function perform(socket: Socket, step: Step, entry: FaultEntry, left: Promise<void>): Promise<void> {
  if ("send" in step) {
    const bytes = typeof step.send === "string" ? Buffer.from(step.send) : step.send;
    entry.bytesSent += bytes.length;
    if (step.text !== undefined) {
      const tokens = [step.text].flat();
      entry.textTokensSent += tokens.length;
      entry.textSent += tokens.join("");
    }
    if (!socket.write(bytes)) await Promise.race([new Promise<void>((resolve) => socket.once("drain", resolve)), left]);
  } else if ("delayMs" in step) await pause(step.delayMs, left);
  else if ("hang" in step) await left;
  else {
    // What follows is our doing, so the client is not said to have left.
    entry.isPlayed = true;
    if ("reset" in step) {
      // A reset throws away what the client has not read yet: let it read first.
      await pause(resetAfterMs, left);
      socket.resetAndDestroy();
    } else socket.end();
  }
}

const resetAfterMs = 10;

async function pause(ms: number, left: Promise<void>): Promise<void> {
  // No time at all is still a turn of the event loop, so that the client reads what was sent on its own.
  if (ms === 0) return new Promise((resolve) => setImmediate(resolve));
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([waited, left]);
  clearTimeout(timer);
}

/** Reads requests of one connection, one after the other. */
async function serve(socket: Socket, answer: (request: FaultRequest) => Promise<void>): Promise<void> {
  let buffer = Buffer.alloc(0);
  let wake = (): void => {};
  let isClosed = false;
  socket.on("data", (data: Buffer) => {
    buffer = Buffer.concat([buffer, data]);
    wake();
  });
  socket.on("close", () => {
    isClosed = true;
    wake();
  });
  const more = (): Promise<void> =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  while (!isClosed) {
    const end = buffer.indexOf("\r\n\r\n");
    if (end === -1) {
      await more();
      continue;
    }
    const [line = "", ...fields] = buffer.subarray(0, end).toString("latin1").split("\r\n");
    const [method = "", path = ""] = line.split(" ");
    const headers: { [name: string]: string } = {};
    for (const field of fields) headers[field.slice(0, field.indexOf(":")).toLowerCase()] = field.slice(field.indexOf(":") + 1).trim();
    const total = end + 4 + Number(headers["content-length"] ?? 0);
    if (buffer.length < total) {
      await more();
      continue;
    }
    const body = buffer.subarray(end + 4, total).toString("utf8");
    buffer = buffer.subarray(total);
    await answer({ method, path, headers, body, json: () => JSON.parse(body) });
  }
}
