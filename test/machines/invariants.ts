/**
 * What holds on every path through a machine. Each is a function from a path to what is wrong with it, or null.
 * A path is a machine alone: what its runtime guarantees (a work's id, one outcome a work) is not asked here.
 */
import type { Path, PathStep } from "../../machines/bounds.ts";
import type { CompactionInput, CompactionOutput } from "../../machines/compaction.ts";
import type { RequestInput, RequestOutput } from "../../machines/request.ts";
import type { RoutingInput, RoutingOutput } from "../../machines/routing.ts";
import type { ToolUse, ToolUseOutput } from "../../machines/tool.ts";
import type { Answer, AskOutput, CallInput, CallOutput, WorkError } from "../../machines/work.ts";
import type { Message } from "../../src/protocol/messages.ts";

export type Invariant = (path: Path) => string | null;

// The inputs and outcomes of work have the types of their placeholders (machines/work.ts).
export const outputOf = (path: Path): { status?: string } => path.steps.at(-1)?.step.snapshot.output as { status?: string };
export const asksOf = (path: Path, kind: string): { at: number; input: unknown }[] =>
  path.steps.flatMap(({ step }, at) => step.asked.filter((asked) => asked.kind === kind).map(({ input }) => ({ at, input })));
export const outcomesOf = (path: Path, kind: string): { at: number; ok: boolean; value: unknown }[] =>
  path.steps.flatMap(({ work, outcome }, at) => (work?.kind === kind && outcome ? [{ at, ok: outcome.ok, value: outcome.value }] : []));

// --- every machine that answers

export const endsOnce: Invariant = (path) => {
  const ended = path.steps.filter(({ step }) => step.snapshot.status !== "active");
  if (ended.length !== 1 || ended[0] !== path.steps.at(-1)) return `${ended.length} ends`;
  return ended[0]?.step.snapshot.status === "done" ? null : `it broke: ${String(ended[0]?.step.snapshot.error)}`;
};

export const endSaysItsState: Invariant = (path) => {
  const { value } = path.steps.at(-1)?.step.snapshot ?? {};
  const { status } = outputOf(path);
  return status === value ? null : `it ended in ${String(value)} and said ${status}`;
};

export const endLeavesNothingAsked: Invariant = (path) => {
  const { step } = path.steps.at(-1) as PathStep;
  return step.asked.length === 0 ? null : `it asked for ${step.asked[0]?.src} and ended`;
};

export const failureHasAnError: Invariant = (path) => {
  const { status, error } = outputOf(path) as Answer;
  if (status === "done" || status === "degraded" || status === "cancelled") return null;
  return error?.code && error.message ? null : `${status} without an error`;
};

// --- a request

const allCallsOf = (path: Path): { at: number; input: CallInput; end?: { at: number; ok: boolean; value: unknown } }[] => {
  const ends = outcomesOf(path, "call");
  return asksOf(path, "call").map(({ at, input }, i) => ({ at, input: input as CallInput, ...(ends[i] && { end: ends[i] }) }));
};
/** Calls to a provider for the answer: no judge's, and none that is told from a cache. */
const callsOf = (path: Path) => allCallsOf(path).filter(({ input }) => input.for === "answer" && input.cached === undefined);
/** What conversations were made into, by where in the path. */
const compactionsOf = (path: Path): { at: number; output: CompactionOutput }[] =>
  path.steps.flatMap(({ work, outcome }, at) =>
    work?.src === "compaction" && outcome?.ok && (outcome.value as CompactionOutput).status === "done"
      ? [{ at, output: outcome.value as CompactionOutput }]
      : [],
  );
const requestInput = (path: Path): RequestInput => path.input as RequestInput;

export const callsOneAtATime: Invariant = (path) =>
  path.steps.some(({ living }) => living.length > 1) ? "two pieces of work at once" : null;

