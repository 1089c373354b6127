/** Who may write to a run, whichever database it is in. */
import type { ParkEntry, QuarantineEntry } from "../store.ts";
import type { PackedTurn } from "./packed.ts";
import type { RunState } from "./turn.ts";

export type FencedEntry = PackedTurn | ParkEntry | QuarantineEntry;

/** A run that was taken so often without a turn since is quarantined by the next claim. */
export const maxClaims = 2;

/**
 * The owner of a run that was given up with work begun: a name without a lease, so that it is claimed at once, as from an owner that is gone
 * (and not as from one that left in order). Nobody writes under it, and callers are told that there is no owner.
 */
export const disowned = "";

/** Whether an entry comes from the run's present owner and, for a turn, follows its head. A run given up has no owner. */
export const isCurrent = (row: RunState, entry: FencedEntry): boolean =>
  row.owner !== null && row.owner !== disowned && row.epoch === entry.epoch && (entry.type !== "turn" || entry.n === row.head + 1);
