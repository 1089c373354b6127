/**
 * The wire of Anthropic's messages. Proof of the end: `message_stop`.
 *
 * Thinking must go back unread and in its place, so an answer that thought carries the order of its blocks as `opaque`:
 * thinking blocks as they came, the words "text" and "tool" where the message's own text and tools stood.
 * Usage of a stream comes in two parts; only with the second (`message_delta`) are the output tokens final.
 *
 * The prompt cache is asked for by marks, four at most: behind the tools, the system prompt, the last message, and the message that was
 * last in the call before, since a mark is only looked for 20 blocks back and a step may have more ("Prompt caching" in its documents).
 */
import type {
  ContentBlockParam,
  ImageBlockParam,
  TextBlockParam,
  Tool,
  ToolUseBlockParam,
} from "@anthropic-ai/sdk/resources/messages/messages";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { ContentPart, Message } from "../protocol/messages.ts";
import { members, type Parameters, parameterWriter, perObject, plainText, systemText } from "./parameters.ts";
import type { ProviderRequest, ProviderUsage, ToolSpec } from "./provider.ts";
import { closedSchema } from "./schemas.ts";
import { Skimmer } from "./skimmer.ts";
import { inputObject, ToolRequests } from "./tool-requests.ts";
import { joinTurns, type Turn } from "./turns.ts";
import { type Answer, asAnswer, count, type Output, type Reader, type Result, string, type Wire, type Written } from "./wire.ts";

const reserved = ["model", "messages", "system", "stream", "tools", "max_tokens"];

export function anthropicWire(name: string): Wire {
  const parametersOf = parameterWriter(reserved);
  // `output_config` also holds the schema; what the parameters say of it is joined with that.
  const parametersBesideSchema = parameterWriter(reserved, (parameters) => members({ ...parameters, output_config: undefined }));
  // What goes back of an answer depends on whose answer it was, so the cache is the provider's own.
  const turnOf = perObject((message: Message) => writeTurn(message, name));
  return {
    write(request): Written | ErrorBody {
      const { schema, parameters, tools } = request;
      const more = parameters ? (schema ? parametersBesideSchema : parametersOf)(parameters as Parameters) : "";
      if (typeof more !== "string") return more;
      const system = systemText(request);
      const wireTools = tools?.length ? toolsOf(tools) : "";
      const turns = request.messages.map(turnOf);
      const marks = request.promptCache ? marksOf(wireTools, system, turns) : noMarks;
      const messages = joinTurns(
        marks.turns.length > 0 ? turns.map((turn, i) => (marks.turns.includes(i) ? marked(turn) : turn)) : turns,
        "content",
      );
      let body = `{"model":${JSON.stringify(request.model)},"max_tokens":${request.maxOutputTokens},"messages":[${messages}]`;
      if (system !== "")
        body += `,"system":${marks.system ? `[{"type":"text","text":${JSON.stringify(system)}${mark}}]` : JSON.stringify(system)}`;
      if (request.stream) body += ',"stream":true';
      body += marks.tools ? `${wireTools.slice(0, -"}]".length)}${mark}}]` : wireTools;
      if (schema) body += outputConfig(schema, parameters?.output_config);
      return { path: "/messages", body: `${body}${more}}` };
    },
    read: (_request, output) => new AnthropicReader(output),
  };
}

const mark = ',"cache_control":{"type":"ephemeral"}';

/** Shorter beginnings are kept for no model: the least that one asks for are 512 tokens, and a token is three bytes and more. */
const leastBytes = 3 * 512;

type Marks = { readonly tools: boolean; readonly system: boolean /** Places of turns. */; readonly turns: readonly number[] };
const noMarks: Marks = { tools: false, system: false, turns: [] };

/** Where marks pay: what is written costs a quarter more, what is read a tenth. So messages are marked where the conversation goes on. */
function marksOf(tools: string, system: string, turns: readonly Turn[]): Marks {
  const toolBytes = Buffer.byteLength(tools);
  const headBytes = toolBytes + Buffer.byteLength(system);
  const answered = turns.findLastIndex(({ role }) => role === "assistant");
  const goesOn = tools !== "" || answered >= 0;
  const isUsers = ({ role, blocks }: Turn): boolean => role === "user" && blocks !== "";
  const last = turns.findLastIndex(isUsers);
  const before = turns.slice(0, Math.max(0, answered)).findLastIndex(isUsers);
  let bytes = headBytes;
  const long = turns.flatMap(({ blocks }, i) => {
    bytes += Buffer.byteLength(blocks);
    return (i === last || i === before) && bytes >= leastBytes ? [i] : [];
  });
  return { tools: toolBytes >= leastBytes, system: system !== "" && headBytes >= leastBytes, turns: goesOn ? long : [] };
}

