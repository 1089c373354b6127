/**
 * The offline server: a scripted conversation behind OpenAI's chat completions, on loopback, so that everything works without a key
 * and over the same wire as with one. `conversation.ts` owns what is said; this file owns HTTP, pace and usage.
 *
 * Usage counts words, which are this script's tokens, unless it is told how to count.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { ChatCompletion, ChatCompletionChunk } from "openai/resources/chat/completions";
import { connectHint, type Reply, reply } from "./conversation.ts";
import type { Line } from "./script.ts";

export type OfflineOptions = {
  /** Milliseconds between two words of a stream; 25. */
  readonly paceMs?: number;
  /** How a model is connected; ends the replies that no script fits. */
  readonly hint?: string;
  /** Answers that come before the conversation's own. They are no model's either: the tier or the log says so. */
  readonly script?: readonly Line[];
  /** How usage is counted; by words. */
  readonly count?: (text: string) => number;
};

export type Offline = {
  /** The base URL, with `/v1`. */
  readonly url: string;
  close(): Promise<void>;
};

const model = "scripted";
const maxBodyBytes = 16 * 1024 * 1024;

/** Listens on a free port of 127.0.0.1. */
export async function startOffline(options: OfflineOptions = {}): Promise<Offline> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The offline server has no port.");
  return {
    url: `http://127.0.0.1:${address.port}/v1`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: OfflineOptions): Promise<void> {
  const path = request.url?.split("?")[0];
  if (request.method === "GET" && path === "/v1/models")
    return sendJson(response, 200, { object: "list", data: [{ id: model, object: "model", created: 0, owned_by: "escapement" }] });
  if (request.method !== "POST" || path !== "/v1/chat/completions")
    return sendError(response, 404, `There is nothing at ${request.method} ${path}; the offline server answers POST /v1/chat/completions.`);
  const asked = await readBody(request);
  if (typeof asked === "string") return sendError(response, 400, asked);
  const said = fitSchema(
    reply({ messages: asked.messages, tools: toolNames(asked.tools) }, options.hint ?? connectHint, options.script),
    asked.response_format,
  );
  const usage = usageOf(asked, said, options.count ?? words);
  const named = typeof asked.model === "string" ? asked.model : model;
  if (asked.stream !== true) return sendJson(response, 200, completion(named, said, usage));
  await sendStream(response, named, said, asked.stream_options?.include_usage === true ? usage : undefined, options.paceMs ?? 25);
}

/** What of the body is read; members of other types are treated as missing. */
type Asked = {
  readonly model?: unknown;
  readonly messages: readonly { readonly role?: unknown; readonly content?: unknown; readonly tool_calls?: unknown }[];
  readonly tools?: unknown;
  readonly stream?: unknown;
  readonly stream_options?: { readonly include_usage?: unknown };
  readonly response_format?: { readonly type?: unknown; readonly json_schema?: { readonly schema?: unknown } };
};

async function readBody(request: IncomingMessage): Promise<Asked | string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return `The body is larger than ${maxBodyBytes} bytes.`;
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const messages = (value as { messages?: unknown } | null)?.messages;
    if (!Array.isArray(messages) || messages.some((message) => typeof message !== "object" || message === null))
      return "The body needs `messages`: a list of objects.";
    return value as Asked; // each member is looked at where it is used
  } catch {
    return "The body is no JSON.";
  }
}

const toolNames = (tools: unknown): readonly string[] => (Array.isArray(tools) ? tools.map((tool) => String(tool?.function?.name)) : []);

type Said = Reply | { readonly refusal: string };

/**
 * A script fits no schema but one: an object of plain texts, of which the first required one is given the answer. What was written down
 * as an object is its author's. Anything else is refused rather than made up.
 */
