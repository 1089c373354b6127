/** The four wires, as their providers would answer: the same answer in each one's words. */
import { anthropic } from "../../src/providers/anthropic.ts";
import { google } from "../../src/providers/google.ts";
import { openai } from "../../src/providers/openai.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { event } from "../../src/testing/fault-script.ts";

export type Answer = {
  readonly text?: readonly string[];
  readonly reasoning?: string;
  /** `input` is JSON text. */
  readonly tools?: readonly { readonly id: string; readonly name: string; readonly input: string }[];
  readonly end?: "stop" | "length" | "refused" | "filtered";
  readonly usage?: boolean;
  /** Unknown members and events in between. */
  readonly noise?: boolean;
};

export type WireUnderTest = {
  readonly name: string;
  make(url: string, more?: { apiKey?: string }): Provider;
  /** Paths of the two kinds of calls. */
  readonly paths: { readonly streamed: string; readonly whole: string };
  /** Events of a stream. The answer is proven by the event with index `proof`. */
  stream(answer: Answer): { readonly events: readonly string[]; readonly proof: number };
  whole(answer: Answer): unknown;
  readonly overloaded: string;
  /** A tool request whose arguments come in the given pieces. */
  pieces(pieces: readonly string[]): readonly string[];
  /** What the answer cost: 100 input tokens, of them 40 cached; 20 output. */
  readonly usage: { readonly inputTokens: 100; readonly cachedTokens: 40; readonly outputTokens: 20 };
};

const usage = { inputTokens: 100, cachedTokens: 40, outputTokens: 20 } as const;

const chatUsage = {
  prompt_tokens: 100,
  completion_tokens: 20,
  total_tokens: 120,
  prompt_tokens_details: { cached_tokens: 40 },
  completion_tokens_details: { reasoning_tokens: 5 },
};
const chatEnd = { stop: "stop", length: "length", refused: "stop", filtered: "content_filter" } as const;
const chatPiece = (delta: unknown, finish: string | null = null, noise = false): string =>
  event({
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "model-1-2026",
    ...(noise && { obfuscation: "x7", system_fingerprint: null, later: { member: [1] } }),
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });

const chat: WireUnderTest = {
  name: "openai chat",
  make: (url, more) => openai({ baseURL: `${url}/v1`, ...more }),
  paths: { streamed: "/v1/chat/completions", whole: "/v1/chat/completions" },
  usage,
  overloaded: event({ error: { message: "Overloaded.", type: "overloaded_error", code: null, param: null } }),
  pieces: (pieces) => [
    chatPiece({ tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: "lookup", arguments: "" } }] }),
    ...pieces.map((piece) => chatPiece({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
    chatPiece({}, "tool_calls"),
    event("[DONE]"),
  ],
  stream({ text = [], reasoning, tools = [], end = "stop", usage: withUsage = true, noise = false }) {
    const events = [chatPiece({ role: "assistant", content: "", refusal: null }, null, noise)];
    if (noise) events.push(": a comment\n\n", event({ object: "later.kind", choices: [] }, "later"));
    if (reasoning) events.push(chatPiece({ reasoning_content: reasoning }));
    for (const piece of text) events.push(chatPiece(end === "refused" ? { refusal: piece } : { content: piece }, null, noise));
    for (const [index, { id, name, input }] of tools.entries()) {
      events.push(chatPiece({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }));
      for (const piece of input.match(/.{1,9}/gs) ?? [])
        events.push(chatPiece({ tool_calls: [{ index, function: { arguments: piece } }] }));
    }
    events.push(chatPiece({}, tools.length > 0 ? "tool_calls" : chatEnd[end]));
    const proof = events.length - 1;
    if (withUsage)
      events.push(
        event({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "model-1-2026", choices: [], usage: chatUsage }),
      );
    events.push(event("[DONE]"));
    return { events, proof };
  },
  whole({ text = [], reasoning, tools = [], end = "stop", usage: withUsage = true, noise }) {
    const said = text.join("");
    return {
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 1,
      model: "model-1-2026",
      ...(noise && { later: [null] }),
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: end === "refused" ? null : said,
            refusal: end === "refused" ? said : null,
            ...(reasoning && { reasoning_content: reasoning }),
            ...(tools.length > 0 && {
              tool_calls: tools.map(({ id, name, input }) => ({ id, type: "function", function: { name, arguments: input } })),
            }),
          },
          logprobs: null,
          finish_reason: tools.length > 0 ? "tool_calls" : chatEnd[end],
        },
      ],
      ...(withUsage && { usage: chatUsage }),
    };
  },
};

