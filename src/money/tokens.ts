/**
 * Tokens before a call: an upper bound of what a request will be charged as input, and a count of what was streamed.
 *
 * Owns the counting and its caches; what a token costs is `prices.ts`.
 *
 *  1. A text never counts more than its UTF-8 bytes: every token of a byte-level vocabulary stands for at least one byte.
 *  2. A count never waits: until {@link loadTokenizer} has resolved, and for the encoding `bytes`, the bytes are the count.
 *  3. Messages and tool arrays are counted once per object (they are never changed), so a step costs only its new messages.
 *
 * Known to be outside the bound: `detail: "original"` images above {@link IMAGE_TOKENS}, and prompts that a provider adds for tools
 * of its own (web search). Such a call may cost more than its hold; it is reported, and it stops the run.
 */
import type { Json } from "../protocol/json.ts";
import type { Message } from "../protocol/messages.ts";
import type { ToolSpec } from "../providers/provider.ts";

/** As a provider declares it. `margin` is the part added to OpenAI's count: 0.15 is 15 % more; 0 for OpenAI itself. */
export type Tokenizer = { readonly encoding: "o200k_base" | "cl100k_base" | "bytes"; readonly margin: number };

/** As OpenAI itself counts: without a margin. */
export const unmargined: Tokenizer = { encoding: "o200k_base", margin: 0 };

export type CountedInput = {
  readonly instructions?: string | undefined;
  readonly messages: readonly Message[];
  readonly tools?: readonly ToolSpec[] | undefined;
  readonly schema?: { readonly name: string; readonly schema: Json } | undefined;
  /** Only where images are concerned: some models count them by a scale of their own. */
  readonly model?: string | undefined;
};

/**
 * OpenAI frames a message with 3 tokens, a name costs 1, and the answer is primed with 3
 * (OpenAI cookbook, "How to count tokens with tiktoken"). One more for the role of vocabularies that spell it out.
 */
export const MESSAGE_TOKENS = 5;
export const REQUEST_TOKENS = 16;
/** Framing of one tool beside its own JSON: 7 for the function, 12 for the list's end (cookbook, tools of gpt-4o). */
export const TOOL_TOKENS = 24;
/**
 * The prompt by which a provider enables tools. Anthropic lists 530 tokens for its dearest (Claude 3 Opus, "Tool use: pricing and
 * tokens"), not all of its models are listed, and chat templates of open models have their own: twice that. OpenAI adds none.
 */
export const TOOLS_TOKENS = 1_060;
/**
 * One image at its usual largest: Claude 4,784 (2,576 px on the long edge), OpenAI's patch models 1,536 × 2.46 = 3,779, gpt-4o
 * 85 + 8 × 170 = 1,445, Gemini 3 2,240 (providers' vision guides).
 */
export const IMAGE_TOKENS = 5_120;
/** gpt-4o-mini counts 2,833 + 8 × 5,667 for the same image that costs gpt-4o 1,445 (its tokens are that much cheaper). */
const imageTokensOf = (model: string | undefined): number => (model?.startsWith("gpt-4o-mini") ? 48_169 : IMAGE_TOKENS);

/**
 * Letters, signs or spaces without any boundary between them are merged in quadratic time (200,000 times the letter a: 14 s), and
 * letters beyond ASCII are several bytes each. Sentences have no such runs; from this length on they count by their bytes.
 */
const longRun = /[[\p{L}\p{M}]--[a-zA-Z]]{128,}|[\p{L}\p{M}]{256,}|[^\s\p{L}\p{N}]{256,}|\s{256,}/gv;
const SHORTEST_RUN = 128;

/**
 * What one count may give to the tokenizer: a unit of text is 1, each further UTF-8 byte 4 more (Chinese takes that much longer). About
 * 0.1 s (1 s at the worst); a megabyte of English. What is beyond counts by its bytes: a message not reached is counted by a later step,
 * one larger than all of it stays cut.
 */
const ALLOWANCE = 1_000_000;
let allowance = ALLOWANCE;

// ── counting a request ───────────────────────────────────────────────────────────────────────────────────────────────

