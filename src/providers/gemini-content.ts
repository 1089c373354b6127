/**
 * The wire of Gemini's `generateContent` and `streamGenerateContent`. Proof of the end: a `finishReason`, or a blocked prompt.
 *
 * There is no end event: the answer is complete when the connection ends after the proof.
 * Thought signatures must go back in their place: `opaque` is `{text?, tools: […]}`, the signature of the text and one for each tool request.
 */
import type { Content, FunctionDeclaration, Part } from "@google/genai";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { ContentPart, Message } from "../protocol/messages.ts";
import { Confidence } from "./confidence.ts";
import { type Parameters, parameterWriter, perObject, plainText, systemText } from "./parameters.ts";
import type { ProviderRequest, ProviderUsage, ToolSpec } from "./provider.ts";
import { plainSchema } from "./schemas.ts";
import { inputObject, madeId, ToolRequests } from "./tool-requests.ts";
import { joinTurns, type Turn } from "./turns.ts";
import { type Answer, asAnswer, count, type Output, type Reader, type Result, string, type Wire, type Written } from "./wire.ts";

const reserved = ["contents", "systemInstruction", "tools", "maxOutputTokens", "candidateCount", "generationConfig", "model"];

/** Parameters beside `generationConfig`; all others belong into it. */
const topLevel = new Set(["safetySettings", "toolConfig", "cachedContent", "labels", "serviceTier"]);