const responsesUsage = {
  input_tokens: 100,
  input_tokens_details: { cached_tokens: 40 },
  output_tokens: 20,
  output_tokens_details: { reasoning_tokens: 5 },
  total_tokens: 120,
};

function responsesOutput({ text = [], reasoning, tools = [], end }: Answer): unknown[] {
  const said = text.join("");
  const content = end === "refused" ? { type: "refusal", refusal: said } : { type: "output_text", text: said, annotations: [] };
  return [
    ...(reasoning ? [{ type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: reasoning }] }] : []),
    ...(said === "" ? [] : [{ type: "message", id: "msg_1", status: "completed", role: "assistant", content: [content] }]),
    ...tools.map(({ id, name, input }) => ({
      type: "function_call",
      id: `fc_${id}`,
      call_id: id,
      name,
      arguments: input,
      status: "completed",
    })),
  ];
}

const responsesFinal = (answer: Answer): { status: string } & { [key: string]: unknown } => ({
  id: "resp_1",
  object: "response",
  model: "model-1-2026",
  status: answer.end === "length" || answer.end === "filtered" ? "incomplete" : "completed",
  error: null,
  incomplete_details:
    answer.end === "length" ? { reason: "max_output_tokens" } : answer.end === "filtered" ? { reason: "content_filter" } : null,
  output: responsesOutput(answer),
  usage: answer.usage === false ? null : responsesUsage,
});

function responsesEvents(data: readonly { readonly type: string }[]): string[] {
  return data.map((value, index) => event({ ...value, sequence_number: index }, value.type));
}

const responses: WireUnderTest = {
  name: "openai responses",
  make: (url, more) => openai({ baseURL: `${url}/v1`, wire: "responses", ...more }),
  paths: { streamed: "/v1/responses", whole: "/v1/responses" },
  usage,
  overloaded: event({ type: "error", code: "overloaded", message: "Overloaded.", param: null, sequence_number: 9 }, "error"),
  pieces: (pieces) =>
    responsesEvents([
      {
        type: "response.output_item.added",
        output_index: 0,
        item: { type: "function_call", id: "fc_1", call_id: "call_1", name: "lookup", arguments: "" },
      } as { type: string },
      ...pieces.map((delta) => ({ type: "response.function_call_arguments.delta", output_index: 0, item_id: "fc_1", delta })),
      { type: "response.completed", response: responsesFinal({}) } as { type: string },
    ]),
  stream(answer) {
    const { text = [], reasoning, tools = [], end, noise } = answer;
    const data: ({ readonly type: string } & { [key: string]: unknown })[] = [
      { type: "response.created", response: { id: "resp_1", status: "in_progress", model: "model-1-2026" } },
      { type: "response.in_progress", response: { id: "resp_1", status: "in_progress" } },
    ];
    if (noise) data.push({ type: "response.later.kind", later: [1] });
    let index = 0;
    if (reasoning)
      data.push({
        type: "response.reasoning_summary_text.delta",
        output_index: index++,
        summary_index: 0,
        item_id: "rs_1",
        delta: reasoning,
      });
    const kind = end === "refused" ? "response.refusal" : "response.output_text";
    for (const delta of text)
      data.push({
        type: `${kind}.delta`,
        output_index: index,
        content_index: 0,
        item_id: "msg_1",
        delta,
        ...(noise && { obfuscation: "a" }),
      });
    if (text.length > 0)
      data.push({ type: `${kind}.done`, output_index: index++, content_index: 0, item_id: "msg_1", text: text.join("") });
    for (const { id, name, input } of tools) {
      const item = { type: "function_call", id: `fc_${id}`, call_id: id, name, arguments: "" };
      data.push({ type: "response.output_item.added", output_index: index, item });
      for (const delta of input.match(/.{1,9}/gs) ?? [])
        data.push({ type: "response.function_call_arguments.delta", output_index: index, item_id: item.id, delta });
      data.push({ type: "response.function_call_arguments.done", output_index: index, item_id: item.id, arguments: input });
      data.push({ type: "response.output_item.done", output_index: index++, item: { ...item, arguments: input } });
    }
    const final = responsesFinal(answer);
    data.push({ type: `response.${final.status}`, response: final });
    return { events: responsesEvents(data), proof: data.length - 1 };
  },
  whole: responsesFinal,
};

