/**
 * What redaction is measured on: made-up secrets and personal data of every kind, each in a sentence, and sentences without any. Made from
 * a seed, so that what was missed can be looked at again. No value of it is anybody's.
 */
import { createHash } from "node:crypto";
import { iban, ibanLengths, luhn } from "../../src/safety/checksums.ts";

export type Item = { readonly kind: string; readonly value: string; readonly sentence: string };

/** 0 ≤ x < 1, by a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function corpus(size: number, seed = 1): Item[] {
  const next = random(seed);
  const int = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1));
  const pick = <T>(from: readonly T[]): T => from[int(0, from.length - 1)] as T;
  const some = (alphabet: string, least: number, most = least): string =>
    Array.from({ length: int(least, most) }, () => pick([...alphabet])).join("");
  const digits = (count: number): string => some("0123456789", count);
  const word = (): string => some("abcdefghijklmnopqrstuvwxyz", 3, 9);
  const token = (least: number, most: number): string =>
    some(`${alphanumeric}${alphanumeric}_-`, least - 2, most - 2) + some("0123456789", 1) + some(lower, 1);
  const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

  const card = (): string => {
    const [prefix, length, groups] = pick([
      ["4", 16, [4, 4, 4, 4]],
      [`5${int(1, 5)}`, 16, [4, 4, 4, 4]],
      [pick(["34", "37"]), 15, [4, 6, 5]],
      ["6011", 16, [4, 4, 4, 4]],
    ] as const);
    const body = prefix + digits(length - prefix.length - 1);
    const check = [..."0123456789"].find((digit) => luhn(body + digit)) as string;
    return grouped(body + check, groups, pick(["", " ", "-"]));
  };
  const account = (): string => {
    const country = pick(["DE", "FR", "GB", "NL", "ES", "IT", "CH", "AT", "BE", "PL"]);
    const length = (ibanLengths[country] as number) - 4;
    const body = country === "GB" || country === "NL" ? some(upper, 4) + digits(length - 4) : digits(length);
    for (let check = 2; ; check++) {
      const whole = country + String(check).padStart(2, "0") + body;
      if (!iban(whole)) continue;
      return pick([whole, (whole.match(/.{1,4}/g) as string[]).join(" ")]);
    }
  };
  const phone = (): string =>
    pick([
      () => `+${pick([1, 44, 49, 33, 34, 39, 91, 81, 61])} ${int(20, 999)} ${digits(3)} ${digits(4)}`,
      () => `+${pick([44, 49, 33, 351])}${int(2, 9)}${digits(9)}`,
      () => `+49 (0)${int(30, 89)} ${digits(4)}-${digits(3)}`,
      () => `00${pick([44, 49, 33])} ${int(20, 99)} ${digits(7)}`,
      () => `(${int(201, 989)}) ${int(201, 989)}-${digits(4)}`,
      () => `${int(201, 989)}-${int(201, 989)}-${digits(4)}`,
      () => `1-${int(201, 989)}-${int(201, 989)}-${digits(4)}`,
      () => `0${int(1, 9)} ${digits(2)} ${digits(2)} ${digits(2)} ${digits(2)}`,
      () => `0${int(30, 89)}/${digits(7)}`,
      () => `020 7${digits(3)} ${digits(4)}`,
    ])();
  const mail = (): string =>
    pick([
      () => `${word()}.${word()}@${word()}.${pick(["com", "org", "de", "co.uk", "example"])}`,
      () => `${word()}${int(1, 99)}+${word()}@${word()}-${word()}.io`,
      () => `${word()}_${word()}@mail.${word()}.net`,
      () => `${pick(["jürgen", "søren", "zoë"])}@${pick(["bücher", "smørrebrød"])}.example`,
    ])();
  const secret: readonly (() => string)[] = [
    () => `sk-proj-${token(40, 120)}`,
    () => `sk-${token(32, 48)}`,
    () => `sk-ant-api03-${token(80, 95)}`,
    () => `gsk_${token(40, 52)}`,
    () => `AIza${token(35, 35)}`,
    () => `AKIA${some(`${upper}234567`, 16)}`,
    () => `ghp_${some(alphanumeric, 36)}`,
    () => `xoxb-${digits(12)}-${some(alphanumeric, 24)}`,
    () => `hf_${some(alphanumeric, 34)}`,
    () => `fw_${some(alphanumeric, 24)}`,
    () => `whsec_${Buffer.from(some(alphanumeric, 24)).toString("base64")}`,
  ];
  const jwt = (): string =>
    `${base64url({ alg: "HS256", typ: "JWT" })}.${base64url({ sub: digits(10), name: word(), iat: 1_700_000_000 })}.${createHash("sha256").update(String(next())).digest("base64url")}`;
  const kinds: readonly (readonly [kind: string, make: () => readonly [value: string, around?: (value: string) => string]])[] = [
    ["mail", () => [mail()]],
    ["phone", () => [phone()]],
    ["card", () => [card()]],
    ["iban", () => [account()]],
    ["key", () => [pick(secret)()]],
    ["jwt", () => [jwt()]],
    ["bearer", () => [token(24, 60), (value) => `Authorization: Bearer ${value}`]],
    ["url", () => [some(`${alphanumeric}!$*._`, 10, 24), (value) => `postgres://${word()}:${value}@${word()}.example:5432/${word()}`]],
    [
      "named",
      () => [
        token(16, 40),
        (value) => pick([`api_key=${value}`, `"password": "${value}"`, `X-Api-Key: ${value}`, `client_secret=${value}`]),
      ],
    ],
    [
      "private key",
      () => {
        const value = (some(`${alphanumeric}+/`, 256).match(/.{64}/g) as string[]).join("\n");
        return [value, (key) => `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----`];
      },
    ],
    [
      "national id",
      () => [
        pick([
          () => `${int(101, 665)}-${int(10, 99)}-${int(1000, 9999)}`,
          () => `A${pick([..."BCEGHJK"])}${digits(6)}${pick([..."ABCD"])}`,
        ])(),
      ],
    ],
  ];
  return Array.from({ length: size }, (_, i) => {
    const [kind, make] = kinds[i % kinds.length] as (typeof kinds)[number];
    const [value, around = (same: string) => same] = make();
    return { kind, value, sentence: `${prose(next, 4)} ${around(value)}${pick([".", ",", "", " -", ";", "\n"])} ${prose(next, 4)}` };
  });
}

/** Sentences that hold nothing to hide, with the numbers, times, ids, code and names that logs and answers hold. */
export function cleanProse(count: number, seed = 2): string[] {
  const next = random(seed);
  return Array.from({ length: count }, () => prose(next, 30));
}

