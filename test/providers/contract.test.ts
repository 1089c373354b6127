/** What every provider promises, on every wire, against a server that misbehaves to the byte. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Provider, ProviderRequest } from "../../src/providers/provider.ts";
import { body, chunk, head, json, lastChunk, type Script, split, stream, streamHeaders } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { collect, plain, timeouts } from "./collect.ts";
import { type Answer, wires } from "./wires.ts";

const unsetScript: Script = [{ hang: true }];
/** Many connections; on a busy machine they take a while. */
const slow = { timeout: 60_000 };
const answered = { text: ["Grüße, ", "世界 🌍", '! "quoted" \\ and\nlines'] } satisfies Answer;
const wholeText = answered.text.join("");
const tools = [
  { id: "call_a", name: "lookup", input: '{"query":"größe","limit":3}' },
  { id: "call_b", name: "clock", input: "{}" },
];

describe.each(wires)("$name", (wire) => {
  let server: FaultServer;
  let provider: Provider;
  beforeEach(async () => {
    server = await startFaultServer(() => unsetScript);
    provider = wire.make(server.url, { apiKey: "sk-canary-0123456789" });
  });
  afterEach(async () => {
    await server.close();
    await provider.close();
  });
  const answer = (script: Script, more: Partial<ProviderRequest> = {}) => {
    server.use(() => script);
    return collect(provider, more);
  };
  const streamOf = (value: Answer): Script => stream(wire.stream(value).events);
  const bytesOf = (value: Answer): Buffer => Buffer.from(wire.stream(value).events.join(""));

  describe("good answers", () => {
    test("streams text and ends with usage, model and finish", async () => {
      const { text, end } = await answer(streamOf(answered));
      expect(text).toBe(wholeText);
      expect(end).toEqual({ type: "end", finish: "stop", model: "model-1-2026", usage: { ...wire.usage, cacheWriteTokens: 0 } });
      expect(server.book.entries[0]!.request.path).toBe(wire.paths.streamed);
    });

    test("merges what one read brought into one element", async () => {
      const pieces = Array.from({ length: 50 }, (_, index) => `word${index} `);
      const all = Buffer.concat(wire.stream({ text: pieces }).events.map((event) => Buffer.from((chunk(event) as { send: Buffer }).send)));
      const { text, elements } = await answer([head(200, { ...streamHeaders, "transfer-encoding": "chunked" }), { send: all }, lastChunk]);
      expect(text).toBe(pieces.join(""));
      expect(elements.length).toBeLessThan(5);
    });

    test("delivers an unstreamed answer as one text and the end", async () => {
      const { elements } = await answer(json(200, wire.whole(answered)), { stream: false });
      expect(elements).toEqual([
        { type: "text", text: wholeText },
        { type: "end", finish: "stop", model: "model-1-2026", usage: { ...wire.usage, cacheWriteTokens: 0 } },
      ]);
      expect(server.book.entries[0]!.request.path).toBe(wire.paths.whole);
    });

    test("reads a whole answer where a stream was asked for", async () => {
      const { text, end } = await answer(json(200, wire.whole(answered)));
      expect([text, end.finish]).toEqual([wholeText, "stop"]);
    });

    test.each([[true], [false]])("delivers tool requests with the end (streamed: %s)", async (streamed) => {
      const script = streamed ? streamOf({ text: ["Looking."], tools }) : json(200, wire.whole({ text: ["Looking."], tools }));
      const { text, end } = await answer(script, { stream: streamed });
      expect(text).toBe("Looking.");
      expect(end).toMatchObject({
        finish: "tools",
        tools: [
          { id: "call_a", name: "lookup", input: { query: "größe", limit: 3 } },
          { id: "call_b", name: "clock", input: {} },
        ],
      });
    });

    test.each([[true], [false]])("tells reasoning apart from text (streamed: %s)", async (streamed) => {
      const value = { reasoning: "Let me think.", text: ["Done."] };
      const { text, reasoning } = await answer(streamed ? streamOf(value) : json(200, wire.whole(value)), { stream: streamed });
      expect([reasoning, text]).toEqual(["Let me think.", "Done."]);
    });

    test.each([["length"], ["refused"], ["filtered"]] as const)("names the finish %s", async (end) => {
      // Anthropic only refuses, Gemini only filters.
      const expected =
        wire.name === "anthropic" && end === "filtered" ? "refused" : wire.name === "google" && end === "refused" ? "filtered" : end;
      expect((await answer(streamOf({ text: ["So far"], end }))).end.finish).toBe(expected);
      expect((await answer(json(200, wire.whole({ text: ["So far"], end })), { stream: false })).end.finish).toBe(expected);
    });

    test("leaves usage out when none is told", async () => {
      expect((await answer(streamOf({ ...answered, usage: false }))).end).not.toHaveProperty("usage");
      expect((await answer(json(200, wire.whole({ ...answered, usage: false })), { stream: false })).end).not.toHaveProperty("usage");
    });

    test("ignores members and events that it does not know", async () => {
      const { text, end } = await answer(streamOf({ ...answered, noise: true }));
      expect([text, end.finish]).toEqual([wholeText, "stop"]);
      expect((await answer(json(200, wire.whole({ ...answered, noise: true })), { stream: false })).text).toBe(wholeText);
    });

    test("uses one connection for calls one after the other", async () => {
      for (let index = 0; index < 3; index++) expect((await answer(streamOf(answered))).end.finish).toBe("stop");
      expect(server.book.sockets()).toBe(1);
    });

    test("works on when the server closes its connections", async () => {
      for (let index = 0; index < 3; index++) expect((await answer(split(bytesOf(answered), []))).end.finish).toBe("stop");
      expect(server.book.sockets()).toBe(3);
    });
  });

  describe("bytes", () => {
    test("reads the same answer sent byte by byte", slow, async () => {
      const bytes = bytesOf({ text: ["Grüße 🌍"], tools });
      const offsets = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1);
      const { text, end } = await answer(split(bytes, offsets));
      expect([text, end.finish, end.tools?.length]).toEqual(["Grüße 🌍", "tools", 2]);
    });

    test.each([
      ["CRLF", (text: string) => text.replaceAll("\n", "\r\n")],
      ["CR", (text: string) => text.replaceAll("\n", "\r")],
      ["a byte order mark", (text: string) => `\ufeff${text}`],
      ["comments between", (text: string) => text.replaceAll("\n\n", "\n\n: keep-alive\n\n")],
      ["no space after the colon", (text: string) => text.replaceAll("data: ", "data:")],
      ["retry and id fields", (text: string) => text.replaceAll("data: ", "id: 1\nretry: 5\ndata: ")],
    ])("reads a stream with %s", async (_, change) => {
      const bytes = Buffer.from(change(bytesOf(answered).toString()));
      const { text, end } = await answer(split(bytes, [1, 2, 3, bytes.indexOf("世") + 1, bytes.length - 1]));
      expect([text, end.finish]).toEqual([wholeText, "stop"]);
    });

    test("reads data over several lines", async () => {
      const events = wire.stream(answered).events.map((event) => event.replace(/^data: \{/m, "data: {\ndata: "));
      const { text, end } = await answer(stream(events));
      expect([text, end.finish]).toEqual([wholeText, "stop"]);
    });

    test("ends a stream that was cut at any byte as interrupted, unless the end was proven", slow, async () => {
      const { events, proof } = wire.stream({ text: ["ab", "cü"] });
      const bytes = Buffer.from(events.join(""));
      // The line of data is enough: its blank line may be missing.
      const provenAt = Buffer.byteLength(events.slice(0, proof + 1).join("")) - 2;
      const check = async (cut: number): Promise<void> => {
        const { text, end } = await collect(provider, { model: `cut-${cut}` });
        expect("abcü".startsWith(text), `text at ${cut}`).toBe(true);
        if (cut >= provenAt) expect([cut, end.finish]).toEqual([cut, "stop"]);
        else expect([cut, end.error?.code, end.usage]).toEqual([cut, "interrupted", undefined]);
      };
      // The cut travels in the model's name.
      server.use((request) => {
        const cut = Number(/cut-(\d+)/.exec(request.path + request.body)![1]);
        return split(bytes.subarray(0, cut), []);
      });
      for (let from = 0; from <= bytes.length; from += 40)
        await Promise.all(Array.from({ length: Math.min(40, bytes.length + 1 - from) }, (_, index) => check(from + index)));
    });

    test("ends on a reset as interrupted, with what was said", async () => {
      const { events } = wire.stream({ text: ["Hello"] });
      const { text, end } = await answer([
        head(200, { ...streamHeaders, "transfer-encoding": "chunked" }),
        ...events.slice(0, -3).map((event) => chunk(event)),
        { reset: true },
      ]);
      expect(end).toMatchObject({ finish: "error", error: { code: "interrupted", retryable: true } });
      expect("Hello".startsWith(text)).toBe(true);
    });

    test("takes an end that was proven before a reset", async () => {
      const { events, proof } = wire.stream({ text: ["Hello"] });
      const { text, end } = await answer([
        head(200, { ...streamHeaders, "transfer-encoding": "chunked" }),
        ...events.slice(0, proof + 1).map((event) => chunk(event)),
        { reset: true },
      ]);
      expect([text, end.finish]).toEqual(["Hello", "stop"]);
    });

    test("ends on an event that is no JSON as interrupted, without repeating it", async () => {
      const { events } = wire.stream({ text: ["Hello"] });
      const { end } = await answer(stream([...events.slice(0, 1), 'data: {"secret": canary}\n\n', ...events.slice(1)]));
      expect(end.error?.code).toBe("interrupted");
      expect(JSON.stringify(end)).not.toContain("canary");
      await server.book.idle();
    });

    test.each([['{"choices":[null],"candidates":[null]}'], ["[]"], ["null"], ['"text"'], ['{"choices":[{"delta":{"content":5}}]}']])(
      "does not throw on the event %s",
      async (data) => {
        const { events } = wire.stream({ text: ["Hello"] });
        const { end } = await answer(stream([`data: ${data}\n\n`, ...events]));
        expect(["stop", "error"]).toContain(end.finish);
      },
    );

    test("gives up on an event larger than 8 MiB", async () => {
      const megabyte = Buffer.alloc(1024 * 1024, "x");
      const { end } = await answer([
        head(200, { ...streamHeaders, connection: "close" }),
        { send: "data: " },
        ...Array.from({ length: 10 }, () => ({ send: megabyte })),
        { hang: true },
      ]);
      expect(end.error).toMatchObject({ code: "interrupted", message: expect.stringContaining("bytes at once") });
      await server.book.idle();
    });

    test("gives up on headers larger than 32 KiB", async () => {
      const { end } = await answer([head(200, { ...streamHeaders, "x-large": "y".repeat(40_000) }), { hang: true }]);
      expect(end.error).toMatchObject({ code: "provider_unavailable", details: { reason: "UND_ERR_HEADERS_OVERFLOW" } });
      await server.book.idle();
    });

    test("reports an answer that is not HTTP", async () => {
      expect((await answer([{ send: "220 mail.example ESMTP\r\n" }, { end: true }])).end.error?.code).toBe("provider_unavailable");
    });
  });

  describe("errors", () => {
    const failed = (status: number, value: unknown, headers: { [name: string]: string } = {}) => answer(json(status, value, headers));

    test.each([
      ["retry-after-ms", { "retry-after-ms": "150", "retry-after": "9" }, 150],
      ["retry-after in seconds", { "retry-after": "2" }, 2_000],
      ["a past date", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, 0],
      ["nothing", {}, undefined],
      ["nonsense", { "retry-after": "soon", "retry-after-ms": "-5" }, undefined],
    ])("429 with %s", async (_, headers, expected) => {
      const { end } = await failed(
        429,
        { error: { message: "Slow down.", type: "rate_limit_error" } },
        headers as { [name: string]: string },
      );
      expect(end).toMatchObject({ finish: "error", error: { code: "provider_rate_limited", retryable: true } });
      expect(end.error!.retry_after_ms).toBe(expected);
      expect(end).not.toHaveProperty("unsent");
    });

    test("429 with a date to come", async () => {
      const { end } = await failed(429, {}, { "retry-after": new Date(Date.now() + 5_000).toUTCString() });
      expect(end.error!.retry_after_ms).toBeGreaterThan(3_000);
      expect(end.error!.retry_after_ms).toBeLessThanOrEqual(5_000);
    });

    test.each([
      [400, "provider_rejected", false],
      [401, "provider_rejected", false],
      [403, "provider_rejected", false],
      [404, "provider_rejected", false],
      [422, "provider_rejected", false],
      [408, "provider_unavailable", true],
      [409, "provider_unavailable", true],
      [500, "provider_unavailable", true],
      [502, "provider_unavailable", true],
      [503, "provider_unavailable", true],
      [529, "provider_unavailable", true],
      [301, "provider_rejected", false],
    ] as const)("status %i is %s", async (status, code, retryable) => {
      const { end } = await failed(status, { error: { message: "No.", type: "some_error" } }, { "x-request-id": "req_1" });
      expect(end.error).toMatchObject({ code, retryable, details: { status, provider: provider.name, request_id: "req_1" } });
      expect(end.error!.message).toContain("No.");
    });

    test.each([
      [402, { error: { message: "Pay." } }],
      [429, { error: { message: "Quota.", type: "insufficient_quota", code: "insufficient_quota" } }],
      [400, { type: "error", error: { type: "invalid_request_error", message: "Your credit balance is too low." } }],
    ])("credit that is used up (%i) is not for retrying", async (status, value) => {
      expect((await failed(status, value)).end.error).toMatchObject({
        code: "provider_rejected",
        retryable: false,
        details: { reason: "exhausted" },
      });
    });

    test.each([
      [{ error: { message: "too many", type: "invalid_request_error", code: "context_length_exceeded" } }],
      [{ type: "error", error: { type: "invalid_request_error", message: "prompt is too long: 210000 tokens > 200000 maximum" } }],
      [
        {
          error: {
            code: 400,
            message: "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            status: "INVALID_ARGUMENT",
          },
        },
      ],
      [{ object: "error", message: "This model's maximum context length is 8 tokens.", type: "BadRequestError", code: 400 }],
    ])("a context that is too long is told as such", async (value) => {
      expect((await failed(400, value)).end.error).toMatchObject({ code: "context_too_long", retryable: false });
    });

    test("never repeats HTML, nor more than 500 characters, nor the key", async () => {
      const html = await answer(body(502, "<html><body>canary</body></html>", { "content-type": "text/html" }));
      expect(html.end.error).toMatchObject({ code: "provider_unavailable", retryable: true });
      expect(JSON.stringify(html.end)).not.toContain("canary");
      const long = await failed(500, { error: { message: `${"y".repeat(490)} sk-canary-0123456789 ${"z".repeat(100_000)}` } });
      expect(long.end.error!.message.length).toBeLessThan(600);
      expect(JSON.stringify(long.end)).not.toContain("sk-canary");
      const key = await failed(401, {
        error: { message: "Incorrect API key provided: sk-canary-0123456789.", code: "sk-canary-0123456789" },
      });
      expect(JSON.stringify(key.end)).not.toContain("canary");
      const masked = await failed(401, { error: { message: "Incorrect API key provided: sk-cana**********6789." } });
      expect(JSON.stringify(masked.end)).not.toContain("6789");
    });

    test("looks for a key before it cuts what it shows", async () => {
      // Each piece of eight characters is there once, so that it would be seen where a cut left it.
      const key = Array.from({ length: 25 }, (_, index) => `Q${String(index).padStart(2, "0")}xkeyZ`).join("");
      const keyed = wire.make(server.url, { apiKey: key });
      const repeated = `${key} `.repeat(20);
      for (const script of [
        json(401, { error: { message: repeated } }),
        json(401, { error: { message: "no", code: repeated } }),
        json(401, { error: { message: "no" } }, { "x-request-id": `r${key}` }),
      ]) {
        server.use(() => script);
        expect(JSON.stringify((await collect(keyed)).end)).not.toMatch(/Q\d\dxkey/);
      }
      await keyed.close();
    });

    test("does not wait for the rest of an error", async () => {
      const { end } = await answer([
        head(500, { "content-type": "text/plain", "content-length": "900000" }),
        { send: "x".repeat(70_000) },
        { hang: true },
      ]);
      expect(end.error).toMatchObject({ code: "provider_unavailable", details: { status: 500 } });
      await server.book.idle();
    });

    test("keeps the status of an error whose body breaks off", async () => {
      const { end } = await answer([head(429, { "content-length": "100", "retry-after": "1" }), { send: '{"error' }, { reset: true }]);
      expect(end.error).toMatchObject({ code: "provider_rate_limited", retry_after_ms: 1_000 });
    });

    test("obeys x-should-retry: false", async () => {
      expect((await failed(500, {}, { "x-should-retry": "false" })).end.error?.retryable).toBe(false);
    });

    test("an error event before any text is what its status is", async () => {
      const { events } = wire.stream({ text: ["Hello"] });
      const { end } = await answer(stream([...(wire.name === "google" ? [] : events.slice(0, 1)), wire.overloaded]));
      expect(end.error).toMatchObject({ code: "provider_unavailable", retryable: true });
      expect([503, 529]).toContain(end.error!.details!.status);
    });

    test("an error event after text is an interruption that names its status", async () => {
      const { events, proof } = wire.stream({ text: ["Hello", " world"] });
      const { text, end } = await answer(stream([...events.slice(0, proof), wire.overloaded]));
      expect(text).toBe("Hello world");
      expect(end.error).toMatchObject({ code: "interrupted", retryable: true, details: { reason: "provider_unavailable" } });
      expect([503, 529]).toContain(end.error!.details!.status);
    });

    test("no connection is told as unsent", async () => {
      await server.close();
      const { end } = await collect(provider);
      expect(end).toMatchObject({
        finish: "error",
        unsent: true,
        error: { code: "provider_unavailable", details: { reason: "ECONNREFUSED" } },
      });
      server = await startFaultServer(() => unsetScript);
    });

    test("a connection that breaks before an answer is told as sent", async () => {
      const { end } = await answer([{ reset: true }]);
      expect(end.error).toMatchObject({ code: "provider_unavailable", retryable: true });
      expect(end).not.toHaveProperty("unsent");
    });

    test("a parameter that the runtime must hold is refused before anything is sent", async () => {
      for (const name of ["model", "tools"]) {
        const { end } = await collect(provider, { parameters: { [name]: "x" } });
        expect(end).toMatchObject({ unsent: true, error: { code: "invalid_request", details: { parameter: name } } });
      }
      expect(server.book.entries).toHaveLength(0);
    });

    test("a closed provider fails unsent", async () => {
      await provider.close();
      expect((await collect(provider)).end).toMatchObject({ unsent: true, error: { code: "provider_unavailable" } });
    });
  });

  describe("tool arguments", () => {
    test("that are no JSON come as the string they are", async () => {
      if (wire.name === "google") return; // there they are JSON of the answer itself
      const { end } = await answer(stream(wire.pieces(['{"query": ', "'no quotes'}"])));
      expect(end).toMatchObject({ finish: "tools", tools: [{ id: "call_1", name: "lookup", input: "{\"query\": 'no quotes'}" }] });
    });

    test("that are empty are an empty object", async () => {
      const { end } = await answer(stream(wire.pieces(wire.name === "google" ? ["{}"] : [])));
      expect(end).toMatchObject({ finish: "tools", tools: [{ input: {} }] });
    });

    test("deeper than 64 cannot be used, however deep", async () => {
      for (const depth of [65, 50_000]) {
        const deep = `{"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
        if (wire.name === "google") {
          // The whole event is JSON, so the pieces are put into it as text.
          const [event] = wire.pieces(['{"a":"HERE"}']);
          expect((await answer(stream([event!.replace('{"a":"HERE"}', deep)]))).end.error?.code).toBe("invalid_output");
        } else expect((await answer(stream(wire.pieces([deep])))).end.error?.code).toBe("invalid_output");
      }
    });

    test("of more than 1 MiB cannot be used, and the stream is closed at once", async () => {
      const piece = "x".repeat(400_000);
      const events = wire.pieces(wire.name === "google" ? [`{"a":"${piece.repeat(4)}"}`] : ['{"a":"', piece, piece, piece, piece]);
      const script = wire.name === "google" ? stream(events) : [...stream(events.slice(0, -2)).slice(0, -1), { hang: true } as const];
      expect((await answer(script)).end.error?.code).toBe("invalid_output");
      if (wire.name !== "google") await server.book.idle();
    });
  });

  describe("abort", () => {
    test("mid-stream closes the socket and ends all elements", async () => {
      const { events, proof } = wire.stream({ text: ["Hello"] });
      server.use(() => [...stream(events.slice(0, proof)).slice(0, -1), { hang: true }]);
      let elements = 0;
      await new Promise<void>((resolve) => {
        const abort = provider.stream(plain, ({ type }) => {
          elements++;
          expect(type).toBe("text");
          abort();
          abort();
          resolve();
        });
      });
      expect(await (await server.book.entry(0)).over).toBeDefined();
      await server.book.idle();
      expect([elements, server.book.sockets()]).toEqual([1, 1]);
    });

    test("before the headers closes the socket", async () => {
      const abort = provider.stream(plain, () => expect.unreachable());
      const entry = await server.book.entry(0);
      abort();
      expect(await entry.over).toBeDefined();
      await server.book.idle();
      expect(server.book.sockets()).toBe(1);
    });

    test("at once sends nothing", async () => {
      provider.stream(plain, () => expect.unreachable())();
      expect((await answer(streamOf(answered))).end.finish).toBe("stop");
      expect(server.book.entries).toHaveLength(1);
    });

    test("of a refused request ends it silently", async () => {
      provider.stream({ ...plain, parameters: { model: "x" } }, () => expect.unreachable())();
      await new Promise((resolve) => setImmediate(resolve));
    });

    test("after the end does nothing", async () => {
      server.use(() => streamOf(answered));
      let abort = (): void => {};
      await new Promise<void>((resolve) => {
        abort = provider.stream(plain, ({ type }) => type === "end" && resolve());
      });
      abort();
      expect((await answer(streamOf(answered))).end.finish).toBe("stop");
    });
  });

  describe("timers", () => {
    const short = (change: Partial<typeof timeouts>) => ({ timeouts: { ...timeouts, ...change } });

    test("headers", async () => {
      const { end } = await answer([{ hang: true }], short({ headers: 60 }));
      expect(end.error).toMatchObject({ code: "timeout", retryable: true, details: { reason: "headers limit" } });
      await server.book.idle();
    });

    test("first token, which a ping does not help", async () => {
      const { events } = wire.stream({});
      const script: Script = [head(200, { ...streamHeaders, "transfer-encoding": "chunked" }), chunk(": ping\n\n")];
      const start = wire.name === "google" ? [] : [chunk(events[0]!)];
      const { end } = await answer([...script, ...start, { delayMs: 30 }, chunk(": ping\n\n"), { hang: true }], short({ firstToken: 60 }));
      expect(end.error).toMatchObject({ code: "timeout", details: { reason: "firstToken limit" } });
      await server.book.idle();
    });

    test("idle gap", async () => {
      const { events, proof } = wire.stream({ text: ["Hello"] });
      const { text, end } = await answer([...stream(events.slice(0, proof)).slice(0, -1), { hang: true }], short({ idle: 300 }));
      expect("Hello".startsWith(text)).toBe(true);
      expect(end.error).toMatchObject({ code: "interrupted", details: { reason: "idle limit" } });
      await server.book.idle();
    });

    test("idle gap is not reached while tokens come", slow, async () => {
      const { end } = await answer(
        stream(wire.stream({ text: Array.from({ length: 14 }, () => "token ") }).events, { paceMs: 100 }),
        short({ idle: 1_200 }),
      );
      expect(end.finish).toBe("stop");
    });

    test("total, streamed", async () => {
      const { text, end } = await answer(
        stream(wire.stream({ text: Array.from({ length: 100 }, () => "token ") }).events, { paceMs: 20 }),
        short({ total: 400 }),
      );
      // On a busy machine not even the first token comes within it.
      expect(end.error).toMatchObject({ code: text === "" ? "timeout" : "interrupted", details: { reason: "total limit" } });
      await server.book.idle();
    });

    test("total, unstreamed; the other limits do not apply to an answer that comes at once", async () => {
      const late = await answer([{ delayMs: 80 }, ...json(200, wire.whole(answered))], {
        stream: false,
        ...short({ headers: 20, firstToken: 20, idle: 20 }),
      });
      expect(late.end.finish).toBe("stop");
      const { end } = await answer([{ hang: true }], { stream: false, ...short({ total: 60 }) });
      expect(end.error).toMatchObject({ code: "timeout", details: { reason: "total limit" } });
      await server.book.idle();
    });
  });
});