/** With a mark at its last block. */
const marked = ({ role, blocks }: Turn): Turn => ({ role, blocks: `${blocks.slice(0, -1)}${mark}}` });

function outputConfig(schema: NonNullable<ProviderRequest["schema"]>, given: Json | undefined): string {
  const config = { ...asAnswer(given), format: { type: "json_schema", schema: formatOf(schema) } };
  return `,"output_config":${JSON.stringify(config)}`;
}

const formatOf = perObject(({ schema }: NonNullable<ProviderRequest["schema"]>): Json => closedSchema(schema));

const toolsOf = perObject((tools: readonly ToolSpec[]): string => {
  const wire = tools.map(
    ({ name, description, schema }): Tool => ({
      name,
      description,
      // A tool's schema is an object's schema: `tool()` makes no other.
      input_schema: schema as Tool["input_schema"],
    }),
  );
  return `,"tools":${JSON.stringify(wire)}`;
});

function writeTurn(message: Message, name: string): Turn {
  switch (message.role) {
    // In the one system prompt: not every model takes them in between.
    case "system":
      return { role: undefined, blocks: "" };
    case "user":
      return { role: "user", blocks: written(userBlocks(message.content)) };
    case "tool":
      return {
        role: "user",
        blocks: written([
          { type: "tool_result", tool_use_id: message.id, content: message.content, ...(message.error && { is_error: true }) },
        ]),
      };
    case "assistant":
      return { role: "assistant", blocks: written(assistantBlocks(message, name)) };
  }
}

const written = (blocks: readonly ContentBlockParam[]): string => JSON.stringify(blocks).slice(1, -1);

const userBlocks = (content: string | readonly ContentPart[]): ContentBlockParam[] =>
  typeof content === "string"
    ? textBlocks(content)
    : content.flatMap((part): ContentBlockParam[] => (part.type === "text" ? textBlocks(part.text) : [imageBlock(part.url)]));

/** Blocks without words are refused by the API. */
const textBlocks = (text: string): TextBlockParam[] => (text.trim() === "" ? [] : [{ type: "text", text }]);

function imageBlock(url: string): ImageBlockParam {
  const data = /^data:(image\/[^;]+);base64,(.*)$/is.exec(url);
  if (!data) return { type: "image", source: { type: "url", url } };
  // Other image types are the API's to refuse: it says which ones it takes.
  const mediaType = data[1]!.toLowerCase() as "image/png";
  return { type: "image", source: { type: "base64", media_type: mediaType, data: data[2]! } };
}

function assistantBlocks(message: Extract<Message, { role: "assistant" }>, name: string): ContentBlockParam[] {
  const text = textBlocks(plainText(message.content));
  const tools = (message.tools ?? []).map(
    ({ id, name, input }): ToolUseBlockParam => ({ type: "tool_use", id, name, input: inputObject(input) }),
  );
  const blocks: ContentBlockParam[] = [];
  const order = message.opaque?.provider === name && Array.isArray(message.opaque.value) ? message.opaque.value : [];
  for (const place of order as readonly Json[]) {
    if (place === "text") blocks.push(...text.splice(0));
    else if (place === "tool") blocks.push(...tools.splice(0, 1));
    // Thinking as it came from the API.
    else if (asAnswer(place)) blocks.push(place as unknown as ContentBlockParam);
  }
  return [...blocks, ...text, ...tools];
}

