/**
 * What a turn changes of its run: open asks, money, facts. The same decision in every SQL store; the rows are read and written by each.
 *
 *  1. Closes are settled before asks are decided on, so what a turn frees is there for what it asks.
 *  2. A run ends with no open ask: an entry that would leave one (and its hold) behind throws, as does anything that is no amount.
 *  3. What is thrown midway leaves the state changed: the caller gives it up.
 */
import { decide } from "../../money/budget.ts";
import { hasEnded, type RunStatus } from "../../protocol/run.ts";
import { type AskEntry, type Close, type Grant, grantFacts, noProgress, type OpenAsk } from "../store.ts";
import { amount } from "./amount.ts";
import { hold, type Meters, settle } from "./meter.ts";
import { factSeparator, type PackedTurn } from "./packed.ts";

/** What an entry is checked against and applied to: a run as it stands after its last turn. Also the level `run` of a budget decision. */
export type RunState = {
  readonly level: "run";
  readonly epoch: number;
  readonly owner: string | null;
  readonly createdAt: number;
  readonly hasSession: boolean;
  claims: number;
  status: RunStatus;
  head: number;
  seq: number;
  limitNano: number;
  spentNano: number;
  heldNano: number;
  readonly open: OpenAsk[];
};

/** `facts`: the entry's own and those of its grants, joined. */
export type Turned = { readonly firstSeq: number; readonly grants: readonly Grant[]; readonly facts: string };

/** Applies the turn that follows the run's head. Throws where the entry is broken. */
export function takeTurn(row: RunState, entry: PackedTurn, meters: Meters): Turned {
  row.limitNano = Math.min(row.limitNano + amount("raiseNano", entry.raiseNano), Number.MAX_SAFE_INTEGER);
  for (const close of entry.closes) closeAsk(row, close, meters);
  const grants = entry.asks.map((ask) => openAsk(row, ask, meters));
  if (hasEnded(entry.status) && row.open.length > 0)
    throw new Error(`turn ${entry.n} of ${entry.run} ends it with open asks: ${JSON.stringify(row.open)}`);
  let { facts, factCount } = entry;
  if (grants.length > 0) {
    // Only a denial tells its time.
    const at = grants.every(({ granted }) => granted) ? "" : new Date(row.createdAt + entry.at).toISOString();
    const more = grantFacts(entry.asks, grants, at, true);
    if (more.length > 0) {
      const joined = more.join(factSeparator);
      facts = factCount === 0 ? joined : `${facts}${factSeparator}${joined}`;
      factCount += more.length;
    }
  }
  const firstSeq = row.seq + 1;
  row.head = entry.n;
  row.seq += factCount;
  return { firstSeq, grants, facts };
}

/** Settles an ask: its hold ends, and what it cost is spent on the same meters. */
function closeAsk(row: RunState, close: Close, meters: Meters): void {
  const index = row.open.findIndex((ask) => ask.ordinal === close.ordinal);
  const ask = row.open[index];
  if (!ask) throw new Error(`closes the ask ${close.ordinal}, which is not open`);
  row.open.splice(index, 1);
  const costNano = amount("costNano", close.costNano);
  const { holdNano = 0 } = ask;
  row.heldNano = amount("heldNano", row.heldNano - holdNano);
  row.spentNano = amount("spentNano", row.spentNano + costNano);
  // Its input was counted too low, so no further count of this run is trusted: what is left of its budget goes with it.
  if (costNano > holdNano) row.limitNano = Math.min(row.limitNano, row.spentNano + row.heldNano);
  for (const key of ask.meters ?? []) {
    const meter = meters.find(key);
    // Deleted with its window, which it can be only while nothing is held on it: by a call that was free.
    if (!meter && holdNano === 0 && costNano === 0) continue;
    if (!meter) throw new Error(`the meter ${key} of the open ask ${ask.ordinal} has no row`);
    settle(meter, ask, close);
  }
}

/** Opens an ask, with its hold when it reserves money and every level has enough left. */
function openAsk(row: RunState, ask: AskEntry, meters: Meters): Grant {
  const { ordinal, kind, hash, reserve, due } = ask;
  if (row.open.some((open) => open.ordinal === ordinal)) throw new Error(`asks under the ordinal ${ordinal}, which is open`);
  const opened = due === undefined ? { ordinal, kind, hash } : { ordinal, kind, hash, due };
  if (!reserve) {
    row.open.push(opened);
    return { ordinal, granted: true, holdNano: 0, maxTokens: 0 };
  }
  const levels = reserve.meters.map((ref) => meters.at(ref));
  const grant = decide(ordinal, reserve, [row, ...levels]);
  if (!grant.granted) {
    row.open.push({ ...opened, denied: grant.level });
    return grant;
  }
  const holdNano = amount("hold", grant.holdNano);
  row.heldNano = amount("heldNano", row.heldNano + holdNano);
  const counted = levels.filter(({ counts }) => counts !== undefined).map(({ key }) => key);
  const holdTokens = amount("tokens", (reserve.inputTokens ?? 0) + grant.maxTokens);
  for (const meter of levels) hold(meter, holdNano, holdTokens);
  const opening = { ...opened, holdNano, maxTokens: grant.maxTokens, meters: levels.map(({ key }) => key) };
  row.open.push(counted.length === 0 ? opening : { ...opening, counted, holdTokens });
  return grant;
}

/** When the earliest of the open timers is due. */
export function earliestDue(open: readonly OpenAsk[]): number | null {
  let earliest: number | null = null;
  for (const { due } of open) if (due !== undefined && (earliest === null || due < earliest)) earliest = due;
  return earliest;
}

/** The two columns of a run before its first turn. */
export const progressBefore = JSON.stringify(noProgress);
export const noneOpen = "[]";