export const callsAreCapped: Invariant = (path) => {
  const { tiers, retries } = requestInput(path);
  const calls = callsOf(path);
  const lost = calls.filter(({ end }) => end && !end.ok && (end.value as WorkError).code === "lost").length;
  const toppedUp = outcomesOf(path, "ask").filter(({ ok }) => ok).length;
  const compacted = compactionsOf(path).length;
  if (compacted > 2) return `${compacted} compactions`;
  for (const tier of tiers) {
    const here = calls.filter(({ input }) => input.tier === tier).length;
    const continued = calls.filter(({ end }) => end?.ok && (end.value as CallOutput).finish === "length").length;
    if (here > 1 + retries + Math.min(lost, 2) + Math.min(toppedUp, 3) + Math.min(continued, 3) + compacted)
      return `${here} calls of ${tier}`;
  }
  return null;
};

export const attemptsAreCounted: Invariant = (path) => {
  const made = (before: number): number => compactionsOf(path).reduce((sum, { at, output }) => sum + (at <= before ? output.calls : 0), 0);
  const wrong = allCallsOf(path).find(({ input, at }, i) => input.attempt !== i + 1 + made(at));
  return wrong ? `call ${wrong.input.attempt} out of order` : null;
};

const wasShown = ({ ok, value }: { ok: boolean; value: unknown }): boolean => {
  if (ok) return (value as CallOutput).text !== "";
  const { code, shown = 0 } = value as WorkError;
  return code === "lost" || shown > 0;
};

export const retractsOnlyWhatWasShown: Invariant = (path) => {
  const retracted = new Set<string>();
  const shown = new Set<string>();
  for (const { work, outcome, step } of path.steps) {
    if (work?.kind === "call" && outcome && wasShown(outcome)) shown.add((outcome.value as { call: string }).call);
    for (const fact of step.emitted) {
      if (fact.type !== "retract") continue;
      const { call } = fact as unknown as { call: string };
      if (!shown.has(call)) return `${call} was retracted and never shown`;
      if (retracted.has(call)) return `${call} was retracted twice`;
      retracted.add(call);
    }
  }
  return null;
};

export const shownTextIsVoidBeforeTheNextCall: Invariant = (path) => {
  const calls = allCallsOf(path).filter(({ input }) => input.for === "answer");
  for (const [i, { end }] of calls.entries()) {
    const next = calls[i + 1];
    if (!end || !wasShown(end) || !next) continue;
    const { call, text } = end.value as { call: string; text?: string };
    const isVoid = path.steps
      .slice(end.at, next.at + 1)
      .some(({ step }) => step.emitted.some((fact) => fact.type === "retract" && (fact as unknown as { call: string }).call === call));
    const goesOn = text !== undefined && (next.input.continues ?? "").endsWith(text);
    if (isVoid === goesOn)
      return `the text of call ${JSON.stringify(end.value)} ${goesOn ? "is gone on with and void" : "stays beside the next one"}`;
  }
  return null;
};

export const doneIsAGoodAnswer: Invariant = (path) => {
  const { status, text, tools, cached } = outputOf(path) as RequestOutput;
  if (status !== "done") return null;
  const last = allCallsOf(path).findLast(({ input }) => input.for === "answer")?.end;
  if (!last?.ok) return "done without an answer";
  const answer = last.value as CallOutput;
  if (answer.finish === "length" || answer.finish === "refused" || answer.finish === "filtered") return `done with ${answer.finish}`;
  if (!text?.endsWith(answer.text)) return "done with the text of another call";
  if (cached) return null;
  const offered = (requestInput(path).tools?.length ?? 0) > 0;
  if (offered && tools.length > 0) return null;
  return answer.problem === undefined && text.trim() !== "" ? null : "done with a bad answer";
};

