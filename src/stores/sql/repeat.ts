/**
 * Turns that are committed again: their first commit was written and its answer lost (the store's thread or connection died, the writer
 * tried again). Whoever asks again must hear what was decided then: told that it is fenced, it would drop a run that is its own, with its
 * paid calls.
 *
 *  1. Only the same turn is answered: number, content, and the run's present epoch (which the caller looks at). Another one under that
 *     number is a zombie's.
 *  2. Grants are read from the open asks that the turn left; nothing is decided again.
 */
import type { AskEntry, EntryResult, Grant, OpenAsk } from "../store.ts";
import type { Meters } from "./meter.ts";
import type { PackedTurn } from "./packed.ts";

/** The row of a turn, and the seq of the row before it. */
export type WrittenTurn = [
  at: number,
  hash: string,
  body: string,
  progress: string,
  facts: string,
  open: string,
  limitNano: number,
  spentNano: number,
  seqBefore: number,
];
type Money = { readonly limitNano: number; readonly spentNano: number };

/** What this very turn was answered when it was written, without `wakes`; null when that was another one. */
export function answerAgain(written: WrittenTurn, entry: PackedTurn, meters: Meters): (EntryResult & { type: "written" }) | null {
  const [at, hash, body, progress, facts, open, limitNano, spentNano, seqBefore] = written;
  const same = at === entry.at && hash === entry.hash && body === entry.body && progress === entry.progress;
  if (!same || !facts.startsWith(`[${entry.facts}`)) return null;
  // Written by a writer as JSON of this type.
  const opened = JSON.parse(open) as OpenAsk[];
  const grants: Grant[] = [];
  for (const ask of entry.asks) {
    const found = opened.find(({ ordinal, hash }) => ordinal === ask.ordinal && hash === ask.hash);
    if (!found) return null;
    grants.push(grantOf(ask, found, { limitNano, spentNano }, meters));
  }
  return { type: "written", firstSeq: seqBefore + 1, grants };
}

function grantOf({ ordinal, reserve }: AskEntry, { denied, holdNano = 0, maxTokens = 0 }: OpenAsk, run: Money, meters: Meters): Grant {
  if (denied === undefined) return { ordinal, granted: true, holdNano, maxTokens };
  // Written from the grant's own level.
  const level = denied as (Grant & { granted: false })["level"];
  const key = reserve?.meters.find((meter) => meter.level === level)?.key;
  // As a meter stands now: what it was then is not written down, and is told to nobody.
  const { limitNano, spentNano } = level === "run" ? run : (key !== undefined && meters.find(key)) || { limitNano: 0, spentNano: 0 };
  return { ordinal, granted: false, level, spentNano, limitNano };
}
