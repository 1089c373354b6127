/**
 * Messages of a conversation, in one shape for every provider.
 * A message is never changed after it was made: histories share them, and hashes and token counts are kept per object.
 */
import { z } from "zod";
import type { Json } from "./json.ts";

export const textPart = z.strictObject({ type: z.literal("text"), text: z.string() });
/** `url` is https or a `data:` URL with base64 content. */
export const imagePart = z.strictObject({
  type: z.literal("image"),
  url: z.string().regex(/^(https:\/\/|data:image\/[a-z0-9.+-]+;base64,)/i, "an https URL or a base64 data URL of an image"),
});
export const contentPart = z.discriminatedUnion("type", [textPart, imagePart]);

/** What a client may send as conversation. */
export const inputMessage = z.strictObject({
  role: z.enum(["user", "assistant", "system"]),
  content: z.union([z.string(), z.array(contentPart).min(1)]),
});
export type ContentPart = z.infer<typeof contentPart>;
export type InputMessage = z.infer<typeof inputMessage>;

/** A tool that the model asked for. `id` is the provider's and links the result to the request. */
export type ToolRequest = { readonly id: string; readonly name: string; readonly input: Json };

export type Message =
  | {
      readonly role: "system" | "user";
      readonly content: string | readonly ContentPart[];
      /** Ours: it stands for what was said before (machines/context.ts). No client can send it, and no provider sees the mark. */
      readonly summary?: boolean;
    }
  | {
      readonly role: "assistant";
      readonly content: string | readonly ContentPart[];
      readonly tools?: readonly ToolRequest[];
      /** What the provider wants back unread (signatures, thinking blocks), with its name. */
      readonly opaque?: { readonly provider: string; readonly value: Json };
    }
  | { readonly role: "tool"; readonly id: string; readonly name: string; readonly content: string; readonly error?: boolean };
