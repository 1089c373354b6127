import { describe, expect, test } from "vitest";
import { errorBody } from "../../src/protocol/errors.ts";
import { redaction } from "../../src/safety/redaction.ts";

const door = redaction({ secrets: ['zürich "9/8" secret', "plain-old-password", "postgres://app:p%40ss%2Fword9@db/x"] });
const { text } = door;

describe("secrets", () => {
  test.each([
    "sk-proj-abcdefghij0123456789ABCDEFGHIJ",
    "sk-ant-api03-abcdefghij_0123456789-ABCDEFGH",
    "gsk_abcdefghij0123456789ABCDEF",
    "AIzaSyA-1234567890abcdefghijklmnopqrstu",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghij0123456789ABCDEFGHIJ012345",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  ])("of a known shape are found in prose, in JSON, in an URL and behind an escape: %s", (secret) => {
    for (const around of [
      `the key ${secret}.`,
      `{"a":"${secret}"}`,
      `https://x.example/?key=${secret}&b=1`,
      `first\\n${secret}`,
      `a%20${secret}`,
    ]) {
      expect(text(around)).not.toContain(secret.slice(6, 20));
    }
  });

  test("half of a key that a provider shows is still one", () => {
    expect(text("Incorrect API key provided: sk-abcd****************wxyz.")).toBe("Incorrect API key provided: [redacted]");
  });

  test("an URL loses its user and password, and keeps its host", () => {
    expect(text("connect postgres://app:hunter2@db.example:5432/x failed")).toBe("connect postgres://[redacted]@db.example:5432/x failed");
    expect(text("https://token@host/x")).toBe("https://[redacted]@host/x");
    expect(text("http:\\/\\/u:p@host")).not.toContain("u:p");
  });

  test("a private key is one until its end, or until it breaks off", () => {
    const key = `-----BEGIN RSA PRIVATE KEY-----\n${"MIIEow0KAQEA".repeat(40)}\n-----END RSA PRIVATE KEY-----`;
    expect(text(`before\n${key}\nafter`)).toBe("before\n[redacted]\nafter");
    expect(text(key.slice(0, 300))).toBe("[redacted]");
  });

  test("a value beside a name that says so", () => {
    expect(text("Authorization: Bearer abcdef0123456789")).toBe("Authorization: Bearer [redacted]");
    expect(text("OPENAI_API_KEY=qwertyuiop other")).toBe("OPENAI_API_KEY=[redacted] other");
    expect(text('{"password":"correct horse battery"}')).toBe('{"password":"[redacted]"}');
    expect(text("password: hunter2!")).not.toContain("hunter2");
  });

  test("that the configuration resolved, whatever they look like and however they are written", () => {
    const secret = 'zürich "9/8" secret';
    for (const form of [
      secret,
      JSON.stringify(secret),
      JSON.stringify(JSON.stringify(secret)),
      secret.replaceAll("/", "\\/").replaceAll('"', '\\"'),
      JSON.stringify(secret).replace("ü", "\\u00fc"),
      encodeURIComponent(secret),
      encodeURIComponent(secret).toLowerCase(),
      new URLSearchParams({ q: secret }).toString(),
    ])
      expect(text(`x ${form} y`)).toMatch(/^x [q="\\]*\[redacted\][="\\]* y$/);
    for (const before of ["", "a", "ab"]) expect(text(btoa(`${before}plain-old-password!`))).toContain("[redacted]");
    expect(text("pw p@ss/word9 pw")).toBe("pw [redacted] pw");
    expect(text("pw p%40ss%2Fword9 pw")).toBe("pw [redacted] pw");
  });
});