/** With a threshold nothing but uses of tools is given that its model was not sure of, unless no tier is left. */
export const doneIsSure: Invariant = (path) => {
  const { escalateBelow, tiers } = requestInput(path);
  const { status, tools, cached, tier } = outputOf(path) as RequestOutput;
  if (status !== "done" || cached || tools.length > 0 || escalateBelow === undefined || tier === tiers.at(-1)) return null;
  const last = callsOf(path).at(-1)?.end?.value as CallOutput | undefined;
  const confidence = last?.confidence ?? 0;
  return confidence >= escalateBelow ? null : `done by "${tier}", which was sure by ${confidence}`;
};

/** With a judge nothing but uses of tools is given that it has not passed. */
export const doneIsJudged: Invariant = (path) => {
  const { status, tools, cached } = outputOf(path) as RequestOutput;
  if (status !== "done" || cached || tools.length > 0 || !requestInput(path).judge) return null;
  const verdict = allCallsOf(path).at(-1);
  const said = verdict?.input.for === "internal" && verdict.end?.ok ? (verdict.end.value as CallOutput).text : "nothing";
  return said === "PASS" ? null : `done, and the judge said ${said}`;
};

export const badAnswersChangeTheConversation: Invariant = (path) => {
  const calls = callsOf(path);
  for (let i = 1; i < calls.length; i++) {
    const [before, after] = [calls[i - 1], calls[i]];
    if (!before?.end?.ok || !after) continue;
    const said = JSON.stringify(after.input.messages);
    if (after.input.tier !== before.input.tier) {
      const messages = compactionsOf(path).findLast(({ at }) => at <= after.at)?.output.messages ?? requestInput(path).messages;
      const ownWords = after.input.continues === undefined ? messages : after.input.messages.slice(0, messages.length);
      if (said !== JSON.stringify(ownWords) && after.input.continues === undefined) return "a new tier gets what was said to the last one";
    } else if (said === JSON.stringify(before.input.messages)) return "a bad answer was asked for again with the same words";
  }
  return null;
};

export const sameBadAnswerTwiceLeavesTheTier: Invariant = (path) => {
  const calls = callsOf(path);
  for (let i = 2; i < calls.length; i++) {
    const [one, two, three] = calls.slice(i - 2, i + 1);
    if (!one?.end?.ok || !two?.end?.ok || !three) continue;
    const same = (one.end.value as CallOutput).text === (two.end.value as CallOutput).text;
    const goesOn = two.input.continues !== undefined || three.input.continues !== undefined;
    if (same && !goesOn && one.input.tier === three.input.tier) return "a third try after the same bad answer";
  }
  return null;
};

export const refusalsEnd: Invariant = (path) => {
  const refused = callsOf(path).some(({ end }) => end?.ok && ["refused", "filtered"].includes((end.value as CallOutput).finish));
  return refused && outputOf(path).status !== "refused" ? "a refusal was asked for again" : null;
};

export const denialsAreNotRepeated: Invariant = (path) => {
  for (const { at, ok, value } of outcomesOf(path, "call")) {
    const { code, denied } = value as WorkError;
    if (ok || !denied) continue;
    const { step } = path.steps[at] as PathStep;
    if (code === "budget_exceeded" && requestInput(path).onBudget === "cheaper") continue;
    if (step.asked.some(({ kind }) => kind === "call" || kind === "sleep")) return `a call denied as ${code} was asked for again`;
  }
  return null;
};

/** What is asked again after a refusal as too long is what the conversation was made into, and what was said about bad answers. */
export const tooLongIsMadeShorter: Invariant = (path) => {
  const calls = callsOf(path);
  for (const { at, output } of compactionsOf(path)) {
    const before = calls.findLast((one) => one.at < at);
    const next = calls.find((one) => one.at === at);
    if (!next) return "nothing was asked after the conversation was made shorter";
    if (before && next.input.tier !== before.input.tier) return "another tier was asked";
    if (output.messages.some((message, i) => next.input.messages[i] !== message)) return "it was asked with another conversation";
  }
  return null;
};