class AnthropicReader implements Reader {
  readonly #output: Output;
  #skimmer: Skimmer | undefined;
  #model = "";
  #stop = "";
  #tools: ToolRequests | undefined;
  /** The order of the blocks, once there was thinking or may be. */
  #order: Json[] = [];
  #thinking: { type: "thinking"; thinking: string; signature: string } | undefined;
  #thought = false;
  #usage: { [name: string]: number } = {};
  #usageIsFinal = false;
  done = false;
  get proven(): boolean {
    return this.done;
  }

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
    switch (value.type) {
      case "message_start":
        this.#envelope(asAnswer(value.message));
        break;
      case "content_block_start":
        this.#output.began();
        this.#block(asAnswer(value.content_block), value.index);
        break;
      case "content_block_delta":
        this.#delta(asAnswer(value.delta), value.index, data);
        break;
      case "content_block_stop":
        this.#endThinking();
        break;
      case "message_delta":
        this.#stop = string(asAnswer(value.delta)?.stop_reason) || this.#stop;
        this.#usageIsFinal = count(asAnswer(value.usage)?.output_tokens) !== undefined;
        this.#count(value.usage);
        break;
      case "message_stop":
        this.done = true;
        break;
      case "error":
        this.#output.error(value);
        break;
      // `ping`, and what the API may add.
      default:
    }
  }

  answer(value: Answer): void {
    if (value.type === "error") {
      this.#output.error(value);
      return;
    }
    this.#envelope(value);
    this.#usageIsFinal = count(asAnswer(value.usage)?.output_tokens) !== undefined;
    if (!Array.isArray(value.content)) return;
    for (const [index, block] of value.content.entries()) {
      this.#block(asAnswer(block), index);
      this.#endThinking();
    }
    this.#stop = string(value.stop_reason);
    this.done = this.#stop !== "";
  }

  result(): Result {
    const finish = this.#finish();
    return {
      finish,
      tools: finish === "tools" ? this.#tools : undefined,
      opaque: this.#thought ? this.#order : undefined,
      usage: this.#told(),
      model: this.#model,
    };
  }

  #envelope(message: Answer | undefined): void {
    this.#model = string(message?.model);
    this.#count(message?.usage);
  }

  #block(block: Answer | undefined, index: unknown): void {
    switch (block?.type) {
      case "text":
        this.#order.push("text");
        this.#output.text(string(block.text));
        break;
      case "thinking":
        this.#thought = true;
        this.#thinking = { type: "thinking", thinking: string(block.thinking), signature: string(block.signature) };
        this.#output.reasoning(this.#thinking.thinking);
        break;
      case "redacted_thinking":
        this.#thought = true;
        this.#order.push({ type: "redacted_thinking", data: string(block.data) });
        break;
      case "tool_use": {
        this.#order.push("tool");
        this.#tools ??= new ToolRequests();
        const input = asAnswer(block.input);
        this.#output.hidden(string(block.name));
        // Streams begin with an empty object and send the text of the input afterwards.
        if (input && Object.keys(input).length > 0) {
          this.#tools.whole(string(block.id), string(block.name), input as Json);
          this.#output.hidden(JSON.stringify(input));
        } else this.#tools.open(Number(index), string(block.id), string(block.name));
        this.#checkTools();
        break;
      }
      default:
    }
  }

  #delta(delta: Answer | undefined, index: unknown, data: string): void {
    switch (delta?.type) {
      case "text_delta": {
        const text = string(delta.text);
        this.#output.text(text);
        this.#skimmer ??= new Skimmer();
        this.#skimmer.learn(data, text, textOfEvent);
        break;
      }
      case "input_json_delta":
        this.#output.began();
        this.#tools?.append(Number(index), string(delta.partial_json));
        this.#output.hidden(string(delta.partial_json));
        this.#checkTools();
        break;
      case "thinking_delta":
        if (this.#thinking) this.#thinking.thinking += string(delta.thinking);
        this.#output.reasoning(string(delta.thinking));
        break;
      case "signature_delta":
        if (this.#thinking) this.#thinking.signature += string(delta.signature);
        break;
      default:
    }
  }

  #endThinking(): void {
    if (this.#thinking) this.#order.push(this.#thinking);
    this.#thinking = undefined;
  }

  #checkTools(): void {
    if (this.#tools?.problem) this.#output.reject("invalid_output", this.#tools.problem);
  }

  #count(usage: unknown): void {
    for (const [name, value] of Object.entries(asAnswer(usage) ?? {})) {
      const tokens = count(value);
      if (tokens !== undefined) this.#usage[name] = tokens;
    }
  }

  /** Anthropic counts cached input apart; ours is part of the input. */
  #told(): ProviderUsage | undefined {
    const { input_tokens: plain, output_tokens: outputTokens } = this.#usage;
    if (!this.#usageIsFinal || plain === undefined || outputTokens === undefined) return undefined;
    const cachedTokens = this.#usage.cache_read_input_tokens ?? 0;
    const cacheWriteTokens = this.#usage.cache_creation_input_tokens ?? 0;
    return { inputTokens: plain + cachedTokens + cacheWriteTokens, cachedTokens, cacheWriteTokens, outputTokens };
  }

  #finish(): Result["finish"] {
    switch (this.#stop) {
      case "max_tokens":
      case "model_context_window_exceeded":
        return "length";
      case "refusal":
        return "refused";
      default:
        return this.#tools?.size ? "tools" : "stop";
    }
  }
}

const textOfEvent = (value: Answer): unknown => (value.type === "content_block_delta" ? asAnswer(value.delta)?.text : undefined);