/** Upper bound of the input tokens of a request. */
export function countInput(input: CountedInput, provided: Tokenizer): number {
  allowance = ALLOWANCE;
  const tokenizer = forModel(provided, input.model);
  let tokens = REQUEST_TOKENS;
  if (input.instructions) tokens += MESSAGE_TOKENS + bound(countShared(input.instructions), tokenizer);
  let images = 0;
  for (const message of input.messages) {
    const count = countMessage(message);
    tokens += MESSAGE_TOKENS + bound(count, tokenizer);
    images += count.images;
  }
  if (images > 0) tokens += images * imageTokensOf(input.model);
  if (input.tools && input.tools.length > 0) {
    tokens += TOOL_TOKENS * input.tools.length + bound(countTools(input.tools), tokenizer);
    if (!isOpenAI(tokenizer)) tokens += TOOLS_TOKENS;
  }
  if (input.schema) tokens += TOOL_TOKENS + bound(countSchema(input.schema), tokenizer);
  return tokens;
}

/** What one message adds to {@link countInput}; asked after it, it costs nothing more. */
export function messageTokens(message: Message, tokenizer: Tokenizer, model: string | undefined): number {
  const count = countMessage(message);
  return MESSAGE_TOKENS + bound(count, forModel(tokenizer, model)) + count.images * imageTokensOf(model);
}

/** Tokens of a text: of output as far as it was streamed, of a chunk, of a result. An upper bound, like everything here. */
export function countText(text: string, tokenizer: Tokenizer, model?: string): number {
  allowance = ALLOWANCE;
  return bound(count(text), forModel(tokenizer, model));
}

/** Whether texts are counted by a vocabulary, not by their bytes. */
export const isCounting = (tokenizer: Tokenizer): boolean => tokenizer.encoding !== "bytes" && encode !== undefined;

/**
 * OpenAI's models from gpt-4o on. Earlier ones (gpt-4, gpt-4-turbo, gpt-3.5-turbo) have the vocabulary `cl100k_base`, and of a model that
 * is not known here the larger count holds.
 */
const newer = /^(ft:)?(chatgpt-4o|gpt-(4o|4\.1|4\.5|[5-9]|oss|image|realtime|audio)|o\d|codex|computer-use)/;

/** What holds of a model, where its provider counts exactly. */
const forModel = (tokenizer: Tokenizer, model: string | undefined): Tokenizer =>
  model === undefined || !isExact(tokenizer) || newer.test(model) ? tokenizer : older;

/**
 * An upper bound of both vocabularies: beyond ASCII the earlier one has few words, so that a character may be as many tokens as bytes
 * (Hindi and Tamil: 4 to 5 times OpenAI's later count); within it the later one has more words (Indonesian: 1.5 times).
 */
const older: Tokenizer = { encoding: "cl100k_base", margin: 1 };

/** Only OpenAI's own models are counted without a margin. */
const isExact = (tokenizer: Tokenizer): boolean => tokenizer.encoding === "o200k_base" && tokenizer.margin === 0;
const isOpenAI = (tokenizer: Tokenizer): boolean => isExact(tokenizer) || tokenizer.encoding === "cl100k_base";

/** A text's size both ways: the tokenizer's count is only known once it is loaded. */
type Count = {
  readonly bytes: number;
  readonly tokens: number | undefined;
  /** Bytes of what is not ASCII, at most: half or more of them are not the first of their UTF-16 unit. */
  readonly beyond: number;
};
type MessageCount = Count & { readonly images: number };

function bound(count: Count, tokenizer: Tokenizer): number {
  if (tokenizer.encoding === "bytes" || count.tokens === undefined) return count.bytes;
  const beyond = tokenizer.encoding === "cl100k_base" ? count.beyond : 0;
  return Math.min(count.bytes, Math.ceil(count.tokens * (1 + tokenizer.margin)) + beyond);
}

const messages = new WeakMap<Message, MessageCount>();
const objects = new WeakMap<object, Count>();
/** Instructions are the same string in every step of every run of an agent; at most {@link SHARED} of them are kept. */
const shared = new Map<string, Count>();
const SHARED = 256;

