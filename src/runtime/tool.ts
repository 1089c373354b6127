/** `tool()`: what a model may use. Its definition is data and one function; validation happens before it is started. */
import { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";

/**
 * What may happen when a tool is interrupted: `pure` and `idempotent` work is done again (under the same key),
 * `once` work is never repeated: its outcome becomes `tool_unknown`.
 */
export type ToolClass = "pure" | "idempotent" | "once";

/**
 * Tools that a model may be shown at once (FEATURES E2): held at definition and again at each call. With more it picks the wrong one too
 * often, and each costs input tokens in every step.
 */
export const maxShown = 10;

export type ToolContext = {
  readonly run: string;
  /** The same for every repetition of one use: hand it to services that take an idempotency key. */
  readonly key: string;
  /** Aborted when the use is stopped or its time is over. */
  readonly signal: AbortSignal;
  /** Shown to people while the tool works. */
  progress(message: string, done?: number, total?: number): void;
  /** Something to show beside the answer, as JSON: a `data` event. A citation is `source` with `{id, title, url?, quote?}`. */
  data(name: string, value: Json): void;
};

export type ToolOptions<Input extends z.ZodType> = {
  /** `[a-zA-Z0-9_-]{1,64}`, what the model calls. */
  readonly name: string;
  /** For the model: what it does, when to use it. */
  readonly description: string;
  readonly input: Input;
  readonly class: ToolClass;
  /** A person must say yes to the exact arguments first. */
  readonly approval?: boolean;
  /** Its results are text from outside (a page, a document, another server): who has read them may be misled by them. */
  readonly untrusted?: boolean;
  /** It changes something outside: after anything untrusted was read it needs a person's yes. All but `pure` tools, by default. */
  readonly consequential?: boolean;
  /**
   * The name of a tool of the same agent that takes this one's doing back: it gets `{ input, output }` of it when the agent ends without an
   * answer. A tool that is only that is not shown to the model.
   */
  readonly compensation?: string;
  /** Milliseconds; 30,000. */
  readonly timeoutMs?: number;
  /** UTF-8 bytes of the result that the model gets; 32 KiB. What is cut is said to the model. */
  readonly resultBytes?: number;
  readonly run: (input: z.output<Input>, context: ToolContext) => unknown | Promise<unknown>;
};

export type Tool = {
  readonly name: string;
  readonly description: string;
  readonly class: ToolClass;
  readonly approval: boolean;
  readonly untrusted: boolean;
  readonly consequential: boolean;
  readonly compensation?: string;
  /** A person answers it: see tools/people. */
  readonly isQuestion?: true;
  readonly timeoutMs: number;
  readonly resultBytes: number;
  /** JSON Schema of the input, as the model gets it. */
  readonly schema: Json;
  /** The validated input, or a sentence that tells the model what is wrong with it. */
  parse(input: Json): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };
  run(input: unknown, context: ToolContext): unknown | Promise<unknown>;
};

export function tool<Input extends z.ZodType>(options: ToolOptions<Input>): Tool {
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(options.name)) {
    throw new EscapementError("invalid_request", `a tool's name is 1 to 64 of A-Z a-z 0-9 _ -; "${options.name}" is not`);
  }
  return {
    name: options.name,
    description: options.description,
    class: options.class,
    approval: options.approval ?? false,
    untrusted: options.untrusted ?? false,
    ...(options.compensation !== undefined && { compensation: options.compensation }),
    consequential: options.consequential ?? options.class !== "pure",
    timeoutMs: options.timeoutMs ?? 30_000,
    resultBytes: options.resultBytes ?? 32 * 1024,
    // The schema of a zod type is JSON by construction.
    schema: z.toJSONSchema(options.input, { io: "input" }) as Json,
    parse(input) {
      const parsed = options.input.safeParse(input);
      return parsed.success ? { ok: true, value: parsed.data } : { ok: false, message: z.prettifyError(parsed.error) };
    },
    // `parse` made the value; the cast only says so.
    run: (input, context) => options.run(input as z.output<Input>, context),
  };
}
