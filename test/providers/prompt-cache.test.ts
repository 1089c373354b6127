/** What is sent so that a provider keeps the beginning of a conversation: to the byte, and at most what each wire takes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { costNano, priceOf } from "../../src/money/prices.ts";
import type { Message } from "../../src/protocol/messages.ts";
import { anthropic } from "../../src/providers/anthropic.ts";
import { google } from "../../src/providers/google.ts";
import { openai } from "../../src/providers/openai.ts";
import { vllm } from "../../src/providers/presets.ts";
import type { Provider, ProviderRequest, ProviderUsage } from "../../src/providers/provider.ts";
import type { Price } from "../../src/runtime/agent.ts";
import { json } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { collect } from "./collect.ts";

let server: FaultServer;
beforeAll(async () => {
  server = await startFaultServer(() => json(200, {}));
});
afterAll(() => server.close());

/** The body as it was sent. */
async function body(make: (url: string) => Provider, request: Partial<ProviderRequest>): Promise<string> {
  const provider = make(server.url);
  await collect(provider, request);
  await provider.close();
  return server.book.entries.at(-1)!.request.body.toString();
}

const promptCache = { key: "guide" };
const long = "Words that stay the same. ".repeat(80);
const tool = { name: "look", description: long, schema: { type: "object", properties: {} } };
const step = (n: number): Message[] => [
  { role: "assistant", content: "", tools: [{ id: `t${n}`, name: "look", input: {} }] },
  { role: "tool", id: `t${n}`, name: "look", content: `seen ${n}` },
];
const asked: Message = { role: "user", content: "Look." };
const mark = ',"cache_control":{"type":"ephemeral"}';
const count = (text: string): number => text.split(mark).length - 1;

describe("Anthropic", () => {
  const make = (url: string) => anthropic({ baseURL: `${url}/v1`, apiKey: "k" });

  test("marks the tools, the system prompt, the last message and the one that was last in the call before", async () => {
    const messages = [asked, ...step(1), ...step(2)];
    const sent = await body(make, { instructions: long, tools: [tool], messages, promptCache, stream: true });
    const use = (n: number) => `{"role":"assistant","content":[{"type":"tool_use","id":"t${n}","name":"look","input":{}}]}`;
    const result = (n: number) => `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t${n}","content":"seen ${n}"${mark}}]}`;
    expect(sent).toBe(
      `{"model":"model-1","max_tokens":100,"messages":[{"role":"user","content":[{"type":"text","text":"Look."}]},` +
        `${use(1)},${result(1)},${use(2)},${result(2)}],"system":[{"type":"text","text":${JSON.stringify(long)}${mark}}],"stream":true,` +
        `"tools":[{"name":"look","description":${JSON.stringify(long)},"input_schema":{"type":"object","properties":{}}${mark}}]}`,
    );
  });

  test("the mark of one call is where the next one looks for it", async () => {
    const request = { instructions: long, tools: [tool], promptCache };
    const bodies = [
      await body(make, { ...request, messages: [asked] }),
      await body(make, { ...request, messages: [asked, ...step(1)] }),
      await body(make, { ...request, messages: [asked, ...step(1), ...step(2)] }),
    ].map((text) => JSON.parse(text));
    const marked = ({ messages }: { messages: { content: object[] }[] }): number[] =>
      messages.flatMap(({ content }, i) => ("cache_control" in (content.at(-1) as object) ? [i] : []));
    expect(bodies.map(marked)).toEqual([[0], [0, 2], [2, 4]]);
    // Without the marks each call begins as the one before.
    const plain = (value: unknown): string => JSON.stringify(value).replaceAll(mark, "");
    expect(plain(bodies[1].messages).startsWith(plain(bodies[0].messages).slice(0, -1))).toBe(true);
    expect(plain(bodies[2].messages).startsWith(plain(bodies[1].messages).slice(0, -1))).toBe(true);
  });

  test("four marks at most, in the widest step too", async () => {
    const wide: Message[] = [
      asked,
      { role: "assistant", content: "", tools: Array.from({ length: 16 }, (_, i) => ({ id: `t${i}`, name: "look", input: {} })) },
      ...Array.from({ length: 16 }, (_, i): Message => ({ role: "tool", id: `t${i}`, name: "look", content: "seen" })),
    ];
    expect(count(await body(make, { instructions: long, tools: [tool], messages: [...wide, ...step(99)], promptCache }))).toBe(4);
  });

  test("one question without tools is not written into the cache, its system prompt is", async () => {
    const sent = JSON.parse(await body(make, { instructions: long, messages: [{ role: "user", content: long }], promptCache }));
    expect(sent.system[0]).toHaveProperty("cache_control");
    expect(sent.messages).toEqual([{ role: "user", content: [{ type: "text", text: long }] }]);
  });

  test("what is too short for every model carries no mark, and nothing does unless it is asked for", async () => {
    const short = { ...tool, description: "Looks." };
    expect(count(await body(make, { instructions: "Be brief.", tools: [short], messages: [asked, ...step(1)], promptCache }))).toBe(0);
    expect(count(await body(make, { instructions: long, tools: [tool], messages: [asked, ...step(1)] }))).toBe(0);
  });

  test("thinking is never marked", async () => {
    const thinking = { type: "thinking", thinking: "Hm.", signature: "c2ln" };
    const thought: Message = { role: "assistant", content: "", opaque: { provider: "anthropic", value: [thinking] } };
    const sent = JSON.parse(await body(make, { instructions: long, messages: [asked, thought], promptCache }));
    expect(sent.messages[1].content).toEqual([thinking]);
    expect(sent.messages[0].content[0]).toHaveProperty("cache_control");
  });
});

