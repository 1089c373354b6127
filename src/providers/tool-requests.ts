/**
 * Collects the tools that a model asks for while their arguments arrive in pieces.
 *
 * Owns the caps: arguments are counted as they come and looked at for depth before they are parsed, because JSON.parse takes depth 50,000
 * and JSON.stringify dies at 5,000. Validating the arguments is the caller's matter; arguments that are no JSON are kept as the string they are.
 */
import { nanoid } from "nanoid";
import type { Json } from "../protocol/json.ts";
import type { ToolRequest } from "../protocol/messages.ts";

/** Characters of all arguments of one answer. */
export const maxArgumentsLength = 1024 * 1024;
export const maxArgumentsDepth = 64;
/** More than any fan-out cap allows; the cap itself is the supervisor's. */
const maxRequests = 1_000;

/** Ids of requests that the provider gave none begin so; they are not sent to a provider that does not want them. */
export const madeId = "tool_";

const tooLong = `tool arguments of more than ${maxArgumentsLength} characters`;
const tooDeep = `tool arguments nested deeper than ${maxArgumentsDepth}`;

type Open = { id: string; name: string; input: string | { readonly value: Json } };

export class ToolRequests {
  readonly #open: Open[] = [];
  readonly #byKey = new Map<number | string, Open>();
  #length = 0;
  /** Why the answer cannot be used. */
  problem: string | undefined;

  get size(): number {
    return this.#open.length;
  }

  /** A new request, or a second look at a known one. `key` is what later pieces refer to. */
  open(key: number | string, id: string | undefined, name: string | undefined): void {
    const known = this.#byKey.get(key);
    // Some servers send every request whole and all under index 0: another id is another request.
    if (known && (id === undefined || id === "" || known.id === "" || known.id === id)) {
      if (id) known.id = id;
      if (name && known.name === "") known.name = name;
      return;
    }
    if (this.#open.length >= maxRequests) {
      this.problem = `more than ${maxRequests} tool requests`;
      return;
    }
    const request: Open = { id: id ?? "", name: name ?? "", input: "" };
    this.#open.push(request);
    this.#byKey.set(key, request);
  }

  append(key: number | string, piece: string): void {
    const request = this.#byKey.get(key);
    if (!request || typeof request.input !== "string") return;
    this.#length += piece.length;
    if (this.#length > maxArgumentsLength) this.problem = tooLong;
    else request.input += piece;
  }

  /** The whole text, where a provider repeats it at the end. */
  replace(key: number | string, whole: string): void {
    const request = this.#byKey.get(key);
    if (!request || typeof request.input !== "string") return;
    this.#length -= request.input.length;
    request.input = "";
    this.append(key, whole);
  }

  /** A request whose arguments came parsed. */
  whole(id: string, name: string, value: Json): void {
    if (isDeeper(value, maxArgumentsDepth)) {
      this.problem = tooDeep;
      return;
    }
    this.#length += JSON.stringify(value).length;
    if (this.#length > maxArgumentsLength) this.problem = tooLong;
    const key = `whole-${this.#open.length}`;
    this.open(key, id, name);
    const request = this.#byKey.get(key);
    if (request) request.input = { value };
  }

  /** All requests in the order in which they were opened. */
  take(): readonly ToolRequest[] {
    return this.#open.map(({ id, name, input }) => ({
      id: id || `${madeId}${nanoid(12)}`,
      name,
      input: typeof input === "string" ? this.#parse(input) : input.value,
    }));
  }

  #parse(input: string): Json {
    if (input.trim() === "") return {};
    if (depthOf(input) > maxArgumentsDepth) {
      this.problem = tooDeep;
      return null;
    }
    try {
      return JSON.parse(input) as Json;
    } catch {
      return input;
    }
  }
}

/** How deeply brackets are nested outside strings; of text that is no JSON, at least as deep as a parser would go. */
export function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index);
    if (inString) {
      if (char === 0x5c) index++;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x7b || char === 0x5b) {
      if (++depth > deepest) deepest = depth;
    } else if (char === 0x7d || char === 0x5d) depth--;
  }
  return deepest;
}

function isDeeper(value: Json | undefined, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  for (const member of Array.isArray(value) ? value : Object.values(value)) if (isDeeper(member, levels - 1)) return true;
  return false;
}

/** Arguments as providers want them back: an object. What was none is wrapped, as Anthropic's documents advise for invalid JSON. */
export function inputObject(input: Json): { readonly [key: string]: Json | undefined } {
  return typeof input === "object" && input !== null && !Array.isArray(input)
    ? (input as { readonly [key: string]: Json | undefined }) // no array: arrays of `readonly Json[]` are not narrowed away by Array.isArray
    : { INVALID_JSON: typeof input === "string" ? input : JSON.stringify(input) };
}
