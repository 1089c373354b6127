/**
 * How far one reader has come, exact to the character: the cursor, and the judgement of every event that arrives: new, already seen,
 * half seen (then it is cut), or beyond a gap.
 */
import type { Event } from "../protocol/events.ts";
import { clientError } from "./error.ts";

type TextDelta = Extract<Event, { type: "text.delta" | "reasoning.delta" }>;

const pattern = /^(\d{1,15})(?:\/(c\d{1,9}=\d{1,9}(?:,c\d{1,9}=\d{1,9})*))?$/;

export class Position {
  readonly #internal: boolean;
  #seq = 0;
  /** Of each unfinished call whose text this reader gets: UTF-16 units given. */
  readonly #text = new Map<string, number>();
  /** Calls that were open when a subscription began: what it does not tell of their text comes from their `call.finished`. */
  readonly #owed = new Set<string>();
  /** Reasoning starts again at 0 after a resume, so what was given is remembered beside the cursor. */
  readonly #reasoning = new Map<string, number>();

  /** Throws `invalid_request` for what is no cursor. */
  constructor(after: string | undefined, internal: boolean) {
    this.#internal = internal;
    if (after === undefined) return;
    const match = pattern.exec(after);
    if (!match) throw clientError("invalid_request", `${JSON.stringify(after.slice(0, 80))} is no cursor`, false);
    this.#seq = Number(match[1]);
    for (const part of match[2]?.split(",") ?? []) {
      const [call = "", offset] = part.split("=");
      this.#text.set(call, Number(offset));
    }
    this.owe();
  }

  /** A subscription begins that may lie before this position and know nothing of the calls that are open here. */
  owe(): void {
    for (const call of this.#text.keys()) this.#owed.add(call);
  }

  get seq(): number {
    return this.#seq;
  }

  get texts(): ReadonlyMap<string, number> {
    return this.#text;
  }

  cursor(): string {
    return formatCursor(this.#seq, this.#text);
  }

  /**
   * What is new in an event, in order: nothing, the event or what is left of it, and before a `call.finished` the end of a text that did
   * not arrive as deltas. `null`: something before it is missing; the position is unchanged.
   * `mixed`: the stream also carries deltas of internal calls for another reader.
   */
  advance(event: Event, mixed: boolean): readonly Event[] | null {
    switch (event.type) {
      case "text.delta":
        return this.#delta(event, this.#text, mixed);
      case "reasoning.delta":
        return this.#delta(event, this.#reasoning, mixed);
      case "partial":
        return event.seq < this.#seq || (mixed && !this.#knows(event.call)) ? [] : [event];
    }
    if (event.seq <= this.#seq) return [];
    if (event.seq > this.#seq + 1) return null;
    const events: Event[] = [];
    if (event.type === "call.finished") {
      const given = this.#owed.has(event.call) ? this.#text.get(event.call) : undefined;
      if (given !== undefined && event.text !== undefined && event.text.length > given) {
        const { run, at, actor, call } = event;
        events.push({ run, seq: this.#seq, type: "text.delta", at, actor, call, offset: given, text: event.text.slice(given) });
      }
    }
    this.pass(event);
    events.push(event);
    return events;
  }

  /** Moves behind an event that was given (or is not wanted by anyone who counts). */
  pass(event: Event): void {
    if (event.type === "text.delta") {
      this.#text.set(event.call, event.offset + event.text.length);
    } else if (event.type === "call.started") {
      if (this.#internal || event.for === "answer") this.#text.set(event.call, this.#text.get(event.call) ?? 0);
    } else if (event.type === "call.finished") {
      this.#text.delete(event.call);
      this.#owed.delete(event.call);
      this.#reasoning.delete(event.call);
    }
    if (event.type !== "text.delta" && event.type !== "reasoning.delta" && event.type !== "partial") this.#seq = event.seq;
  }

  #delta<D extends TextDelta>(delta: D, given: Map<string, number>, mixed: boolean): readonly Event[] | null {
    const { call, offset, text } = delta;
    // Of a call that is not open for this reader: one that finished before, or another reader's internal one.
    if (!this.#knows(call) && (delta.seq < this.#seq || mixed)) return [];
    const seen = given.get(call) ?? 0;
    // Reasoning is not resumed, so a part of it may be missing; of the text never.
    if (offset > seen && delta.type === "text.delta") return null;
    if (offset + text.length <= seen) return [];
    given.set(call, offset + text.length);
    return [offset >= seen ? delta : { ...delta, offset: seen, text: text.slice(seen - offset) }];
  }

  #knows(call: string): boolean {
    return this.#text.has(call) || this.#reasoning.has(call);
  }
}

export function formatCursor(seq: number, texts: ReadonlyMap<string, number>): string {
  const calls = [...texts].map(([call, offset]) => `${call}=${offset}`);
  return calls.length === 0 ? String(seq) : `${seq}/${calls.join(",")}`;
}
