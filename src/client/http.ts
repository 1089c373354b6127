/** The client's requests over HTTP: what is read, and commands that must be safe to repeat or are too large for a frame. */
import type { ErrorBody } from "../protocol/errors.ts";
import { Backoff } from "./backoff.ts";
import { clientError, EscapementError, isDraining } from "./error.ts";

export type HttpOptions = {
  readonly base: string;
  readonly fetch: typeof fetch;
  readonly token: () => Promise<string | undefined>;
  readonly backoffMs: readonly [base: number, max: number];
  readonly timeoutMs: number;
  /** Aborted when the client is closed. */
  readonly closed: AbortSignal;
};

export type HttpRequest = {
  readonly method: "GET" | "POST";
  /** From `/v1` on, with its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: { readonly [name: string]: string };
};

/**
 * Every request made here may be repeated (reads, and writes with an idempotency key), so it is, until the server has been reached or
 * `timeoutMs` is over. Rejects with the server's error, or with `unavailable`.
 */
export async function send<T>(options: HttpOptions, request: HttpRequest): Promise<{ body: T; headers: Headers }> {
  const until = performance.now() + options.timeoutMs;
  const backoff = new Backoff(...options.backoffMs);
  for (;;) {
    const left = until - performance.now();
    const outcome = await attempt<T>(options, request, Math.max(1, Math.ceil(left)));
    if ("body" in outcome) return outcome;
    const delay = Math.max(backoff.next(), outcome.error.body.retry_after_ms ?? 0);
    if (!outcome.again || performance.now() + delay >= until) throw outcome.error;
    await pause(delay, options.closed);
  }
}

type Outcome<T> = { readonly body: T; readonly headers: Headers } | { readonly error: EscapementError; readonly again: boolean };

async function attempt<T>(options: HttpOptions, request: HttpRequest, ms: number): Promise<Outcome<T>> {
  const { closed } = options;
  if (closed.aborted) return { error: clientError("cancelled", "the client is closed", false), again: false };
  const headers: Record<string, string> = { accept: "application/json", ...request.headers };
  const token = await options.token();
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  if (request.body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  let text: string;
  try {
    response = await options.fetch(options.base + request.path, {
      method: request.method,
      headers,
      signal: AbortSignal.any([closed, AbortSignal.timeout(ms)]),
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
    text = await response.text();
  } catch (cause) {
    if (closed.aborted) return { error: clientError("cancelled", "the client is closed", false), again: false };
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { error: clientError("unavailable", `${options.base} cannot be reached: ${reason}`, true), again: true };
  }
  const body = parse(text);
  if (response.ok) return { body: body as T, headers: response.headers };
  const told = (body as { error?: ErrorBody } | undefined)?.error;
  if (told === undefined) {
    const again = response.status >= 502 && response.status <= 504;
    return { error: clientError(again ? "unavailable" : "internal", `the server answered ${response.status}`, again), again };
  }
  return { error: new EscapementError(told), again: isDraining(told) };
}

/** `undefined` for what is not JSON: a proxy's page, for example. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pause(ms: number, closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      closed.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    closed.addEventListener("abort", end);
  });
}
