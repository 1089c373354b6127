/** From what a person typed to the answer the protocol takes; a sentence instead, where it cannot be one. */
import type { AnswerBody } from "../protocol/commands.ts";
import type { Json } from "../protocol/json.ts";
import type { QuestionView } from "./run-view.ts";

/** Kinds that are answered by yes or no. */
export const isYesNo = (kind: QuestionView["kind"]): boolean => kind === "approval" || kind === "review" || kind === "confirm";

type Value = Extract<AnswerBody, { value: unknown }>["value"];
type Asked = Pick<QuestionView, "id" | "kind" | "schema">;

export function answerTo(question: Asked, text: string): AnswerBody | string {
  if (question.kind === "budget") return budget(question.id, text);
  const trimmed = text.trim();
  const type = typeOf(question.schema);
  if (type === "string" || (type === null && question.kind === "question")) return { id: question.id, value: text };
  const value = parse(trimmed);
  // A tool's result may be any JSON; text that is none is a string.
  if (value === undefined)
    return type === null ? { id: question.id, value: text } : `This asks for ${type}, and "${trimmed.slice(0, 40)}" is not JSON.`;
  if (type === null || type === kindOf(value) || (type === "integer" && Number.isInteger(value))) return { id: question.id, value };
  return `This asks for ${type}, and "${trimmed.slice(0, 40)}" is ${kindOf(value)}.`;
}

/** Dollars as people write them: `0.50`, `$1`. At most nano-dollars are kept. */
function budget(id: string, text: string): AnswerBody | string {
  const match = /^\$?\s*(\d{1,6}(?:\.\d{1,9})?)$/.exec(text.trim());
  const dollars = match ? Number(match[1]) : 0;
  if (dollars <= 0) return `"${text.trim().slice(0, 40)}" is no amount; write dollars like 0.50`;
  return { id, amount_microusd: Math.round(dollars * 1e9) / 1e3 };
}

function typeOf(schema: Json | undefined): string | null {
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) return null;
  const { type } = schema as { readonly type?: Json };
  return typeof type === "string" ? type : null;
}

function kindOf(value: Value): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function parse(text: string): Value | undefined {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return undefined;
  }
}
