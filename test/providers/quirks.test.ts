/** Servers that speak a wire a little differently than its maker. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { google } from "../../src/providers/google.ts";
import { openai } from "../../src/providers/openai.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { body, chunk, event, head, json, type Script, stream, streamHeaders } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { collect, timeouts } from "./collect.ts";

let server: FaultServer;
let provider: Provider;
beforeEach(async () => {
  server = await startFaultServer(() => []);
  provider = openai({ baseURL: `${server.url}/v1` });
});
afterEach(async () => {
  await provider.close();
  await server.close();
});
const answer = (script: Script, more = {}) => {
  server.use(() => script);
  return collect(provider, more);
};
const delta = (value: unknown, finish: string | null = null, more = {}): string =>
  event({ model: "m", choices: [{ index: 0, delta: value, finish_reason: finish }], ...more });
const usage = { prompt_tokens: 3, completion_tokens: 2 };

describe("OpenAI chat", () => {
  test("no [DONE] after the finish", async () => {
    expect((await answer(stream([delta({ content: "Hi" }), delta({}, "stop")]))).end.finish).toBe("stop");
  });

  test("no [DONE] and no end: the idle limit ends it well", async () => {
    const script = [...stream([delta({ content: "Hi" }), delta({}, "stop")]).slice(0, -1), { hang: true } as const];
    const { end } = await answer(script, { timeouts: { ...timeouts, idle: 1_500 } });
    expect(end.finish).toBe("stop");
    await server.book.idle();
  });

  test("[DONE] without a finish is no end", async () => {
    expect((await answer(stream([delta({ content: "Hi" }), event("[DONE]")]))).end.error?.code).toBe("interrupted");
  });

  test("usage on the finish chunk (llama.cpp), in x_groq, and on every chunk (vLLM)", async () => {
    const told = { inputTokens: 3, outputTokens: 2 };
    expect((await answer(stream([delta({ content: "Hi" }), delta({}, "stop", { usage })]))).end.usage).toMatchObject(told);
    expect((await answer(stream([delta({ content: "Hi" }), delta({}, "stop", { x_groq: { usage } })]))).end.usage).toMatchObject(told);
    const early = { usage: { prompt_tokens: 3, completion_tokens: 1 } };
    expect(
      (await answer(stream([delta({ content: "H" }, null, early), delta({ content: "i" }, "stop", { usage })]))).end.usage,
    ).toMatchObject(told);
  });

  test("the finish with the last text", async () => {
    const { text, end } = await answer(stream([delta({ content: "Hi" }), delta({ content: " you" }, "stop"), event("[DONE]")]));
    expect([text, end.finish]).toEqual(["Hi you", "stop"]);
  });

  test("every tool whole, under index 0, finished by `stop`", async () => {
    const call = (id: string) => ({ index: 0, id, type: "function", function: { name: "look", arguments: '{"x":1}' } });
    const { end } = await answer(stream([delta({ tool_calls: [call("a")] }), delta({ tool_calls: [call("b")] }), delta({}, "stop")]));
    expect(end).toMatchObject({
      finish: "tools",
      tools: [
        { id: "a", input: { x: 1 } },
        { id: "b", input: { x: 1 } },
      ],
    });
  });

  test("tools without an id get different ones", async () => {
    const call = (index: number) => ({ index, function: { name: "look", arguments: "{}" } });
    const { end } = await answer(stream([delta({ tool_calls: [call(0), call(1)] }), delta({}, "tool_calls")]));
    const ids = end.tools!.map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    expect(ids.every((id) => /^tool_.{12}$/.test(id))).toBe(true);
  });

  test("arguments as an object (Ollama's own)", async () => {
    const { end } = await answer(stream([delta({ tool_calls: [{ function: { name: "look", arguments: { x: 1 } } }] }), delta({}, "stop")]));
    expect(end.tools).toMatchObject([{ name: "look", input: { x: 1 } }]);
  });

  test("a cut answer does not hand over half a tool request", async () => {
    const call = { index: 0, id: "a", function: { name: "look", arguments: "" } };
    const { end } = await answer(stream([delta({ tool_calls: [call] }), delta({}, "length")]));
    expect(end.finish).toBe("length");
    expect(end).not.toHaveProperty("tools");
  });

  test("reasoning under both names, and Mistral's parts", async () => {
    const parts = [
      { type: "thinking", thinking: [{ type: "text", text: "c" }] },
      { type: "text", text: "d" },
    ];
    const { text, reasoning } = await answer(
      stream([delta({ reasoning_content: "a" }), delta({ reasoning: "b" }), delta({ content: parts }), delta({}, "stop")]),
    );
    expect([reasoning, text]).toEqual(["abc", "d"]);
  });

  test("an error object on a status of 200, streamed and not", async () => {
    const error = { error: { message: "no memory", type: "server_error", code: 500 } };
    expect((await answer(stream([event(error)]))).end.error).toMatchObject({ code: "provider_unavailable", details: { status: 500 } });
    expect((await answer(json(200, error))).end.error).toMatchObject({ code: "provider_unavailable" });
    expect((await answer(json(200, error), { stream: false })).end.error).toMatchObject({ code: "provider_unavailable" });
    expect(
      (await answer(stream([event({ object: "error", message: "too hot", type: "BadRequestError", code: 400 })]))).end.error?.code,
    ).toBe("provider_rejected");
    expect((await answer(stream([delta({ content: "Hi" }), delta({}, "error")]))).end.error?.code).toBe("interrupted");
  });

  test("a context that is too long, told within the stream", async () => {
    const error = { error: { message: "…", type: "invalid_request_error", code: "context_length_exceeded" } };
    expect((await answer(stream([event(error)]))).end.error).toMatchObject({ code: "context_too_long", retryable: false });
  });

  test("no content type at all", async () => {
    const bytes = delta({ content: "Hi" }) + delta({}, "stop");
    expect((await answer([head(200, { "content-length": String(bytes.length) }), { send: bytes }])).text).toBe("Hi");
  });

  test("a page instead of an answer", async () => {
    expect((await answer(body(200, "<html>canary</html>", { "content-type": "text/html" }))).end.error?.code).toBe("interrupted");
    const whole = await answer(body(200, "<html>canary</html>", { "content-type": "text/html" }), { stream: false });
    expect(whole.end.error?.code).toBe("interrupted");
    expect(JSON.stringify(whole.end)).not.toContain("canary");
  });

  test("a whole answer without a finish", async () => {
    const { end } = await answer(json(200, { choices: [{ message: { content: "Hi" }, finish_reason: null }] }), { stream: false });
    expect(end.error?.code).toBe("interrupted");
  });

  test("early hints before the answer", async () => {
    const script = stream([delta({ content: "Hi" }), delta({}, "stop")]);
    expect((await answer([{ send: "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" }, ...script])).text).toBe("Hi");
  });

  test("rate limits of the headers come with good and bad ends", async () => {
    const headers = { "x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "6m0s" };
    const limits = { requests: { limit: 10, remaining: 9, resetMs: 360_000 } };
    expect((await answer(stream([delta({}, "stop")], { headers }))).end.limits).toEqual(limits);
    expect((await answer(json(429, {}, headers))).end.limits).toEqual(limits);
  });

  test("a server that goes on after [DONE] loses its connection, and the answer stands", async () => {
    const steps = [
      head(200, { ...streamHeaders, "transfer-encoding": "chunked" }),
      chunk(delta({}, "stop") + event("[DONE]")),
      { hang: true } as const,
    ];
    const { end } = await answer(steps, { timeouts: { ...timeouts, idle: 1_500 } });
    expect(end.finish).toBe("stop");
    await server.book.idle();
  });
});

describe("Gemini", () => {
  const ask = async (events: readonly unknown[], more = {}) => {
    const gemini = google({ baseURL: server.url });
    server.use(() => stream(events.map((value) => event(value))));
    const result = await collect(gemini, more);
    await gemini.close();
    return result;
  };

  test("a prompt that is blocked is filtered, not lost", async () => {
    expect((await ask([{ promptFeedback: { blockReason: "SAFETY" }, usageMetadata: { promptTokenCount: 4 } }])).end.finish).toBe(
      "filtered",
    );
  });

  test.each([["MALFORMED_FUNCTION_CALL"], ["TOO_MANY_TOOL_CALLS"], ["MALFORMED_RESPONSE"]])("%s cannot be used", async (finishReason) => {
    expect((await ask([{ candidates: [{ finishReason }] }])).end.error?.code).toBe("invalid_output");
  });

  test("a wait that is told in the error's details", async () => {
    const details = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34s" }];
    const gemini = google({ baseURL: server.url });
    server.use(() => json(429, { error: { code: 429, message: "Quota.", status: "RESOURCE_EXHAUSTED", details } }));
    expect((await collect(gemini)).end.error).toMatchObject({ code: "provider_rate_limited", retry_after_ms: 34_000 });
    await gemini.close();
  });
});
