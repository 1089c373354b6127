/**
 * What can come of work: every kind of outcome that the interpreter, the supervisor, the ledger and recovery can give,
 * as few examples as the kinds allow. Source: `WorkError` in work.ts, the error table of the protocol, FAULTS (provider).
 */
import { errorBody } from "../../src/protocol/errors.ts";
import type { Json } from "../../src/protocol/json.ts";
import type { ToolRequest } from "../../src/protocol/messages.ts";
import { maxUsesPerStep } from "../agent.ts";
import { defaultBackoff } from "../request-policy.ts";
import type { CallInput, CallOutput, ExposeInput, LookupInput, SplitInput, WorkError, WorkKind } from "../work.ts";

export type Outcome = { readonly label: string; readonly ok: boolean; readonly value: unknown };

/**
 * `all`: every kind. `few`: those that lengthen the paths of our own machines; enough for their worst case, and much faster (a test
 * compares both). A machine that nobody has compared is walked with all.
 */
export type Extent = "all" | "few";

const few: ReadonlySet<string> = new Set([
  // call
  "good",
  "unsure",
  "passed",
  "replayed",
  "as many tools as run",
  "invalid",
  "invalid otherwise",
  "empty",
  "cut at the token limit",
  "interrupted after text was shown",
  "429, wait as long as we would",
  "context too long",
  "lost",
  "budget denied",
  // tool
  "returned",
  "needs a yes",
  "broken",
  "unknown",
  // sleep
  "slept",
  // ask
  "yes",
  "no",
  "nobody answered",
  // lookup
  "hit",
  "miss",
  // remember
  "kept",
  // delegate, split, expose
  "all",
  "granted",
  "1 chunk",
  "3 chunks",
  "9 chunks",
]);

export function outcomesOf(kind: WorkKind, input: unknown, extent: Extent): readonly Outcome[] {
  const all = byKind[kind](input);
  return extent === "all" ? all : all.filter(({ label }) => few.has(label));
}

const ok = (label: string, value: unknown): Outcome => ({ label, ok: true, value });
const failed = (label: string, value: WorkError): Outcome => ({ label, ok: false, value });

const byKind: { readonly [kind in WorkKind]: (input: unknown) => readonly Outcome[] } = {
  // The input of work is what its machine gave it; its type is the placeholder's in work.ts.
  call: (input) => ((input as CallInput).cached ? replays(input as CallInput) : calls(input as CallInput)),
  tool: () => [
    ok("returned", { output: 1, content: "1" }),
    failed("broken", errorBody("tool_failed", "it failed")),
    failed("denied", { ...errorBody("tool_denied", "the arguments do not fit"), denied: true }),
    failed("needs a yes", { ...errorBody("tool_denied", "a person must agree", { details: { needs: "approval" } }), denied: true }),
    failed("not found", { ...errorBody("tool_not_found", "there is no such tool"), denied: true }),
    failed("cap denied", { ...errorBody("limit_hit", "all tool calls are used"), denied: true }),
    failed("unknown", errorBody("tool_unknown", "it was interrupted")),
  ],
  delegate: () => [
    ok("granted", null),
    failed("denied", { ...errorBody("tool_denied", "the arguments do not fit"), denied: true }),
    failed("not found", { ...errorBody("tool_not_found", "there is no such tool"), denied: true }),
    failed("cap denied", { ...errorBody("limit_hit", "all tool calls are used"), denied: true }),
  ],
  sleep: () => [ok("slept", { ms: 0 }), failed("deadline", errorBody("limit_hit", "the run's deadline is over"))],
  ask: () => [
    ok("yes", { approve: true }),
    ok("no", { approve: false, reason: "not now" }),
    ok("amount", { amount_microusd: 1_000 }),
    ok("it took effect", { value: { took_effect: true, output: 1 } }),
    ok("it took no effect", { value: { took_effect: false } }),
    failed("nobody answered", errorBody("timeout", "nobody answered in time")),
    failed("deadline", errorBody("limit_hit", "the run's deadline is over")),
    failed("denied", { ...errorBody("limit_hit", "the run's deadline is over"), denied: true }),
  ],
  lookup: (input) => [
    // The input of work has the type of its placeholder.
    ok("hit", { hit: { id: "e1", kind: "exact", tier: (input as LookupInput).tier } }),
    ok("miss", { hit: null }),
    failed("failed", errorBody("unavailable", "the cache does not answer")),
  ],
  expose: (input) => [
    ok("all", { tools: (input as ExposeInput).tools }),
    ok("none", { tools: [] }),
    failed("broke", errorBody("internal", "the function that shows tools failed")),
    failed("deadline", errorBody("limit_hit", "the run's deadline is over")),
  ],
  split: (input) => [
    // As many as it may be cut into, one too many, and none.
    ...splits(input as SplitInput),
    failed("failed", errorBody("internal", "the text could not be split")),
  ],
  remember: () => [ok("kept", null), failed("failed", errorBody("unavailable", "the cache does not answer"))],
};

