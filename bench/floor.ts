/**
 * The floor: undici's dispatcher with handlers and an SSE parse of a few lines. It builds each request, reads each
 * answer and hands the text on; no program in Node can do the same work for less. The loop is the least loop there is.
 */
import { type Dispatcher, Pool } from "undici";
import type { Contestant, Hanging, Session, Site } from "./contestant.ts";
import * as workload from "./workload.ts";

type ToolCall = { readonly id: string; readonly function: { readonly name: string; readonly arguments: string } };
type Message = {
  readonly role: string;
  readonly content: string | null;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
};
type Completion = { readonly choices: readonly { readonly message: Message }[] };
type Chunk = { readonly choices: readonly { readonly delta: { readonly content?: string } }[] };

const headers = ["content-type", "application/json", "authorization", "Bearer bench"];
const tools = [
  {
    type: "function",
    function: { name: workload.toolName, description: workload.toolDescription, parameters: workload.toolSchema },
  },
];
const opening: readonly Message[] = [
  { role: "system", content: workload.instructions },
  { role: "user", content: workload.question },
];

export const contestant: Contestant = {
  async open(site: Site): Promise<Session> {
    const url = new URL(site.baseUrl);
    const pool = new Pool(url.origin);
    const path = `${url.pathname}/chat/completions`;
    const post = (body: object): Dispatcher.DispatchOptions => ({ path, method: "POST", headers, body: JSON.stringify(body) });

    const complete = (messages: readonly Message[], more: object = {}): Promise<Completion> =>
      new Promise((resolve, reject) => {
        const parts: Buffer[] = [];
        pool.dispatch(post({ model: workload.model, messages, max_completion_tokens: workload.maxTokens, ...more }), {
          onRequestStart() {},
          onResponseStart(controller, status) {
            if (status !== 200) controller.abort(new Error(`status ${status}`));
          },
          onResponseData: (_, data) => parts.push(data),
          onResponseEnd() {
            // What the provider of this bench sends.
            resolve(JSON.parse((parts.length === 1 ? parts[0]! : Buffer.concat(parts)).toString()) as Completion);
          },
          onResponseError: (_, error) => reject(error),
        });
      });

    /** Gives the text of each read of the socket to `onText`. The returned function aborts, which ends it too. */
    const stream = (onText: (text: string) => void, onEnd: (error?: Error) => void): (() => void) => {
      let abort = () => {};
      let rest: Buffer | null = null;
      const body = {
        model: workload.model,
        messages: opening,
        max_completion_tokens: workload.maxTokens,
        stream: true,
        stream_options: { include_usage: true },
      };
      pool.dispatch(post(body), {
        onRequestStart(controller) {
          abort = () => controller.abort(new Error("cancelled"));
        },
        onResponseStart(controller, status) {
          if (status !== 200) controller.abort(new Error(`status ${status}`));
        },
        onResponseData(_, data) {
          const all: Buffer = rest === null ? data : Buffer.concat([rest, data]);
          const end = all.lastIndexOf(10) + 1;
          rest = end === all.length ? null : all.subarray(end);
          let text = "";
          for (const line of all.toString("utf8", 0, end).split("\n")) {
            if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
            // What the provider of this bench sends.
            text += (JSON.parse(line.slice(6)) as Chunk).choices[0]?.delta.content ?? "";
          }
          if (text !== "") onText(text);
        },
        onResponseEnd: () => onEnd(),
        onResponseError: (_, error) => onEnd(error),
      });
      return () => abort();
    };

    const runs: Record<"json" | "stream" | "loop", () => Promise<string>> = {
      json: async () => (await complete(opening)).choices[0]!.message.content!,
      stream: () =>
        new Promise((resolve, reject) => {
          let answer = "";
          stream(
            (text) => {
              answer += text;
            },
            (error) => (error === undefined ? resolve(answer) : reject(error)),
          );
        }),
      async loop() {
        const messages = [...opening];
        for (;;) {
          const message = (await complete(messages, { tools })).choices[0]!.message;
          if (message.tool_calls === undefined) return message.content!;
          messages.push(message);
          for (const call of message.tool_calls) {
            // The tool's schema.
            const { step } = JSON.parse(call.function.arguments) as { step: number };
            messages.push({ role: "tool", tool_call_id: call.id, content: workload.lookup(step) });
          }
        }
      },
    };
    return {
      run: runs[workload.isStreamed(site.way) ? "stream" : site.way === "loop" ? "loop" : "json"],
      hang: () =>
        new Promise<Hanging>((resolve) => {
          const ended = Promise.withResolvers<unknown>();
          const cancel = stream(() => resolve({ cancel, ended: ended.promise }), ended.resolve);
        }),
      close: () => pool.destroy(),
    };
  },
};
