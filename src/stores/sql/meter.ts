/**
 * A meter above runs in memory, inside a transaction: its limits, and what calls hold and spend on it. Owns the arithmetic; its row is the
 * store's, and what a call may cost is decided by `src/money/budget.ts`.
 *
 *  1. A meter never grants beyond its limit. `spent + held` exceeds it only when the limit was lowered afterwards or a call cost more
 *     than its hold: both are told as they are, and nothing more is granted.
 */
import type { Level } from "../../money/budget.ts";
import type { Close, Count, Counts, MeterRef, OpenAsk } from "../store.ts";
import { amount } from "./amount.ts";

export type Meter = {
  readonly key: string;
  readonly level: Level["level"];
  limitNano: number;
  spentNano: number;
  heldNano: number;
  counts: Counts | undefined;
  /** Differs from its row. */
  changed: boolean;
};

/** The meters of one transaction. */
export interface Meters {
  /** The meter that a reserve names, made where it is missing; from now on with the limit given there. */
  at(ref: MeterRef): Meter;
  find(key: string): Meter | undefined;
}

/** A meter that nothing was reserved on yet. Throws for limits that are no amounts. */
export function newMeter(ref: MeterRef): Meter {
  const limitNano = amount("limitNano", ref.limitNano, ref.key);
  const made: Meter = { key: ref.key, level: ref.level, limitNano, spentNano: 0, heldNano: 0, counts: undefined, changed: true };
  limitCounts(made, ref);
  return made;
}

/** Takes the limits of a reserve. */
export function limit(meter: Meter, ref: MeterRef): void {
  if (meter.limitNano !== ref.limitNano) {
    meter.limitNano = amount("limitNano", ref.limitNano, ref.key);
    meter.changed = true;
  }
  limitCounts(meter, ref);
}

/** A meter that counts and is limited no longer goes on counting. */
function limitCounts(meter: Meter, { key, limitTokens, limitCalls }: MeterRef): void {
  const isLimited = limitTokens !== undefined || limitCalls !== undefined;
  if (!meter.counts) {
    if (!isLimited) return;
    meter.counts = { tokens: { limit: 0, spent: 0, held: 0 }, calls: { limit: 0, spent: 0, held: 0 } };
  }
  const take = (count: Count, name: string, to = Number.MAX_SAFE_INTEGER): void => {
    if (count.limit === to) return;
    count.limit = amount(name, to, key);
    meter.changed = true;
  };
  take(meter.counts.tokens, "limitTokens", limitTokens);
  take(meter.counts.calls, "limitCalls", limitCalls);
}

/** A granted call. */
export function hold(meter: Meter, holdNano: number, holdTokens: number): void {
  if (meter.counts) {
    const { tokens, calls } = meter.counts;
    tokens.held = amount("held tokens", tokens.held + holdTokens, meter.key);
    calls.held += 1;
  }
  meter.heldNano = amount("heldNano", meter.heldNano + holdNano, meter.key);
  meter.changed = true;
}

/** The same call, settled: its hold ends, and what it cost and used is spent. It was a call, however it ended. */
export function settle(meter: Meter, { holdNano = 0, holdTokens = 0, counted }: OpenAsk, { costNano, tokens: used = 0 }: Close): void {
  meter.heldNano = amount("heldNano", meter.heldNano - holdNano, meter.key);
  meter.spentNano = amount("spentNano", meter.spentNano + costNano, meter.key);
  if (meter.counts && counted?.includes(meter.key)) {
    const { tokens, calls } = meter.counts;
    tokens.held = amount("held tokens", tokens.held - holdTokens, meter.key);
    tokens.spent = amount("spent tokens", tokens.spent + amount("tokens", used), meter.key);
    calls.held -= 1;
    calls.spent += 1;
  }
  meter.changed = true;
}