function countMessage(message: Message): MessageCount {
  return cached(messages, message, () => {
    const texts: string[] = [];
    let images = 0;
    if (typeof message.content === "string") texts.push(message.content);
    else {
      for (const part of message.content) {
        if (part.type === "text") texts.push(part.text);
        else images += 1;
      }
    }
    if (message.role === "tool") texts.push(message.id, message.name);
    if (message.role === "assistant") {
      for (const tool of message.tools ?? []) texts.push(tool.id, tool.name, JSON.stringify(tool.input));
    }
    // Only what nothing came before is cut: everything else has its turn in a later step.
    const mayCut = allowance === ALLOWANCE;
    const total = sum(texts.map((text) => count(text, mayCut)));
    if (message.role !== "assistant" || !message.opaque) return { ...total, images };
    // Signatures and encrypted reasoning: at least as many bytes as tokens, and nothing that a tokenizer could say about.
    const opaque = Buffer.byteLength(JSON.stringify(message.opaque.value));
    const tokens = total.tokens === undefined ? undefined : total.tokens + opaque;
    return { bytes: total.bytes + opaque, tokens, beyond: total.beyond, images };
  });
}

const countTools = (tools: readonly ToolSpec[]): Count =>
  cached(objects, tools, () =>
    sum(tools.map((tool) => count(JSON.stringify({ name: tool.name, description: tool.description, parameters: tool.schema })))),
  );

/** Kept by the schema itself: the pair with its name is often made anew for each call. */
const countSchema = ({ name, schema }: { readonly name: string; readonly schema: Json }): Count => {
  const text = () => count(JSON.stringify({ name, schema }));
  return typeof schema === "object" && schema !== null ? cached(objects, schema, text) : text();
};

function countShared(text: string): Count {
  const known = shared.get(text);
  if (known && isComplete(known)) return known;
  const counted = count(text);
  if (shared.size >= SHARED) shared.clear();
  shared.set(text, counted);
  return counted;
}

/** What was counted by bytes alone is counted again once the tokenizer is there. */
function cached<Key extends object, Value extends Count>(map: WeakMap<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known && isComplete(known)) return known;
  const counted = make();
  map.set(key, counted);
  return counted;
}

const isComplete = (count: Count): boolean => count.tokens !== undefined || encode === undefined;

function sum(counts: readonly Count[]): Count {
  let bytes = 0;
  let beyond = 0;
  let tokens: number | undefined = 0;
  for (const count of counts) {
    bytes += count.bytes;
    beyond += count.beyond;
    tokens = tokens === undefined || count.tokens === undefined ? undefined : tokens + count.tokens;
  }
  return { bytes, tokens, beyond };
}

/** A text beyond the allowance is cut when `mayCut`, else left for later. */
function count(text: string, mayCut = allowance === ALLOWANCE): Count {
  const bytes = Buffer.byteLength(text);
  const beyond = 2 * (bytes - text.length);
  const work = text.length + 2 * beyond;
  if (encode === undefined || (work > allowance && !mayCut)) return { bytes, tokens: undefined, beyond };
  const end = work <= allowance ? text.length : cutAt(text, Math.floor((text.length * allowance) / work));
  allowance = Math.max(0, allowance - work);
  let tokens = 0;
  let from = 0;
  const counted = text.slice(0, end);
  if (counted.length >= SHORTEST_RUN) {
    for (const run of counted.matchAll(longRun)) {
      tokens += encode(counted.slice(from, run.index)) + Buffer.byteLength(run[0]);
      from = run.index + run[0].length;
    }
  }
  return { bytes, tokens: tokens + encode(counted.slice(from)) + Buffer.byteLength(text.slice(end)), beyond };
}

/** Before a space where there is one near: there no token is cut in two. */
function cutAt(text: string, end: number): number {
  const space = text.lastIndexOf(" ", end);
  return space > end - 1_000 && space > 0 ? space : end;
}

// ── the tokenizer ────────────────────────────────────────────────────────────────────────────────────────────────────

let encode: ((text: string) => number) | undefined;
let loading: Promise<void> | undefined;

/**
 * Loads OpenAI's vocabulary (about 0.4 s of CPU and 60 MB, once a process); counts are tighter from then on.
 * Call it when a provider with that encoding is configured; until it resolves everything counts by its bytes.
 */
export function loadTokenizer(): Promise<void> {
  loading ??= import("gpt-tokenizer/encoding/o200k_base").then(({ countTokens }) => {
    // Text that looks like a special token is text: providers encode what users write as such.
    const options = { disallowedSpecial: new Set<string>() };
    encode = (text) => countTokens(text, options);
  });
  return loading;
}
