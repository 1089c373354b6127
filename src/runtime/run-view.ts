/** From what the store holds to what clients see. */
import type { ErrorBody } from "../protocol/errors.ts";
import { hasEnded, type Run } from "../protocol/run.ts";
import type { RunRecord, TurnRow } from "../stores/store.ts";
import { bodyOf } from "./recovery.ts";

const iso = (ms: number): string => new Date(ms).toISOString();

export function runOf({ id, info, status, progress, spentNano, heldNano }: RunRecord): Run {
  return {
    id,
    agent: info.agent,
    status,
    ...(info.session !== undefined && { session: info.session }),
    ...(info.feature !== undefined && { feature: info.feature }),
    ...(info.user !== undefined && { user: info.user }),
    created_at: iso(info.createdAt),
    ...(progress.startedAt !== undefined && { started_at: iso(progress.startedAt) }),
    ...(progress.finishedAt !== undefined && { finished_at: iso(progress.finishedAt) }),
    output: progress.output ?? null,
    // Written by this runtime as an ErrorBody.
    ...(progress.error !== undefined && progress.error !== null && { error: { ...(progress.error as unknown as ErrorBody), run: id } }),
    ...(progress.tier !== undefined && { tier: progress.tier }),
    ...(progress.cached && { cached: true }),
    usage: {
      input_tokens: progress.inputTokens,
      cached_tokens: progress.cachedTokens,
      output_tokens: progress.outputTokens,
      estimated: progress.estimated,
    },
    cost_microusd: spentNano / 1_000,
    steps: progress.steps,
    calls: progress.calls,
    tool_calls: progress.toolCalls,
    limits: info.limits,
    held_microusd: heldNano / 1_000,
    bounds: info.bounds,
    ...(progress.waitingFor && !hasEnded(status) && { waiting_for: progress.waitingFor }),
    ...(info.forkedFrom !== undefined && { forked_from: info.forkedFrom }),
    ...(info.metadata !== undefined && { metadata: info.metadata }),
  };
}

export type JournalEntry = {
  readonly position: number;
  readonly at: string;
  readonly kind: string;
  readonly work?: string;
  readonly ok?: boolean;
  readonly value: unknown;
};

/** One turn as `/journal` shows it. `workOf` names the work of an ordinal (its path), known from the turn that asked for it. */
export function journalEntry(record: RunRecord, row: TurnRow, workOf: Map<number, string>): JournalEntry {
  const { input, asks } = bodyOf(row);
  for (const [ordinal, path] of asks ?? []) workOf.set(ordinal, path);
  const entry = { position: row.n, at: iso(record.info.createdAt + row.at) };
  switch (input.type) {
    case "start":
      return { ...entry, kind: "start", value: record.info.input };
    case "outcome":
      return { ...entry, kind: "outcome", work: workOf.get(input.ordinal) ?? String(input.ordinal), ok: input.ok, value: input.value };
    case "message":
      return {
        ...entry,
        kind: input.kind,
        ...(input.kind === "answer" && { work: workOf.get(input.ordinal) ?? String(input.ordinal) }),
        value: input.value,
      };
    case "progress":
      return {
        ...entry,
        kind: "progress",
        work: workOf.get(input.ordinal) ?? String(input.ordinal),
        value: { message: input.message, done: input.done, total: input.total },
      };
    case "data":
      return {
        ...entry,
        kind: "data",
        work: workOf.get(input.ordinal) ?? String(input.ordinal),
        value: { name: input.name, data: input.data },
      };
  }
}