describe("personal data", () => {
  test.each([
    ["write to anna.maria+x@mail.example.co.uk, please", "write to [redacted:mail], please"],
    ["<jürgen@bücher.example>", "<[redacted:mail]>"],
    ["?to=anna%40example.com&x", "?to=[redacted:mail]&x"],
    ["card 4111 1111 1111 1111 12/30", "card [redacted:card] 12/30"],
    ["5500-0000-0000-0004.", "[redacted:card]."],
    ["378282246310005", "[redacted:card]"],
    ["DE89 3704 0044 0532 0130 00 AND", "[redacted:iban] AND"],
    ["iban GB29NWBK60161331926819", "iban [redacted:iban]"],
    ["+49 (0)30 1234 5678", "[redacted:phone]"],
    ["(212) 555-0123", "[redacted:phone]"],
    ["06 12 34 56 78", "[redacted:phone]"],
    ["tel. 5551234", "tel. [redacted:phone]"],
    ["ssn 536-22-1234", "ssn [redacted:national_id]"],
    ["NINO QQ123456C is none, AB123456C is", "NINO QQ123456C is none, [redacted:national_id] is"],
    ["DNI 12345678Z", "DNI [redacted:national_id]"],
    ["RSSMRA85T10A562S", "[redacted:national_id]"],
    ["CPF 529.982.247-25", "CPF [redacted:national_id]"],
  ])("%s", (given, shown) => expect(text(given)).toBe(shown));

  test("IP addresses only where asked for", () => {
    const given = "from 192.168.17.4 and 2001:db8::8a2e:370:7334 at 10:24:31";
    expect(text(given)).toBe(given);
    expect(redaction({ ips: true }).text(given)).toBe("from [redacted:ip] and [redacted:ip] at 10:24:31");
  });

  test.each([
    "2026-11-24T18:02:11.123Z",
    "from 24.11.2026 09:30 to 25.11.2026",
    "version 4.1.0 build 20261124.1, react@19.3.0",
    "in 1763999999999 ms, 9,007,199,254,740,991 or 9007199254740993",
    "run r_V1StGXR8_Z5jdHi6B, trace 4bf92f3577b34da6a3ce929d0e0e4736, 550e8400-e29b-41d4-a716-446655440000",
    "max_tokens: 4096, tokens=1200, token_count: 12",
    "The password is required. Basic understanding of token ring networks; bearer certificates.",
    "sk-learn and sk-ip, pages 100-200, 1 2 3 4 5 6 7 8 9 10",
    "$1,234,567.89 or 12.50 EUR at 127.0.0.1:8787",
  ])("nothing is found in: %s", (given) => expect(text(given)).toBe(given));
});

