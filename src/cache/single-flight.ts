/**
 * Single flight: identical calls that are under way at once share one, as long as anybody waits for it.
 *
 *  1. One pays: whoever began it, and when that one leaves, the next. Everyone has a hold of its own for the whole call, so whoever
 *     pays at the end is covered, and what all are charged together is the one bill.
 *  2. Everyone leaves by itself (cancel, deadline); the last one that leaves stops the call and is charged what was streamed.
 *  3. Whoever joins late is told the text so far at once, and everything from then on as it comes.
 *  4. When the call fails, its payer gets the error. Of the others, who has seen nothing of it calls anew (once; the first of them leads
 *     the others); who has seen text gets an error that may be retried, since what was shown must be taken back first.
 */
import type { WorkError } from "../../machines/work.ts";
import { callId } from "../protocol/ids.ts";
import type { Json } from "../protocol/json.ts";
import type { Outcome, Performing, Reporter, Work } from "../runtime/interpreter.ts";

/** Makes the call for real. */
export type Start = (report: Reporter) => Performing;

export class SingleFlight {
  readonly #flights = new Map<string, Flight>();

  /** Calls that share another one's are counted. */
  shared = 0;

  perform(key: string, work: Work, report: Reporter, start: Start): Performing {
    const member = new Member(work, report, start);
    this.#join(key, member);
    return { stop: () => member.flight?.leave(member), account: () => member.account() };
  }

  #join(key: string, member: Member): void {
    const known = this.#flights.get(key);
    if (known?.takes(member)) {
      this.shared++;
      known.join(member);
      return;
    }
    const flight = new Flight(
      member,
      () => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
      },
      (again) => this.#join(key, again),
    );
    // A call that has another grant goes alone.
    if (!known) this.#flights.set(key, flight);
    flight.begin();
  }
}

/** One run's part in a call. */
class Member {
  readonly work: Work;
  readonly report: Reporter;
  readonly start: Start;
  flight: Flight | undefined;
  /** How much of the call's text it was told. */
  told = { text: 0, reasoning: 0 };
  hasCalledAnew = false;
  timer: NodeJS.Timeout | undefined;
  /** What it is charged, once it has left. */
  left: ReturnType<Performing["account"]>;

  constructor(work: Work, report: Reporter, start: Start) {
    this.work = work;
    this.report = report;
    this.start = start;
  }

  account(): ReturnType<Performing["account"]> {
    return this.flight ? this.flight.accountOf(this) : this.left;
  }
}

class Flight {
  readonly #first: Member;
  readonly #over: () => void;
  readonly #again: (member: Member) => void;
  readonly #members = new Set<Member>();
  #performing: Performing | undefined;
  #text = "";
  #reasoning = "";
  #partial: Json | undefined;

  constructor(first: Member, over: () => void, again: (member: Member) => void) {
    this.#first = first;
    this.#over = over;
    this.#again = again;
    this.#members.add(first);
    first.flight = this;
  }

  begin(): void {
    this.#performing = this.#first.start({
      text: (text) => {
        this.#text += text;
        this.#tellAll();
      },
      reasoning: (text) => {
        this.#reasoning += text;
        this.#tellAll();
      },
      partial: (value) => {
        this.#partial = value;
        for (const member of this.#members) member.report.partial(value);
      },
      progress: () => {},
      data: () => {},
      done: (outcome) => this.#done(outcome),
    });
  }

  /** The same definition of the agent, and a hold that covers the call, in case that it has to pay. */
  takes({ work }: Member): boolean {
    const { spec, maxTokens, holdNano } = this.#first.work;
    return work.spec === spec && work.maxTokens === maxTokens && work.holdNano >= holdNano;
  }

  join(member: Member): void {
    member.flight = this;
    this.#members.add(member);
    member.timer = setTimeout(() => this.#overdue(member), Math.min(member.work.remainingMs, 0x7fffffff));
    member.timer.unref();
    // Nothing is reported before it was said that the work is performed.
    queueMicrotask(() => {
      if (!this.#members.has(member)) return;
      this.#tell(member);
      if (this.#partial !== undefined) member.report.partial(this.#partial);
    });
  }

  leave(member: Member): void {
    const isPayer = this.#payer === member;
    if (!this.#members.delete(member)) return;
    clearTimeout(member.timer);
    member.flight = undefined;
    if (this.#members.size > 0) {
      member.left = nothing();
      return;
    }
    this.#over();
    this.#performing?.stop();
    member.left = isPayer ? this.#performing?.account() : nothing();
  }

  accountOf(member: Member): ReturnType<Performing["account"]> {
    return this.#payer === member ? this.#performing?.account() : nothing();
  }

  get #payer(): Member | undefined {
    return this.#members.values().next().value;
  }

  #tellAll(): void {
    for (const member of this.#members) this.#tell(member);
  }

  #tell(member: Member): void {
    const { told, report } = member;
    const [reasoning, text] = [this.#reasoning.slice(told.reasoning), this.#text.slice(told.text)];
    member.told = { text: this.#text.length, reasoning: this.#reasoning.length };
    if (reasoning !== "") report.reasoning(reasoning);
    if (text !== "") report.text(text);
  }

  #done(outcome: Outcome): void {
    this.#over();
    const payer = this.#payer;
    const members = [...this.#members];
    this.#members.clear();
    for (const member of members) {
      clearTimeout(member.timer);
      member.flight = undefined;
      member.left = member === payer ? outcome.account : nothing(outcome.account, outcome.ok);
      if (outcome.ok) this.#tell(member);
    }
    for (const member of members) {
      if (member === payer) member.report.done(ownOutcome(member, outcome));
      else if (outcome.ok) member.report.done(ownOutcome(member, { ok: true, value: { ...(outcome.value as object), shared: true } }));
      else this.#failed(member, outcome);
    }
  }

  #failed(member: Member, outcome: Outcome): void {
    const hasSeen = member.told.text > 0 || member.told.reasoning > 0;
    if (!hasSeen && !member.hasCalledAnew) {
      member.hasCalledAnew = true;
      this.#again(member);
      return;
    }
    const { message, text } = outcome.value as unknown as WorkError;
    const error = { code: "interrupted", message: `the call that this one shared failed: ${message}`, retryable: true };
    const value = { ...error, shown: member.told.text, ...(text !== undefined && { text: text.slice(0, member.told.text) }) };
    member.report.done(ownOutcome(member, { ok: false, value }));
  }

  #overdue(member: Member): void {
    if (!this.#members.has(member)) return;
    const error = { code: "limit_hit", message: "the run's deadline is over", retryable: false, details: { which: "deadline" } };
    this.leave(member);
    member.report.done(ownOutcome(member, { ok: false, value: { ...error, shown: member.told.text } }));
  }
}

/** The outcome with the member's own name for the call, and what it is charged. */
function ownOutcome({ work, left }: Member, { ok, value }: Outcome): Outcome {
  const own = { ...(value as object), call: callId(work.ask.ordinal) } as unknown as Json;
  return { ok, value: own, ...(left && { account: left }) };
}

/** Who shares a call is charged nothing for it; of an answer it has saved the price. */
const nothing = (call?: Outcome["account"], isAnswer = false): NonNullable<Outcome["account"]> => ({
  costNano: 0,
  ...(call && isAnswer && { savedNano: call.costNano }),
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  estimated: false,
  model: call?.model ?? "",
  ...(call?.provider !== undefined && { provider: call.provider }),
  durationMs: call?.durationMs ?? 0,
});
