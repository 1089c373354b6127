/**
 * Answers of the fault server in OpenAI's chat completions: what a good server would send, and where it shall go wrong.
 * `chat()` makes a handler; it streams when the request asks for it.
 */
import { chunk, event, type Headers, head, json, lastChunk, type Script, type Step, streamHeaders } from "./fault-script.ts";
import type { FaultHandler, FaultRequest } from "./fault-server.ts";

export type ChatUsage = { readonly input: number; readonly output: number; readonly cached?: number };

export type ChatAnswer = {
  /** A string is cut into words; a list is sent as it is, an element a token. */
  readonly text?: string | readonly string[];
  readonly tools?: readonly { readonly id?: string; readonly name: string; readonly input: unknown }[];
  /** Between two tokens. Default 0: all at once. */
  readonly paceMs?: number;
  /** Before the headers, and between headers and the first token. */
  readonly headersDelayMs?: number;
  readonly firstTokenDelayMs?: number;
  /** Default: 10 input tokens and one output token a token sent. False: none is told. */
  readonly usage?: ChatUsage | false;
  /** Default: `tool_calls` with tools, else `stop`. */
  readonly finish?: string;
  /** Of each token, where the request asks for it. */
  readonly logprob?: number;
  readonly model?: string;
  readonly headers?: Headers;
  /** After this many tokens the stream goes wrong. */
  readonly cut?: { readonly after: number; readonly by: "end" | "reset" | "hang" | "error" };
  /** Sent as an error object with `cut.by: "error"`. */
  readonly error?: unknown;
  /** Default true: ends with `[DONE]`. */
  readonly done?: boolean;
};

/** A handler that always answers so. */
export const chat =
  (answer: ChatAnswer): FaultHandler =>
  (request) =>
    chatScript(request, answer);

/** A handler that gives each request the next answer, and the last one from then on. */
export function chats(answers: readonly (ChatAnswer | Script)[]): FaultHandler {
  let index = 0;
  return (request) => {
    const answer = answers[Math.min(index++, answers.length - 1)]!;
    return isScript(answer) ? answer : chatScript(request, answer);
  };
}

const isScript = (answer: ChatAnswer | Script): answer is Script => Array.isArray(answer);

/** An error answer as OpenAI sends it. */
export const chatError = (status: number, message: string, more: { type?: string; code?: string | null; headers?: Headers } = {}): Script =>
  json(status, { error: { message, type: more.type ?? "server_error", param: null, code: more.code ?? null } }, more.headers);

export function chatScript(request: FaultRequest, answer: ChatAnswer): Script {
  const asked = request.json();
  const model = answer.model ?? asked.model;
  const tokens = typeof answer.text === "string" ? words(answer.text) : (answer.text ?? []);
  const tools = (answer.tools ?? []).map(({ id, name, input }, index) => ({
    index,
    id: id ?? `call_${index}`,
    type: "function",
    function: { name, arguments: typeof input === "string" ? input : JSON.stringify(input) },
  }));
  const finish = answer.finish ?? (tools.length > 0 ? "tool_calls" : "stop");
  const counts = answer.usage ?? { input: 10, output: Math.max(1, tokens.length + tools.length) };
  const usage = counts && {
    prompt_tokens: counts.input,
    completion_tokens: counts.output,
    total_tokens: counts.input + counts.output,
    prompt_tokens_details: { cached_tokens: counts.cached ?? 0 },
  };
  const logprobs = (said: readonly string[]): unknown =>
    asked.logprobs && answer.logprob !== undefined ? { content: said.map((token) => ({ token, logprob: answer.logprob })) } : null;
  const wait = (ms: number | undefined): Step[] => (ms ? [{ delayMs: ms }] : []);
  if (!asked.stream) {
    const message = {
      role: "assistant",
      content: tokens.length > 0 ? tokens.join("") : null,
      refusal: null,
      ...(tools.length > 0 && { tool_calls: tools.map(({ index: _, ...tool }) => tool) }),
    };
    const value = {
      id: "chatcmpl-scripted",
      object: "chat.completion",
      created: 1_700_000_000,
      model,
      choices: [{ index: 0, message, logprobs: logprobs(tokens), finish_reason: finish }],
      ...(usage && { usage }),
    };
    const [start, content] = json(200, value, answer.headers);
    return [...wait((answer.headersDelayMs ?? 0) + (answer.firstTokenDelayMs ?? 0)), start!, { ...content!, text: tokens }];
  }
  const piece = (delta: { content?: string; [key: string]: unknown }, finishReason: string | null = null): string =>
    event({
      id: "chatcmpl-scripted",
      object: "chat.completion.chunk",
      created: 1_700_000_000,
      model,
      choices: [{ index: 0, delta, logprobs: delta.content ? logprobs([delta.content]) : null, finish_reason: finishReason }],
    });
  const steps: Step[] = [
    ...wait(answer.headersDelayMs),
    head(200, { ...streamHeaders, "transfer-encoding": "chunked", ...answer.headers }),
    ...wait(answer.firstTokenDelayMs),
    chunk(piece({ role: "assistant", content: "" })),
  ];
  for (const [index, token] of tokens.entries()) {
    if (answer.cut?.after === index) return [...steps, ...broken(answer)];
    if (index > 0) steps.push(...wait(answer.paceMs));
    steps.push(chunk(piece({ content: token }), token));
  }
  if (answer.cut) return [...steps, ...broken(answer)];
  for (const tool of tools) {
    steps.push(chunk(piece({ tool_calls: [{ ...tool, function: { name: tool.function.name, arguments: "" } }] })));
    for (const part of tool.function.arguments.match(/[\s\S]{1,16}/g) ?? [])
      steps.push(...wait(answer.paceMs), chunk(piece({ tool_calls: [{ index: tool.index, function: { arguments: part } }] })));
  }
  steps.push(chunk(piece({}, finish)));
  if (usage && asked.stream_options?.include_usage)
    steps.push(
      chunk(event({ id: "chatcmpl-scripted", object: "chat.completion.chunk", created: 1_700_000_000, model, choices: [], usage })),
    );
  if (answer.done !== false) steps.push(chunk(event("[DONE]")));
  return [...steps, lastChunk];
}

function broken({ cut, error }: ChatAnswer): Script {
  if (cut?.by === "reset") return [{ reset: true }];
  if (cut?.by === "hang") return [{ hang: true }];
  if (cut?.by === "error")
    return [chunk(event({ error: error ?? { message: "The server is overloaded.", type: "overloaded", code: null } })), lastChunk];
  // The last chunk is there: the body is complete as framed, which is the fault that clients overlook.
  return [lastChunk, { end: true }];
}

/** Words with the space before them, as tokens look. */
const words = (text: string): readonly string[] => text.match(/\s*\S+|\s+$/g) ?? [];
