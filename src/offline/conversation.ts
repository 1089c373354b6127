/**
 * The scripted conversation: what is answered without a model. Pure.
 *
 * Arithmetic asks for the tool `calculator`, questions about the time for `clock` (in the time zone that they name), if they are offered;
 * their results are told as they come. No other tool is ever asked for.
 * Everything else is answered by saying that nothing here is a model. No answer claims more than that.
 * A script (`script.ts`) comes before all of it.
 */
import { type Arithmetic, findArithmetic } from "./arithmetic.ts";
import { type Line, scriptedReply } from "./script.ts";
import { findTimeZone } from "./time-zone.ts";

/** What of a chat completions request the script reads. */
export type Conversation = {
  readonly messages: readonly {
    readonly role?: unknown;
    readonly content?: unknown;
    readonly tool_call_id?: unknown;
    readonly tool_calls?: unknown;
  }[];
  readonly tools: readonly string[];
};

export type Reply = { readonly text: string } | { readonly tools: readonly ToolUse[] };

type ToolUse = { readonly name: string; readonly input: unknown };

/** How a model is connected, as the reply says it. */
export const connectHint =
  "To talk to a model, set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY in the environment and start again.";

export function reply({ messages, tools }: Conversation, hint: string = connectHint, script: readonly Line[] = []): Reply {
  const results = resultsAtEnd(messages);
  const question = lastQuestion(messages);
  const scripted = scriptedReply(script, { instructions: instructionsIn(messages), question, results });
  if (scripted) return scripted;
  const arithmetic = findArithmetic(question);
  if (results.length > 0) return { text: results.map((result) => toldResult(result, arithmetic)).join(" ") };
  const wantsTime = isAboutTime(question);
  const asked: ToolUse[] = [];
  if (arithmetic && tools.includes("calculator")) asked.push({ name: "calculator", input: { expression: arithmetic.expression } });
  if (wantsTime && tools.includes("clock")) {
    const zone = findTimeZone(question);
    asked.push({ name: "clock", input: zone === undefined ? {} : { time_zone: zone } });
  }
  if (asked.length > 0) return { tools: asked };
  const about = arithmetic
    ? "I see arithmetic in your message, but no tool named calculator is offered here, and I do not calculate by myself. "
    : wantsTime
      ? "You ask for the time, but no tool named clock is offered here, and I do not know the time by myself. "
      : "";
  const can = tools.includes("calculator") ? ' I can show how tools are used: try "What is 12.5% of 8460?".' : "";
  return { text: `${about}Answers here are scripted: no model is connected.${can} ${hint}` };
}

type ToolResult = { readonly name: string; readonly content: string };

/** The results that came after the last request for tools, in order, with the names that were asked for. */
function resultsAtEnd(messages: Conversation["messages"]): readonly ToolResult[] {
  const results: ToolResult[] = [];
  for (let index = messages.length - 1; index >= 0; index--) {
    const message = messages[index]!;
    if (message.role === "tool") results.unshift({ name: String(message.tool_call_id), content: contentOf(message.content) });
    else {
      if (message.role !== "assistant" || !Array.isArray(message.tool_calls)) return [];
      const names = new Map<string, string>();
      for (const call of message.tool_calls) names.set(String(call?.id), String(call?.function?.name));
      return results.map(({ name: id, content }) => ({ name: names.get(id) ?? "tool", content }));
    }
  }
  return [];
}

const instructionsIn = (messages: Conversation["messages"]): string =>
  messages.flatMap(({ role, content }) => (role === "system" ? [contentOf(content)] : [])).join("\n");

function lastQuestion(messages: Conversation["messages"]): string {
  for (let index = messages.length - 1; index >= 0; index--) {
    const message = messages[index]!;
    if (message.role === "user") return contentOf(message.content);
  }
  return "";
}

function contentOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (typeof part?.text === "string" ? part.text : "")).join("\n");
}

const isAboutTime = (question: string): boolean =>
  /\bwhat(?:['’]s|\s+is)?\s+(?:the\s+)?(?:current\s+)?(?:time|date|day|weekday|month|year)\b|\bwhat\s+(?:time|day|date|month|year)\b|\b(?:tell|give)\s+me\s+the\s+(?:time|date)\b|\bhow\s+late\s+is\s+it\b|\bcurrent\s+(?:time|date|day)\b|\btoday['’]?s?\s+date\b|\bthe\s+time\s+(?:now|is it)\b/i.test(
    question,
  );

function toldResult({ name, content }: ToolResult, arithmetic: Arithmetic | undefined): string {
  const { value, error } = read(content);
  if (error !== undefined) return `The tool ${name} could not answer: ${sentence(error)}`;
  if (name === "calculator" && arithmetic) return sentence(`${capital(arithmetic.subject)} is ${value}`);
  if (name === "calculator") return sentence(`The calculator says ${value}`);
  if (name === "clock") {
    const time = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?$/.exec(value);
    if (time) return `The clock says ${time[1]} ${time[2]}${time[3] === "Z" ? " UTC" : time[3] ? ` (UTC${time[3]})` : ""}.`;
    return sentence(`The clock says ${value}`);
  }
  return sentence(`The tool ${name} answered ${value}`);
}

/** The value in a tool's result: itself, or the member that carries it; an error when the result says that it is one. */
function read(content: string): { readonly value: string; readonly error?: string } {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    const text = content.trim();
    return /^(?:error\b|failed\b|invalid\b|denied\b|refused\b|the tool\b.*\b(?:failed|denied|refused)\b)/i.test(text)
      ? { value: "", error: text.replace(/^error:\s*/i, "") }
      : { value: text };
  }
  if (typeof value !== "object" || value === null) return { value: String(value) };
  const members = value as { readonly [key: string]: unknown }; // JSON.parse made it
  if (members.error !== undefined && members.error !== null) {
    const inner = members.error as { readonly message?: unknown }; // looked at below
    return {
      value: "",
      error: typeof inner === "string" ? inner : typeof inner.message === "string" ? inner.message : JSON.stringify(inner),
    };
  }
  for (const name of ["result", "value", "answer", "output", "iso", "now", "utc", "time", "datetime", "date"]) {
    const member = members[name];
    if (typeof member === "string" || typeof member === "number") return { value: String(member) };
  }
  return { value: JSON.stringify(value) };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
