/**
 * One request over one connection to one address. Owns the socket; what may be asked and where it goes was judged before.
 *
 *  1. The connector is given the address, never the name: nothing is resolved here. TLS is checked against the URL's name.
 *  2. The promise settles once, and the socket is closed when it does.
 *  3. Of a redirect nothing but its status and headers is read.
 */
import type { Socket } from "node:net";
import type { Dispatcher } from "undici";
import buildConnector from "undici/lib/core/connect.js";
import Client from "undici/lib/dispatcher/client.js";
import { type BodySink, collectBody, encodings, tooLong } from "./body.ts";
import { EgressError } from "./error.ts";

export type Limits = {
  /** Bytes of the body, as sent and as decoded. */
  readonly maxBytes: number;
  /** Media types that are read: `text/html`, or `text/` for all that begin so. All, without. */
  readonly contentTypes?: readonly string[] | undefined;
  readonly connectMs: number;
  readonly headersMs: number;
};

export type Sent = {
  readonly method: string;
  readonly headers: { readonly [name: string]: string };
  readonly body?: string | Uint8Array | undefined;
};

type Head = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: { readonly [name: string]: string };
};
export type Answer = Head & { readonly body: Buffer };

/** No connection was made, so another address may be tried. */
export class Unreached extends EgressError {
  constructor(host: string, cause: string) {
    super("unreachable", `${host} cannot be reached (${cause})`);
  }
}

const maxHeaderBytes = 32 * 1024;

export const isRedirect = ({ status, headers }: Head): boolean => [301, 302, 303, 307, 308].includes(status) && "location" in headers;

/** `signal`'s reason is what it rejects with. */
export function exchange(url: URL, address: string, sent: Sent, limits: Limits, signal: AbortSignal, ca?: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const host = url.host;
  const connector = buildConnector({ allowH2: false, timeout: 0, ...(ca && { ca }) });
  let socket: Socket | undefined;
  let body: BodySink | undefined;
  let isConnected = false;
  let isOver = false;
  const client = new Client(url.origin, {
    connect: (options, callback) => {
      // The built-in connector returns the socket that connects, which its types do not say.
      socket = connector({ ...options, hostname: address }, callback) as unknown as Socket;
      return socket;
    },
    allowH2: false,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: maxHeaderBytes,
  });

  let timer: NodeJS.Timeout | undefined;
  const limit = (ms: number, what: string): void => {
    clearTimeout(timer);
    if (isOver) return;
    timer = setTimeout(() => fail(new EgressError("timeout", `${host} ${what} within ${ms} ms`)), ms);
  };
  const close = (): void => {
    isOver = true;
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    body?.destroy();
    socket?.destroy();
    void client.destroy();
  };
  const fail = (error: unknown): void => {
    close();
    reject(error);
  };
  const succeed = (answer: Answer): void => {
    close();
    resolve(answer);
  };
  const onAbort = (): void => fail(signal.reason);

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart() {
      isConnected = true;
      limit(limits.headersMs, "did not answer");
    },
    onResponseStart(_controller, status, headers) {
      if (status < 200) return;
      clearTimeout(timer);
      const head: Head = { status, headers: flat(headers) };
      if (isRedirect(head)) return succeed({ ...head, body: Buffer.alloc(0) });
      try {
        checkHead(head, limits);
        body = collectBody(head.headers["content-encoding"], limits.maxBytes, (bytes) => succeed({ ...head, body: bytes }), fail);
      } catch (error) {
        fail(error);
      }
    },
    onResponseData: (_controller, chunk) => body?.write(chunk),
    onResponseEnd: () => body?.end(),
    onResponseError(_controller, error) {
      const code = (error as { code?: unknown }).code;
      const cause = typeof code === "string" ? code : error.name;
      fail(isConnected ? new EgressError("unreachable", `the exchange with ${host} broke (${cause})`) : new Unreached(host, cause));
    },
  };

  if (signal.aborted) onAbort();
  else {
    signal.addEventListener("abort", onAbort);
    limit(limits.connectMs, "took no connection");
    client.dispatch(
      {
        method: sent.method as Dispatcher.HttpMethod,
        path: url.pathname + url.search,
        headers: { "user-agent": "escapement", "accept-encoding": encodings, ...sent.headers },
        body: sent.body ?? null,
      },
      handler,
    );
  }
  return promise;
}

const flat = (headers: { readonly [name: string]: string | string[] | undefined }): Head["headers"] =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value ?? ""].flat().join(", ")]));

function checkHead({ headers }: Head, { contentTypes, maxBytes }: Limits): void {
  const type = (headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  const isWanted = !contentTypes || contentTypes.some((one) => (one.endsWith("/") ? type.startsWith(one) : type === one));
  if (!isWanted)
    throw new EgressError(
      "content_type",
      `the answer is ${type ? `"${type.slice(0, 80)}"` : "of no stated type"}, not ${contentTypes?.join(" or ")}`,
    );
  if (Number(headers["content-length"]) > maxBytes) throw tooLong(maxBytes);
}
