/**
 * The wire of OpenAI's chat completions, which most servers speak. `openai.ts` and `presets.ts` say what each server lacks.
 *
 * Proof of the end: a `finish_reason`; then `[DONE]` or the end of the connection (servers that omit `[DONE]` exist).
 * Usage comes in a last chunk without choices, on the finish chunk (llama.cpp), or as `x_groq`.
 */
import type { ChatCompletionContentPart, ChatCompletionFunctionTool, ChatCompletionMessageParam } from "openai/resources/chat/completions";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { ContentPart, Message } from "../protocol/messages.ts";
import { type Parameters, parameterWriter, perObject, plainText, schemaInstruction } from "./parameters.ts";
import type { ProviderRequest, ProviderUsage, ToolSpec } from "./provider.ts";
import { isStrict, schemaName } from "./schemas.ts";
import { Skimmer } from "./skimmer.ts";
import { inputObject, ToolRequests } from "./tool-requests.ts";
import { type Answer, asAnswer, count, type Output, type Reader, type Result, string, type Wire, type Written } from "./wire.ts";

/** How a server differs from OpenAI's own. */
export type ChatDialect = {
  readonly maxTokens: "max_completion_tokens" | "max_tokens";
  /** Knows `stream_options: {include_usage}`; without it some refuse the request. */
  readonly streamOptions: boolean;
  /** How it can be held to a schema: by OpenAI's form of it, by TGI's; only to be JSON, not at all. The latter two are helped by an instruction. */
  readonly schema: "json_schema" | "json_value" | "json_object" | "none";
  /** Takes `prompt_cache_key`: calls with the same one go to the same machines, where a long beginning is still in memory. */
  readonly cacheKey?: boolean;
};

const reserved = [
  "model",
  "messages",
  "stream",
  "stream_options",
  "tools",
  "max_tokens",
  "max_completion_tokens",
  "n",
  "best_of",
  "use_beam_search",
];

export function chatWire(dialect: ChatDialect): Wire {
  const parametersOf = parameterWriter(reserved);
  const parametersBesideSchema = parameterWriter([...reserved, "response_format"]);
  const schemaOf = perObject((schema: NonNullable<ProviderRequest["schema"]>) => writeSchema(dialect, schema));
  return {
    write(request): Written | ErrorBody {
      const { schema, parameters, tools, instructions } = request;
      const more: string | ErrorBody = parameters ? (schema ? parametersBesideSchema : parametersOf)(parameters as Parameters) : "";
      if (typeof more !== "string") return more;
      const format = schema ? schemaOf(schema) : undefined;
      const system = join(instructions, format?.instruction);
      let messages = system === "" ? "" : JSON.stringify({ role: "system", content: system } satisfies ChatCompletionMessageParam);
      for (const message of request.messages) messages += messages === "" ? messageOf(message) : `,${messageOf(message)}`;
      let body = `{"model":${JSON.stringify(request.model)},"messages":[${messages}],"${dialect.maxTokens}":${request.maxOutputTokens}`;
      if (request.stream) body += dialect.streamOptions ? ',"stream":true,"stream_options":{"include_usage":true}' : ',"stream":true';
      if (tools?.length) body += toolsOf(tools);
      if (format) body += format.body;
      if (dialect.cacheKey) body += cacheKey(request);
      return { path: "/chat/completions", body: `${body}${more}}` };
    },
    read: (_request, output) => new ChatReader(output),
  };
}

/** `,"prompt_cache_key":…` unless the parameters say one. */
export const cacheKey = ({ promptCache, parameters }: ProviderRequest): string =>
  promptCache && parameters?.prompt_cache_key === undefined ? `,"prompt_cache_key":${JSON.stringify(promptCache.key)}` : "";

const join = (a: string | undefined, b: string | undefined): string => (a && b ? `${a}\n\n${b}` : (a ?? b ?? ""));

const messageOf = perObject((message: Message): string => JSON.stringify(chatMessage(message)));

function chatMessage(message: Message): ChatCompletionMessageParam {
  switch (message.role) {
    case "system":
      return { role: "system", content: plainText(message.content) };
    case "user":
      return { role: "user", content: typeof message.content === "string" ? message.content : message.content.map(chatPart) };
    case "tool":
      return { role: "tool", tool_call_id: message.id, content: message.error ? failed(message.content) : message.content };
    case "assistant": {
      const content = plainText(message.content);
      if (!message.tools?.length) return { role: "assistant", content };
      return {
        role: "assistant",
        content: content === "" ? null : content,
        tool_calls: message.tools.map(({ id, name, input }) => ({
          id,
          type: "function",
          function: { name, arguments: JSON.stringify(inputObject(input)) },
        })),
      };
    }
  }
}

