/** Short ways to say entries. */
import type {
  AcceptEntry,
  AskEntry,
  CallRow,
  EntryResult,
  Grant,
  MeterRef,
  RunInfo,
  RunProgress,
  TurnEntry,
} from "../../../src/stores/store.ts";

export const progress: RunProgress = {
  steps: 0,
  calls: 0,
  toolCalls: 0,
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  estimated: false,
};
export const t0 = Date.UTC(2026, 10, 1, 12);

export const info = (more: Partial<RunInfo> = {}): RunInfo => ({
  agent: "assistant",
  agentHash: "a1",
  machine: "agent@1",
  tenant: "acme",
  input: { question: "what is 6 × 7?" },
  limits: {
    max_steps: 10,
    max_calls: 10,
    max_tool_calls: 10,
    max_depth: 3,
    max_cost_microusd: 1_000,
    max_output_tokens: 100,
    deadline_ms: 60_000,
  },
  bounds: { calls: 1, input_tokens: 10, output_tokens: 10, tool_calls: 0, cost_microusd: 10, wall_ms: 1_000 },
  createdAt: t0,
  ...more,
});

export const accept = (run: string, more: Partial<Omit<AcceptEntry, "info">> & { info?: Partial<RunInfo> } = {}): AcceptEntry => ({
  type: "accept",
  run,
  limitNano: 1_000_000,
  owner: "w1",
  facts: [fact("run.accepted")],
  ...more,
  info: info(more.info),
});

export const turn = (run: string, n: number, more: Partial<TurnEntry> = {}): TurnEntry => ({
  type: "turn",
  run,
  epoch: 1,
  n,
  at: n * 10,
  body: JSON.stringify({ input: n }),
  hash: `h${n}`,
  facts: [],
  asks: [],
  closes: [],
  status: "running",
  progress,
  ...more,
});

export const end = (run: string, n: number, more: Partial<TurnEntry> = {}): TurnEntry =>
  turn(run, n, { status: "done", facts: [fact("run.finished")], progress: { ...progress, finishedAt: t0 + n * 10, output: 42 }, ...more });

export const fact = (type: string, more: object = {}): string => JSON.stringify({ type, actor: "run", ...more });

/** A call with the worst case `holdNano`: no input, one nano-dollar a token, and useless with less than all of them unless `minTokens`. */
export const call = (ordinal: number, holdNano: number, meters: readonly MeterRef[] = [], more: { minTokens?: number } = {}): AskEntry => ({
  ordinal,
  kind: "call",
  hash: `input-${ordinal}`,
  reserve: { inputNano: 0, outputNanoPerToken: 1, maxTokens: holdNano, minTokens: more.minTokens ?? holdNano, meters },
});
export const ask = (ordinal: number, more: Partial<AskEntry> = {}): AskEntry => ({
  ordinal,
  kind: "ask",
  hash: `input-${ordinal}`,
  ...more,
});
export const close = (ordinal: number, costNano = 0) => ({ ordinal, costNano });
export const meter = (key: string, limitNano: number, level: MeterRef["level"] = "user"): MeterRef => ({ key, level, limitNano });
/** A call that has ended, at `t0` unless said otherwise. */
export const called = (ordinal: number, costNano = 0, more: Partial<CallRow> = {}): CallRow => ({
  ordinal,
  endedAt: t0,
  purpose: "answer",
  provider: "p",
  model: "m",
  tier: "main",
  attempt: 1,
  retry: false,
  fellBack: false,
  cached: false,
  inputTokens: 10,
  cachedTokens: 4,
  outputTokens: 3,
  costNano,
  savedNano: 0,
  estimated: false,
  finish: "stop",
  durationMs: 100,
  ttftMs: 10,
  ...more,
});

/** Results without how the levels above the run stood: a repeated answer does not know that any more. */
export const withoutLevels = <R extends EntryResult>(results: readonly R[]): R[] =>
  results.map((result) =>
    result.type === "written" ? { ...result, grants: result.grants.map(({ levels: _, ...grant }) => grant as Grant) } : result,
  );
