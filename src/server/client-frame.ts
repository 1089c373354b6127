/** Decodes one frame of a client: text to a typed frame, or the error that answers it. */
import type { z } from "zod";
import type { AnswerBody, StartBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import { clientFrame, type Ref } from "../protocol/frames.ts";
import { decodeAnswer } from "./answer.ts";
import { startSchema } from "./command-schemas.ts";
import { decode } from "./decode.ts";
import { parseJson } from "./json-text.ts";
import { nearestWord } from "./nearest-word.ts";
import { present } from "./present.ts";

type Shaped = Exclude<z.infer<typeof clientFrame>, { type: "start" } | { type: "answer" }>;

export type Command =
  | { readonly type: "start"; readonly ref: Ref; readonly body: StartBody; readonly idempotencyKey: string | undefined }
  | { readonly type: "answer"; readonly ref: Ref; readonly run: string; readonly answer: AnswerBody }
  | Shaped;

/** What a frame turned out to be. `ref` is given with an error wherever it could be read. */
export type DecodedFrame =
  | { readonly command: Command; readonly bytes: number }
  | { readonly error: EscapementError; readonly ref?: Ref; readonly bytes: number };

const { input, metadata } = startSchema.shape;
const schemas: ReadonlyMap<string, z.ZodType> = new Map(
  clientFrame.options.map((option) => {
    const type = option.shape.type.value;
    return [type, type === "start" ? option.extend({ input, metadata }) : option];
  }),
);

/** Never throws. */
export function decodeFrame(data: Buffer, binary: boolean, maxDepth: number): DecodedFrame {
  const bytes = data.byteLength;
  let ref: Ref | undefined;
  try {
    if (binary) throw new EscapementError("invalid_request", "send text frames, not binary ones", { details: { path: "" } });
    const value = parseJson(data.toString("utf8"), maxDepth);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new EscapementError("invalid_request", "a frame is a JSON object", { details: { path: "" } });
    }
    ref = readRef(value);
    return { command: decodeCommand(value), bytes };
  } catch (error) {
    if (!(error instanceof EscapementError)) throw error;
    return { error, bytes, ...present({ ref }) };
  }
}

function decodeCommand(value: object): Command {
  const type: unknown = "type" in value ? value.type : undefined;
  const schema = typeof type === "string" ? schemas.get(type) : undefined;
  if (!schema) throw unknownType(type);
  // The schema was found by the frame's own type, so what it gives is the union's member of that type.
  const frame = decode(schema, value) as z.infer<typeof clientFrame>;
  switch (frame.type) {
    case "start": {
      const { type, ref, idempotency_key, ...body } = frame;
      return { type, ref, body, idempotencyKey: idempotency_key };
    }
    case "answer": {
      const { type, ref, run, ...rest } = frame;
      return { type, ref, run, answer: decodeAnswer(rest) };
    }
    default:
      return frame;
  }
}

function unknownType(type: unknown): EscapementError {
  const details = { path: "type" };
  if (typeof type !== "string") return new EscapementError("invalid_request", '"type" is missing or no string', { details });
  const meant = nearestWord(type, [...schemas.keys()]);
  const hint = meant === undefined ? `; known are ${[...schemas.keys()].join(", ")}` : `; did you mean ${JSON.stringify(meant)}?`;
  return new EscapementError("invalid_request", `unknown frame type ${JSON.stringify(type.slice(0, 80))}${hint}`, { details });
}

function readRef(value: object): Ref | undefined {
  const ref: unknown = "ref" in value ? value.ref : undefined;
  return typeof ref === "number" || (typeof ref === "string" && ref.length <= 200) ? ref : undefined;
}
