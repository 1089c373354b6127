/** What a run asks a person, at the command line: how it is answered by a command, and the question at a terminal. */
import { createInterface } from "node:readline/promises";
import { connect } from "../client/index.ts";
import { dollars } from "../money/dollars.ts";
import type { AnswerBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Event } from "../protocol/events.ts";
import { printable } from "./progress.ts";
import { reach } from "./reach.ts";

export type Question = Event & { readonly type: "input.requested" };
type Choice = {
  readonly approve?: boolean;
  readonly deny?: boolean;
  readonly reason?: string;
  readonly value?: string;
  readonly amount?: string;
};

/** `escapement answer`: to a run of a running server. */
export async function answer(run: string, id: string, { url, ...choice }: Choice & { readonly url: string }): Promise<void> {
  const body = bodyOf(id, choice);
  const client = connect(url);
  try {
    await reach(url);
    const { status } = await client.run(run).answer(body);
    process.stdout.write(`${run}: ${status}\n`);
  } finally {
    await client.close();
  }
}

function bodyOf(id: string, { approve, deny, reason, value, amount }: Choice): AnswerBody {
  if ([approve, deny, value, amount].filter((given) => given !== undefined).length !== 1)
    throw new EscapementError("invalid_request", "say one of --approve, --deny, --value and --amount");
  if (value !== undefined) return { id, value: jsonOrText(value) };
  if (amount === undefined) return { id, approve: approve === true, ...(reason !== undefined && { reason }) };
  const microusd = Math.round(Number(amount) * 1e6);
  if (!(microusd > 0)) throw new EscapementError("invalid_request", `--amount takes dollars, such as 0.05, not ${amount}`);
  return { id, amount_microusd: microusd };
}

/** The command that answers it. */
export function answerCommand({ run, id, kind }: Question): string {
  const choice = kind === "budget" ? "--amount <dollars> (or --deny)" : takesValue(kind) ? "--value <json>" : "--approve (or --deny)";
  return `escapement answer ${run} ${id} ${choice}`;
}

/** Asks at the terminal until there is an answer; `signal` ends it. */
export async function askAtTerminal(question: Question, signal: AbortSignal): Promise<AnswerBody> {
  const { id, kind, tool, input, input_hash: hash, amount_microusd: amount } = question;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const say = (words: string): Promise<string> => terminal.question(printable(words), { signal }).then((text) => text.trim());
  try {
    for (;;) {
      if (kind === "budget") {
        const text = await say("Dollars more (n: none): ");
        if (/^no?$/i.test(text)) return { id, approve: false };
        if (Number(text) > 0) return bodyOf(id, { amount: text });
      } else if (takesValue(kind)) {
        const text = await say("Answer: ");
        if (text !== "") return { id, value: jsonOrText(text) };
      } else {
        const about = tool === undefined ? "" : `${tool}(${JSON.stringify(input)}) `;
        const text = await say(`${about}${amount === undefined ? "" : `up to ${dollars(amount)} `}Approve? (y/n) `);
        if (/^(y(es)?|no?)$/i.test(text)) return { id, approve: /^y/i.test(text), ...(hash !== undefined && { input_hash: hash }) };
      }
    }
  } finally {
    terminal.close();
  }
}

const takesValue = (kind: Question["kind"]): boolean => kind === "question" || kind === "tool";

function jsonOrText(text: string): Extract<AnswerBody, { value: unknown }>["value"] {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
