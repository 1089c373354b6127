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
const saidIn = (request: FaultRequest): readonly string[] =>
  messagesOf(request).flatMap(({ role, content }) => (role === "user" ? [String(content)] : []));

const isScript = (answer: Answer): answer is Script => Array.isArray(answer);

export async function startScripts(): Promise<Scripts> {
  const scripts = new Map<string, (asked: Asked) => Answer>();
  const counts = new Map<string, number>();
  /** Turns of a session come before the run's own input, and words about a bad answer after it. */
  const inputOf = (request: FaultRequest): string | undefined => saidIn(request).findLast((said) => scripts.has(said));
  const server = await startFaultServer((request) => {
    const input = inputOf(request);
    const script = input === undefined ? undefined : scripts.get(input);
    if (input === undefined || !script) throw new Error(`no script for ${JSON.stringify(saidIn(request).at(-1)?.slice(0, 200))}`);
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
