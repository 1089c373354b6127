/** The same conversation on every wire against aimock, which knows the wires independently of us. */
import { LLMock } from "@copilotkit/aimock";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Message } from "../../src/protocol/messages.ts";
import { collect } from "./collect.ts";
import { wires } from "./wires.ts";

const mock = new LLMock({ port: 0 });
const user = (content: string): Message => ({ role: "user", content });
const weather = {
  name: "get_weather",
  description: "The weather of a city.",
  schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
};

beforeAll(async () => {
  mock.onMessage("hello", {
    content: "Hi there, wie geht's? 世界 🌍",
    usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
  });
  mock.onMessage("think", { content: "42", reasoning: "Six times seven." });
  mock.on({ userMessage: "weather", hasToolResult: false }, { toolCalls: [{ name: "get_weather", arguments: { city: "Köln" } }] });
  mock.on({ userMessage: "weather", hasToolResult: true }, { content: "It rains in Köln." });
  mock.onMessage("limit", { error: { message: "Slow down.", type: "rate_limit_error" }, status: 429 });
  mock.onMessage("short", { content: "So far", finishReason: "length" });
  await mock.start();
});
afterAll(() => mock.stop());

describe.each(wires)("$name", (wire) => {
  const ask = async (messages: readonly Message[], stream: boolean, more = {}) => {
    const provider = wire.make(mock.url, { apiKey: "mock" });
    try {
      return await collect(provider, { model: "gpt-4o-mini", messages, stream, ...more });
    } finally {
      await provider.close();
    }
  };

  test.each([[true], [false]])("answers in text, with usage (streamed: %s)", async (stream) => {
    const { text, end } = await ask([user("hello")], stream, { instructions: "Be kind." });
    expect(text).toBe("Hi there, wie geht's? 世界 🌍");
    expect(end).toMatchObject({ finish: "stop", usage: { inputTokens: expect.any(Number), outputTokens: expect.any(Number) } });
  });

  test.each([[true], [false]])("asks for a tool and answers from its result (streamed: %s)", async (stream) => {
    const question = user("weather in Köln");
    const first = await ask([question], stream, { tools: [weather] });
    expect(first.end).toMatchObject({ finish: "tools", tools: [{ name: "get_weather", input: { city: "Köln" } }] });
    const tools = first.end.tools!;
    expect(tools[0]!.id).not.toBe("");
    const messages: Message[] = [
      question,
      { role: "assistant", content: first.text, tools, ...(first.end.opaque && { opaque: first.end.opaque }) },
      { role: "tool", id: tools[0]!.id, name: "get_weather", content: "rain" },
    ];
    const second = await ask(messages, stream, { tools: [weather] });
    expect([second.text, second.end.finish]).toEqual(["It rains in Köln.", "stop"]);
  });

  test("tells reasoning apart", async () => {
    const { text, reasoning } = await ask([user("think")], true);
    expect([reasoning, text]).toEqual(["Six times seven.", "42"]);
  });

  test("says why it stopped", async () => {
    expect((await ask([user("short")], true)).end.finish).toBe("length");
  });

  test.each([[true], [false]])("maps 429 (streamed: %s)", async (stream) => {
    const { end } = await ask([user("limit")], stream);
    expect(end.error).toMatchObject({ code: "provider_rate_limited", retryable: true, details: { status: 429 } });
  });
});
