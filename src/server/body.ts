/** Reads a request's body: bounded, uncompressed, UTF-8, JSON. Throws `too_large` and `invalid_request`. */
import { EscapementError } from "../protocol/errors.ts";
import { parseJson } from "./json-text.ts";
import type { ServerLimits } from "./options.ts";

/** What a JSON body may call itself. The last two are what curl and `navigator.sendBeacon` say when they are told nothing. */
const accepted = /^(application\/([a-z0-9.+-]+\+)?json|text\/plain|application\/x-www-form-urlencoded)$/;

/** `undefined` for an empty body. */
export async function readBody(request: Request, limits: ServerLimits): Promise<unknown> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (type !== "" && !accepted.test(type)) {
    throw new EscapementError("invalid_request", "send the body as application/json", { details: { path: "Content-Type" } });
  }
  const encoding = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "identity") {
    throw new EscapementError("invalid_request", "send the body uncompressed", { details: { path: "Content-Encoding" } });
  }
  const bytes = await readBytes(request, limits.bodyBytes);
  if (bytes.byteLength === 0) return undefined;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new EscapementError("invalid_request", "the body is not UTF-8", { details: { path: "" } });
  }
  return parseJson(text, limits.depth);
}

async function readBytes(request: Request, limit: number): Promise<Uint8Array> {
  const length = request.headers.get("content-length");
  if (length !== null) {
    if (Number(length) > limit) throw tooLarge(limit);
    // The parser below lets no more than Content-Length through.
    return new Uint8Array(await request.arrayBuffer());
  }
  if (!request.body) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(limit: number): EscapementError {
  return new EscapementError("too_large", `the body is larger than ${limit} bytes`, { details: { limit_bytes: limit } });
}
