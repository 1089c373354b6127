/**
 * From the text of a URL to where a connection may go: read by the WHATWG rules, judged, resolved, judged again.
 *
 *  1. A host is allowed by an operator under the name that stands in the URL, never by what a name resolves to.
 *  2. One address that is not public refuses the name, also when others are.
 *  3. What a name resolves to inside is not told: a model could map a network by it.
 */
import { isIP } from "node:net";
import { EscapementError } from "../../protocol/errors.ts";
import { notPublic } from "./address.ts";
import { EgressError } from "./error.ts";

export type Address = { readonly address: string };
/** All addresses of a name, as `dns.lookup` with `all` gives them. */
export type Resolver = (hostname: string) => Promise<readonly Address[]>;

export type Policy = { readonly ports: ReadonlySet<number>; readonly allowed: ReadonlySet<string> };

const maxLength = 4_096;
/** Names that only mean something inside (RFC 6761, 6762, 8375, 9476), or that no DNS should be asked for. */
const inside = /(^|\.)(localhost|local|internal|intranet|lan|home\.arpa|onion|alt|test|invalid|example)$/;

/** Throws {@link EgressError}. */
export function readURL(text: string): URL {
  if (text.length > maxLength)
    throw new EgressError("url", `the URL has ${text.length} characters, at most ${maxLength.toLocaleString("en-US")} are taken`);
  // WHATWG drops or turns these, other readers do not: nobody writes them in good faith.
  if (/[\u0000-\u0020\u007f\\]/.test(text)) throw new EgressError("url", "the URL has spaces, control characters or backslashes in it");
  const url = URL.parse(text);
  if (!url) throw new EgressError("url", "that is no complete URL; it begins with https:// and names a host");
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new EgressError("scheme", `only http and https may be fetched, not "${url.protocol.slice(0, 20)}"`);
  // An empty user is dropped by the parser: it is seen in the text alone.
  if (url.username !== "" || url.password !== "" || /^[^/?#]*\/*[^/?#]*@/.test(text))
    throw new EgressError("credentials", "the URL has a user or a password in it; leave them out");
  return url;
}

export const portOf = (url: URL): number => Number(url.port || (url.protocol === "https:" ? 443 : 80));

/** As the policy knows it: an IPv6 address in its brackets, a name without the dot at its end. */
export const hostOf = (url: URL): string => url.hostname.replace(/\.$/, "");

/** As a resolver knows it. */
const bareHostOf = (url: URL): string => hostOf(url).replace(/^\[(.*)\]$/, "$1");

/** Whether an operator allows it, by its host alone or with its port. Throws when neither that nor the rules for all let it through. */
function isAllowed(url: URL, { ports, allowed }: Policy): boolean {
  const [host, port] = [hostOf(url), portOf(url)];
  if (allowed.has(`${host}:${port}`)) return true;
  if (!ports.has(port)) throw new EgressError("port", `port ${port} of ${host} is not open; ports that are: ${[...ports].join(", ")}`);
  if (allowed.has(host)) return true;
  const bare = bareHostOf(url);
  const kind = isIP(bare) ? notPublic(bare) : null;
  if (kind) throw new EgressError("address", `${host} is ${kind}, which is not of the public internet`);
  if (!isIP(bare) && (!host.includes(".") || inside.test(host)))
    throw new EgressError("name", `"${host.slice(0, 100)}" is not a name of the public internet`);
  return false;
}

/** The addresses that a connection may go to; at least one. Asks for a name once. */
export async function addressesOf(url: URL, policy: Policy, resolve: Resolver): Promise<readonly string[]> {
  const isFree = isAllowed(url, policy);
  const host = bareHostOf(url);
  if (isIP(host)) return [host];
  const found = (await resolve(host)).map(({ address }) => address);
  if (found.length === 0) throw new EgressError("unreachable", `${host} has no address`);
  const other = isFree ? undefined : found.map(notPublic).find((kind) => kind !== null);
  if (other) throw new EgressError("address", `${host} stands for ${other}, which is not of the public internet`);
  if (!found.every((address) => isIP(address))) throw new EgressError("unreachable", `${host} has no usable address`);
  return found;
}

/**
 * What an operator allows: `docs.internal` (on the open ports), `127.0.0.1:8080`, `[::1]:8080`. Throws `invalid_request` under `path`.
 */
export function allowedHosts(entries: readonly string[], path: string): ReadonlySet<string> {
  return new Set(
    entries.map((entry, index) => {
      const url = /[/?#@\\\s]/.test(entry) ? null : URL.parse(`http://${entry}`);
      if (!url) {
        throw new EscapementError(
          "invalid_request",
          `${path}.${index} is a host, or a host and its port ("docs.internal", "127.0.0.1:8080"), not "${entry.slice(0, 80)}"`,
          { details: { path: `${path}.${index}` } },
        );
      }
      // Read from the text: the parser drops the scheme's own port.
      const port = /(?:^[^:]*|\]):(\d+)$/.exec(entry)?.[1];
      return port ? `${hostOf(url)}:${Number(port)}` : hostOf(url);
    }),
  );
}