describe("OpenAI", () => {
  const chat = (url: string) => openai({ baseURL: `${url}/v1`, apiKey: "k", dialect: { cacheKey: true } });
  const responses = (url: string) => openai({ baseURL: `${url}/v1`, apiKey: "k", wire: "responses", dialect: { cacheKey: true } });

  test("is told the key, in both wires", async () => {
    expect(await body(chat, { messages: [asked], promptCache, stream: false })).toBe(
      '{"model":"model-1","messages":[{"role":"user","content":"Look."}],"max_tokens":100,"prompt_cache_key":"guide"}',
    );
    expect(await body(responses, { messages: [asked], promptCache, stream: false })).toBe(
      '{"model":"model-1","input":[{"role":"user","content":"Look."}],"max_output_tokens":100,"prompt_cache_key":"guide","store":false}',
    );
  });

  test("a key among the parameters comes first", async () => {
    for (const make of [chat, responses]) {
      const sent = await body(make, { messages: [asked], promptCache, parameters: { prompt_cache_key: "mine" } });
      expect(sent.match(/prompt_cache_key/g)).toHaveLength(1);
      expect(JSON.parse(sent).prompt_cache_key).toBe("mine");
    }
  });
});

test("servers that do not know the key are sent none; each call of a conversation begins as the one before", async () => {
  const providers = [
    (url: string) => openai({ baseURL: `${url}/v1`, apiKey: "k" }),
    (url: string) => vllm({ baseURL: `${url}/v1` }),
    (url: string) => google({ baseURL: url, apiKey: "k" }),
  ];
  for (const make of providers) {
    const request = { instructions: long, tools: [tool], promptCache };
    const first = await body(make, { ...request, messages: [asked] });
    const second = await body(make, { ...request, messages: [asked, ...step(1)] });
    expect(first).not.toContain("cache_key");
    const list = (text: string): string => JSON.stringify(JSON.parse(text).messages ?? JSON.parse(text).contents);
    expect(list(second).startsWith(list(first).slice(0, -1))).toBe(true);
  }
});

describe("what was read from and written into a cache is charged at its own price", () => {
  const rows: readonly {
    readonly provider: string;
    readonly model: string;
    readonly make: (url: string) => Provider;
    readonly answer: object;
    /** Dollars per million: plain input, read, written, output. */
    readonly usd: readonly [number, number, number, number];
    readonly usage: readonly [plain: number, read: number, written: number, output: number];
  }[] = [
    {
      provider: "anthropic",
      model: "claude-sonnet-5-5",
      make: (url) => anthropic({ baseURL: url, apiKey: "k" }),
      answer: {
        type: "message",
        model: "m",
        content: [{ type: "text", text: "Hi" }],
        stop_reason: "end_turn",
        usage: { input_tokens: 100, cache_read_input_tokens: 5_000, cache_creation_input_tokens: 2_000, output_tokens: 7 },
      },
      usd: [2, 0.2, 2.5, 10],
      usage: [100, 5_000, 2_000, 7],
    },
    {
      provider: "openai",
      model: "gpt-4o",
      make: (url) => openai({ baseURL: url, apiKey: "k" }),
      answer: {
        model: "m",
        choices: [{ message: { content: "Hi" }, finish_reason: "stop" }],
        usage: { prompt_tokens: 5_100, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 5_000 } },
      },
      usd: [2.5, 1.25, 2.5, 10],
      usage: [100, 5_000, 0, 7],
    },
    {
      provider: "openai",
      model: "gpt-4o",
      make: (url) => openai({ baseURL: url, apiKey: "k", wire: "responses" }),
      answer: {
        status: "completed",
        model: "m",
        output: [{ type: "message", content: [{ type: "output_text", text: "Hi" }] }],
        usage: { input_tokens: 5_100, output_tokens: 7, input_tokens_details: { cached_tokens: 5_000 } },
      },
      usd: [2.5, 1.25, 2.5, 10],
      usage: [100, 5_000, 0, 7],
    },
    {
      provider: "google",
      model: "gemini-2.5-flash",
      make: (url) => google({ baseURL: url, apiKey: "k" }),
      answer: {
        modelVersion: "m",
        candidates: [{ content: { parts: [{ text: "Hi" }] }, finishReason: "STOP" }],
        usageMetadata: { promptTokenCount: 5_100, cachedContentTokenCount: 5_000, candidatesTokenCount: 7 },
      },
      usd: [0.3, 0.03, 0.3, 2.5],
      usage: [100, 5_000, 0, 7],
    },
  ];
  test.each(rows)("$provider $model", async ({ provider: name, model, make, answer, usd, usage }) => {
    const answering = await startFaultServer(() => json(200, answer));
    const provider = make(answering.url);
    const { end } = await collect(provider, { stream: false });
    await provider.close();
    await answering.close();
    const [plain, read, written, output] = usage;
    expect(end.usage).toEqual({
      inputTokens: plain + read + written,
      cachedTokens: read,
      cacheWriteTokens: written,
      outputTokens: output,
    });
    const nano = usd.map((dollars) => Math.round(dollars * 1_000));
    const expected = usage.reduce((sum, tokens, i) => sum + tokens * (nano[i] as number), 0);
    expect(costNano(priceOf(name, model) as Price, end.usage as ProviderUsage)).toBe(expected);
  });
});
