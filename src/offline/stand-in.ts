/**
 * A provider that is not there, played by the offline server: its calls go over real HTTP, are answered from a script, counted with OpenAI's
 * tokenizer (framing as its cookbook says, tools and schemas as their JSON, nothing cached) and so cost what its models' list prices say.
 *
 *  1. The server is started by the first call and closed with the provider.
 */
import { countText, loadTokenizer, unmargined } from "../money/tokens.ts";
import { openai } from "../providers/openai.ts";
import type { Provider } from "../providers/provider.ts";
import { type OfflineOptions, startOffline } from "./server.ts";

export function standIn(name: string, options: OfflineOptions): Provider {
  let opened: Promise<{ readonly provider: Provider; close(): Promise<void> }> | undefined;
  const open = async () => {
    await loadTokenizer();
    const server = await startOffline({ ...options, count: (text) => countText(text, unmargined) });
    const provider = openai({ baseURL: server.url, name, selfHosted: false, tokenizer: unmargined });
    return {
      provider,
      async close() {
        await provider.close();
        await server.close();
      },
    };
  };
  return {
    name,
    endpoint: "offline",
    selfHosted: false,
    tokenizer: unmargined,
    stream(request, sink) {
      let abort: (() => void) | undefined;
      let isAborted = false;
      opened ??= open();
      opened.then(
        ({ provider }) => {
          if (!isAborted) abort = provider.stream(request, sink);
        },
        (error) => {
          const message = `the offline server cannot be started: ${error}`;
          if (!isAborted)
            sink({
              type: "end",
              finish: "error",
              model: request.model,
              unsent: true,
              error: { code: "provider_unavailable", message, retryable: false },
            });
        },
      );
      return () => {
        isAborted = true;
        abort?.();
      };
    },
    close: async () => (await opened)?.close(),
  };
}
