/**
 * The wire of OpenAI's responses. Proof of the end: `response.completed`, `response.incomplete` or `response.failed`.
 *
 * Nothing is kept at OpenAI (`store: false`) unless the parameters say so. When reasoning is asked for, it comes back encrypted and
 * goes out again with the next step: `opaque` is the list of reasoning items.
 */
import type {
  FunctionTool,
  ResponseFunctionCallOutputItemList,
  ResponseInputContent,
  ResponseInputItem,
  ResponseReasoningItem,
} from "openai/resources/responses/responses";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { ContentPart, Message } from "../protocol/messages.ts";
import { cacheKey, failed } from "./openai-chat.ts";
import { members, type Parameters, parameterWriter, perObject, plainText } from "./parameters.ts";
import type { ProviderRequest, ProviderUsage, ToolSpec } from "./provider.ts";
import { isStrict, schemaName } from "./schemas.ts";
import { inputObject, ToolRequests } from "./tool-requests.ts";
import { type Answer, asAnswer, count, type Output, type Reader, type Result, string, type Wire, type Written } from "./wire.ts";

const reserved = [
  "model",
  "input",
  "instructions",
  "stream",
  "tools",
  "max_output_tokens",
  "background",
  "conversation",
  "previous_response_id",
];

/** `keyed`: takes `prompt_cache_key`. */
export function responsesWire(name: string, keyed: boolean): Wire {
  const parametersOf = parameterWriter(reserved, withDefaults);
  // `text` also holds the schema; what the parameters say of it is joined with that.
  const parametersBesideSchema = parameterWriter(reserved, (parameters) => withDefaults({ ...parameters, text: undefined }));
  const noParameters = withDefaults({});
  const itemsOf = perObject((message: Message): string => JSON.stringify(inputItems(message, name)).slice(1, -1));
  return {
    write(request): Written | ErrorBody {
      const { schema, parameters, tools, instructions } = request;
      const more = parameters ? (schema ? parametersBesideSchema : parametersOf)(parameters as Parameters) : noParameters;
      if (typeof more !== "string") return more;
      let input = "";
      for (const message of request.messages) {
        const items = itemsOf(message);
        if (items !== "") input += input === "" ? items : `,${items}`;
      }
      let body = `{"model":${JSON.stringify(request.model)},"input":[${input}],"max_output_tokens":${request.maxOutputTokens}`;
      if (instructions) body += `,"instructions":${JSON.stringify(instructions)}`;
      if (request.stream) body += ',"stream":true';
      if (tools?.length) body += toolsOf(tools);
      if (schema) body += `,"text":${JSON.stringify({ ...asAnswer(parameters?.text), format: formatOf(schema) })}`;
      if (keyed) body += cacheKey(request);
      return { path: "/responses", body: `${body}${more}}` };
    },
    read: (_request, output) => new ResponsesReader(output),
  };
}

const withDefaults = (parameters: Parameters): string =>
  members({ store: false, ...(parameters.reasoning !== undefined && { include: ["reasoning.encrypted_content"] }), ...parameters });

const formatOf = perObject(({ name, schema }: NonNullable<ProviderRequest["schema"]>) => ({
  type: "json_schema",
  name: schemaName(name),
  schema,
  strict: isStrict(schema),
}));

const toolsOf = perObject((tools: readonly ToolSpec[]): string => {
  const wire = tools.map(
    ({ name, description, schema }): FunctionTool => ({
      type: "function",
      name,
      description,
      // A JSON schema is an object; the SDK's type says no more than that.
      parameters: schema as { [key: string]: unknown },
      // The default here is strict, which refuses optional members.
      strict: false,
    }),
  );
  return `,"tools":${JSON.stringify(wire)}`;
});

function inputItems(message: Message, name: string): ResponseInputItem[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: plainText(message.content) }];
    case "user":
      return [{ role: "user", content: typeof message.content === "string" ? message.content : message.content.map(inputContent) }];
    case "tool": {
      const output: string | ResponseFunctionCallOutputItemList = message.error ? failed(message.content) : message.content;
      return [{ type: "function_call_output", call_id: message.id, output }];
    }
    case "assistant": {
      const items: ResponseInputItem[] = [];
      if (message.opaque?.provider === name && Array.isArray(message.opaque.value))
        // Reasoning items as they came from the API.
        items.push(...(message.opaque.value as unknown as ResponseReasoningItem[]));
      const content = plainText(message.content);
      if (content !== "") items.push({ role: "assistant", content });
      for (const { id, name, input } of message.tools ?? [])
        items.push({ type: "function_call", call_id: id, name, arguments: JSON.stringify(inputObject(input)) });
      return items;
    }
  }
}

const inputContent = (part: ContentPart): ResponseInputContent =>
  part.type === "text" ? { type: "input_text", text: part.text } : { type: "input_image", image_url: part.url, detail: "auto" };