const claudeUsage = { input_tokens: 60, cache_read_input_tokens: 40, cache_creation_input_tokens: 0 };
const claudeEnd = { stop: "end_turn", length: "max_tokens", refused: "refusal", filtered: "refusal" } as const;
const claude = (value: { readonly type: string } & { [key: string]: unknown }): string => event(value, value.type);

const messages: WireUnderTest = {
  name: "anthropic",
  make: (url, more) => anthropic({ baseURL: `${url}/v1`, ...more }),
  paths: { streamed: "/v1/messages", whole: "/v1/messages" },
  usage,
  overloaded: claude({ type: "error", error: { type: "overloaded_error", message: "Overloaded." } }),
  pieces: (pieces) => [
    claude({ type: "message_start", message: { model: "model-1-2026", usage: {} } }),
    claude({ type: "content_block_start", index: 0, content_block: { type: "tool_use", id: "call_1", name: "lookup", input: {} } }),
    ...pieces.map((piece) => claude({ type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: piece } })),
    claude({ type: "content_block_stop", index: 0 }),
    claude({ type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 20 } }),
    claude({ type: "message_stop" }),
  ],
  stream({ text = [], reasoning, tools = [], end = "stop", usage: withUsage = true, noise }) {
    const start = { id: "msg_1", type: "message", role: "assistant", model: "model-1-2026", content: [], stop_reason: null };
    const events = [
      claude({ type: "message_start", message: { ...start, ...(withUsage && { usage: { ...claudeUsage, output_tokens: 1 } }) } }),
    ];
    events.push(claude({ type: "ping" }));
    if (noise) events.push(claude({ type: "later_kind", later: [1] }));
    let index = 0;
    if (reasoning) {
      events.push(
        claude({ type: "content_block_start", index, content_block: { type: "thinking", thinking: "", signature: "" } }),
        claude({ type: "content_block_delta", index, delta: { type: "thinking_delta", thinking: reasoning } }),
        claude({ type: "content_block_delta", index, delta: { type: "signature_delta", signature: "c2ln" } }),
        claude({ type: "content_block_stop", index: index++ }),
      );
    }
    if (text.length > 0) {
      events.push(claude({ type: "content_block_start", index, content_block: { type: "text", text: "" } }));
      for (const piece of text)
        events.push(
          claude({ type: "content_block_delta", index, delta: { type: "text_delta", text: piece }, ...(noise && { later: piece.length }) }),
        );
      events.push(claude({ type: "content_block_stop", index: index++ }));
    }
    for (const { id, name, input } of tools) {
      events.push(claude({ type: "content_block_start", index, content_block: { type: "tool_use", id, name, input: {} } }));
      for (const piece of input.match(/.{1,9}/gs) ?? [])
        events.push(claude({ type: "content_block_delta", index, delta: { type: "input_json_delta", partial_json: piece } }));
      events.push(claude({ type: "content_block_stop", index: index++ }));
    }
    const stop = { stop_reason: tools.length > 0 ? "tool_use" : claudeEnd[end], stop_sequence: null };
    events.push(claude({ type: "message_delta", delta: stop, ...(withUsage && { usage: { output_tokens: 20 } }) }));
    events.push(claude({ type: "message_stop" }));
    return { events, proof: events.length - 1 };
  },
  whole({ text = [], reasoning, tools = [], end = "stop", usage: withUsage = true, noise }) {
    return {
      id: "msg_1",
      type: "message",
      role: "assistant",
      model: "model-1-2026",
      content: [
        ...(reasoning ? [{ type: "thinking", thinking: reasoning, signature: "c2ln" }] : []),
        ...(text.length > 0 ? [{ type: "text", text: text.join(""), citations: null }] : []),
        ...(noise ? [{ type: "later_kind", later: [1] }] : []),
        ...tools.map(({ id, name, input }) => ({ type: "tool_use", id, name, input: JSON.parse(input) })),
      ],
      stop_reason: tools.length > 0 ? "tool_use" : claudeEnd[end],
      stop_sequence: null,
      ...(withUsage && { usage: { ...claudeUsage, output_tokens: 20 } }),
    };
  },
};

