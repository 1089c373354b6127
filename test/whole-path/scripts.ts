/**
 * The provider of a whole file of tests: one fault server whose answers are chosen by the run's input, so that tests of one server
 * process do not see each other's calls. Owns which script is whose; the book is the fault server's.
 */
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import type { Script } from "../../src/testing/fault-script.ts";
import { type FaultEntry, type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { until } from "./until.ts";

/** What one request looks like to a script: `call` counts the requests of this input from 0, `results` the tool results in it. */
export type Asked = { readonly request: FaultRequest; readonly call: number; readonly results: number; readonly maxTokens: number };
export type Answer = ChatAnswer | Script;

export type Scripts = {
  readonly server: FaultServer;
  /** Runs with this input are answered so; a list gives each request the next answer, and the last one from then on. */
  on(input: string, answer: readonly Answer[] | ((asked: Asked) => Answer)): void;
  /** The book's entries of that input, in order. */
  of(input: string): readonly FaultEntry[];
  /** The entry with that index, once its request has come. */
  entry(input: string, index: number): Promise<FaultEntry>;
};

type Message = { readonly role: string; readonly content?: unknown };
const messagesOf = (request: FaultRequest): readonly Message[] => request.json().messages;
/** The run's input: what the last person said before any answer of this run. */
const inputOf = (request: FaultRequest): string => String(messagesOf(request).find(({ role }) => role === "user")?.content);

const isScript = (answer: Answer): answer is Script => Array.isArray(answer);

export async function startScripts(): Promise<Scripts> {
  const scripts = new Map<string, (asked: Asked) => Answer>();
  const counts = new Map<string, number>();
  const server = await startFaultServer((request) => {
    const input = inputOf(request);
    const script = scripts.get(input);
    if (!script) throw new Error(`no script for the input ${JSON.stringify(input)}`);
    const call = counts.get(input) ?? 0;
    counts.set(input, call + 1);
    const results = messagesOf(request).filter(({ role }) => role === "tool").length;
    const answer = script({ request, call, results, maxTokens: Number(request.json().max_tokens) });
    return isScript(answer) ? answer : chatScript(request, answer);
  });
  const of = (input: string) => server.book.entries.filter(({ request }) => inputOf(request) === input);
  return {
    server,
    on(input, answer) {
      scripts.set(input, typeof answer === "function" ? answer : ({ call }) => answer[Math.min(call, answer.length - 1)] as Answer); // never an empty list
    },
    of,
    entry: (input, index) => until(`request ${index} of "${input}"`, () => of(input)[index]),
  };
}
