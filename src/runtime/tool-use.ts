/** Performs one use of a tool: with its arguments parsed again, a time limit, an abort signal and a cap on what the model gets. */
import * as Effect from "effect/Effect";
import type { ToolOutput, WorkError } from "../../machines/work.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Outcome, Reporter, Work } from "./interpreter.ts";
import type { Tool } from "./tool.ts";

/** `input`: the arguments as the model gave them. */
export function performTool(tool: Tool, work: Work, input: Json, report: Reporter, clock: () => number): Effect.Effect<Outcome> {
  return Effect.suspend(() => {
    const startedAt = clock();
    const limitMs = Math.max(1, Math.min(tool.timeoutMs, work.remainingMs));
    const account = () => ({
      costNano: 0,
      inputTokens: 0,
      cachedTokens: 0,
      outputTokens: 0,
      estimated: false,
      model: "",
      durationMs: Math.round(clock() - startedAt),
    });
    const failed = (error: WorkError): Outcome => ({ ok: false, value: error, account: account() });
    const parsed = tool.parse(input);
    if (!parsed.ok) return Effect.succeed(failed({ code: "tool_failed", message: parsed.message, retryable: false }));
    return Effect.tryPromise({
      try: async (signal) =>
        await tool.run(parsed.value, {
          run: work.run,
          key: `${work.run}/${work.ask.ordinal}`,
          signal,
          progress: (message, done, total) => report.progress(message, done, total),
          data: (name, value) => report.data(name, shown(name, value)),
        }),
      catch: (error) => error,
    }).pipe(
      Effect.timeoutOrElse({
        duration: limitMs,
        orElse: () => Effect.fail(new EscapementError("timeout", `the tool took longer than ${limitMs} ms`)),
      }),
      Effect.match({
        onSuccess: (output) => {
          try {
            return { ok: true, value: forModel(output, tool.resultBytes), account: account() };
          } catch {
            // It has run; only its result cannot be written down.
            const said = "The tool has run; its result is no JSON and cannot be shown.";
            return { ok: true, value: { output: null, content: said }, account: account() };
          }
        },
        onFailure: (error): Outcome =>
          // Whether a `once` tool took effect is not known when it ran out of time, or says so itself.
          error instanceof EscapementError && (error.code === "timeout" || error.code === "tool_unknown") && tool.class === "once"
            ? failed({ code: "tool_unknown", message: error.message, retryable: false })
            : failed({ code: "tool_failed", message: error instanceof Error ? error.message : sentence(error), retryable: false }),
      }),
    );
  });
}

/** JSON as the journal keeps it, and the text for the model, cut to `bytes`. */
function forModel(result: unknown, bytes: number): ToolOutput {
  const json = JSON.stringify(result ?? null) ?? "null";
  const text = typeof result === "string" ? result : json;
  if (Buffer.byteLength(text) <= bytes) return { output: JSON.parse(json) as Json, content: text };
  const head = new TextDecoder().decode(Buffer.from(text).subarray(0, bytes), { stream: true });
  const content = `${head}\n[cut: the result has ${Buffer.byteLength(text)} bytes, the limit is ${bytes}; ask for less]`;
  return { output: content, content, truncated: true };
}

/** UTF-8 bytes of what a tool wants shown at once: it is stored with the run. */
const maxShownBytes = 64 * 1024;

/** A copy as JSON. */
function shown(name: string, value: Json): Json {
  const json = JSON.stringify(value ?? null) ?? "null";
  if (Buffer.byteLength(json) > maxShownBytes)
    throw new EscapementError("too_large", `"${name}" has ${Buffer.byteLength(json)} bytes, at most ${maxShownBytes} can be shown at once`);
  return JSON.parse(json) as Json;
}

/** Whatever was thrown, in words. */
function sentence(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "the tool failed";
  }
}