export const waitsAreAsLongAsAsked: Invariant = (path) => {
  for (const { at, ok, value } of outcomesOf(path, "call")) {
    if (ok) continue;
    const { retry_after_ms = 0 } = value as WorkError;
    const sleep = path.steps[at]?.step.asked.find(({ kind }) => kind === "sleep");
    const { ms = 0, jitter } = (sleep?.input ?? {}) as { ms?: number; jitter?: boolean };
    if (sleep && (ms < retry_after_ms || ms > 30_000 || !jitter)) return `it waits ${ms} ms where ${retry_after_ms} were asked for`;
  }
  return null;
};

export const ofRequests = {
  endsOnce,
  endSaysItsState,
  endLeavesNothingAsked,
  failureHasAnError,
  callsOneAtATime,
  callsAreCapped,
  attemptsAreCounted,
  retractsOnlyWhatWasShown,
  shownTextIsVoidBeforeTheNextCall,
  doneIsAGoodAnswer,
  doneIsSure,
  doneIsJudged,
  badAnswersChangeTheConversation,
  sameBadAnswerTwiceLeavesTheTier,
  refusalsEnd,
  denialsAreNotRepeated,
  tooLongIsMadeShorter,
  waitsAreAsLongAsAsked,
};

// --- a conversation that is made shorter

const compactionInput = (path: Path): CompactionInput => path.input as CompactionInput;

export const oneCallAtMost: Invariant = (path) => (allCallsOf(path).length > 1 ? "a second call" : null);

export const whatIsKeptIsInOrder: Invariant = (path) => {
  const { messages } = outputOf(path) as CompactionOutput;
  const before = compactionInput(path).messages;
  const places = messages.filter((message) => !(message.role === "user" && message.summary)).map((message) => before.indexOf(message));
  return places.every((place, i) => place >= 0 && place > (places[i - 1] ?? -1)) ? null : `kept ${places}`;
};

export const theQuestionIsKept: Invariant = (path) => {
  const question = compactionInput(path).messages.findLast(({ role }) => role === "user") as Message;
  return (outputOf(path) as CompactionOutput).messages.includes(question) ? null : "the newest question is gone";
};

export const whatGoesIsTold: Invariant = (path) => {
  const { status, messages } = outputOf(path) as CompactionOutput;
  const facts = path.steps.flatMap(({ step }) => step.emitted).filter(({ type }) => type === "data") as unknown as {
    data: { messages: number; summarised: boolean };
  }[];
  if (status !== "done") return facts.length === 0 ? null : "told, and not done";
  const [fact] = facts;
  if (!fact || facts.length > 1) return `${facts.length} facts`;
  const summaries = messages.filter((message) => message.role === "user" && message.summary).length;
  if (summaries > 1 || fact.data.summarised !== (summaries === 1)) return `${summaries} summaries, told ${fact.data.summarised}`;
  const gone = compactionInput(path).messages.length - (messages.length - summaries);
  return gone === fact.data.messages ? null : `${gone} messages are gone, told ${fact.data.messages}`;
};

export const ofCompactions = {
  endsOnce,
  endLeavesNothingAsked,
  callsOneAtATime,
  oneCallAtMost,
  whatIsKeptIsInOrder,
  theQuestionIsKept,
  whatGoesIsTold,
};

// --- a tool

export const nothingRunsBeforeItsYes: Invariant = (path) => {
  if (!(path.input as ToolUse).needsApproval) return null;
  const run = asksOf(path, "tool")[0];
  const answer = outcomesOf(path, "ask")[0];
  if (!run) return null;
  return answer && answer.at <= run.at && answer.ok && (answer.value as AskOutput).approve === true ? null : "it ran without a yes";
};

export const nothingRunsTwice: Invariant = (path) =>
  asksOf(path, "tool").length > 1 + ((path.input as ToolUse).restarts ?? 0) + (wasSentForAYes(path) ? 1 : 0) ? "it ran twice" : null;

