/** What the input of a call was made of, in counted tokens. What of it was charged is the provider's count: the audit takes shares. Pure. */
import type { CallInput } from "../../machines/work.ts";
import { countText, messageTokens, TOOL_TOKENS, type Tokenizer } from "../money/tokens.ts";
import { type Example, shown } from "../prompts/prompt.ts";
import type { Message } from "../protocol/messages.ts";
import type { AgentSpec } from "./agent.ts";
import { instructionsOf, tierOf, visibleTools } from "./reserve.ts";

export const promptParts = [
  "instructions",
  "examples",
  "tools",
  "schema",
  "history",
  "summary",
  "input",
  "answers",
  "results",
  "conversation",
  "internal",
  "output",
] as const;
/**
 * `history`: earlier runs of the session; `input`: what the client sent; `answers`: the model's own of this run, told again; `results`: what
 * tools gave; `conversation`: all of these where they cannot be told apart; `internal`: calls beside the answer; `output`: what was answered.
 */
export type PromptPart = (typeof promptParts)[number];

export type Counted = {
  readonly parts: ReadonlyMap<PromptPart, number>;
  /** By name. */
  readonly tools: ReadonlyMap<string, number>;
  readonly examples: ReadonlyMap<string, number>;
};

/** `messages`: with the first `history` of them from earlier runs; undefined where they are not known. */
export function countParts(
  input: CallInput,
  spec: AgentSpec,
  history: ReadonlySet<Message>,
  tokenizer: Tokenizer,
  known: boolean,
): Counted {
  const parts = new Map<PromptPart, number>();
  const add = (part: PromptPart, tokens: number): void => {
    if (tokens > 0) parts.set(part, (parts.get(part) ?? 0) + tokens);
  };
  const tier = tierOf(spec, input.tier);
  const shownExamples: readonly Example[] = (tier?.instructions === undefined ? spec.prompt : tier.prompt)?.examples ?? [];
  const examples = new Map(shownExamples.map((example) => [example.name, countText(shown(example), tokenizer)]));
  const tools = new Map(
    (visibleTools(spec, input.tools) ?? []).map((tool) => [tool.name, TOOL_TOKENS + countText(JSON.stringify(tool), tokenizer)]),
  );
  add("examples", sum(examples.values()));
  add("instructions", countText(instructionsOf(input, spec), tokenizer) - sum(examples.values()));
  add("tools", sum(tools.values()));
  if (input.structured && spec.outputSchema !== undefined) add("schema", countText(JSON.stringify(spec.outputSchema), tokenizer));
  if (known) for (const message of input.messages) add(partOf(message, history), messageTokens(message, tokenizer, tier?.model));
  return { parts, tools, examples };
}

function partOf(message: Message, history: ReadonlySet<Message>): PromptPart {
  if (message.role === "user" && message.summary) return "summary";
  if (history.has(message)) return "history";
  return message.role === "assistant" ? "answers" : message.role === "tool" ? "results" : "input";
}

const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
