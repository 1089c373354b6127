/** What the timeline says about a fact: a few words, the reason behind them, and how serious it is. Tone is never shown by colour alone. */
import { dollars } from "../money/dollars.ts";
import type { Fact } from "../protocol/events.ts";
import { count, duration, inline } from "./format.ts";
import { reasonWords } from "./reason-words.ts";
import { leavesOf } from "./state-visits.ts";

export type Tone = "plain" | "good" | "warn" | "bad";
export type FactWords = { readonly title: string; readonly reason?: string; readonly tone: Tone };

const limitWords: Readonly<Record<string, string>> = {
  steps: "step limit",
  calls: "call limit",
  tool_calls: "tool call limit",
  depth: "depth limit",
  deadline: "deadline",
  restarts: "restarts",
  "budget.run": "run budget",
  "budget.user": "user budget",
  "budget.key": "key budget",
  "budget.feature": "feature budget",
  "budget.system": "system budget",
};
export const limitName = (which: string): string => limitWords[which] ?? which;

const finishWords: Readonly<Record<string, string>> = {
  stop: "finished",
  length: "cut off at its output limit",
  tools: "asks for tools",
  refused: "refused by the model",
  filtered: "filtered by the provider",
  cancelled: "cancelled",
  error: "failed",
  lost: "lost",
};

export function factWords(fact: Fact): FactWords {
  switch (fact.type) {
    case "run.accepted":
      return {
        title: `Accepted for ${fact.agent}`,
        reason: `at worst ${dollars(fact.bounds.cost_microusd)}, ${count(fact.bounds.calls)} calls, ${duration(fact.bounds.wall_ms)}`,
        tone: "plain",
      };
    case "run.started":
      return { title: "Started", tone: "plain" };
    case "state":
      return {
        title: `${lastOf(fact.actor)} → ${leavesOf(fact.value).join(", ")}`,
        ...(fact.reason !== undefined && { reason: reasonWords(fact.reason) }),
        tone: "plain",
      };
    case "progress": {
      const share = fact.done !== undefined && fact.total !== undefined ? `${count(fact.done)} of ${count(fact.total)}` : null;
      return { title: fact.message, ...(share !== null && { reason: share }), tone: "plain" };
    }
    case "data":
      return { title: `Shown: ${fact.name}`, reason: inline(fact.data), tone: "plain" };
    case "call.started":
      return {
        title: `Call ${fact.call} to ${fact.model}${fact.attempt > 1 ? `, attempt ${fact.attempt}` : ""}`,
        reason: `step ${fact.step}, tier ${fact.tier}${fact.for === "internal" ? ", internal" : ""}, holds ${dollars(fact.hold_microusd)}`,
        tone: "plain",
      };
    case "call.finished":
      return callFinished(fact);
    case "retract":
      return { title: `Took back call ${fact.call}`, reason: reasonWords(fact.reason), tone: "warn" };
    case "request.retrying":
      return { title: `Retrying in ${duration(fact.delay_ms)}, attempt ${fact.attempt}`, reason: reasonWords(fact.reason), tone: "warn" };
    case "request.fell_back":
      return { title: `Fell back from ${fact.from} to ${fact.to}`, reason: reasonWords(fact.reason), tone: "warn" };
    case "tool.started":
      return { title: `Tool ${fact.tool} started`, reason: inline(fact.input), tone: "plain" };
    case "tool.returned":
      return { title: `Tool ${fact.tool} returned`, reason: `${duration(fact.duration_ms)}: ${inline(fact.output)}`, tone: "plain" };
    case "tool.failed":
      return { title: `Tool ${fact.tool} failed`, reason: fact.error.message, tone: "bad" };
    case "tool.refused":
      return { title: `Tool ${fact.tool} was not run`, reason: fact.error.message, tone: "warn" };
    case "input.requested":
      return { title: `Asks for ${fact.kind === "question" ? "an answer" : `a person: ${fact.kind}`}`, reason: fact.message, tone: "warn" };
    case "input.resolved":
      return {
        ...resolvedWords(fact.by, fact.answer),
        tone: fact.by === "user" ? "plain" : "warn",
      };
    case "limit.hit": {
      const numbers = fact.limit === undefined ? undefined : limitNumbers(fact.which, fact.value, fact.limit);
      return { title: `Hit the ${limitName(fact.which)}`, ...(numbers !== undefined && { reason: numbers }), tone: "bad" };
    }
    case "run.finished":
      return {
        title: `Ended: ${fact.status}`,
        ...(fact.error && { reason: fact.error.message }),
        tone: endTone(fact.status),
      };
    default:
      // A newer server's fact: named, not guessed at.
      return { title: (fact as { readonly type: string }).type, tone: "plain" };
  }
}

/** How a question ended: the answer in the words of whoever gave it. */
export function resolvedWords(by: "user" | "expiry" | "cancel", answer: unknown): { readonly title: string; readonly reason?: string } {
  if (by === "expiry") return { title: "Nobody answered in time" };
  if (by === "cancel") return { title: "No longer asked" };
  if (typeof answer !== "object" || answer === null) return { title: "Answered", reason: inline(answer) };
  const { approve, reason, value, amount_microusd } = answer as { readonly [key: string]: unknown };
  if (typeof approve === "boolean") return { title: approve ? "Approved" : "Denied", ...(typeof reason === "string" && { reason }) };
  if (typeof amount_microusd === "number") return { title: `Added ${dollars(amount_microusd)}` };
  return { title: "Answered", reason: inline(value ?? answer) };
}

export function endTone(status: string): Tone {
  if (status === "done") return "good";
  if (status === "cancelled") return "plain";
  return status === "failed" ? "bad" : "warn";
}

function callFinished(fact: Extract<Fact, { type: "call.finished" }>): FactWords {
  const { input_tokens, output_tokens, estimated } = fact.usage;
  const figures = [
    input_tokens + output_tokens > 0 && `${count(input_tokens)} + ${count(output_tokens)} tokens${estimated ? " (estimated)" : ""}`,
    input_tokens + output_tokens > 0 && dollars(fact.cost_microusd),
    duration(fact.duration_ms),
    fact.ttft_ms !== undefined && `first after ${duration(fact.ttft_ms)}`,
  ];
  const line = figures.filter(Boolean).join(", ");
  const served = fact.stale ? " from the cache, stale" : fact.cached ? " from the cache" : "";
  const bad = fact.finish === "error" || fact.finish === "lost";
  return {
    title: `Call ${fact.call} ${finishWords[fact.finish] ?? fact.finish}${served}`,
    reason: fact.error ? `${fact.error.message} · ${line}` : line,
    tone: bad ? "bad" : fact.finish === "stop" || fact.finish === "tools" ? "plain" : "warn",
  };
}

function limitNumbers(which: string, value: number | undefined, limit: number): string {
  const say = which.startsWith("budget.") ? dollars : which === "deadline" ? duration : count;
  return value === undefined ? `limit ${say(limit)}` : `${say(value)} of ${say(limit)}`;
}

const lastOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
