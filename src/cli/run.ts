/** `escapement run`: one run in this process, on the same journal as the server's. Ctrl-C cancels it. */
import { text } from "node:stream/consumers";
import { runtimeOf } from "../index.ts";
import type { StartBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import { localConfig } from "./local.ts";
import { showProgress } from "./progress.ts";

export async function run(agent: string, input: string, options: { config?: string; json?: boolean; quiet?: boolean }): Promise<void> {
  const resolved = await localConfig(options.config);
  if (resolved.offline && !options.quiet)
    process.stderr.write("No model is connected: answers are scripted. Set OPENAI_API_KEY, ANTHROPIC_API_KEY, …\n");
  const runtime = await runtimeOf(resolved, { onError: (message) => void process.stderr.write(`${message}\n`) });
  try {
    const asked = input === "-" ? await text(process.stdin) : input;
    const schema = runtime.agents().find(({ name }) => name === agent)?.input_schema as { readonly type?: unknown } | null | undefined;
    const takesText = schema == null || schema.type === "string";
    const handle = await runtime.start({ agent, input: takesText ? asked : jsonOf(agent, asked) });
    process.once("SIGINT", () => void handle.cancel("Ctrl-C"));
    const show = showProgress(options);
    for await (const event of handle) show(event);
    const { status } = await handle.result();
    process.exitCode = status === "done" || status === "degraded" ? 0 : 1;
  } finally {
    await runtime.close();
  }
}

function jsonOf(agent: string, text: string): StartBody["input"] {
  try {
    return JSON.parse(text) as StartBody["input"];
  } catch (error) {
    throw new EscapementError("invalid_request", `agent "${agent}" takes JSON, and the input is none: ${(error as Error).message}`, {
      details: { path: "input" },
    });
  }
}