/** As the runtime says it of a call whose agent has a policy for its context; machines without one do not look at it. */
const tooLong = ({ messages = [] }: Partial<CallInput>): { [key: string]: Json } => ({
  limit: 10 * messages.length - 1,
  rest: 0,
  sizes: messages.map(() => 10),
});

const splits = ({ text }: SplitInput): readonly Outcome[] => [
  ok("1 chunk", { chunks: [text] }),
  ok("3 chunks", { chunks: [text, text, text] }),
  ok("9 chunks", { chunks: Array<string>(9).fill(text) }),
  ok("no chunk", { chunks: [] }),
];

/** An entry of a cache as a call: nothing of a provider can come of it. */
function replays(input: CallInput): readonly Outcome[] {
  const call = `c${input.attempt}`;
  return [
    ok("replayed", { call, finish: "stop", text: "An answer from the cache." }),
    failed("gone", { ...errorBody("unavailable", "the entry is gone"), call, shown: 0 }),
    failed("lost", { code: "lost", message: "the process died", retryable: true, call }),
  ];
}

function calls(input: CallInput): readonly Outcome[] {
  const call = `c${input.attempt}`;
  const answer = (label: string, more: Partial<CallOutput>): Outcome => ok(label, { call, finish: "stop", text: "An answer.", ...more });
  const tools = (label: string, uses: readonly ToolRequest[]): Outcome => answer(label, { finish: "tools", text: "", tools: uses });
  const error = (label: string, value: WorkError, shown = 0): Outcome => failed(label, { ...value, call, shown });
  const denied = (label: string, value: WorkError): Outcome => error(label, { ...value, denied: true });
  const limited = (retryAfterMs: number): WorkError =>
    errorBody("provider_rate_limited", "slow down", { retry_after_ms: Math.ceil(retryAfterMs) });
  const names = input.tools ?? [];
  const first = names[0] ?? "unknown";
  const widest = names.at(-1) ?? "unknown";
  const uses = (count: number, name: (i: number) => string, argument: string): ToolRequest[] =>
    Array.from({ length: count }, (_, i) => ({ id: `u${i + 1}`, name: name(i), input: { argument } }));
  return [
    answer("good", input.sureFrom === undefined ? {} : { confidence: 1 }),
    ...(input.sureFrom === undefined ? [] : [answer("unsure", { confidence: 0 }), answer("unsure, not said how", {})]),
    ...(input.structured ? [answer("good object", { text: '{"a":1}', value: { a: 1 } })] : []),
    // Also where the call shows no tools: a model may ask for what it was not offered.
    tools(
      "1 tool",
      uses(1, () => first, "a"),
    ),
    tools(
      "1 tool, otherwise",
      uses(1, () => first, "b"),
    ),
    tools(
      "3 tools",
      uses(3, (i) => names[(i + 1) % Math.max(1, names.length)] ?? "unknown", "a"),
    ),
    tools(
      "as many tools as run",
      uses(maxUsesPerStep, () => widest, "a"),
    ),
    tools(
      "50 tools",
      uses(50, () => first, "a"),
    ),
    ...(input.structured
      ? [
          answer("invalid", { text: '{"a":', problem: "it is no JSON" }),
          answer("invalid otherwise", { text: '{"b":1}', problem: "`a` is missing" }),
          answer("no words", { text: "" }),
        ]
      : [answer("empty", { text: "" }), answer("empty otherwise", { text: " \n" })]),
    answer("cut at the token limit", { finish: "length" }),
    // What judges say: of one answer, of several.
    ...(input.for === "internal" ? [answer("passed", { text: "PASS" }), answer("named a number", { text: "1" })] : []),
    answer("refused", { finish: "refused", text: "" }),
    answer("filtered", { finish: "filtered", text: "An ans" }),
    error("429, wait 1 s", limited(1_000)),
    error("429, wait as long as we would", limited(defaultBackoff.max_retry_after_ms)),
    error("429, wait too long", limited(defaultBackoff.max_retry_after_ms * 120)),
    error("unavailable", errorBody("provider_unavailable", "503")),
    error("breaker open", { ...errorBody("provider_unavailable", "the breaker is open"), retryable: false }),
    error("rejected", errorBody("provider_rejected", "401")),
    error("context too long", errorBody("context_too_long", "too many tokens", { details: tooLong(input) })),
    error("timeout", errorBody("timeout", "no first token")),
    error("interrupted before any text", errorBody("interrupted", "the stream broke")),
    error("interrupted after text was shown", { ...errorBody("interrupted", "the stream broke"), text: "An ans" }, 6),
    error("cut at its hold", errorBody("truncated", "the output passed its hold"), 6),
    failed("lost", { code: "lost", message: "the process died", retryable: true, call }),
    error("deadline", errorBody("limit_hit", "the run's deadline is over"), 6),
    denied("cap denied", errorBody("limit_hit", "all calls are used")),
    denied("budget denied", errorBody("budget_exceeded", "the budget does not allow it")),
    denied("forbidden", errorBody("forbidden", "not for this caller")),
    denied("invalid request", errorBody("invalid_request", "nothing to send")),
    error("internal", errorBody("internal", "a defect")),
  ];
}
