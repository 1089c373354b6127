/**
 * What is sent, as the SDKs' types want it: the expected bodies are typed with them, so a body that the types refuse does not compile.
 */
import type { MessageCreateParamsNonStreaming, MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages/messages";
import type { GenerateContentParameters } from "@google/genai";
import type { ChatCompletionCreateParamsNonStreaming, ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";
import type { ResponseCreateParamsNonStreaming, ResponseCreateParamsStreaming } from "openai/resources/responses/responses";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Message } from "../../src/protocol/messages.ts";
import { anthropic } from "../../src/providers/anthropic.ts";
import { google } from "../../src/providers/google.ts";
import { openai } from "../../src/providers/openai.ts";
import { fireworks, groq, litellm, llamaCpp, ollama, tgi, together, vllm } from "../../src/providers/presets.ts";
import type { Provider, ProviderRequest } from "../../src/providers/provider.ts";
import { json } from "../../src/testing/fault-script.ts";
import { type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { collect } from "./collect.ts";

let server: FaultServer;
beforeAll(async () => {
  server = await startFaultServer(() => json(200, {}));
});
afterAll(() => server.close());

async function sent(make: (url: string) => Provider, request: Partial<ProviderRequest> = {}): Promise<FaultRequest> {
  const provider = make(server.url);
  await collect(provider, request);
  await provider.close();
  return server.book.entries.at(-1)!.request;
}

const png = "data:image/png;base64,iVBORw0KGgo=";
const conversation: readonly Message[] = [
  { role: "system", content: "Summary so far." },
  {
    role: "user",
    content: [
      { type: "text", text: "What is this?" },
      { type: "image", url: png },
      { type: "image", url: "https://example.org/a.png" },
    ],
  },
  {
    role: "assistant",
    content: "I look.",
    tools: [
      { id: "call_a", name: "look", input: { at: "Köln" } },
      { id: "tool_made", name: "look", input: "no {json" },
    ],
  },
  { role: "tool", id: "call_a", name: "look", content: "rain" },
  { role: "tool", id: "tool_made", name: "look", content: "not valid", error: true },
];
const schema = { type: "object", properties: { city: { type: "string", maxLength: 9 } }, required: ["city"], additionalProperties: false };
const tool = { name: "look", description: "Looks.", schema };
const full: Partial<ProviderRequest> = {
  instructions: "Be brief.",
  messages: conversation,
  tools: [tool],
  maxOutputTokens: 50,
  schema: { name: "a city", schema },
  parameters: { temperature: 0.5 },
};
const invalid = { INVALID_JSON: "no {json" };

describe("OpenAI chat", () => {
  const messages: ChatCompletionCreateParamsStreaming["messages"] = [
    { role: "system", content: "Be brief." },
    { role: "system", content: "Summary so far." },
    {
      role: "user",
      content: [
        { type: "text", text: "What is this?" },
        { type: "image_url", image_url: { url: png } },
        { type: "image_url", image_url: { url: "https://example.org/a.png" } },
      ],
    },
    {
      role: "assistant",
      content: "I look.",
      tool_calls: [
        { id: "call_a", type: "function", function: { name: "look", arguments: '{"at":"Köln"}' } },
        { id: "tool_made", type: "function", function: { name: "look", arguments: JSON.stringify(invalid) } },
      ],
    },
    { role: "tool", tool_call_id: "call_a", content: "rain" },
    { role: "tool", tool_call_id: "tool_made", content: "Error: not valid" },
  ];
  const tools: ChatCompletionCreateParamsStreaming["tools"] = [
    { type: "function", function: { name: "look", description: "Looks.", parameters: schema } },
  ];
  const format: ChatCompletionCreateParamsStreaming["response_format"] = {
    type: "json_schema",
    json_schema: { name: "a_city", schema, strict: true },
  };
  const asOpenAI = (url: string) => openai({ baseURL: `${url}/v1`, apiKey: "sk-1", dialect: { maxTokens: "max_completion_tokens" } });

  test("streamed", async () => {
    const request = await sent(asOpenAI, full);
    const expected: ChatCompletionCreateParamsStreaming = {
      model: "model-1",
      messages,
      max_completion_tokens: 50,
      stream: true,
      stream_options: { include_usage: true },
      tools,
      response_format: format,
      temperature: 0.5,
    };
    expect(request.json()).toEqual(expected);
    expect(request.headers).toMatchObject({ authorization: "Bearer sk-1", "content-type": "application/json" });
  });

  test("unstreamed, with nothing that is not asked for", async () => {
    const expected: ChatCompletionCreateParamsNonStreaming = {
      model: "model-1",
      messages: [{ role: "user", content: "Hello" }],
      max_completion_tokens: 100,
    };
    expect((await sent(asOpenAI, { stream: false })).json()).toEqual(expected);
  });

  test("a schema with optional members is a guide, not strict", async () => {
    const loose = { ...schema, required: [] };
    const { response_format } = (await sent(asOpenAI, { schema: { name: "x", schema: loose } })).json();
    expect(response_format.json_schema).toEqual({ name: "x", schema: loose, strict: false });
  });

  test("the same message object is written once and sent the same in every call", async () => {
    const provider = asOpenAI(server.url);
    const history: Message[] = [...conversation];
    await collect(provider, { messages: history });
    await collect(provider, { messages: [...history, { role: "user", content: "More" }] });
    const [before, after] = server.book.entries.slice(-2).map(({ request }) => request.json().messages);
    expect(after).toEqual([...before, { role: "user", content: "More" }]);
    await provider.close();
  });
});

describe("presets", () => {
  const servers = { vllm, tgi, ollama, llamaCpp, litellm, groq, together, fireworks };
  test.each(Object.entries(servers))("%s", async (name, preset) => {
    const body = (await sent((url) => preset({ baseURL: `${url}/v1`, apiKey: "k" }), { schema: { name: "city", schema } })).json();
    const limit = name === "groq" ? "max_completion_tokens" : "max_tokens";
    expect(body[limit]).toBe(100);
    expect(body.stream_options).toEqual(["together", "fireworks"].includes(name) ? undefined : { include_usage: true });
    if (name === "tgi") expect(body.response_format).toEqual({ type: "json_object", value: schema });
    else if (name === "groq") {
      expect(body.response_format).toEqual({ type: "json_object" });
      expect(body.messages[0]).toMatchObject({ role: "system", content: expect.stringContaining(JSON.stringify(schema)) });
    } else expect(body.response_format.type).toBe("json_schema");
    const provider = preset({ apiKey: "k" });
    expect(provider.name).toBe(name === "llamaCpp" ? "llama-cpp" : name);
    expect(provider.selfHosted).toBe(["vllm", "tgi", "ollama", "llamaCpp"].includes(name));
    expect(provider.endpoint).toMatch(/\/v1$/);
    await provider.close();
  });

  test("a server without any help is told the schema in words", async () => {
    const body = (
      await sent((url) => openai({ baseURL: url, dialect: { schema: "none" } }), { instructions: "Hi.", schema: { name: "city", schema } })
    ).json();
    expect(body).not.toHaveProperty("response_format");
    expect(body.messages[0].content).toMatch(/^Hi\.\n\nAnswer with one JSON object/);
  });

  test("a provider that needs a key says which one, and calls nobody", async () => {
    for (const [make, variable] of [
      [openai, "OPENAI_API_KEY"],
      [anthropic, "ANTHROPIC_API_KEY"],
      [google, "GEMINI_API_KEY"],
      [groq, "GROQ_API_KEY"],
    ] as const) {
      const before = process.env[variable];
      delete process.env[variable];
      const { end } = await collect(make());
      expect(end).toMatchObject({
        unsent: true,
        error: { code: "provider_rejected", retryable: false, message: expect.stringContaining(variable) },
      });
      if (before !== undefined) process.env[variable] = before;
    }
  });

  test("a key from the environment goes to its own service only", async () => {
    const before = process.env.OPENAI_API_KEY;
    process.env.OPENAI_API_KEY = "sk-env";
    const request = await sent((url) => openai({ baseURL: `${url}/v1` }));
    expect(request.headers).not.toHaveProperty("authorization");
    if (before === undefined) delete process.env.OPENAI_API_KEY;
    else process.env.OPENAI_API_KEY = before;
  });
});

describe("OpenAI responses", () => {
  const make = (url: string) => openai({ baseURL: `${url}/v1`, apiKey: "sk-1", wire: "responses" });

  test("streamed", async () => {
    const expected: ResponseCreateParamsStreaming = {
      model: "model-1",
      instructions: "Be brief.",
      input: [
        { role: "system", content: "Summary so far." },
        {
          role: "user",
          content: [
            { type: "input_text", text: "What is this?" },
            { type: "input_image", image_url: png, detail: "auto" },
            { type: "input_image", image_url: "https://example.org/a.png", detail: "auto" },
          ],
        },
        { role: "assistant", content: "I look." },
        { type: "function_call", call_id: "call_a", name: "look", arguments: '{"at":"Köln"}' },
        { type: "function_call", call_id: "tool_made", name: "look", arguments: JSON.stringify(invalid) },
        { type: "function_call_output", call_id: "call_a", output: "rain" },
        { type: "function_call_output", call_id: "tool_made", output: "Error: not valid" },
      ],
      max_output_tokens: 50,
      stream: true,
      store: false,
      tools: [{ type: "function", name: "look", description: "Looks.", parameters: schema, strict: false }],
      text: { format: { type: "json_schema", name: "a_city", schema, strict: true } },
      temperature: 0.5,
    };
    expect((await sent(make, full)).json()).toEqual(expected);
  });

  test("unstreamed; the parameters decide about storing, and words about the text join the schema", async () => {
    const plain: ResponseCreateParamsNonStreaming = {
      model: "model-1",
      input: [{ role: "user", content: "Hello" }],
      max_output_tokens: 100,
      store: false,
    };
    expect((await sent(make, { stream: false })).json()).toEqual(plain);
    const body = (
      await sent(make, {
        parameters: { store: true, text: { verbosity: "low" }, reasoning: { effort: "low" } },
        schema: { name: "city", schema },
      })
    ).json();
    expect(body).toMatchObject({
      store: true,
      text: { verbosity: "low", format: { name: "city" } },
      include: ["reasoning.encrypted_content"],
    });
  });

  test("reasoning goes back as it came, before what followed it", async () => {
    const value = [{ type: "reasoning", id: "rs_1", summary: [], encrypted_content: "abc" }];
    const message: Message = {
      role: "assistant",
      content: "",
      tools: [{ id: "c", name: "look", input: {} }],
      opaque: { provider: "openai", value },
    };
    const { input } = (await sent(make, { messages: [message] })).json();
    expect(input).toEqual([...value, { type: "function_call", call_id: "c", name: "look", arguments: "{}" }]);
  });
});

describe("Anthropic", () => {
  const make = (url: string) => anthropic({ baseURL: `${url}/v1`, apiKey: "sk-1" });

  test("streamed", async () => {
    const request = await sent(make, { ...full, parameters: { service_tier: "auto" } });
    const expected: MessageCreateParamsStreaming = {
      model: "model-1",
      max_tokens: 50,
      system: "Be brief.\n\nSummary so far.",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } },
            { type: "image", source: { type: "url", url: "https://example.org/a.png" } },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "text", text: "I look." },
            { type: "tool_use", id: "call_a", name: "look", input: { at: "Köln" } },
            { type: "tool_use", id: "tool_made", name: "look", input: invalid },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "call_a", content: "rain" },
            { type: "tool_result", tool_use_id: "tool_made", content: "not valid", is_error: true },
          ],
        },
      ],
      stream: true,
      tools: [{ name: "look", description: "Looks.", input_schema: { ...schema, type: "object" } }],
      output_config: {
        format: {
          type: "json_schema",
          schema: {
            type: "object",
            properties: { city: { type: "string", description: "{maxLength: 9}" } },
            additionalProperties: false,
            required: ["city"],
          },
        },
      },
      service_tier: "auto",
    };
    expect(request.json()).toEqual(expected);
    expect(request.headers).toMatchObject({ "x-api-key": "sk-1", "anthropic-version": "2023-06-01" });
  });

  test("unstreamed; effort joins the schema", async () => {
    const plain: MessageCreateParamsNonStreaming = {
      model: "model-1",
      max_tokens: 100,
      messages: [{ role: "user", content: [{ type: "text", text: "Hello" }] }],
    };
    expect((await sent(make, { stream: false })).json()).toEqual(plain);
    const body = (
      await sent(make, { parameters: { output_config: { effort: "low" }, top_k: 3 }, schema: { name: "city", schema } })
    ).json();
    expect(body).toMatchObject({ top_k: 3, output_config: { effort: "low", format: { type: "json_schema" } } });
    expect((await sent(make, { parameters: { output_config: { effort: "low" } } })).json().output_config).toEqual({ effort: "low" });
  });

  test("messages without words are left out, since the API refuses them", async () => {
    const { messages } = (
      await sent(make, {
        messages: [
          { role: "user", content: "Hi" },
          { role: "assistant", content: " " },
          { role: "user", content: "Still there?" },
        ],
      })
    ).json();
    expect(messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "Hi" },
          { type: "text", text: "Still there?" },
        ],
      },
    ]);
  });

  const thinking = { type: "thinking", thinking: "Hm.", signature: "c2ln" };
  const redacted = { type: "redacted_thinking", data: "xyz" };
  const order = [thinking, "text", redacted, "tool", "tool"];
  const thought = (provider: string): Message => ({
    role: "assistant",
    content: "I look.",
    tools: [
      { id: "a", name: "look", input: {} },
      { id: "b", name: "look", input: {} },
    ],
    opaque: { provider, value: order },
  });

  test("thinking goes back as it came and in its place", async () => {
    const { messages } = (await sent(make, { messages: [thought("anthropic")] })).json();
    const use = (id: string) => ({ type: "tool_use", id, name: "look", input: {} });
    expect(messages[0].content).toEqual([thinking, { type: "text", text: "I look." }, redacted, use("a"), use("b")]);
  });

  test("another provider's thinking stays away", async () => {
    const { messages } = (await sent(make, { messages: [thought("google")] })).json();
    expect(JSON.stringify(messages)).not.toContain("thinking");
  });
});

