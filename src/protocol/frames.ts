/** Frames of the WebSocket channel `escapement.v1`: one JSON object a text frame. */
import { z } from "zod";
import { answerBody, startBody } from "./commands.ts";
import type { ErrorBody } from "./errors.ts";
import type { Event } from "./events.ts";
import type { Run, RunStatus } from "./run.ts";

const ref = z.union([z.string().max(200), z.number()]);
const run = z.string().min(1).max(200);
const frame = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) => z.strictObject({ type: z.literal(type), ref, ...shape });

/** `answer` is checked in two steps: the frame's own keys, then {@link answerBody} over the rest. */
export const clientFrame = z.discriminatedUnion("type", [
  frame("start", { ...startBody.shape, idempotency_key: z.string().min(1).max(200).optional() }),
  frame("subscribe", { run, after: z.string().max(4_096).optional(), internal: z.boolean().optional() }),
  frame("unsubscribe", { run }),
  frame("watch", { agent: z.string().max(200).optional(), status: z.string().max(200).optional() }),
  frame("cancel", { run, reason: z.string().max(2_000).optional() }),
  z.looseObject({ type: z.literal("answer"), ref, run }),
  frame("ping", {}),
]);
export { answerBody };
export type ClientFrame = z.infer<typeof clientFrame>;
export type Ref = z.infer<typeof ref>;

export type ServerFrame =
  | { readonly type: "ok"; readonly ref: Ref; readonly run?: string; readonly status?: RunStatus; readonly replayed?: boolean }
  | { readonly type: "error"; readonly ref?: Ref; readonly error: ErrorBody }
  | { readonly type: "event"; readonly event: Event }
  | { readonly type: "run"; readonly run: Run }
  | { readonly type: "alert"; readonly kind: string; readonly message: string; readonly at: string; readonly details: unknown }
  | { readonly type: "pong"; readonly ref: Ref }
  | { readonly type: "drain"; readonly retry_ms: number };