/** What the supervisor denied for want of a yes has not run. */
const wasSentForAYes = (path: Path): boolean =>
  (path.input as ToolUse).mayNeedYes === true && path.steps.some(({ label }) => label === "tool: needs a yes");

export const unknownIsDecidedByAPerson: Invariant = (path) => {
  const unknown = outcomesOf(path, "tool").find(({ ok, value }) => !ok && (value as WorkError).code === "tool_unknown");
  if (!unknown || outputOf(path).status === "cancelled") return null;
  const verdict = outcomesOf(path, "ask").find(({ at }) => at > unknown.at);
  if (!verdict) return "an unknown effect was decided without a person";
  const tookEffect = verdict.ok && ((verdict.value as AskOutput).value as { took_effect?: boolean } | undefined)?.took_effect === true;
  return (outputOf(path).status === "returned") === tookEffect
    ? null
    : `the verdict was ${tookEffect} and the end ${outputOf(path).status}`;
};

export const modelGetsText: Invariant = (path) => {
  const { status, content } = outputOf(path) as ToolUseOutput;
  if (content === "") return "the model gets nothing";
  return (status === "returned") === !content.startsWith("Error: ") ? null : `${status} with "${content}"`;
};

export const ofTools = {
  endsOnce,
  endSaysItsState,
  endLeavesNothingAsked,
  callsOneAtATime,
  nothingRunsBeforeItsYes,
  nothingRunsTwice,
  unknownIsDecidedByAPerson,
  modelGetsText,
};

// --- a route

export const oneCallIsMadeAtMost: Invariant = (path) => (allCallsOf(path).length > 1 ? "it called twice" : null);

/** The same tiers, each once: a worst case does not depend on the route. */
export const chainKeepsItsTiers: Invariant = (path) => {
  const { tiers } = path.input as RoutingInput;
  const routed = (outputOf(path) as RoutingOutput).tiers;
  return [...routed].sort().join() === [...tiers].sort().join() ? null : `${tiers} became ${routed}`;
};

export const rulesCostNothing: Invariant = (path) => {
  const { rule, task } = path.input as RoutingInput;
  return (rule || task) && allCallsOf(path).length > 0 ? "it called a classifier though a rule or a task had said the route" : null;
};

export const ofRoutes = { endsOnce, endSaysItsState, endLeavesNothingAsked, oneCallIsMadeAtMost, chainKeepsItsTiers, rulesCostNothing };

// --- an agent

type Requested = { readonly step: number; readonly messages: readonly Message[] };
const requestsOf = (path: Path): { at: number; input: Requested }[] =>
  path.steps.flatMap(({ step }, at) =>
    step.asked.filter(({ src }) => src === "request").map(({ input }) => ({ at, input: input as Requested })),
  );

export const stepsAreCapped: Invariant = (path) => {
  const { maxSteps } = path.input as { maxSteps: number };
  const requests = requestsOf(path);
  if (requests.length > maxSteps) return `${requests.length} steps`;
  return requests.every(({ input }, i) => input.step === i + 1) ? null : "steps are counted wrong";
};

export const toolsAtOnceAreCapped: Invariant = (path) => {
  const { parallelTools } = path.input as { parallelTools: number };
  const most = Math.max(...path.steps.map(({ living }) => living.filter(({ src }) => src === "tool").length));
  return most <= parallelTools ? null : `${most} tools at once`;
};

/** One result for each use, in the order of the uses, before the model is asked again. */
export const everyUseHasItsResult: Invariant = (path) => {
  for (const { input } of requestsOf(path)) {
    const { messages } = input;
    for (const [i, message] of messages.entries()) {
      if (message.role !== "assistant" || !message.tools) continue;
      const results = messages.slice(i + 1, i + 1 + message.tools.length);
      const ids = results.map((result) => (result.role === "tool" ? result.id : result.role));
      if (ids.join() !== message.tools.map(({ id }) => id).join()) return `results ${ids} for ${message.tools.map(({ id }) => id)}`;
    }
  }
  return null;
};

