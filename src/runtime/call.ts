/**
 * Performs one call: breaker and retry budget first, then one stream of one provider, with what it cost.
 * It decides nothing about trying again; that is the request machine's.
 */
import * as Effect from "effect/Effect";
import type { z } from "zod";
import type { CallInput, CallOutput, WorkError } from "../../machines/work.ts";
import type { CallGate } from "../limits/call-gate.ts";
import type { Health } from "../limits/health.ts";
import type { Entered, Pass } from "../limits/provider-lane.ts";
import { costNano, worstCase } from "../money/prices.ts";
import { isSameModel } from "../money/served-model.ts";
import { countText, isCounting, type Tokenizer, unmargined } from "../money/tokens.ts";
import type { ErrorBody, ErrorCode } from "../protocol/errors.ts";
import { callId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import type { ToolRequest } from "../protocol/messages.ts";
import type { Provider, ProviderElement, ProviderEnd, ProviderRequest, ProviderUsage } from "../providers/provider.ts";
import { type Anonymiser, Restorer } from "../safety/anonymiser.ts";
import type { Redaction } from "../safety/redaction.ts";
import type { RedactionStream } from "../safety/redaction-stream.ts";
import { type AdmissionDeps, type Admitted, admit, breakerOpen } from "./admission.ts";
import type { AgentSpec, Price, PriceOf, TierRoute, TierSpec } from "./agent.ts";
import type { Outcome, Reporter, Work } from "./interpreter.ts";
import { inputTokens, tierOf, visibleTools, wordsOf } from "./reserve.ts";
import type { Account } from "./run.ts";
import { looseJson, maxProblemLength, parseAnswer } from "./structured.ts";
import { refusedLength } from "./too-long.ts";
import { type Complaints, type Validator, validate } from "./validator.ts";

export type CallDeps = AdmissionDeps & {
  /** How the answers of a tier to an agent fare in their checks: a breaker of its own, since the provider is well (FAULTS E09). */
  readonly answers: Health;
  /** Limits of callers and providers, before a call is sent. */
  readonly gate: CallGate;
  /** The schema that validates a structured answer of this agent. */
  readonly answerSchema: (spec: AgentSpec) => z.ZodType | undefined;
  readonly validatorsOf: (spec: AgentSpec) => readonly Validator[];
  readonly priceOf?: PriceOf;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** What a model or a tool says passes through it before it is stored or told, where there is something to look for. */
  readonly record?: Redaction | undefined;
};

/** Only these say that a provider is unwell; a refusal or a bad request does not (FEATURES A11). */
const unhealthy: ReadonlySet<ErrorCode> = new Set(["provider_unavailable", "interrupted", "timeout"]);

/** More characters than this a token, and output whose tokens cannot be counted is held to have passed its hold. */
const charsPerToken = 8;

const tokensOf = (account: Account | undefined): number => (account ? account.inputTokens + account.outputTokens : 0);

type Cover = { readonly anonymiser: Anonymiser; readonly text: Restorer; readonly reasoning: Restorer };

const uncovered = (tools: readonly ToolRequest[], { anonymiser }: Cover): readonly ToolRequest[] =>
  tools.map((tool) => ({ ...tool, input: anonymiser.restoreIn(tool.input) }));

/** A call on its way; {@link Call.account} says at any time what it has cost. */
export class Call {
  private readonly deps: CallDeps;
  private readonly work: Work;
  private readonly report: Reporter;
  private readonly input: CallInput;
  private readonly tier: TierSpec;
  private readonly route: TierRoute;
  private readonly provider: Provider;
  /** Called once, when anything of the answer has come. */
  private onFirst: (() => void) | undefined;
  private readonly key: string;
  private readonly isProbe: boolean;
  private readonly askedAt: number;
  /** When it was sent, after what it had to wait for. */
  private startedAt: number;
  /** Of its answer's breaker; none where an answer cannot be wrong. */
  private readonly answerKey: string | undefined;
  private firstAt: number | undefined;
  private text = "";
  private reasoning = "";
  /** Output that is not shown: names and arguments of tools. */
  private hidden = "";
  /** Half of a surrogate pair that waits for the other. */
  private half = "";
  private begun = false;
  /** Nothing of it is told before it has passed its checks. */
  private readonly isHeld: boolean;
  /** What hides and what puts back, at an anonymised tier. */
  private readonly cover: Cover | undefined;
  /** From this length of the text on, the object so far is told again. */
  private nextPartial = 1;
  /** What is shown of the answer and of the reasoning, where something is to be looked for; the texts above are then what was shown. */
  private readonly shown: { readonly text: RedactionStream; readonly reasoning: RedactionStream } | undefined;
  /** All output as it came, while `shown` may hold some of it back: it is what is charged for. */
  private said = "";
  /** Characters of all output so far: each element would otherwise be summed up anew. */
  private outputLength = 0;
  /** Tokens of the output that was counted on the way, without a margin. */
  private counted = 0;
  /** Output since, and its bytes: it has no more tokens than those. */
  private fresh = "";
  private freshBytes = 0;

  /** The call, ready to begin; or the error as which it ends without having been made. */
  static of(deps: CallDeps, work: Work, input: CallInput, report: Reporter, onFirst?: () => void): Call | WorkError {
    const tier = tierOf(work.spec, input.tier);
    const call = callId(work.ask.ordinal);
    const { outputSchema, validators } = work.spec;
    const isChecked = input.for === "answer" && (outputSchema !== undefined || validators !== undefined);
    const answerKey = isChecked && tier ? `${work.spec.name} ${tier.name}` : undefined;
    if (answerKey !== undefined && deps.answers.ask(answerKey) === "no")
      return {
        code: "invalid_output",
        message: `most answers of the tier "${input.tier}" fail the checks of agent "${work.spec.name}", so it is not asked for a while`,
        retryable: false,
        call,
        shown: 0,
        details: { reason: "answers", provider: tier?.provider },
      };
    const admitted = admit(deps, work, input, tier);
    if ("code" in admitted) {
      if (answerKey !== undefined) deps.answers.report(answerKey, "neutral");
      return { ...admitted, call, shown: 0 };
    }
    // What has a route has a tier.
    return new Call(deps, work, report, { input, tier: tier as TierSpec, ...admitted, answerKey, onFirst });
  }

  private constructor(
    deps: CallDeps,
    work: Work,
    report: Reporter,
    found: Admitted & {
      readonly input: CallInput;
      readonly tier: TierSpec;
      readonly answerKey: string | undefined;
      readonly onFirst: (() => void) | undefined;
    },
  ) {
    this.deps = deps;
    this.work = work;
    this.report = report;
    this.input = found.input;
    this.tier = found.tier;
    this.route = found.route;
    this.provider = found.provider;
    this.onFirst = found.onFirst;
    this.key = found.key;
    this.answerKey = found.answerKey;
    this.isHeld = work.spec.stream === "checked" && found.input.for === "answer";
    const { anonymiser } = wordsOf(found.input, work.spec);
    this.cover = anonymiser && {
      anonymiser,
      text: new Restorer(anonymiser, found.input.structured === true),
      reasoning: new Restorer(anonymiser, false),
    };
    this.isProbe = found.isProbe;
    this.askedAt = deps.clock();
    this.startedAt = this.askedAt;
    this.shown = deps.record && { text: deps.record.stream(), reasoning: deps.record.stream() };
  }

  readonly effect: Effect.Effect<Outcome> = Effect.suspend(() =>
    Effect.callback<Outcome>((resume) => {
      let stop = (): void => {};
      const entering = this.enter((entered) => {
        if ("error" in entered) resume(Effect.succeed(this.refused(entered.error)));
        else stop = this.begin(entered.pass, resume);
      });
      return Effect.sync(() => {
        entering();
        stop();
        if (this.begun || this.isProbe) this.deps.health.report(this.key, "neutral");
        this.judged("neutral");
      });
    }),
  );

  /** Waits for what limits the call, if anything does. */
  private enter(tell: (entered: Entered) => void): () => void {
    const { route, work } = this;
    const call = {
      who: work.who,
      model: route.model,
      isBatch: work.spec.priority === "batch",
      tokens: () => this.countedInput() + work.maxTokens,
      // A timer may be a millisecond early, and then the deadline would not be over.
      waitMs: work.remainingMs + 2,
    };
    return this.deps.gate.enter(route.provider, call, (entered) => {
      // While it waited the breaker may have opened.
      if ("pass" in entered && entered.pass.waited && !this.isProbe && this.deps.health.state(this.key) !== "closed") {
        entered.pass.end({ usedTokens: () => 0 });
        const refusal = breakerOpen(this.provider, route);
        tell({ error: { ...refusal, call: callId(work.ask.ordinal), shown: 0 } as ErrorBody });
      } else tell(entered);
    });
  }

  /** Streams; the result stops it, what it told last ends it. */
  private begin(pass: Pass, tell: (outcome: Effect.Effect<Outcome>) => void): () => void {
    this.begun = true;
    this.startedAt = this.deps.clock();
    const fail = (error: WorkError): void => {
      const outcome = this.failed(error);
      pass.end({ usedTokens: () => tokensOf(outcome.account) });
      tell(Effect.succeed(outcome));
    };
    const abort = this.provider.stream(this.request(), (element) => {
      try {
        take(element);
      } catch (error) {
        abort();
        const message = `reading the answer failed: ${error instanceof Error ? error.message : String(error)}`;
        fail({ code: "internal", message, retryable: false });
      }
    });
    const take = (element: ProviderElement): void => {
      if (element.type === "end") {
        pass.end({ usedTokens: () => tokensOf(this.chargedFor(element)), limits: element.limits, error: element.error });
        tell(this.ended(element));
        return;
      }
      this.take(element);
      if (this.isWithinHold()) return;
      abort();
      this.deps.health.report(this.key, "neutral");
      const message = "the output passed what was reserved for it and was cut; raise max_output_tokens or the budget, or ask for less";
      fail({ code: "truncated", message, retryable: false });
    };
    return () => {
      abort();
      pass.end({ usedTokens: () => tokensOf(this.account()) });
    };
  }

  private refused(error: WorkError): Outcome {
    if (this.isProbe) this.deps.health.report(this.key, "neutral");
    return this.failed(error);
  }

  /** What it has cost up to here, for a call that was stopped or whose provider did not say. */
  account(): Account {
    const outputTokens = this.chargedOutput();
    const counted = this.begun ? this.countedInput() : 0;
    const { inputNano, outputNanoPerToken } = worstCase(this.route.price, counted);
    const costNano = Math.min(this.work.holdNano, inputNano + Math.ceil(outputTokens * outputNanoPerToken));
    return this.accounted({ costNano, inputTokens: counted, cachedTokens: 0, outputTokens, estimated: this.begun });
  }

  // --- while it streams

  private take({ type, text }: Exclude<ProviderElement, ProviderEnd>): void {
    this.onFirst?.();
    this.onFirst = undefined;
    this.outputLength += text.length;
    this.fresh += text;
    this.freshBytes += Buffer.byteLength(text);
    if (type === "hidden") {
      this.hidden += text;
      return;
    }
    this.firstAt ??= this.deps.clock();
    if (this.cover) this.hidden += text;
    else if (this.shown) this.said += text;
    // What was covered comes back before anything is looked for in it.
    const whole = this.cover ? this.cover[type].push(text) : text;
    const ready = this.shown ? this.shown[type].push(whole) : whole;
    if (type === "text") this.show(ready);
    else this.reason(ready);
  }

  private reason(text: string): void {
    if (text === "") return;
    this.reasoning += text;
    this.report.reasoning(text);
  }

  private show(text: string): void {
    let ready = this.half + text;
    this.half = "";
    const last = ready.charCodeAt(ready.length - 1);
    if (last >= 0xd800 && last <= 0xdbff) {
      this.half = ready.slice(-1);
      ready = ready.slice(0, -1);
    }
    if (ready === "") return;
    this.text += ready;
    if (this.isHeld) return;
    this.report.text(ready);
    if (this.input.structured && this.text.length >= this.nextPartial) this.tellPartial();
  }

  /** The object so far. Reading it takes as long as the text is, so it is read again when the text has grown by a tenth. */
  private tellPartial(): void {
    this.nextPartial = Math.ceil(this.text.length * 1.1) + 8;
    const value = looseJson((this.input.continues ?? "") + this.text);
    if (typeof value === "object" && value !== null) this.report.partial(value);
  }

  /** What was held back to the end of the stream. */
  private restOf(which: "text" | "reasoning"): string {
    const rest = this.cover?.[which].end() ?? "";
    return this.shown ? this.shown[which].push(rest) + this.shown[which].end() : rest;
  }

  private toolsOf(tools: readonly ToolRequest[]): readonly ToolRequest[] {
    const whole = this.cover ? uncovered(tools, this.cover) : tools;
    return this.deps.record ? this.recorded(whole) : whole;
  }

  /**
   * Output is counted only when its bytes say that it may have passed what was granted, and each part of it once. Another maker's model
   * may say the same in as many tokens less as its count has for a margin.
   */
  private isWithinHold(): boolean {
    const { tokenizer } = this.provider;
    const most = this.work.maxTokens * (1 + tokenizer.margin);
    if (this.counted + this.freshBytes <= most) return true;
    if (!isCounting(tokenizer)) return this.outputLength <= charsPerToken * this.work.maxTokens || this.streamedTokens() <= most;
    this.counted += countText(this.fresh, unmargined);
    this.fresh = "";
    this.freshBytes = 0;
    if (this.counted <= most) return true;
    // Counted in parts a token may be two.
    this.counted = Math.min(this.counted, this.streamedTokens(unmargined));
    return this.counted <= most;
  }

  private ended(end: ProviderEnd): Effect.Effect<Outcome> {
    if (this.cover || this.shown) {
      this.reason(this.restOf("reasoning"));
      this.show(this.restOf("text"));
    }
    if (this.half !== "") {
      // The other half never came; alone it is no character.
      this.half = "";
      this.text += "\ufffd";
      if (!this.isHeld) this.report.text("\ufffd");
    }
    if (end.error) return Effect.succeed(this.failed({ ...end.error, message: end.error.message }, end));
    this.deps.health.report(this.key, "ok");
    const structured = this.structured(end);
    const validators = this.validators(end, structured);
    if (validators.length === 0) return Effect.succeed(this.answered(end, structured));
    const answer = { text: this.wholeText, ...(structured && "value" in structured && { value: structured.value }) };
    return Effect.map(
      Effect.promise((signal) => validate(validators, answer, { messages: this.input.messages, agent: this.work.spec.name, signal })),
      (complaints) => this.answered(end, structured, complaints),
    );
  }

  /** What there is to ask of the answer beyond its form. */
  private validators(end: ProviderEnd, structured: { value: Json } | { problem: string } | undefined): readonly Validator[] {
    if (this.input.for !== "answer" || end.finish !== "stop" || end.tools?.length || (structured && "problem" in structured)) return [];
    return this.text.trim() === "" ? [] : this.deps.validatorsOf(this.work.spec);
  }

  private answered(
    end: ProviderEnd,
    structured: { value: Json } | { problem: string } | undefined,
    { problem, notes }: Complaints = {},
  ): Outcome {
    const fault = (problem ?? (structured && "problem" in structured ? structured.problem : undefined))?.slice(0, maxProblemLength);
    this.judged(fault !== undefined ? "failed" : end.finish === "stop" ? "ok" : "neutral");
    const isUnsure = end.finish === "stop" && (end.confidence ?? 0) < (this.input.sureFrom ?? 0);
    const isUnseen = this.isHeld && (fault !== undefined || isUnsure || !["stop", "tools"].includes(end.finish));
    if (this.isHeld && !isUnseen && this.text !== "") this.report.text(this.text);
    const output: CallOutput = {
      call: callId(this.work.ask.ordinal),
      // `error` has an error, handled above.
      finish: end.finish as CallOutput["finish"],
      text: this.text,
      ...(end.tools?.length && { tools: this.toolsOf(end.tools) }),
      ...(end.opaque && { opaque: end.opaque }),
      ...(fault === undefined ? structured : { problem: fault }),
      ...(notes && { notes }),
      ...(end.confidence !== undefined && { confidence: end.confidence }),
      ...(isUnseen && { unseen: true }),
    };
    return { ok: true, value: output, account: this.chargedFor(end) };
  }

  /** How the answer fared in its checks. */
  private judged(result: "ok" | "failed" | "neutral"): void {
    if (this.answerKey !== undefined) this.deps.answers.report(this.answerKey, result);
  }

  private failed(error: WorkError, end?: ProviderEnd): Outcome {
    this.judged("neutral");
    if (end) this.deps.health.report(this.key, unhealthy.has(error.code as ErrorCode) ? "failed" : "neutral");
    const leftMs = this.work.remainingMs - (this.deps.clock() - this.askedAt);
    const overdue = leftMs <= 0;
    const numbers = error.code === "context_too_long" ? refusedLength(this.input, this.work.spec, this.provider) : undefined;
    const value: WorkError = {
      ...(overdue ? { code: "limit_hit", message: "the run's deadline is over", retryable: false, details: { which: "deadline" } } : error),
      // Who waited that long would be over its deadline; another tier may answer at once.
      ...((error.retry_after_ms ?? 0) >= leftMs && { retryable: false }),
      ...(numbers && !overdue && { details: { ...error.details, ...numbers } }),
      call: callId(this.work.ask.ordinal),
      shown: this.isHeld ? 0 : this.text.length,
      ...(this.work.spec.onCut && !this.isHeld && this.text !== "" && { text: this.text }),
    };
    return { ok: false, value: value, account: end ? this.chargedFor(end) : this.account() };
  }

  private recorded(tools: readonly ToolRequest[]): readonly ToolRequest[] {
    return tools.map((tool) => ({ ...tool, input: this.deps.record?.json(tool.input) ?? tool.input }));
  }

  private structured(end: ProviderEnd): { value: Json } | { problem: string } | undefined {
    if (!this.input.structured || end.finish !== "stop") return undefined;
    const schema = this.deps.answerSchema(this.work.spec);
    if (!schema) return undefined;
    try {
      const parsed = parseAnswer(this.wholeText, schema);
      // What the machine gets is what JSON gives back.
      if (parsed.ok) {
        const value = JSON.parse(JSON.stringify(parsed.value)) as Json;
        return { value: this.deps.record?.json(value) ?? value };
      }
      return { problem: parsed.problem };
    } catch (error) {
      return { problem: `The answer could not be checked: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  /** With what earlier calls have shown of the same answer. */
  private get wholeText(): string {
    return (this.input.continues ?? "") + this.text;
  }

  // --- money

  private chargedFor(end: ProviderEnd): Account {
    const usage = end.usage && this.plausible(end.usage);
    const cost = usage && costNano(this.priceOf(end.model), usage);
    // A bill beyond what can be counted is none: as if no usage had been told.
    if (usage && Number.isSafeInteger(cost)) {
      const { inputTokens: input, cachedTokens, outputTokens } = usage;
      return this.accounted({
        costNano: cost as number,
        inputTokens: input,
        cachedTokens,
        outputTokens,
        estimated: usage !== end.usage,
        model: end.model,
      });
    }
    if (end.unsent || end.rejected)
      return this.accounted({ costNano: 0, inputTokens: 0, cachedTokens: 0, outputTokens: 0, estimated: false, model: end.model });
    // An answer without usage, or a call that may have been answered unseen: what was reserved. A cut stream: what was streamed.
    if (end.error && this.tier.stream) return { ...this.account(), model: end.model || this.route.model };
    return this.accounted({
      costNano: this.work.holdNano,
      inputTokens: this.countedInput(),
      cachedTokens: 0,
      outputTokens: this.work.maxTokens,
      estimated: true,
      model: end.model,
    });
  }

  /** No tokens beside output that came is no usage: what is missing is counted here, at most as it was held. */
  private plausible(usage: ProviderUsage): ProviderUsage {
    if (this.outputLength === 0 || (usage.inputTokens > 0 && usage.outputTokens > 0)) return usage;
    return {
      ...usage,
      inputTokens: usage.inputTokens || this.countedInput(),
      outputTokens: usage.outputTokens || Math.min(this.work.maxTokens, this.chargedOutput()),
    };
  }

  /** The price of the model that answered, where it is another one and its price is known. */
  private priceOf(model: string): Price {
    const { route, deps } = this;
    return isSameModel(route.model, model) ? route.price : (deps.priceOf?.(route.provider, model) ?? route.price);
  }

  private accounted(part: Omit<Account, "durationMs" | "ttftMs" | "model" | "provider"> & { model?: string }): Account {
    const now = this.deps.clock();
    return {
      ...part,
      model: part.model || this.route.model,
      provider: this.route.provider,
      durationMs: Math.round(now - this.startedAt),
      ...(this.firstAt !== undefined && { ttftMs: Math.round(this.firstAt - this.startedAt) }),
    };
  }

  private countedInput(): number {
    return inputTokens(this.input, this.work.spec, this.provider, this.route.model);
  }

  private chargedOutput(): number {
    return this.streamedTokens(this.provider.tokenizer, this.route.model);
  }

  private streamedTokens(tokenizer: Tokenizer = this.provider.tokenizer, model?: string): number {
    return this.output.reduce((sum, text) => sum + (text === "" ? 0 : countText(text, tokenizer, model)), 0);
  }

  /** What the model has put out, as it came. Where something was put back or hidden, that is not what was shown. */
  private get output(): readonly string[] {
    if (this.cover) return [this.hidden];
    return this.shown ? [this.said, this.hidden] : [this.text, this.reasoning, this.hidden];
  }

  private request(): ProviderRequest {
    const { input, route, tier, work } = this;
    const { instructions, messages } = wordsOf(input, work.spec);
    const tools = visibleTools(work.spec, input.tools);
    const remainingMs = work.remainingMs - (this.startedAt - this.askedAt);
    return {
      model: route.model,
      ...(instructions !== "" && { instructions }),
      messages,
      ...(tools && { tools }),
      maxOutputTokens: work.maxTokens,
      ...(input.structured && work.spec.outputSchema !== undefined && { schema: { name: "answer", schema: work.spec.outputSchema } }),
      stream: tier.stream,
      ...(input.sureFrom !== undefined && { logprobs: true }),
      // What a machine asks beside the answer begins otherwise each time.
      ...(input.for === "answer" &&
        tier.promptCache !== false &&
        work.spec.promptCache !== false && { promptCache: { key: work.spec.name } }),
      ...(tier.parameters && { parameters: tier.parameters }),
      timeouts: remainingMs < tier.timeouts.total ? { ...tier.timeouts, total: Math.max(1, remainingMs) } : tier.timeouts,
    };
  }
}
