/**
 * The one door for HTTP requests that a model or a client can steer.
 *
 * Owns the order: read the URL, judge it, resolve the name once, judge every address, connect to a judged address, follow what may be
 * followed. `egress/target.ts` judges, `egress/exchange.ts` connects. Requests to addresses that only an operator writes (providers, the
 * alert webhook, Redis) do not pass here.
 *
 *  1. Nothing is connected to but an address that was judged for this request. Redirects begin anew, with a lookup of their own.
 *  2. A redirect is followed at most {@link maxRedirects} times, of GET and HEAD, to the same origin or from http to https on the same host.
 *  3. Every request ends: by its answer, by a size or a time limit, or by the caller's signal. No connection outlives it.
 */
import { lookup } from "node:dns/promises";
import { EscapementError } from "../protocol/errors.ts";
import { EgressError } from "./egress/error.ts";
import { type Answer, exchange, isRedirect, type Limits, Unreached } from "./egress/exchange.ts";
import { addressesOf, allowedHosts, hostOf, type Policy, portOf, type Resolver, readURL } from "./egress/target.ts";

export { EgressError, type EgressReason } from "./egress/error.ts";
export type { Resolver } from "./egress/target.ts";

export type EgressOptions = {
  /** Hosts that are let through whatever they are: `"docs.internal"` (on the open ports), `"127.0.0.1:8080"` (on that one). */
  readonly allow?: readonly string[] | undefined;
  /** Ports that are open on every host; 80 and 443. */
  readonly ports?: readonly number[] | undefined;
  /** Certificate (PEM) that is trusted in place of the system's. */
  readonly ca?: string;
  /** Default: the system's, with `/etc/hosts`. */
  readonly resolve?: Resolver;
};

export type EgressRequest = {
  readonly url: string;
  /** GET. */
  readonly method?: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string | Uint8Array;
  /** Media types that are read: `text/html`, or `text/` for all that begin so. All, without. */
  readonly contentTypes?: readonly string[];
  /** Of the body, as sent and as decoded; 2 MiB. */
  readonly maxBytes?: number;
  /** Milliseconds for the name and the connection; 5,000. */
  readonly connectMs?: number;
  /** Milliseconds from the connection to the answer's headers; 15,000. */
  readonly headersMs?: number;
  /** Milliseconds for everything, redirects too; 30,000. */
  readonly totalMs?: number;
  readonly signal?: AbortSignal;
};

export type EgressAnswer = Answer & {
  /** Where it came from in the end. */
  readonly url: string;
};

export type Egress = {
  /** Throws {@link EgressError} with its `reason`. An answer of any status but a redirect is an answer. */
  fetch(request: EgressRequest): Promise<EgressAnswer>;
};

const maxRedirects = 3;
/** Addresses of one name that are tried. */
const maxAddresses = 4;

const system: Resolver = (hostname) => lookup(hostname, { all: true, verbatim: true });

/** Throws `invalid_request` for an entry of `allow` that is no host and a port that is none. `path` is where they were written. */
export function egress(options: EgressOptions = {}, path = "egress"): Egress {
  const { ports = [80, 443], resolve = system, ca } = options;
  const wrong = ports.findIndex((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
  if (wrong !== -1)
    throw new EscapementError("invalid_request", `${path}.ports.${wrong} is a port from 1 to 65,535, not ${ports[wrong]}`, {
      details: { path: `${path}.ports.${wrong}` },
    });
  const policy: Policy = { ports: new Set(ports), allowed: allowedHosts(options.allow ?? [], `${path}.allow`) };
  return {
    async fetch(request) {
      const { totalMs = 30_000 } = request;
      const time = new AbortController();
      const timer = setTimeout(() => time.abort(new EgressError("timeout", `the request took longer than ${totalMs} ms`)), totalMs);
      const stop = (): void => time.abort(new EgressError("cancelled", "the request was cancelled"));
      request.signal?.addEventListener("abort", stop);
      if (request.signal?.aborted) stop();
      try {
        return await follow(request, policy, resolve, time.signal, ca);
      } finally {
        clearTimeout(timer);
        request.signal?.removeEventListener("abort", stop);
      }
    },
  };
}

async function follow(request: EgressRequest, policy: Policy, resolve: Resolver, signal: AbortSignal, ca?: string): Promise<EgressAnswer> {
  const method = request.method ?? "GET";
  let url = readURL(request.url);
  for (let redirects = 0; ; redirects++) {
    const answer = await once(url, { ...request, method }, policy, resolve, signal, ca);
    if (!isRedirect(answer)) return { ...answer, url: withoutFragment(url) };
    const next = redirectOf(url, answer.headers.location ?? "");
    if (method !== "GET" && method !== "HEAD")
      throw new EgressError("redirect", `${url.host} answers ${method} with a redirect, which is not followed`);
    if (redirects === maxRedirects) throw new EgressError("redirect", `${url.host} redirects more than ${maxRedirects} times`);
    url = next;
  }
}

/** One request to a URL that was read: judged, resolved, judged, sent. */
async function once(
  url: URL,
  request: EgressRequest & { readonly method: string },
  policy: Policy,
  resolve: Resolver,
  signal: AbortSignal,
  ca?: string,
): Promise<Answer> {
  const { connectMs = 5_000, headersMs = 15_000, maxBytes = 2 * 1024 * 1024, contentTypes } = request;
  const limits: Limits = { connectMs, headersMs, maxBytes, contentTypes };
  const sent = { method: request.method, headers: request.headers ?? {}, body: request.body };
  const addresses = await within(addressesOf(url, policy, known(resolve)), connectMs, hostOf(url), signal);
  let failure: unknown;
  for (const address of addresses.slice(0, maxAddresses)) {
    try {
      return await exchange(url, address, sent, limits, signal, ca);
    } catch (error) {
      if (!(error instanceof Unreached)) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** Where a redirect leads, when it may be followed. */
function redirectOf(from: URL, location: string): URL {
  const target = URL.parse(location, from);
  const to = target && readURL(target.href);
  const isUpgrade =
    to?.protocol === "https:" && from.protocol === "http:" && to.hostname === from.hostname && portOf(from) === 80 && portOf(to) === 443;
  if (to && (to.origin === from.origin || isUpgrade)) return to;
  const where = to ? `${to.origin}${to.pathname}`.slice(0, 300) : "nowhere";
  throw new EgressError("redirect", `${from.host} redirects to ${where}, which is not followed: ask for that URL itself if it is wanted`);
}

/** What a resolver says of a name that it does not know, in our words. */
const known =
  (resolve: Resolver): Resolver =>
  async (hostname) => {
    try {
      return await resolve(hostname);
    } catch (error) {
      throw new EgressError("unreachable", `${hostname} cannot be resolved (${(error as { code?: string }).code ?? "failed"})`);
    }
  };

/** A lookup cannot be interrupted: it is left behind when its time is over. */
function within<T>(promise: Promise<T>, ms: number, host: string, signal: AbortSignal): Promise<T> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new EgressError("timeout", `${host} was not resolved within ${ms} ms`)), ms);
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort);
  return Promise.race([promise, ended]).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  });
}

function withoutFragment(url: URL): string {
  const copy = new URL(url);
  copy.hash = "";
  return copy.href;
}