describe("the door", () => {
  test("what passed once is not changed by passing again", () => {
    const given = "anna@example.com sk-abcdefghij0123456789 https://u:p@h/ password=hunter22 +4930123456789";
    expect(text(text(given))).toBe(text(given));
    const long = door.line(`${"word ".repeat(5_000)}`);
    expect(door.line(long)).toBe(long);
  });

  test("keys of objects are texts too, and say what their values are", () => {
    expect(
      door.value({
        "anna@example.com": 1,
        headers: { "x-api-key": "abc", Cookie: "a=b", accept: "text/html" },
        card: 4111111111111111,
        list: ["ok", "+4930123456789"],
      }),
    ).toEqual({
      "[redacted:mail]": 1,
      headers: { "x-api-key": "[redacted]", Cookie: "[redacted]", accept: "text/html" },
      card: "[redacted:card]",
      list: ["ok", "[redacted:phone]"],
    });
    expect(door.json({ token: "abc", sessionKey: "aB3dE6gH9jK2mN5pQ8sT", tokens_in: 12, text: "line\nbreak" })).toEqual({
      token: "[redacted]",
      sessionKey: "[redacted]",
      tokens_in: 12,
      text: "line\nbreak",
    });
  });

  test("errors lose it in message, stack, cause and fields", () => {
    const cause = Object.assign(new Error("user anna@example.com"), { config: { headers: { authorization: "Bearer abcdef0123456789" } } });
    const shown = JSON.stringify(door.value(new AggregateError([cause], "key sk-abcdefghij0123456789", { cause })));
    for (const canary of ["anna@", "abcdef0123456789", "sk-abc"]) expect(shown).not.toContain(canary);
    expect(shown).toContain("redaction.test.ts");
  });

  test("never throws: circles, depths, getters that throw, a million parts", () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    expect(door.value(circle)).toEqual({ self: "[circular]" });
    let deep: unknown = 1;
    for (let i = 0; i < 10_000; i++) deep = [deep];
    expect(JSON.stringify(door.value(deep))).toContain("[too deep]");
    const wild = {
      get x() {
        throw new Error("no");
      },
    };
    expect(door.value(wild)).toBe("[unreadable]");
    expect(JSON.stringify(door.value(new Array(1_000_000).fill("a"))).length).toBeLessThan(10_000);
    expect(door.value([undefined, Number.NaN, 10n, Symbol("s"), new Date(0), new Map([["k", "v"]])])).toEqual([
      null,
      "NaN",
      "10",
      "Symbol(s)",
      "1970-01-01T00:00:00.000Z",
      { k: "v" },
    ]);
  });

  test("one event is one line: what breaks lines or steers a terminal is shown as text", () => {
    const shown = door.line("a\r\nb\u2028c\u001b[31mred\u0085\u202egnp.exe\ud800");
    expect(shown).toBe("a\\r\\nb\\u2028c\\u001b[31mred\\u0085\\u202egnp.exe\\ud800");
  });

  test("a long text is cut with the count, and nothing slips through at the cut", () => {
    for (let at = -60; at < 10; at++) {
      const shown = door.line(
        `${"x ".repeat(4_096 + Math.floor(at / 2))}${at % 2 ? "y " : ""}sk-abcdefghij0123456789 ${"z".repeat(100_000)}`,
      );
      expect(shown).not.toContain("sk-a");
      expect(shown.length).toBeLessThan(8_300);
      expect(shown).toMatch(/\[cut: \d+ more characters\]$/);
    }
    // What is masked must not bring text into view that was only half looked at.
    const many = `${"sk-abcdefghij0123456789abcdefghij ".repeat(400)}`;
    expect(door.line(many)).not.toContain("sk-a");
  });

  test("a stream keeps back what may be a beginning, and no more", () => {
    const stream = redaction({ secrets: ["correct horse battery staple"] }).stream();
    expect(stream.push("the passphrase is correct horse batt")).not.toContain("correct");
    expect(stream.push("ery staple, ") + stream.push("that was all of it. ".repeat(20))).not.toMatch(/correct|battery/);
    expect(stream.end()).not.toContain("correct");
  });

  test("what is longer than a stream keeps is dropped to its end", () => {
    const stream = door.stream();
    let shown = "";
    for (const piece of `before sk-${"aB3-".repeat(50_000)} after, and ${"word ".repeat(50)}`.match(/[\s\S]{1,700}/g) as string[])
      shown += stream.push(piece);
    shown += stream.end();
    expect(shown.startsWith("before [redacted]")).toBe(true);
    expect(shown).toContain(" after, and word");
    expect(shown).not.toContain("aB3");
  });

  test("an error body stays one", () => {
    const shown = door.error(errorBody("tool_failed", "no user anna@example.com", { details: { path: "a.b", to: "anna@example.com" } }));
    expect(shown).toEqual({
      code: "tool_failed",
      message: "no user [redacted:mail]",
      retryable: false,
      details: { path: "a.b", to: "[redacted:mail]" },
    });
  });

  // What a text costs must not depend on what it is. A quadratic expression takes minutes for a million characters.
  test.each([
    ["a", ""],
    ["@", ""],
    ["a@", ""],
    ["a.", "@"],
    ["1 ", ""],
    ["1", ""],
    ["0123-", ""],
    ["sk-", ""],
    ["sk-aaaaaaa ", ""],
    ["eyJ", ""],
    ["eyJaaaaaaaaaa-", ""],
    ["://", ""],
    ["://a:", ""],
    ["://a@", ""],
    ["password=", ""],
    ["token", ""],
    ["secret: ", ""],
    ["bearer ", ""],
    ["-----BEGIN PRIVATE KEY-----", ""],
    ["DE89", ""],
    ["DE89 ", ""],
    ["+", ""],
    ["(", ""],
    ["\\", ""],
    ['password\\"', ""],
    ["plain-old-passwor", ""],
    ["%70", ""],
    ["::", ""],
    ["1.", ""],
    ["\ud83d", ""],
    [" ", ""],
  ])("a million characters of %j take no more than their time", { timeout: 20_000 }, (part, end) => {
    const million = part.repeat(Math.ceil(1_000_000 / part.length)) + end;
    const all = redaction({ ips: true, secrets: ["plain-old-password"] });
    all.text(million);
    const stream = all.stream();
    for (let i = 0; i < million.length; i += 4_096) stream.push(million.slice(i, i + 4_096));
    stream.end();
  });
});