function fitSchema(said: Reply, format: Asked["response_format"]): Said {
  if (!("text" in said) || format?.type === undefined || format.type === "text" || said.text.startsWith("{")) return said;
  const schema = format.json_schema?.schema as
    | { properties?: { [name: string]: { type?: unknown; enum?: unknown } }; required?: string[] }
    | undefined; // looked at below
  const required = Array.isArray(schema?.required) ? schema.required : [];
  const fields = required.map((name) => schema?.properties?.[name]);
  if (fields.length !== 1 || fields[0]?.type !== "string" || fields[0].enum !== undefined)
    return { refusal: `Answers here are scripted and cannot fill this schema. ${said.text}` };
  return { text: JSON.stringify({ [required[0]!]: said.text }) };
}

type Usage = NonNullable<ChatCompletion["usage"]>;

const words = (text: string): number => text.match(/\S+/g)?.length ?? 0;
/** Tokens around each message and before the answer (OpenAI cookbook, "How to count tokens with tiktoken"); words have none. */
const framing = 3;

function usageOf({ messages, tools, response_format: format }: Asked, said: Said, count: (text: string) => number): Usage {
  const json = (value: unknown): number => (value === undefined || value === null ? 0 : count(JSON.stringify(value)));
  const asked = messages.map(({ content }) => (typeof content === "string" ? count(content) : json(content)));
  const around =
    count === words
      ? []
      : [framing * (messages.length + 1), json(tools), json(format?.json_schema), ...messages.map(({ tool_calls }) => json(tool_calls))];
  const input = Math.max(
    1,
    [...asked, ...around].reduce((a, b) => a + b, 0),
  );
  const output = Math.max(1, count("tools" in said ? JSON.stringify(said.tools) : "text" in said ? said.text : said.refusal));
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
}

let answers = 0;
const created = (): number => Math.floor(Date.now() / 1_000);
const newId = (): string => `chatcmpl-offline-${++answers}`;
const finishOf = (said: Said): "tool_calls" | "stop" => ("tools" in said ? "tool_calls" : "stop");

const toolCalls = (said: Extract<Said, { tools: unknown }>, id: string) =>
  said.tools.map(({ name, input }, index) => ({
    id: `${id}-${index}`,
    type: "function" as const,
    function: { name, arguments: JSON.stringify(input) },
  }));

function completion(model: string, said: Said, usage: Usage): ChatCompletion {
  const id = newId();
  const message = {
    role: "assistant" as const,
    content: "text" in said ? said.text : null,
    refusal: "refusal" in said ? said.refusal : null,
    ...("tools" in said && { tool_calls: toolCalls(said, id) }),
  };
  return {
    id,
    object: "chat.completion",
    created: created(),
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishOf(said) }],
    usage,
  };
}

async function sendStream(response: ServerResponse, model: string, said: Said, usage: Usage | undefined, paceMs: number): Promise<void> {
  const base = { id: newId(), object: "chat.completion.chunk" as const, created: created(), model };
  type Choice = ChatCompletionChunk["choices"][number];
  const send = (delta: Choice["delta"], finish: Choice["finish_reason"] = null): void => {
    const value: ChatCompletionChunk = { ...base, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] };
    response.write(`data: ${JSON.stringify(value)}\n\n`);
  };
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  send({ role: "assistant", content: "" });
  if ("tools" in said) for (const [index, call] of toolCalls(said, base.id).entries()) send({ tool_calls: [{ index, ...call }] });
  else {
    const text = "text" in said ? said.text : said.refusal;
    for (const [index, word] of (text.match(/\s*\S+/g) ?? []).entries()) {
      if (index > 0 && paceMs > 0) await pause(response, paceMs);
      if (response.destroyed) return;
      send("text" in said ? { content: word } : { refusal: word });
    }
  }
  send({}, finishOf(said));
  if (usage) response.write(`data: ${JSON.stringify({ ...base, choices: [], usage } satisfies ChatCompletionChunk)}\n\n`);
  response.end("data: [DONE]\n\n");
}

/** Waits, or until the client leaves. */
function pause(response: ServerResponse, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      response.off("close", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    response.once("close", over);
  });
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function sendError(response: ServerResponse, status: number, message: string): void {
  sendJson(response, status, { error: { message, type: "invalid_request_error", param: null, code: null } });
}
