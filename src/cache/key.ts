/**
 * The key of an answer: a hash of everything that the answer depends on. Who asks (tenant, user where the scope says so, sensitivity),
 * the agent with its cache version and instructions, the tier with model and parameters, tools, schema, checks, and the conversation.
 *
 *  1. JSON is written with its keys in order, so that the same is the same however it was made.
 *  2. The provider's ids of tool requests are no part of it: they are new each time, and what they link is in order anyway.
 */
import { hash } from "node:crypto";
import type { Question } from "../../machines/work.ts";
import type { Json } from "../protocol/json.ts";
import type { Message } from "../protocol/messages.ts";
import type { AgentSpec, TierSpec } from "../runtime/agent.ts";

export type Asker = {
  readonly who: { readonly tenant: string; readonly user?: string | undefined };
  readonly sensitive: boolean;
  readonly spec: AgentSpec;
};

export type AnswerKey = {
  readonly id: string;
  /** What must be equal for two questions to be compared by meaning: everything but the last message. */
  readonly frame: string;
  /** The last message, where it is a user's and text alone. */
  readonly question?: string;
};

/** Longer ones are texts to work on, not questions. */
const maxQuestion = 2_000;

/** Undefined for a tier that the agent does not have. */
export function keyOf(asker: Asker, question: Question): AnswerKey | undefined {
  const tier = asker.spec.tiers.find(({ name }) => name === question.tier);
  if (!tier) return undefined;
  const {
    who: { tenant, user },
    sensitive,
    spec,
  } = asker;
  const base = digest([
    tenant,
    spec.caching?.scope === "tenant" ? null : (user ?? null),
    sensitive,
    fixedPart(spec, tier, question),
    question.instructions ?? null,
  ]);
  const messages = question.messages.map(messageHash);
  const last = question.messages.at(-1);
  const text = last?.role === "user" ? textOf(last.content) : undefined;
  return {
    id: digest([base, messages]),
    frame: digest(["frame", base, messages.slice(0, -1)]),
    ...(text !== undefined && text.length <= maxQuestion && { question: text }),
  };
}

/** What is the same for every run of an agent is hashed once for each tier and set of tools. */
const fixedParts = new WeakMap<AgentSpec, Map<string, string>>();

function fixedPart(spec: AgentSpec, tier: TierSpec, { tools = [], structured = false }: Question): string {
  let known = fixedParts.get(spec);
  if (!known) {
    known = new Map();
    fixedParts.set(spec, known);
  }
  const name = [tier.name, structured, ...tools].join("\n");
  let part = known.get(name);
  if (part === undefined) {
    const { price: _price, timeouts: _timeouts, stream: _stream, ...model } = tier;
    const shown = spec.tools
      .filter((tool) => tools.includes(tool.name))
      .map(({ name, description, schema }) => ({ name, description, schema }));
    const { name: agent, caching, instructions, prompt, outputSchema, judge, validators } = spec;
    const schema = structured ? outputSchema : undefined;
    part = digest({ agent, version: caching?.version, instructions, prompt, model, tools: shown, schema, judge, validators });
    known.set(name, part);
  }
  return part;
}

/** Messages are never changed after they were made, so their hash is kept with the object. */
const messageHashes = new WeakMap<Message, string>();

function messageHash(message: Message): string {
  let known = messageHashes.get(message);
  if (known === undefined) {
    known = digest(withoutIds(message));
    messageHashes.set(message, known);
  }
  return known;
}

function withoutIds(message: Message): unknown {
  if (message.role === "tool") return { ...message, id: undefined };
  if (message.role !== "assistant") return message;
  const { opaque: _opaque, tools, ...rest } = message;
  return { ...rest, tools: tools?.map(({ name, input }) => ({ name, input })) };
}

function textOf(content: Message["content"]): string | undefined {
  if (typeof content === "string") return content;
  const texts = content.map((part) => (part.type === "text" ? part.text : undefined));
  return texts.includes(undefined) ? undefined : texts.join("\n");
}

/** 192 bits of SHA-256. */
const digest = (value: unknown): string => hash("sha256", canonical(value), "base64url").slice(0, 32);

/** JSON with the keys of its objects in order; what is undefined is left out. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part as { [key: string]: Json }).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