/** The wire has no mark for a failed tool, so the words must say it. */
export const failed = (content: string): string => (/^\s*(error\b|\{"error")/i.test(content) ? content : `Error: ${content}`);

const chatPart = (part: ContentPart): ChatCompletionContentPart =>
  part.type === "text" ? { type: "text", text: part.text } : { type: "image_url", image_url: { url: part.url } };

const toolsOf = perObject((tools: readonly ToolSpec[]): string => {
  const wire = tools.map(
    ({ name, description, schema }): ChatCompletionFunctionTool => ({
      type: "function",
      // A JSON schema is an object; the SDK's type says no more than that.
      function: { name, description, parameters: schema as { [key: string]: unknown } },
    }),
  );
  return `,"tools":${JSON.stringify(wire)}`;
});

function writeSchema(dialect: ChatDialect, { name, schema }: { name: string; schema: Json }): { body: string; instruction?: string } {
  if (dialect.schema === "none") return { body: "", instruction: schemaInstruction(schema) };
  if (dialect.schema === "json_object")
    return { body: ',"response_format":{"type":"json_object"}', instruction: schemaInstruction(schema) };
  if (dialect.schema === "json_value") return { body: `,"response_format":${JSON.stringify({ type: "json_object", value: schema })}` };
  const format = { type: "json_schema", json_schema: { name: schemaName(name), schema, strict: isStrict(schema) } };
  return { body: `,"response_format":${JSON.stringify(format)}` };
}

class ChatReader implements Reader {
  readonly #output: Output;
  #skimmer: Skimmer | undefined;
  #model = "";
  #finish = "";
  #refused = false;
  #tools: ToolRequests | undefined;
  #usage: ProviderUsage | undefined;
  proven = false;
  readonly done = false;
  /** Set by `#choice`: what the event held besides text. */
  #others = false;

  constructor(output: Output) {
    this.#output = output;
  }

  skim(data: string): boolean {
    const text = this.#skimmer?.skim(data);
    if (text === undefined) return false;
    this.#output.text(text);
    return true;
  }

  event(value: Answer, data: string): void {
    this.#others = false;
    const choice = this.#envelope(value);
    if (!choice) return;
    const delta = asAnswer(choice.delta);
    const text = delta ? this.#message(delta) : "";
    this.#finished(choice.finish_reason);
    if (text !== "" && !this.#others) {
      this.#skimmer ??= new Skimmer();
      this.#skimmer.learn(data, text, textOfEvent);
    }
  }

  answer(value: Answer): void {
    const choice = this.#envelope(value);
    const message = choice && asAnswer(choice.message);
    if (!choice || !message) return;
    this.#message(message);
    this.#finished(choice.finish_reason);
  }

  result(): Result {
    const tools = this.#tools;
    return {
      finish: this.#finishReason(),
      usage: this.#usage,
      model: this.#model,
      tools: this.#finishReason() === "tools" ? tools : undefined,
    };
  }

  #envelope(value: Answer): Answer | undefined {
    if (value.error || value.object === "error") {
      this.#output.error(value);
      return undefined;
    }
    if (this.#model === "") this.#model = string(value.model);
    const usage = value.usage ?? asAnswer(value.x_groq)?.usage;
    if (usage) {
      this.#others = true;
      this.#usage = usageOf(usage) ?? this.#usage;
    }
    // More than one choice cannot be asked for.
    return Array.isArray(value.choices) ? asAnswer(value.choices[0]) : undefined;
  }

  /** A delta or a whole message; returns its plain text. */
  #message(message: Answer): string {
    const reasoning = string(message.reasoning_content) || string(message.reasoning);
    if (reasoning !== "") {
      this.#others = true;
      this.#output.reasoning(reasoning);
    }
    const { content, refusal, tool_calls: tools } = message;
    if (typeof content === "string") this.#output.text(content);
    else if (Array.isArray(content)) this.#parts(content);
    if (typeof refusal === "string" && refusal !== "") {
      this.#others = true;
      this.#refused = true;
      this.#output.text(refusal);
    }
    if (Array.isArray(tools)) this.#toolCalls(tools);
    return string(content);
  }

  /** Mistral's form of content. */
  #parts(parts: readonly unknown[]): void {
    this.#others = true;
    for (const value of parts) {
      const part = asAnswer(value);
      if (part?.type === "text") this.#output.text(string(part.text));
      else if (part?.type === "thinking" && Array.isArray(part.thinking))
        for (const inner of part.thinking) this.#output.reasoning(string(asAnswer(inner)?.text));
    }
  }

  #toolCalls(calls: readonly unknown[]): void {
    this.#others = true;
    for (const [position, value] of calls.entries()) {
      const call = asAnswer(value);
      const made = asAnswer(call?.function);
      if (!call || !made) continue;
      this.#output.began();
      this.#tools ??= new ToolRequests();
      const key = typeof call.index === "number" ? call.index : position;
      this.#tools.open(key, string(call.id) || undefined, string(made.name) || undefined);
      // Ollama's own form gives an object.
      const given = asAnswer(made.arguments) ? JSON.stringify(made.arguments) : string(made.arguments);
      if (given !== "") this.#tools.append(key, given);
      this.#output.hidden(string(made.name) + given);
      if (this.#tools.problem) this.#output.reject("invalid_output", this.#tools.problem);
    }
  }

  #finished(reason: unknown): void {
    if (typeof reason !== "string" || reason === "") return;
    this.#others = true;
    // OpenRouter's and some gateways' word for an upstream failure.
    if (reason === "error") this.#output.error({ message: "the model stopped with an error" });
    else this.proven = true;
    this.#finish = reason;
  }

  #finishReason(): Result["finish"] {
    if (this.#refused) return "refused";
    if (this.#finish === "length") return "length";
    if (this.#finish === "content_filter") return "filtered";
    // Some servers say `stop` when they ask for tools. Words of others (`eos_token`, `stop_sequence`) mean a stop.
    return this.#tools?.size ? "tools" : "stop";
  }
}

function textOfEvent(value: Answer): unknown {
  return Array.isArray(value.choices) ? asAnswer(asAnswer(value.choices[0])?.delta)?.content : undefined;
}

function usageOf(value: unknown): ProviderUsage | undefined {
  const usage = asAnswer(value);
  const inputTokens = count(usage?.prompt_tokens);
  const outputTokens = count(usage?.completion_tokens);
  if (!usage || inputTokens === undefined || outputTokens === undefined) return undefined;
  const details = asAnswer(usage.prompt_tokens_details);
  return {
    inputTokens,
    cachedTokens: count(details?.cached_tokens) ?? count(usage.prompt_cache_hit_tokens) ?? 0,
    cacheWriteTokens: count(details?.cache_write_tokens) ?? 0,
    outputTokens,
  };
}
