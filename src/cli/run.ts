/** `escapement run`: one run in this process, on the same journal as the server's. Ctrl-C cancels it. */
import { text } from "node:stream/consumers";
import { loadConfig } from "../config/config.ts";
import { runtimeOf } from "../index.ts";
import type { Json } from "../protocol/json.ts";
import { showProgress } from "./progress.ts";

export async function run(agent: string, input: string, options: { config?: string; json?: boolean; quiet?: boolean }): Promise<void> {
  const resolved = await loadConfig(options.config === undefined ? {} : { path: options.config });
  if (resolved.offline && !options.quiet)
    process.stderr.write("No model is connected: answers are scripted. Set OPENAI_API_KEY, ANTHROPIC_API_KEY, …\n");
  const runtime = await runtimeOf(resolved, { onError: (message) => void process.stderr.write(`${message}\n`) });
  try {
    const asked = input === "-" ? await text(process.stdin) : input;
    const wantsObject = runtime.agents().find(({ name }) => name === agent)?.input_schema != null;
    const handle = await runtime.start({ agent, input: (wantsObject ? JSON.parse(asked) : asked) as Json & string });
    process.once("SIGINT", () => void handle.cancel("Ctrl-C"));
    const show = showProgress(options);
    for await (const event of handle) show(event);
    const { status } = await handle.result();
    process.exitCode = status === "done" || status === "degraded" ? 0 : 1;
  } finally {
    await runtime.close();
  }
}
