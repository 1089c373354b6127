/**
 * Scripts of the fault server: what it does with one request, byte by byte. Builders of the usual HTTP and SSE framing.
 * A script is data, so a test can cut, split and stretch the answer that another builder made.
 */

export type Step =
  /** Written as it is. `text` is what of it the model said, token by token: it is entered in the book when the bytes are handed to the system. */
  | { readonly send: string | Uint8Array; readonly text?: string | readonly string[] }
  | { readonly delayMs: number }
  /** FIN: the connection ends cleanly, wherever in the answer that is. */
  | { readonly end: true }
  /** RST. */
  | { readonly reset: true }
  /** Nothing more, until the client leaves or the server is closed. */
  | { readonly hang: true };

/** Steps in order. Without an end the connection stays open for the next request (keep-alive). */
export type Script = readonly Step[];

export type Headers = { readonly [name: string]: string };

/** Status line and headers. Framing is the caller's: `transfer-encoding`, `content-length`, or `connection: close` and `end`. */
export function head(status: number, headers: Headers = {}): Step {
  let text = `HTTP/1.1 ${status} Scripted\r\n`;
  for (const [name, value] of Object.entries(headers)) text += `${name}: ${value}\r\n`;
  return { send: `${text}\r\n` };
}

/** One chunk of a chunked body. */
export function chunk(data: string | Uint8Array, text?: string): Step {
  const bytes = Buffer.from(data);
  const send = Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
  return text === undefined ? { send } : { send, text };
}

/** The end of a chunked body. */
export const lastChunk: Step = { send: "0\r\n\r\n" };

/** A complete answer with a length. */
export function body(status: number, content: string | Uint8Array, headers: Headers = {}): Script {
  const bytes = Buffer.from(content);
  return [head(status, { "content-length": String(bytes.length), ...headers }), { send: bytes }];
}

export const json = (status: number, value: unknown, headers: Headers = {}): Script =>
  body(status, JSON.stringify(value), { "content-type": "application/json", ...headers });

export const event = (data: unknown, name?: string): string =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

export const streamHeaders: Headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };

/** A streamed answer in chunks, one a piece, with `paceMs` between them. */
export function stream(
  pieces: readonly (string | Uint8Array)[],
  options: { readonly headers?: Headers; readonly paceMs?: number } = {},
): Script {
  const steps: Step[] = [head(200, { ...streamHeaders, "transfer-encoding": "chunked", ...options.headers })];
  for (const piece of pieces) {
    steps.push(chunk(piece));
    if (options.paceMs) steps.push({ delayMs: options.paceMs });
  }
  return [...steps, lastChunk];
}

/** The given bytes as a body that ends with the connection, sent in the pieces between `offsets`, each flushed on its own. */
export function split(
  bytes: Uint8Array,
  offsets: readonly number[],
  options: { readonly headers?: Headers; readonly gapMs?: number } = {},
): Script {
  const steps: Step[] = [head(200, { ...streamHeaders, connection: "close", ...options.headers })];
  let from = 0;
  for (const to of [...offsets, bytes.length]) {
    if (to > from) steps.push({ delayMs: options.gapMs ?? 0 }, { send: bytes.subarray(from, to) });
    from = to;
  }
  return [...steps, { end: true }];
}
