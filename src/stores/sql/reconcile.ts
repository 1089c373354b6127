/**
 * The reconciler's arithmetic: what meters and runs say they hold, against what open asks hold. Reading and writing rows is each store's.
 *
 *  1. Open asks are the truth: a hold lives exactly as long as its ask. On a healthy store nothing differs.
 *  2. Where the asks of a run cannot be read, what they hold is not known: nothing is lowered then, on any meter.
 */
import type { Correction, Counts, MeterRef, OpenAsk } from "../store.ts";
import { amount } from "./amount.ts";
import type { PackedMeter } from "./calls.ts";

/** A run that goes on and holds something, by its own word or by its open asks. */
export type HoldingRun = readonly [id: string, heldNano: number, open: string];

type Held = { nano: number; tokens: number; calls: number };
const units = ["nano", "tokens", "calls"] as const;

/** What is to be corrected; `runs` and `meters` are of one instant. */
export function differences(runs: readonly HoldingRun[], meters: readonly PackedMeter[]): Correction[] {
  const corrections: Correction[] = [];
  const onMeters = new Map<string, Held>();
  let unreadable = false;
  for (const [id, heldNano, open] of runs) {
    const asks = readable(open);
    if (!asks) {
      unreadable = true;
      continue;
    }
    let held = 0;
    for (const ask of asks) {
      held += ask.holdNano ?? 0;
      for (const key of ask.meters ?? []) add(onMeters, key, ask);
    }
    if (held !== heldNano) corrections.push({ of: "run", id, unit: "nano", was: heldNano, is: held });
  }
  const differ = (key: string, said: Held, held: Held): void => {
    for (const unit of units)
      if (said[unit] !== held[unit] && !(unreadable && said[unit] > held[unit]))
        corrections.push({ of: "meter", id: key, unit, was: said[unit], is: held[unit] });
  };
  const nothing: Held = { nano: 0, tokens: 0, calls: 0 };
  for (const [key, , , , heldNano, json] of meters) {
    const counts = countsOf(json);
    differ(key, { nano: heldNano, tokens: counts?.tokens.held ?? 0, calls: counts?.calls.held ?? 0 }, onMeters.get(key) ?? nothing);
    onMeters.delete(key);
  }
  // Rows that are gone. A free call may outlive its meter, which is deleted when it holds no money.
  for (const [key, held] of onMeters) if (held.nano > 0) differ(key, nothing, held);
  return corrections;
}

function add(onMeters: Map<string, Held>, key: string, { holdNano = 0, holdTokens = 0, counted }: OpenAsk): void {
  const held = onMeters.get(key) ?? { nano: 0, tokens: 0, calls: 0 };
  onMeters.set(key, held);
  held.nano += holdNano;
  if (!counted?.includes(key)) return;
  held.tokens += holdTokens;
  held.calls += 1;
}

function readable(open: string): OpenAsk[] | null {
  try {
    const asks: unknown = JSON.parse(open);
    return Array.isArray(asks) ? (asks as OpenAsk[]) : null; // written by a writer as JSON of this type
  } catch {
    return null;
  }
}

/** Written by a store from this type. */
const countsOf = (json: string | null): Counts | undefined => (json === null ? undefined : (JSON.parse(json) as Counts));

/** The row of the meter after these corrections of it. A row that was gone is limited to what is held on it, until the next reserve. */
export function corrected(key: string, row: PackedMeter | undefined, corrections: readonly Correction[]): PackedMeter {
  const [, level, limitNano, spentNano, heldNano, json] = row ?? [key, levelOf(key), null, 0, 0, null];
  const counts = countsOf(json) ?? { tokens: unlimited(), calls: unlimited() };
  const held: Held = { nano: heldNano, tokens: counts.tokens.held, calls: counts.calls.held };
  // Relative, so that what has changed since it was looked at stays changed.
  for (const { unit, was, is } of corrections) held[unit] = amount(`held ${unit}`, Math.max(0, held[unit] + is - was), key);
  counts.tokens.held = held.tokens;
  counts.calls.held = held.calls;
  const counting = json !== null || held.tokens > 0 || held.calls > 0;
  return [key, level, limitNano ?? held.nano, spentNano, held.nano, counting ? JSON.stringify(counts) : null];
}

const unlimited = () => ({ limit: Number.MAX_SAFE_INTEGER, spent: 0, held: 0 });

function levelOf(key: string): MeterRef["level"] {
  const level = key.slice(0, key.indexOf("/"));
  return level === "user" || level === "key" || level === "feature" ? level : "system";
}

/** The corrections of meters, those of one meter together, in the order of their keys. */
export function byMeter(corrections: readonly Correction[]): [key: string, of: readonly Correction[]][] {
  const found = new Map<string, Correction[]>();
  for (const one of corrections) {
    if (one.of !== "meter") continue;
    const of = found.get(one.id);
    if (of) of.push(one);
    else found.set(one.id, [one]);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}