describe("Gemini", () => {
  const make = (url: string) => google({ baseURL: url, apiKey: "k-1" });

  test("streamed", async () => {
    const request = await sent(make, full);
    // The SDK's own names differ from the wire's for the configuration only.
    const contents: GenerateContentParameters["contents"] = [
      {
        role: "user",
        parts: [
          { text: "What is this?" },
          { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } },
          { fileData: { fileUri: "https://example.org/a.png" } },
        ],
      },
      {
        role: "model",
        parts: [
          { text: "I look." },
          { functionCall: { id: "call_a", name: "look", args: { at: "Köln" } } },
          { functionCall: { name: "look", args: invalid } },
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { id: "call_a", name: "look", response: { output: "rain" } } },
          { functionResponse: { name: "look", response: { error: "not valid" } } },
        ],
      },
    ];
    const config: GenerateContentParameters["config"] = {
      maxOutputTokens: 50,
      responseMimeType: "application/json",
      responseJsonSchema: schema,
      temperature: 0.5,
    };
    const tools: NonNullable<GenerateContentParameters["config"]>["tools"] = [
      { functionDeclarations: [{ name: "look", description: "Looks.", parametersJsonSchema: schema }] },
    ];
    expect(request.json()).toEqual({
      contents,
      systemInstruction: { parts: [{ text: "Be brief.\n\nSummary so far." }] },
      tools,
      generationConfig: config,
    });
    expect(request.path).toBe("/v1/models/model-1:streamGenerateContent?alt=sse");
    expect(request.headers).toMatchObject({ "x-goog-api-key": "k-1" });
  });

  test("unstreamed; parameters go where the API wants them", async () => {
    const request = await sent(make, {
      stream: false,
      parameters: { topK: 3, serviceTier: "flex", thinkingConfig: { thinkingBudget: 0 } },
    });
    expect(request.path).toBe("/v1/models/model-1:generateContent");
    expect(request.json()).toEqual({
      contents: [{ role: "user", parts: [{ text: "Hello" }] }],
      generationConfig: { maxOutputTokens: 100, topK: 3, thinkingConfig: { thinkingBudget: 0 } },
      serviceTier: "flex",
    });
  });

  test("a model with a path of its own keeps it; nothing else can be put into the path", async () => {
    expect((await sent(make, { model: "tunedModels/mine-1" })).path).toBe("/v1/tunedModels/mine-1:streamGenerateContent?alt=sse");
    expect((await sent(make, { model: "a?b=c#d e" })).path).toBe("/v1/models/a%3Fb=c%23d%20e:streamGenerateContent?alt=sse");
  });

  test("signatures go back in their places", async () => {
    const opaque = { provider: "google", value: { text: "s0", tools: [null, "s2"] } };
    const tools = [
      { id: "a", name: "look", input: {} },
      { id: "b", name: "look", input: {} },
    ];
    const { contents } = (await sent(make, { messages: [{ role: "assistant", content: "Hm", tools, opaque }] })).json();
    expect(contents[0].parts).toEqual([
      { text: "Hm", thoughtSignature: "s0" },
      { functionCall: { id: "a", name: "look", args: {} } },
      { functionCall: { id: "b", name: "look", args: {} }, thoughtSignature: "s2" },
    ]);
  });
});
