/**
 * Which browsers may talk to us. A page of another site must not reach a server on the person's own machine: neither by `Origin`,
 * nor by a name of its own that it points to our address (DNS rebinding), which only `Host` shows.
 */

export type OriginVerdict = "absent" | "own" | "allowed" | "foreign";

/** Exact comparison, nothing is parsed: `null`, suffixes, other ports and lists are foreign. `host` is the request's own. */
export function judgeOrigin(origin: string | null | undefined, host: string, allowed: ReadonlySet<string>): OriginVerdict {
  if (origin === null || origin === undefined) return "absent";
  const name = origin.toLowerCase();
  if (name === `http://${host.toLowerCase()}` || name === `https://${host.toLowerCase()}`) return "own";
  return allowed.has(name) ? "allowed" : "foreign";
}

/** An address or name that only this machine can reach. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, "");
  return name === "localhost" || name === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}

/** Whether a `Host` header names this machine by a loopback name. Any port: the server may be reached through a forwarded one. */
export function hostIsLoopback(header: string): boolean {
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(header);
  return match !== null && isLoopback(match[1]!);
}

/** Headers that let a page of an allowed origin read an answer. */
export function corsHeaders(origin: string): { readonly [name: string]: string } {
  return {
    "access-control-allow-origin": origin,
    "access-control-expose-headers": "Location, Preference-Applied, Idempotent-Replayed, Retry-After, RateLimit, RateLimit-Policy",
    vary: "Origin",
  };
}

export const preflightHeaders = {
  "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE",
  "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, Prefer, Last-Event-ID",
  "access-control-max-age": "600",
} as const;