export function geminiWire(name: string, apiVersion: string): Wire {
  const parametersOf = parameterWriter(reserved, splitParameters);
  const parametersBesideSchema = parameterWriter(
    [...reserved, "responseMimeType", "responseSchema", "responseJsonSchema"],
    splitParameters,
  );
  const turnOf = perObject((message: Message) => writeTurn(message, name));
  return {
    logprobs: true,
    write(request): Written | ErrorBody {
      const { schema, parameters, tools, logprobs } = request;
      const more = parameters ? (schema ? parametersBesideSchema : parametersOf)(parameters as Parameters) : "\n";
      if (typeof more !== "string") return more;
      const [inConfig, beside] = more.split("\n");
      const system = systemText(request);
      let body = `{"contents":[${joinTurns(request.messages.map(turnOf), "parts")}]`;
      if (system !== "") body += `,"systemInstruction":${JSON.stringify({ parts: [{ text: system }] })}`;
      if (tools?.length) body += toolsOf(tools);
      body += `,"generationConfig":{"maxOutputTokens":${request.maxOutputTokens}${schema ? formatOf(schema) : ""}${logprobs ? ',"responseLogprobs":true' : ""}${inConfig}}${beside}}`;
      const model = encodeURI(request.model.includes("/") ? request.model : `models/${request.model}`).replace(/[?#]/g, encodeURIComponent);
      const method = request.stream ? "streamGenerateContent?alt=sse" : "generateContent";
      return { path: `/${apiVersion}/${model}:${method}`, body };
    },
    read: (request, output) => new GeminiReader(output, request.logprobs === true),
  };
}

/** Two lists of members, one line each: JSON has no line feeds of its own. */
function splitParameters(parameters: Parameters): string {
  const lists = ["", ""];
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) lists[topLevel.has(name) ? 1 : 0] += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  return lists.join("\n");
}

const formatOf = perObject(
  ({ schema }: NonNullable<ProviderRequest["schema"]>): string =>
    `,"responseMimeType":"application/json","responseJsonSchema":${JSON.stringify(plainSchema(schema))}`,
);

const toolsOf = perObject((tools: readonly ToolSpec[]): string => {
  const functionDeclarations = tools.map(
    ({ name, description, schema }): FunctionDeclaration => ({ name, description, parametersJsonSchema: plainSchema(schema) }),
  );
  return `,"tools":${JSON.stringify([{ functionDeclarations }])}`;
});

function writeTurn(message: Message, name: string): Turn {
  const content = contentOf(message, name);
  if (!content?.parts) return { role: undefined, blocks: "" };
  return { role: content.role === "model" ? "model" : "user", blocks: JSON.stringify(content.parts).slice(1, -1) };
}

function contentOf(message: Message, name: string): Content | undefined {
  switch (message.role) {
    case "system":
      return undefined;
    case "user":
      return { role: "user", parts: typeof message.content === "string" ? [{ text: message.content }] : message.content.map(partOf) };
    case "tool": {
      const response = message.error ? { error: message.content } : { output: message.content };
      return { role: "user", parts: [{ functionResponse: { ...idOf(message.id), name: message.name, response } }] };
    }
    case "assistant": {
      const opaque = message.opaque?.provider === name ? asAnswer(message.opaque.value) : undefined;
      const text = plainText(message.content);
      const signatures = Array.isArray(opaque?.tools) ? opaque.tools : [];
      const parts: Part[] = [];
      if (text !== "" || opaque?.text) parts.push({ text, ...signed(opaque?.text) });
      for (const [index, { id, name, input }] of (message.tools ?? []).entries())
        parts.push({ functionCall: { ...idOf(id), name, args: inputObject(input) }, ...signed(signatures[index]) });
      return { role: "model", parts };
    }
  }
}

const signed = (signature: unknown): { thoughtSignature?: string } =>
  typeof signature === "string" ? { thoughtSignature: signature } : {};
const idOf = (id: string): { id?: string } => (id.startsWith(madeId) ? {} : { id });

function partOf(part: ContentPart): Part {
  if (part.type === "text") return { text: part.text };
  const data = /^data:(image\/[^;]+);base64,(.*)$/is.exec(part.url);
  if (data) return { inlineData: { mimeType: data[1]!.toLowerCase(), data: data[2]! } };
  return { fileData: { fileUri: part.url } };
}

class GeminiReader implements Reader {
  readonly #output: Output;
  readonly #confidence: Confidence | undefined;
  #model = "";
  #finishReason = "";
  #blocked = false;
  #tools: ToolRequests | undefined;
  #usage: ProviderUsage | undefined;
  #textSignature: string | undefined;
  #toolSignatures: (string | null)[] = [];
  proven = false;
  readonly done = false;

  constructor(output: Output, hasLogprobs: boolean) {
    this.#output = output;
    this.#confidence = hasLogprobs ? new Confidence() : undefined;
  }

  event(value: Answer): void {
    if (value.error) {
      this.#output.error(value);
      return;
    }
    this.#model = string(value.modelVersion) || this.#model;
    this.#usage = usageOf(value.usageMetadata) ?? this.#usage;
    if (string(asAnswer(value.promptFeedback)?.blockReason) !== "") {
      this.#blocked = true;
      this.proven = true;
    }
    const candidate = Array.isArray(value.candidates) ? asAnswer(value.candidates[0]) : undefined;
    if (!candidate) return;
    this.#confidence?.read(asAnswer(candidate.logprobsResult)?.chosenCandidates, "logProbability");
    const parts = asAnswer(candidate.content)?.parts;
    if (Array.isArray(parts)) for (const part of parts) this.#part(asAnswer(part));
    this.#finished(string(candidate.finishReason));
  }

  answer(value: Answer): void {
    this.event(value);
  }

  result(): Result {
    const finish = this.#finish();
    const isSigned = this.#textSignature !== undefined || this.#toolSignatures.some((signature) => signature !== null);
    const opaque: Json = { ...(this.#textSignature !== undefined && { text: this.#textSignature }), tools: this.#toolSignatures };
    return {
      finish,
      tools: finish === "tools" ? this.#tools : undefined,
      opaque: isSigned ? opaque : undefined,
      usage: this.#usage,
      confidence: this.#confidence?.value,
      model: this.#model,
    };
  }

  #part(part: Answer | undefined): void {
    if (!part) return;
    const call = asAnswer(part.functionCall);
    const signature = typeof part.thoughtSignature === "string" ? part.thoughtSignature : undefined;
    if (call) {
      this.#output.began();
      this.#tools ??= new ToolRequests();
      this.#tools.whole(string(call.id), string(call.name), (asAnswer(call.args) ?? {}) as Json);
      this.#output.hidden(string(call.name) + JSON.stringify(call.args ?? {}));
      this.#toolSignatures.push(signature ?? null);
      if (this.#tools.problem) this.#output.reject("invalid_output", this.#tools.problem);
      return;
    }
    if (part.thought === true) this.#output.reasoning(string(part.text));
    else {
      this.#output.text(string(part.text));
      this.#textSignature = signature ?? this.#textSignature;
    }
  }

  #finished(reason: string): void {
    if (reason === "" || reason === "FINISH_REASON_UNSPECIFIED") return;
    this.#finishReason = reason;
    if (unusable.has(reason)) this.#output.reject("invalid_output", `the model's answer was ended as ${reason}`);
    else if (reason === "OTHER") this.#output.error({ message: "The answer was ended as OTHER." });
    else this.proven = true;
  }

  #finish(): Result["finish"] {
    if (this.#blocked || filtered.has(this.#finishReason)) return "filtered";
    if (this.#finishReason === "MAX_TOKENS") return "length";
    return this.#tools?.size ? "tools" : "stop";
  }
}

const unusable = new Set([
  "MALFORMED_FUNCTION_CALL",
  "UNEXPECTED_TOOL_CALL",
  "TOO_MANY_TOOL_CALLS",
  "MALFORMED_RESPONSE",
  "MISSING_THOUGHT_SIGNATURE",
]);
const filtered = new Set([
  "SAFETY",
  "RECITATION",
  "LANGUAGE",
  "BLOCKLIST",
  "PROHIBITED_CONTENT",
  "SPII",
  "IMAGE_SAFETY",
  "IMAGE_PROHIBITED_CONTENT",
  "IMAGE_RECITATION",
  "IMAGE_OTHER",
  "NO_IMAGE",
]);

/** Thoughts are counted apart from the candidates and are output. */
function usageOf(value: unknown): ProviderUsage | undefined {
  const usage = asAnswer(value);
  const prompt = count(usage?.promptTokenCount);
  if (!usage || prompt === undefined) return undefined;
  const candidates = count(usage.candidatesTokenCount);
  const thoughts = count(usage.thoughtsTokenCount);
  // Early chunks count the prompt only.
  if (candidates === undefined && thoughts === undefined) return undefined;
  return {
    inputTokens: prompt + (count(usage.toolUsePromptTokenCount) ?? 0),
    cachedTokens: count(usage.cachedContentTokenCount) ?? 0,
    cacheWriteTokens: 0,
    outputTokens: (candidates ?? 0) + (thoughts ?? 0),
  };
}