function prose(next: () => number, words: number): string {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  const int = (most: number): number => Math.floor(next() * most);
  const odd: readonly (() => string)[] = [
    () => String(int(100_000)),
    () => (int(1_000_000) / 100).toFixed(2),
    () => `${int(999)},${String(int(1_000)).padStart(3, "0")}`,
    () => new Date(1.6e12 + int(2e11)).toISOString(),
    () => `${1 + int(28)}.${1 + int(12)}.20${10 + int(20)}`,
    () => `${int(24)}:${String(int(60)).padStart(2, "0")}`,
    () => `v${int(20)}.${int(30)}.${int(9)}`,
    () => `${int(90)}%`,
    () => `r_${Array.from({ length: 12 }, () => pick([...alphanumeric])).join("")}`,
    () => createHash("sha1").update(String(next())).digest("hex"),
    () => String(1_700_000_000_000 + int(1e9)),
    () => "`const token = readToken(input);`",
    () => "src/safety/redaction.ts:41:7",
    () => "https://example.com/docs/page?section=12#top",
    () => `{"tokens_in":${int(5_000)},"latency_ms":${int(9_999)},"model":"gpt-4.1-mini"}`,
    () => "127.0.0.1:8787",
    () => "(pages 12-15)",
    () => `max_tokens: ${int(4_096)}`,
    () => "the password is asked for at the next sign-in",
    () => "@mention",
    () => "50 USD",
  ];
  return Array.from({ length: words }, () => (next() < 0.15 ? pick(odd)() : pick(vocabulary))).join(" ");
}

const grouped = (digits: string, groups: readonly number[], separator: string): string => {
  const parts: string[] = [];
  for (const size of groups) parts.push(digits.slice(parts.join("").length).slice(0, size));
  return parts.join(separator);
};

const lower = "abcdefghijklmnopqrstuvwxyz";
const upper = lower.toUpperCase();
const alphanumeric = `${lower}${upper}0123456789`;
const vocabulary =
  "the a of and to in is that it for on with as this be at by are from or an was not which can has will we you they our state machine turn run call tool model answer token budget limit secret key value request provider retry breaker session user basic bearer cookie name account card phone number password reset please write about order ship report weather city window open closed between before after never always small large first second".split(
    " ",
  );