const geminiUsage = {
  promptTokenCount: 100,
  cachedContentTokenCount: 40,
  candidatesTokenCount: 15,
  thoughtsTokenCount: 5,
  totalTokenCount: 120,
};
const geminiEnd = { stop: "STOP", length: "MAX_TOKENS", refused: "SAFETY", filtered: "SAFETY" } as const;
const gemini = (parts: readonly unknown[], finishReason?: string, usageMetadata?: unknown, noise?: boolean): unknown => ({
  candidates: [{ content: { role: "model", parts }, index: 0, ...(finishReason && { finishReason }), ...(noise && { later: 1 }) }],
  modelVersion: "model-1-2026",
  responseId: "r1",
  ...(usageMetadata !== undefined && { usageMetadata }),
});
const geminiTools = (tools: Answer["tools"] = []): unknown[] =>
  tools.map(({ id, name, input }) => ({ functionCall: { id, name, args: JSON.parse(input) } }));

const content: WireUnderTest = {
  name: "google",
  make: (url, more) => google({ baseURL: url, apiVersion: "v1beta", ...more }),
  paths: { streamed: "/v1beta/models/model-1:streamGenerateContent?alt=sse", whole: "/v1beta/models/model-1:generateContent" },
  usage,
  overloaded: event({ error: { code: 503, message: "Overloaded.", status: "UNAVAILABLE" } }),
  pieces: (pieces) => {
    const text = pieces.join("");
    let args: unknown = text;
    try {
      args = JSON.parse(text);
    } catch {
      // Gemini has no pieces: what is no JSON cannot be sent.
    }
    return [event(gemini([{ functionCall: { id: "call_1", name: "lookup", args } }], "STOP", geminiUsage))];
  },
  stream({ text = [], reasoning, tools = [], end = "stop", usage: withUsage = true, noise }) {
    const early = withUsage ? { promptTokenCount: 100, totalTokenCount: 100 } : undefined;
    const events: string[] = [];
    if (noise) events.push(event({ later: [1] }));
    if (reasoning) events.push(event(gemini([{ text: reasoning, thought: true }], undefined, early)));
    for (const piece of text) events.push(event(gemini([{ text: piece }], undefined, early, noise)));
    if (tools.length > 0) events.push(event(gemini(geminiTools(tools), undefined, early)));
    events.push(event(gemini([{ text: "" }], geminiEnd[end], withUsage ? geminiUsage : undefined)));
    return { events, proof: events.length - 1 };
  },
  whole: ({ text = [], reasoning, tools, end = "stop", usage: withUsage = true, noise }) =>
    gemini(
      [
        ...(reasoning ? [{ text: reasoning, thought: true }] : []),
        ...(text.length > 0 ? [{ text: text.join("") }] : []),
        ...geminiTools(tools),
      ],
      geminiEnd[end],
      withUsage ? geminiUsage : undefined,
      noise,
    ),
};

export const wires: readonly WireUnderTest[] = [chat, responses, messages, content];
