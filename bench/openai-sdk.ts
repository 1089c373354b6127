/** The bare `openai` SDK as its README shows it, without retries: what an application without a runtime would write. */
import OpenAI from "openai";
import type { Contestant, Hanging, Session, Site } from "./contestant.ts";
import * as workload from "./workload.ts";

const opening: readonly OpenAI.ChatCompletionMessageParam[] = [
  { role: "system", content: workload.instructions },
  { role: "user", content: workload.question },
];
const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: "function",
    function: {
      name: workload.toolName,
      description: workload.toolDescription,
      // A copy: the SDK's type wants it mutable.
      parameters: { ...workload.toolSchema },
    },
  },
];

export const contestant: Contestant = {
  async open(site: Site): Promise<Session> {
    const client = new OpenAI({ apiKey: "bench", baseURL: site.baseUrl, maxRetries: 0 });
    const common = { model: workload.model, max_completion_tokens: workload.maxTokens };
    const stream = (signal?: AbortSignal) =>
      client.chat.completions.create(
        { ...common, messages: [...opening], stream: true, stream_options: { include_usage: true } },
        signal === undefined ? undefined : { signal },
      );

    async function json(): Promise<string> {
      const completion = await client.chat.completions.create({ ...common, messages: [...opening] });
      return completion.choices[0]!.message.content!;
    }

    async function streamed(): Promise<string> {
      let answer = "";
      for await (const chunk of await stream()) answer += chunk.choices[0]?.delta.content ?? "";
      return answer;
    }

    async function loop(): Promise<string> {
      const messages = [...opening];
      for (;;) {
        const { message } = (await client.chat.completions.create({ ...common, messages, tools })).choices[0]!;
        if (message.tool_calls === undefined) return message.content!;
        messages.push(message);
        for (const call of message.tool_calls) {
          if (call.type !== "function") throw new Error(`a tool call of type ${call.type}`);
          // The tool's schema.
          const { step } = JSON.parse(call.function.arguments) as { step: number };
          messages.push({ role: "tool", tool_call_id: call.id, content: workload.lookup(step) });
        }
      }
    }

    async function hang(): Promise<Hanging> {
      const abort = new AbortController();
      const started = Promise.withResolvers<void>();
      const read = async () => {
        let answer = "";
        for await (const chunk of await stream(abort.signal)) {
          answer += chunk.choices[0]?.delta.content ?? "";
          if (answer !== "") started.resolve();
        }
      };
      const ended = read().catch((error: unknown) => {
        started.reject(error);
        return error;
      });
      await started.promise;
      return { cancel: () => abort.abort(), ended };
    }

    return {
      run: workload.isStreamed(site.way) ? streamed : site.way === "loop" ? loop : json,
      hang,
      close: async () => {},
    };
  },
};