class ResponsesReader implements Reader {
  readonly #output: Output;
  #model = "";
  #status = "";
  #incomplete = "";
  #refused = false;
  #tools: ToolRequests | undefined;
  #reasoning: Json[] = [];
  #usage: ProviderUsage | undefined;
  done = false;
  get proven(): boolean {
    return this.done;
  }

  constructor(output: Output) {
    this.#output = output;
  }

  event(value: Answer): void {
    switch (value.type) {
      case "response.output_text.delta":
        this.#output.text(string(value.delta));
        break;
      case "response.refusal.delta":
        this.#refused = true;
        this.#output.text(string(value.delta));
        break;
      case "response.reasoning_text.delta":
      case "response.reasoning_summary_text.delta":
        this.#output.reasoning(string(value.delta));
        break;
      case "response.output_item.added":
        this.#added(asAnswer(value.item), value.output_index);
        break;
      case "response.function_call_arguments.delta":
        this.#output.began();
        this.#tools?.append(Number(value.output_index), string(value.delta));
        this.#output.hidden(string(value.delta));
        this.#checkTools();
        break;
      case "response.function_call_arguments.done":
        this.#tools?.replace(Number(value.output_index), string(value.arguments));
        this.#checkTools();
        break;
      case "response.output_item.done":
        this.#reasoned(asAnswer(value.item));
        break;
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
        this.#ended(asAnswer(value.response), value.type);
        break;
      case "error":
        this.#output.error({ error: value });
        break;
      default:
        if (value.error && value.type === undefined) this.#output.error(value);
    }
  }

  answer(value: Answer): void {
    if (Array.isArray(value.output))
      for (const [index, entry] of value.output.entries()) {
        const item = asAnswer(entry);
        this.#added(item, index);
        this.#reasoned(item);
        if (item?.type === "message" && Array.isArray(item.content))
          for (const part of item.content) {
            const content = asAnswer(part);
            if (content?.type === "refusal") this.#refused = true;
            this.#output.text(string(content?.text) || string(content?.refusal));
          }
        if (item?.type === "reasoning" && Array.isArray(item.summary))
          for (const part of item.summary) this.#output.reasoning(string(asAnswer(part)?.text));
      }
    this.#ended(value, "");
  }

  result(): Result {
    const finish = this.#finish();
    return {
      finish,
      tools: finish === "tools" ? this.#tools : undefined,
      opaque: this.#reasoning.length > 0 ? this.#reasoning : undefined,
      usage: this.#usage,
      model: this.#model,
    };
  }

  #added(item: Answer | undefined, index: unknown): void {
    if (item?.type !== "function_call") return;
    this.#output.began();
    this.#tools ??= new ToolRequests();
    this.#tools.open(Number(index), string(item.call_id), string(item.name));
    this.#tools.append(Number(index), string(item.arguments));
    this.#output.hidden(string(item.name) + string(item.arguments));
    this.#checkTools();
  }

  #reasoned(item: Answer | undefined): void {
    if (item?.type !== "reasoning" || typeof item.encrypted_content !== "string") return;
    const { id, summary, encrypted_content } = item;
    this.#reasoning.push({ type: "reasoning", id: string(id), summary: (summary ?? []) as Json, encrypted_content });
  }

  #ended(response: Answer | undefined, type: string): void {
    this.#model = string(response?.model);
    this.#status = string(response?.status) || type.slice("response.".length);
    this.#usage = usageOf(response?.usage);
    const error = response?.error;
    if (error || this.#status === "failed") this.#output.error({ error: error ?? { message: "The response failed." } });
    if (this.#status === "cancelled") this.#output.reject("interrupted", "the response was cancelled at the provider");
    this.#incomplete = string(asAnswer(response?.incomplete_details)?.reason);
    this.done = this.#status === "completed" || this.#status === "incomplete";
  }

  #checkTools(): void {
    if (this.#tools?.problem) this.#output.reject("invalid_output", this.#tools.problem);
  }

  #finish(): Result["finish"] {
    if (this.#refused) return "refused";
    if (this.#status === "incomplete") return this.#incomplete === "content_filter" ? "filtered" : "length";
    return this.#tools?.size ? "tools" : "stop";
  }
}

function usageOf(value: unknown): ProviderUsage | undefined {
  const usage = asAnswer(value);
  const inputTokens = count(usage?.input_tokens);
  const outputTokens = count(usage?.output_tokens);
  if (!usage || inputTokens === undefined || outputTokens === undefined) return undefined;
  const details = asAnswer(usage.input_tokens_details);
  return {
    inputTokens,
    cachedTokens: count(details?.cached_tokens) ?? 0,
    cacheWriteTokens: count(details?.cache_write_tokens) ?? 0,
    outputTokens,
  };
}