export const historyOnlyGrowsOrIsMadeShorter: Invariant = (path) => {
  const requests = requestsOf(path);
  for (let i = 1; i < requests.length; i++) {
    const [before, after] = [requests[i - 1]?.input.messages ?? [], requests[i]?.input.messages ?? []];
    // A request may have made the conversation shorter.
    const answered = path.steps.findLast(({ work }, at) => work?.src === "request" && at <= (requests[i]?.at ?? 0))?.outcome;
    const base = (answered?.ok ? (answered.value as RequestOutput).compacted?.messages : undefined) ?? before;
    const isRestart = asksOf(path, "sleep").some(({ at }) => at >= (requests[i - 1]?.at ?? 0) && at < (requests[i]?.at ?? 0));
    if ((isRestart ? after.length !== base.length : after.length <= base.length) || base.some((message, at) => after[at] !== message))
      return `step ${i + 1} changed the history`;
  }
  return null;
};

export const brokenPartsAreFailures: Invariant = (path) => {
  const broke = path.steps.some(({ work, outcome }) => work?.src === "request" && outcome?.ok === false);
  const { status, error } = outputOf(path) as Answer;
  return !broke || (status === "failed" && error?.code === "internal") ? null : `a broken request ended as ${status}`;
};

export const ofAgents = {
  endsOnce,
  endSaysItsState,
  endLeavesNothingAsked,
  failureHasAnError,
  stepsAreCapped,
  toolsAtOnceAreCapped,
  everyUseHasItsResult,
  historyOnlyGrowsOrIsMadeShorter,
  brokenPartsAreFailures,
};

// --- the supervisor

type Meters = { readonly steps: number; readonly calls: number; readonly tool_calls: number };

export const metersOnlyGrow: Invariant = (path) => {
  let before: Meters = { steps: 0, calls: 0, tool_calls: 0 };
  for (const { step } of path.steps) {
    const { meters } = step.snapshot.context as { meters: Meters };
    if (meters.steps < before.steps || meters.calls < before.calls || meters.tool_calls < before.tool_calls) return "a meter shrank";
    before = meters;
  }
  return null;
};

export const metersStayWithinLimits: Invariant = (path) => {
  const { limits } = path.input as { limits: { max_steps: number; max_calls: number; max_tool_calls: number } };
  const { step } = path.steps.at(-1) as PathStep;
  const { meters } = step.snapshot.context as { meters: Meters };
  const within = meters.steps <= limits.max_steps && meters.calls <= limits.max_calls && meters.tool_calls <= limits.max_tool_calls;
  return within ? null : `it counted ${JSON.stringify(meters)}`;
};

/** Each ask is counted or denied, never both (a refused tool use counts as one, so that nagging ends). */
export const asksAreCountedOrDenied: Invariant = (path) => {
  let before = path.steps[0]?.step.snapshot.context as { meters: Meters };
  for (const { label, step } of path.steps.slice(1)) {
    const after = step.snapshot.context as { meters: Meters };
    const counted = after.meters.calls > before.meters.calls || after.meters.tool_calls > before.meters.tool_calls;
    const denied = step.emitted.some(({ type }) => type === "work.denied");
    if (label.startsWith("asked") && !label.includes("wait") && !countsDenied(label) && counted === denied)
      return `"${label}" was ${counted ? "counted and denied" : "neither counted nor denied"}`;
    before = after;
  }
  return null;
};

const countsDenied = (label: string): boolean => label.includes("not there") || label.includes("a mail");

export const ofSupervisors = {
  endsOnce,
  endSaysItsState,
  endLeavesNothingAsked,
  failureHasAnError,
  metersOnlyGrow,
  metersStayWithinLimits,
  asksAreCountedOrDenied,
};
