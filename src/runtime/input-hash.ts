/**
 * The hash of an ask's input: it stands for the input in the journal, so that a step writes its own size and not the
 * history's. Messages are hashed once each and then by their hashes, as a chain.
 */
import { hash as digest } from "node:crypto";
import type { Json } from "../protocol/json.ts";

const sha1 = (text: string): string => digest("sha1", text, "base64url").slice(0, 16);

/** Messages are never changed after they were made, so their hash is kept with the object. */
const hashes = new WeakMap<object, string>();

function messageHash(message: Json): string {
  if (typeof message !== "object" || message === null) return sha1(JSON.stringify(message));
  let known = hashes.get(message);
  if (known === undefined) {
    known = sha1(JSON.stringify(message));
    hashes.set(message, known);
  }
  return known;
}

/** Of one use of a tool: its name and exact arguments, so that a yes for one is none for another. */
export const argumentsHash = (name: string, input: Json): string => digest("sha256", JSON.stringify([name, input]), "base64url");

/** 16 characters of base64url (96 bits of SHA-1): tells apart what an honest machine asks for; it is no signature. */
export function inputHash(input: Json): string {
  if (typeof input !== "object" || input === null || !("messages" in input) || !Array.isArray(input.messages))
    return sha1(JSON.stringify(input ?? null));
  const { messages, ...rest } = input as { readonly messages: readonly Json[]; readonly [key: string]: Json | undefined };
  return sha1(JSON.stringify([rest, messages.map(messageHash)]));
}
