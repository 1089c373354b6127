/**
 * Which addresses are of the public internet. Owns the judgement of one address; where addresses come from is `target.ts`.
 *
 *  1. What is not known to be public is not: of IPv4 what IANA has given to no special use, of IPv6 only 2000::/3 without its special uses.
 *  2. An address that holds another one (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) is refused, whatever it holds.
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** Public by its number, but a cloud's inside: Azure's host agent. */
const insides = new Set(["168.63.129.16"]);

const words: { readonly [range: string]: string } = {
  unspecified: "an unspecified",
  broadcast: "a broadcast",
  multicast: "a multicast",
  linkLocal: "a link-local",
  loopback: "a loopback",
  carrierGradeNat: "a carrier-grade NAT",
  private: "a private",
  uniqueLocal: "a unique local",
  deprecatedSiteLocal: "a site-local",
  ipv4Mapped: "an IPv4-mapped",
  rfc6052: "a NAT64",
  "6to4": "a 6to4",
  teredo: "a Teredo",
};

/** Null for a public address, else what it is: "a private address". Takes what a resolver gives and what stands in a URL's host. */
export function notPublic(address: string): string | null {
  // The library also reads short forms, which nobody connects to.
  if (isIP(address) === 0) return "no address";
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  if (range !== "unicast") return `${words[range] ?? "a reserved"} address`;
  if (parsed instanceof ipaddr.IPv6) {
    const [first = 0, , , , fifth = 0, sixth = 0] = parsed.parts;
    if ((first & 0xe000) !== 0x2000) return "a reserved address";
    if ((fifth & 0xfdff) === 0 && sixth === 0x5efe) return "an ISATAP address";
    return null;
  }
  return insides.has(parsed.toString()) ? "an address of a cloud's inside" : null;
}
