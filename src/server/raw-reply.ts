/** A whole HTTP/1.1 answer as text, for connections that have no response object: refused handshakes and requests that cannot be parsed. */
import { STATUS_CODES } from "node:http";
import type { ErrorBody } from "../protocol/errors.ts";
import { retryHeaders } from "./reply.ts";
import { dataHeaders } from "./security-headers.ts";

/** Always ends the connection. */
export function rawReply(status: number, error: ErrorBody): string {
  const body = JSON.stringify({ error });
  const headers = {
    ...dataHeaders,
    ...retryHeaders(error, status),
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}
