/**
 * The facts about work, made from asks and outcomes: `call.*`, `tool.*`, `input.*`. Machines emit only what they alone know.
 * A fact here is without `run` and `seq`: the writer gives those.
 */
import type { CallInput, CallOutput, ToolOutput, WorkError } from "../../machines/work.ts";
import { asError } from "../../machines/work.ts";
import { isSameModel } from "../money/served-model.ts";
import { advised } from "../protocol/advice.ts";
import type { Fact } from "../protocol/events.ts";
import { askId, callId, toolId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import type { Usage } from "../protocol/run.ts";
import type { LedgerEntry } from "../stores/store.ts";
import type { AgentSpec } from "./agent.ts";
import { promptVersionOf } from "./instructions.ts";
import { tierOf } from "./reserve.ts";
import type { Account, ActorFact, Ask, AskOf } from "./run.ts";

export type NewFact = ActorFact & { readonly at: string };

/** A stored fact as the event that clients see: how the budgets above the run stood is for operators. */
export function factOf(run: string, seq: number, json: string): Fact {
  const fact = storedFact(run, seq, json);
  delete fact.ledger;
  return fact;
}

export type StoredFact = Fact & { ledger?: readonly LedgerEntry[] };
export const storedFact = (run: string, seq: number, json: string): StoredFact =>
  Object.assign({ run, seq }, JSON.parse(json) as object) as StoredFact;

/** The actor that asked: the path without the work's own name. */
export const askerOf = (ask: Ask): string => ask.path.slice(0, ask.path.lastIndexOf("/"));

export const usageOf = (account: Pick<Account, "inputTokens" | "cachedTokens" | "outputTokens" | "estimated">): Usage => ({
  input_tokens: account.inputTokens,
  cached_tokens: account.cachedTokens,
  output_tokens: account.outputTokens,
  estimated: account.estimated,
});

/** The group through which the agent shows a tool; empty for a tool that it does not show. */
export const groupOf = (spec: AgentSpec, name: string): string => spec.tools.find((tool) => tool.name === name)?.group ?? "";

/** The fact that granting an ask makes, or null. `hold_microusd` of a call is added by the store, which knows the grant. */
export function startedFact(ask: Ask, spec: AgentSpec, at: string, due: number | undefined): NewFact | null {
  const base = { at, actor: askerOf(ask) };
  switch (ask.kind) {
    case "call": {
      const input = ask.input;
      const version = promptVersionOf(input, spec);
      return {
        type: "call.started",
        ...base,
        call: callId(ask.ordinal),
        for: input.for,
        step: input.step,
        model: modelOf(input, spec),
        tier: input.tier,
        attempt: input.attempt,
        ...(version !== undefined && { prompt: version }),
      };
    }
    case "tool": {
      const input = ask.input;
      return {
        type: "tool.started",
        ...base,
        id: toolId(ask.ordinal),
        tool: input.name,
        group: groupOf(spec, input.name),
        call: input.call,
        input: input.input,
      };
    }
    case "ask": {
      const { expiresMs: _expiresMs, ...asked } = ask.input;
      return {
        type: "input.requested",
        ...base,
        id: askId(ask.ordinal),
        ...asked,
        ...(asked.input !== undefined && { input_hash: ask.hash }),
        expires_at: new Date(due ?? 0).toISOString(),
      };
    }
    default:
      return null;
  }
}

/** How work ended. `text` is what a call had sent when it failed or was stopped. */
export type Ending = {
  readonly ok: boolean;
  readonly value: Json;
  readonly account?: Account | undefined;
  readonly text?: string | undefined;
};

export function endedFact(ask: Ask, spec: AgentSpec, at: string, ending: Ending): NewFact | null {
  const base = { at, actor: askerOf(ask) };
  // An outcome that is not ok holds a WorkError by construction of whoever made it.
  const error = ending.ok ? null : (ending.value as unknown as WorkError);
  if (error?.denied) return null;
  switch (ask.kind) {
    case "call":
      return { ...base, ...callFinished(ask, spec, ending, error) };
    case "tool": {
      const { name } = ask.input;
      const fact = { ...base, id: toolId(ask.ordinal), tool: name, group: groupOf(spec, name) };
      const duration_ms = ending.account?.durationMs ?? 0;
      if (error) return { type: "tool.failed", ...fact, error: advised(asError(error)), duration_ms };
      const { output, truncated } = ending.value as unknown as ToolOutput;
      return { type: "tool.returned", ...fact, output, ...(truncated && { truncated }), duration_ms };
    }
    case "ask":
      return {
        type: "input.resolved",
        ...base,
        id: askId(ask.ordinal),
        by: error ? "expiry" : "user",
        answer: error ? null : ending.value,
      };
    default:
      return null;
  }
}

/** The fact for work that a stop ended (a cancel, a branch that lost). */
export function stoppedFact(ask: Ask, spec: AgentSpec, at: string, account: Account | undefined, text: string): NewFact | null {
  const base = { at, actor: askerOf(ask) };
  switch (ask.kind) {
    case "call": {
      const model = account?.model ?? modelOf(ask.input, spec);
      const fact = { ...base, type: "call.finished", call: callId(ask.ordinal), finish: "cancelled", text, model };
      return { ...fact, ...accountFields(account), ...cachedFields(ask.input) };
    }
    case "tool": {
      const { name } = ask.input;
      const error = { code: "cancelled", message: "the tool was stopped", retryable: false };
      return {
        ...base,
        type: "tool.failed",
        id: toolId(ask.ordinal),
        tool: name,
        group: groupOf(spec, name),
        error,
        duration_ms: account?.durationMs ?? 0,
      };
    }
    case "ask":
      return { ...base, type: "input.resolved", id: askId(ask.ordinal), by: "cancel", answer: null };
    default:
      return null;
  }
}

/** Another model answered than was asked for. */
export function servedFact(ask: AskOf<"call">, spec: AgentSpec, at: string, answered: string): NewFact | null {
  const asked = modelOf(ask.input, spec);
  if (answered === "" || isSameModel(asked, answered)) return null;
  return { type: "data", at, actor: askerOf(ask), name: "served_model", data: { call: callId(ask.ordinal), asked, answered } };
}

/** The fact for a use of a tool that the supervisor refused. */
export function refusedFact(
  ask: Ask,
  spec: AgentSpec,
  at: string,
  error: WorkError | { readonly code: string; readonly message: string; readonly retryable: boolean },
): NewFact | null {
  if (ask.kind !== "tool") return null;
  const { name } = ask.input;
  return { type: "tool.refused", at, actor: askerOf(ask), id: toolId(ask.ordinal), tool: name, group: groupOf(spec, name), error };
}

function callFinished(
  ask: AskOf<"call">,
  spec: AgentSpec,
  { value, account, text }: Ending,
  error: WorkError | null,
): { type: string; [key: string]: unknown } {
  const model = account?.model || modelOf(ask.input, spec);
  const fact = { type: "call.finished", call: callId(ask.ordinal) };
  const charged = { ...accountFields(account), ...cachedFields(ask.input) };
  if (error?.code === "lost") return { ...fact, finish: "lost", model, ...charged };
  if (error) return { ...fact, finish: "error", text: text ?? "", error: advised(asError(error)), model, ...charged };
  const output = value as unknown as CallOutput;
  return {
    ...fact,
    finish: output.finish,
    // What was held back is no text of the call: nobody has seen it.
    text: output.unseen ? "" : output.text,
    ...(output.tools?.length && { tools: output.tools }),
    model,
    ...charged,
    ...(output.shared && { cached: true }),
  };
}

const modelOf = (input: CallInput, spec: AgentSpec): string => tierOf(spec, input.cached?.tier ?? input.tier)?.model ?? "";

const cachedFields = ({ cached }: CallInput): object => (cached ? { cached: true, ...(cached.stale && { stale: true }) } : {});

const accountFields = (account: Account | undefined): object => ({
  usage: account ? usageOf(account) : { input_tokens: 0, cached_tokens: 0, output_tokens: 0, estimated: false },
  cost_microusd: (account?.costNano ?? 0) / 1_000,
  ...(account?.ttftMs !== undefined && { ttft_ms: account.ttftMs }),
  duration_ms: account?.durationMs ?? 0,
});
