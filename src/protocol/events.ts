/**
 * Events: what clients see. A fact is numbered, stored and never dropped; a delta is neither.
 * The schemas are the contract's (documents and tests are made from them); the server builds events, it does not parse them.
 */
import { z } from "zod";
import { errorCodes } from "./errors.ts";
import { endStatuses } from "./run.ts";

const base = { run: z.string(), seq: z.number().int().nonnegative(), at: z.iso.datetime({ precision: 3 }), actor: z.string() };
const count = z.number().int().nonnegative();
/** Micro-dollars with at most three decimals. */
const microusd = z.number().nonnegative();
export const usageSchema = z.object({ input_tokens: count, cached_tokens: count, output_tokens: count, estimated: z.boolean() });
export const errorSchema = z.object({
  code: z.enum(errorCodes as [(typeof errorCodes)[number], ...(typeof errorCodes)[number][]]),
  message: z.string(),
  retryable: z.boolean(),
  retry_after_ms: count.optional(),
  run: z.string().optional(),
  details: z.record(z.string(), z.json()).optional(),
});
const limits = z.object({
  max_steps: count,
  max_calls: count,
  max_tool_calls: count,
  max_depth: count,
  max_cost_microusd: microusd,
  max_output_tokens: count,
  deadline_ms: count,
});
const bounds = z.object({
  calls: count,
  input_tokens: count,
  output_tokens: count,
  tool_calls: count,
  cost_microusd: microusd,
  wall_ms: count,
});
const toolRequest = z.object({ id: z.string(), name: z.string(), input: z.json() });
const tool = { id: z.string(), tool: z.string(), group: z.string() };
export const finishReasons = ["stop", "length", "tools", "refused", "filtered", "cancelled", "error", "lost"] as const;
export const inputKinds = ["approval", "question", "review", "budget", "confirm", "tool"] as const;
export const limitNames = [
  "steps",
  "calls",
  "tool_calls",
  "depth",
  "deadline",
  "restarts",
  "budget.run",
  "budget.user",
  "budget.key",
  "budget.feature",
  "budget.system",
] as const;

const fact = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) => z.object({ ...base, type: z.literal(type), ...shape });

export const factSchema = z.discriminatedUnion("type", [
  fact("run.accepted", { agent: z.string(), limits, bounds }),
  fact("run.started", {}),
  fact("state", { machine: z.string(), value: z.union([z.string(), z.record(z.string(), z.json())]), reason: z.string().optional() }),
  fact("progress", { message: z.string(), done: z.number().optional(), total: z.number().optional() }),
  fact("data", { name: z.string(), data: z.json() }),
  fact("call.started", {
    call: z.string(),
    for: z.enum(["answer", "internal"]),
    step: count,
    model: z.string(),
    tier: z.string(),
    attempt: count,
    /** `name@version` of the prompt that instructs it. */
    prompt: z.string().optional(),
    hold_microusd: microusd,
  }),
  fact("call.finished", {
    call: z.string(),
    finish: z.enum(finishReasons),
    /** Absent when `finish` is `lost`. */
    text: z.string().optional(),
    tools: z.array(toolRequest).optional(),
    error: errorSchema.optional(),
    model: z.string(),
    usage: usageSchema,
    cost_microusd: microusd,
    ttft_ms: z.number().optional(),
    duration_ms: z.number(),
    cached: z.boolean().optional(),
    stale: z.boolean().optional(),
  }),
  fact("retract", { call: z.string(), reason: z.string() }),
  fact("request.retrying", { request: z.string(), attempt: count, reason: z.string(), delay_ms: count }),
  fact("request.fell_back", { request: z.string(), from: z.string(), to: z.string(), reason: z.string() }),
  fact("tool.started", { ...tool, call: z.string(), input: z.json() }),
  fact("tool.returned", { ...tool, output: z.json(), truncated: z.boolean().optional(), duration_ms: z.number() }),
  fact("tool.failed", { ...tool, error: errorSchema, duration_ms: z.number() }),
  fact("tool.refused", { ...tool, error: errorSchema }),
  fact("input.requested", {
    id: z.string(),
    kind: z.enum(inputKinds),
    message: z.string(),
    tool: z.string().optional(),
    input: z.json().optional(),
    input_hash: z.string().optional(),
    schema: z.json().optional(),
    amount_microusd: microusd.optional(),
    expires_at: z.iso.datetime({ precision: 3 }),
  }),
  fact("input.resolved", { id: z.string(), by: z.enum(["user", "expiry", "cancel"]), answer: z.json() }),
  fact("limit.hit", { which: z.enum(limitNames), value: z.number().optional(), limit: z.number().optional() }),
  fact("run.finished", {
    status: z.enum(endStatuses),
    output: z.json(),
    error: errorSchema.optional(),
    usage: usageSchema,
    cost_microusd: microusd,
    tier: z.string().optional(),
    steps: count,
    calls: count,
  }),
]);
export const deltaSchema = z.discriminatedUnion("type", [
  fact("text.delta", { call: z.string(), offset: count, text: z.string() }),
  fact("reasoning.delta", { call: z.string(), offset: count, text: z.string() }),
  fact("partial", { call: z.string(), value: z.json() }),
]);
export const eventSchema = z.union([factSchema, deltaSchema]);

export type Fact = z.infer<typeof factSchema>;
export type Delta = z.infer<typeof deltaSchema>;
export type Event = Fact | Delta;
export type FactType = Fact["type"];
export type FinishReason = (typeof finishReasons)[number];
export type LimitName = (typeof limitNames)[number];
/** A fact as its maker knows it: the writer adds run, seq and at. */
export type FactBody = Fact extends infer F ? (F extends Fact ? Omit<F, "run" | "seq" | "at"> : never) : never;

export const isDelta = (event: Event): event is Delta =>
  event.type === "text.delta" || event.type === "reasoning.delta" || event.type === "partial";
