/** What a call to an anonymised tier sends instead of its own words, made once a call. */
import type { CallInput } from "../../machines/work.ts";
import type { Json } from "../protocol/json.ts";
import type { ContentPart, Message } from "../protocol/messages.ts";
import { Anonymiser } from "../safety/anonymiser.ts";
import type { AgentSpec } from "./agent.ts";

export type Covered = { readonly instructions: string; readonly messages: readonly Message[]; readonly anonymiser: Anonymiser };

/** As long as the ask lives, and no longer: the mapping is in here. */
const known = new WeakMap<CallInput, Covered>();

export function covered(input: CallInput, { anonymise }: AgentSpec, instructions: string): Covered {
  let cover = known.get(input);
  if (!cover) {
    const anonymiser = new Anonymiser(anonymise?.names);
    anonymiser.look(instructions);
    for (const message of input.messages) anonymiser.lookIn(wordsOf(message));
    cover = {
      instructions: anonymiser.hide(instructions),
      messages: input.messages.map((message) => hidden(message, anonymiser)),
      anonymiser,
    };
    known.set(input, cover);
  }
  return cover;
}

/** An image cannot be looked at, and what it shows goes out as it is. */
export const hasImages = ({ messages }: CallInput): boolean =>
  messages.some(({ content }) => typeof content !== "string" && content.some(({ type }) => type === "image"));

const textIn = (content: string | readonly ContentPart[]): Json =>
  typeof content === "string" ? content : content.map((part) => (part.type === "text" ? part.text : ""));

const wordsOf = (message: Message): Json => [
  textIn(message.content),
  message.role === "assistant" ? (message.tools ?? []).map(({ input }) => input) : null,
];

function hidden(message: Message, anonymiser: Anonymiser): Message {
  const of = <C extends string | readonly ContentPart[]>(content: C): C =>
    // The same form with other words.
    (typeof content === "string"
      ? anonymiser.hide(content)
      : content.map((part) => (part.type === "text" ? { ...part, text: anonymiser.hide(part.text) } : part))) as C;
  if (message.role === "tool") return { ...message, content: of(message.content) };
  if (message.role !== "assistant" || !message.tools) return { ...message, content: of(message.content) };
  return {
    ...message,
    content: of(message.content),
    tools: message.tools.map((tool) => ({ ...tool, input: anonymiser.hideIn(tool.input) })),
  };
}
