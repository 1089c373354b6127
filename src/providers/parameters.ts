/**
 * Pieces of request bodies that stay the same between calls, written once per object: parameters, tools, schemas.
 * Bodies are joined from such pieces, so a step of an agent costs its new messages and not its history (PERF, lesson 6).
 */
import type { ErrorBody } from "../protocol/errors.ts";
import { errorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Message } from "../protocol/messages.ts";

/** Caches `make(object)` for as long as the object lives. Objects given here are never changed after they were made. */
export function perObject<T extends object, R>(make: (object: T) => R): (object: T) => R {
  const made = new WeakMap<T, R>();
  return (object) => {
    let result = made.get(object);
    if (result === undefined) {
      result = make(object);
      made.set(object, result);
    }
    return result;
  };
}

export type Parameters = { readonly [key: string]: Json | undefined };

/** `,"temperature":0.2,…`; or an error when a parameter would take what the runtime must hold in its hand: money, proof of the end, the conversation. */
export function parameterWriter(reserved: readonly string[], write: (parameters: Parameters) => string = members) {
  return perObject((parameters: Parameters): string | ErrorBody => {
    const taken = reserved.find((name) => parameters[name] !== undefined);
    return taken === undefined
      ? write(parameters)
      : errorBody("invalid_request", `The parameter "${taken}" is set by the runtime and cannot be given.`, {
          details: { parameter: taken },
        });
  });
}

/** The members of an object, each with a comma before it. */
export function members(object: Parameters): string {
  const json = JSON.stringify(object);
  return json === "{}" ? "" : `,${json.slice(1, -1)}`;
}

/** Text of `content`, without its images. */
export function plainText(content: string | readonly { readonly type: string; readonly text?: string }[]): string {
  if (typeof content === "string") return content;
  let text = "";
  for (const part of content) if (part.text !== undefined) text += text === "" ? part.text : `\n${part.text}`;
  return text;
}

/** What is said to a model whose provider cannot be held to a schema. */
export const schemaInstruction = (schema: Json): string =>
  `Answer with one JSON object and nothing else. It must match this JSON schema:\n${JSON.stringify(schema)}`;

/** The instructions and all system messages in their order, for wires that have one place for them. */
export function systemText(request: { readonly instructions?: string; readonly messages: readonly Message[] }): string {
  let system = request.instructions ?? "";
  for (const message of request.messages)
    if (message.role === "system") system += `${system === "" ? "" : "\n\n"}${plainText(message.content)}`;
  return system;
}
