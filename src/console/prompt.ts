/** What a person said, from the input of a run: shown above the answer. */
import { pretty } from "./format.ts";

/** A text as it is, of a conversation the last message, anything else as JSON. */
export function promptOf(input: unknown): string {
  if (typeof input === "string") return input;
  const { messages } = (input ?? {}) as { readonly messages?: unknown };
  const last = Array.isArray(messages) ? (messages.at(-1) as { readonly content?: unknown } | undefined) : undefined;
  if (typeof last?.content === "string") return last.content;
  if (Array.isArray(last?.content)) {
    const parts = last.content as readonly { readonly type?: unknown; readonly text?: unknown }[];
    return parts.map((part) => (part.type === "text" ? String(part.text) : `[${String(part.type)}]`)).join("\n");
  }
  return pretty(input);
}
