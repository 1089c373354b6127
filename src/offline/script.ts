/**
 * Answers that were written down beforehand: what the offline server says instead of its own conversation. Pure.
 *
 *  1. The first line that fits answers. Where none does, the offline conversation does, which says that no model is connected.
 *  2. A line without `after` answers a question, never the result of a tool: what it asks for is asked for once.
 */
import { fill } from "../protocol/template.ts";
import type { Reply } from "./conversation.ts";

export type Line = {
  /** Words of the instructions of whoever is asked; anyone. */
  readonly as?: string | undefined;
  /** Words of the last question; any. */
  readonly when?: string | undefined;
  /** It answers the result of this tool. */
  readonly after?: string | undefined;
  /** The answer. Slots: `{{question}}`, and `{{result}}` of the tool. */
  readonly say?: string | undefined;
  /** Or the tool that is asked for. */
  readonly use?: { readonly tool: string; readonly input: unknown } | undefined;
};

export type Asked = {
  readonly instructions: string;
  readonly question: string;
  /** The results that came last, with the names of their tools. */
  readonly results: readonly { readonly name: string; readonly content: string }[];
};

export function scriptedReply(script: readonly Line[], { instructions, question, results }: Asked): Reply | undefined {
  const last = results.at(-1);
  const line = script.find(
    ({ as, when, after }) => holds(instructions, as) && holds(question, when) && (after === undefined ? !last : after === last?.name),
  );
  if (!line) return undefined;
  if (line.use) return { tools: [{ name: line.use.tool, input: line.use.input }] };
  return { text: fill(line.say ?? "", { question, result: last?.content ?? "" }) };
}

const holds = (text: string, words: string | undefined): boolean => words === undefined || text.toLowerCase().includes(words.toLowerCase());
