/**
 * The fake provider's answers as bytes, made once: head, body and chunk framing, in OpenAI's chat format with the
 * headers that the real service sends. Nothing here is made per request.
 */
import { answers, answerTokens, model, toolName, toolTurns } from "./workload.ts";

const stamp = { id: "chatcmpl-Bk3vQ0dWmS7cXoY1tN5aZr8uLhEfG", created: 1_764_000_000, model: "gpt-4o-mini-2024-07-18" };
const fingerprint = "fp_560af6e559";
const headers =
  "x-request-id: req_5b1f0c9a4d7e4e0f9a3c\r\nopenai-processing-ms: 412\r\nopenai-version: 2020-10-01\r\n" +
  "x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nx-ratelimit-reset-requests: 6ms\r\n" +
  "x-ratelimit-limit-tokens: 10000000\r\nx-ratelimit-remaining-tokens: 9998976\r\nx-ratelimit-reset-tokens: 6ms\r\n";
const usage = (completion: number) => ({
  prompt_tokens: 24,
  completion_tokens: completion,
  total_tokens: 24 + completion,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 },
});

/** A whole JSON response. */
export function jsonResponse(status: string, body: unknown): Buffer {
  const text = JSON.stringify(body);
  return Buffer.from(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

const completion = (message: object, finish: string, tokens: number): Buffer =>
  jsonResponse("200 OK", {
    id: stamp.id,
    object: "chat.completion",
    created: stamp.created,
    model: stamp.model,
    choices: [{ index: 0, message: { role: "assistant", refusal: null, ...message }, logprobs: null, finish_reason: finish }],
    usage: usage(tokens),
    service_tier: "default",
    system_fingerprint: fingerprint,
  });

export const jsonAnswer = completion({ content: answers.json }, "stop", answerTokens.json.length);

/** By the number of tool results in the request. */
export const loopAnswers: readonly Buffer[] = [
  ...Array.from({ length: toolTurns }, (_, turn) =>
    completion(
      {
        content: null,
        tool_calls: [{ id: `call_${turn}`, type: "function", function: { name: toolName, arguments: JSON.stringify({ step: turn + 1 }) } }],
      },
      "tool_calls",
      18,
    ),
  ),
  completion({ content: answers.loop }, "stop", answerTokens.loop.length),
];

/** Head of every stream. */
export const streamHead = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n${headers}transfer-encoding: chunked\r\n\r\n`;

const event = (choices: object[], more: object = {}): string =>
  `data: ${JSON.stringify({
    id: stamp.id,
    object: "chat.completion.chunk",
    created: stamp.created,
    model: stamp.model,
    service_tier: "default",
    system_fingerprint: fingerprint,
    choices,
    usage: null,
    ...more,
  })}\n\n`;
const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

const opening = event([{ index: 0, delta: { role: "assistant", content: "", refusal: null }, logprobs: null, finish_reason: null }]);
const token = (content: string): string => event([{ index: 0, delta: { content }, logprobs: null, finish_reason: null }]);
const closing = (count: number): string =>
  `${event([{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }])}${event([], { usage: usage(count) })}data: [DONE]\n\n`;

/** Segments of a stream: each is one write, `size` tokens in one chunk; the head goes with the first, the end with the last. */
function segments(tokens: readonly string[], size: number, ends: boolean): Buffer[] {
  const segments: Buffer[] = [];
  for (let at = 0; at < tokens.length; at += size) {
    let text = tokens
      .slice(at, at + size)
      .map(token)
      .join("");
    if (at === 0) text = opening + text;
    const last = at + size >= tokens.length;
    if (last && ends) text += closing(tokens.length);
    segments.push(Buffer.from(`${at === 0 ? streamHead : ""}${chunk(text)}${last && ends ? "0\r\n\r\n" : ""}`));
  }
  return segments;
}

export const burstSegments = segments(answerTokens.burst, 50, true);
export const pacedSegments = segments(answerTokens.paced, 1, true);
export const hangSegment = segments(answerTokens.hang, answerTokens.hang.length, false)[0]!;

export const modelList = jsonResponse("200 OK", { object: "list", data: [{ id: model, object: "model", owned_by: "bench" }] });
