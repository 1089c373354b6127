/** `escapement run`: one run in this process, on the same journal as the server's. Ctrl-C cancels it. */
import { text } from "node:stream/consumers";
import { runtimeOf } from "../index.ts";
import type { StartBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { RunHandle } from "../protocol/runs.ts";
import { answerCommand, askAtTerminal, type Question } from "./answer.ts";
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
    const isAnswered = process.stdin.isTTY && process.stderr.isTTY && input !== "-" && !options.json;
    const questions = new Map<string, Question>();
    const prompts = new Map<string, AbortController>();
    for await (const event of handle) {
      show(event);
      if (event.type === "input.requested") {
        questions.set(event.id, event);
        if (isAnswered) prompts.set(event.id, prompt(handle, event));
      } else if (event.type === "input.resolved") {
        questions.delete(event.id);
        prompts.get(event.id)?.abort();
      }
      // Nobody is here who could say anything, and nothing goes on without it.
      if (!isAnswered && questions.size > 0 && (await runtime.get(handle.id)).status === "waiting")
        throw unanswered([...questions.values()]);
    }
    const { status } = await handle.result();
    process.exitCode = status === "done" || status === "degraded" ? 0 : 1;
  } finally {
    await runtime.close();
  }
}

/** Asks for an answer and gives it, while the run goes on. */
function prompt(handle: RunHandle, question: Question): AbortController {
  const over = new AbortController();
  askAtTerminal(question, over.signal)
    .then((answer) => handle.answer(answer))
    // Ctrl-C at the prompt, or the end of the input.
    .catch((error: Error) => (error.name === "AbortError" && over.signal.aborted ? undefined : handle.cancel("no answer")));
  return over;
}

function unanswered(questions: readonly Question[]): EscapementError {
  const ways = questions.map((question) => `\`${answerCommand(question)}\``).join(" and ");
  return new EscapementError(
    "conflict",
    `the run waits for a person, and here is no terminal: it is kept. Start \`escapement serve\` in this folder and answer with ${ways}, or end it with \`escapement cancel ${questions[0]?.run}\``,
  );
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
