/**
 * The end of a quarantined run by an operator's cancel. Its machine cannot be trusted, so it is not asked: one last turn is made from
 * the store's own record. What is open is closed at its worst case, as after a crash.
 */
import { type ErrorBody, errorBody } from "../protocol/errors.ts";
import { askId, callId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import type { CallRow, Close, RunProgress, RunRecord, TurnEntry } from "../stores/store.ts";
import { type NewFact, usageOf } from "./facts.ts";

/** In the place of the hash of a turn: no machine took it, so none is held against it at replay. */
export const endedByOperator = "ended by an operator";

/** `at`: milliseconds since the run's start. */
export function lastTurn(
  record: RunRecord,
  reason: string | undefined,
  at: number,
): { readonly entry: TurnEntry; readonly facts: NewFact[] } {
  const iso = new Date(record.info.createdAt + at).toISOString();
  const base = { at: iso, actor: "run" };
  const facts: NewFact[] = [];
  const closes: Close[] = [];
  const rows: CallRow[] = [];
  let { outputTokens, estimated } = record.progress;
  for (const { ordinal, kind, denied, holdNano = 0, maxTokens = 0, holdTokens = 0 } of record.open) {
    const isCall = kind === "call" && denied === undefined;
    closes.push({ ordinal, costNano: isCall ? holdNano : 0, tokens: isCall ? holdTokens : 0 });
    if (isCall) {
      outputTokens += maxTokens;
      estimated = true;
      const usage = { input_tokens: 0, cached_tokens: 0, output_tokens: maxTokens, estimated: true };
      facts.push({
        type: "call.finished",
        ...base,
        call: callId(ordinal),
        finish: "lost",
        model: "",
        usage,
        cost_microusd: holdNano / 1_000,
        duration_ms: 0,
      });
      facts.push({ type: "retract", ...base, call: callId(ordinal), reason: "lost" });
      rows.push(lostRow(ordinal, record.info.createdAt + at, holdNano, maxTokens));
    } else if (kind === "ask") facts.push({ type: "input.resolved", ...base, id: askId(ordinal), by: "cancel", answer: null });
  }
  const error: ErrorBody = errorBody("cancelled", reason ?? "the run was quarantined, and an operator ended it");
  const { waitingFor: _waitingFor, ...before } = record.progress;
  const progress: RunProgress = { ...before, outputTokens, estimated, finishedAt: record.info.createdAt + at, output: null, error };
  const spentNano = record.spentNano + closes.reduce((sum, { costNano }) => sum + costNano, 0);
  const { steps, calls } = progress;
  facts.push({
    type: "run.finished",
    ...base,
    status: "cancelled",
    output: null,
    error,
    usage: usageOf(progress),
    cost_microusd: spentNano / 1_000,
    steps,
    calls,
  });
  const input: Json = { type: "message", nonce: "operator", kind: "cancel", value: reason === undefined ? {} : { reason } };
  const entry: TurnEntry = {
    type: "turn",
    run: record.id,
    epoch: record.epoch,
    n: record.head + 1,
    at,
    body: JSON.stringify({ input }),
    hash: endedByOperator,
    facts: facts.map((fact) => JSON.stringify(fact)),
    asks: [],
    closes,
    calls: rows,
    status: "cancelled",
    progress,
  };
  return { entry, facts };
}

/** What it was asked is in the machine alone: neither its tier nor its model is known here. */
const lostRow = (ordinal: number, endedAt: number, costNano: number, outputTokens: number): CallRow => ({
  ordinal,
  endedAt,
  attempt: 1,
  retry: false,
  fellBack: false,
  cached: false,
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens,
  costNano,
  savedNano: 0,
  estimated: true,
  finish: "lost",
  error: "interrupted",
});
