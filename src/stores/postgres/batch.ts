/**
 * Carries out a batch's entries one after the other on what was loaded, in memory, and says what is to be written. The decisions are those
 * of every SQL store (`sql/turn.ts`, `sql/fence.ts`, `sql/repeat.ts`).
 *
 *  1. An entry is refused before it has changed anything; one that throws is `broken`, and what it changed is put back.
 *  2. Later entries see what earlier ones of the batch have done.
 */
import { hasEnded } from "../../protocol/run.ts";
import { amount } from "../sql/amount.ts";
import { type FencedEntry, isCurrent } from "../sql/fence.ts";
import { limit, type Meter, type Meters, newMeter } from "../sql/meter.ts";
import type { PackedAccept, PackedCall, PackedEntry, PackedTurn } from "../sql/packed.ts";
import { answerAgain } from "../sql/repeat.ts";
import { earliestDue, noneOpen, progressBefore, takeTurn } from "../sql/turn.ts";
import type { EntryResult, Idempotency, MeterRef } from "../store.ts";
import { type BatchRun, keyName, type Loaded, sessionName, turnName } from "./loaded.ts";
import { storable, storableOrNull } from "./text.ts";

export type NewTurn = {
  /** Of a run that this batch accepts, null: found by its id. */
  readonly position: number | null;
  readonly run: string;
  readonly n: number;
  readonly seq: number;
  readonly limitNano: number;
  readonly spentNano: number;
  readonly heldNano: number;
  readonly at: number;
  readonly hash: string;
  readonly open: string;
  readonly progress: string;
  readonly body: string;
  readonly facts: string;
};

export class Batch implements Meters {
  readonly loaded: Loaded;
  readonly accepted: { readonly entry: PackedAccept; readonly row: BatchRun }[] = [];
  readonly turns: NewTurn[] = [];
  readonly calls: { readonly run: string; readonly call: PackedCall }[] = [];
  readonly consumed: { readonly run: string; readonly nonce: string; readonly n: number }[] = [];
  /** By `keyName`. */
  readonly keys = new Map<string, Idempotency & { readonly run: string; readonly isNew: boolean }>();
  /** Ids of runs of a session that may go now. */
  readonly woken = new Set<string>();
  /** Meters as they were before the present entry touched them; undefined where there was none. */
  #before = new Map<string, Meter | undefined>();

  constructor(loaded: Loaded) {
    this.loaded = loaded;
  }

  apply(entry: PackedEntry): EntryResult {
    if (entry.type === "broken") return entry;
    const damage = this.loaded.damaged.get(`the run ${entry.run}`);
    if (damage !== undefined) return { type: "broken", message: damage };
    const row = this.loaded.runs.get(entry.run);
    const before = row && { ...row, open: [...row.open] };
    this.#before.clear();
    try {
      if (entry.type === "accept") return this.#accept(entry, row);
      return row ? this.#fenced(row, entry) : { type: "fenced" };
    } catch (error) {
      // In place: what was accepted in this batch is written from the same object.
      if (row) Object.assign(row, before);
      for (const [key, meter] of this.#before) {
        if (meter) this.loaded.meters.set(key, meter);
        else this.loaded.meters.delete(key);
      }
      return { type: "broken", message: error instanceof Error ? error.message : String(error) };
    }
  }

  find(key: string): Meter | undefined {
    const damage = this.loaded.damaged.get(`the meter ${key}`);
    if (damage !== undefined) throw new Error(damage);
    const meter = this.loaded.meters.get(key);
    if (meter && !this.#before.has(key)) this.#before.set(key, { ...meter, counts: structuredClone(meter.counts) });
    return meter;
  }

  at(ref: MeterRef): Meter {
    const found = this.find(ref.key);
    if (found) {
      limit(found, ref);
      return found;
    }
    const made = newMeter(ref);
    this.#before.set(ref.key, undefined);
    this.loaded.meters.set(ref.key, made);
    return made;
  }

  #accept(entry: PackedAccept, known: BatchRun | undefined): EntryResult {
    const { run, idempotency, createdAt, owner, session } = entry;
    const keyed = idempotency && keyName(storable(idempotency.scope), storable(idempotency.key));
    const key = keyed ? this.loaded.keys.get(keyed) : undefined;
    // The entry's own key: its first commit was written and the answer lost. What follows finds the run.
    if (idempotency && key && key.run !== run && key.expiresAt > createdAt)
      return { type: "known", run: key.run, sameBody: key.bodyHash === idempotency.bodyHash };
    if (known) return acceptedBefore(entry, known);
    const limitNano = amount("limitNano", entry.limitNano);
    const name = session === null ? null : sessionName(storable(entry.tenant), storableOrNull(entry.user), storable(session));
    const waiting = name === null ? [] : this.#session(name);
    const queued = waiting.length > 0;
    const epoch = queued ? 0 : 1;
    const status = queued ? "queued" : "running";
    const row: BatchRun = {
      level: "run",
      id: run,
      position: null,
      epoch,
      owner: queued ? null : owner,
      claims: 0,
      status,
      reason: null,
      wakeAt: null,
      createdAt,
      finishedAt: null,
      hasSession: session !== null,
      session: name,
      head: 0,
      seq: entry.factCount,
      limitNano,
      spentNano: 0,
      heldNano: 0,
      open: [],
      changed: false,
    };
    this.loaded.runs.set(run, row);
    this.accepted.push({ entry, row });
    waiting.push({ id: run, epoch });
    this.#write(row, { at: 0, hash: "", open: noneOpen, progress: progressBefore, body: entry.info, facts: `[${entry.facts}]` });
    if (idempotency && keyed) {
      this.keys.set(keyed, { ...idempotency, run, isNew: this.keys.get(keyed)?.isNew ?? key === undefined });
      this.loaded.keys.set(keyed, { run, bodyHash: idempotency.bodyHash, expiresAt: idempotency.expiresAt });
    }
    return { type: "accepted", status, epoch };
  }

  #fenced(row: BatchRun, entry: FencedEntry): EntryResult {
    if (!isCurrent(row, entry)) return (entry.type === "turn" && this.#writtenBefore(row, entry)) || { type: "fenced" };
    switch (entry.type) {
      case "turn":
        return this.#turn(row, entry);
      case "park":
        if (row.head !== entry.head || this.loaded.unread.get(entry.run)?.size) return { type: "parked", parked: false };
        // Parking is progress: who has replayed the run to its head and found nothing to do was not killed by it.
        Object.assign(row, { owner: null, claims: 0, wakeAt: earliestDue(row.open), changed: true });
        return { type: "parked", parked: true };
      case "quarantine":
        Object.assign(row, { owner: null, wakeAt: null, status: "quarantined", reason: entry.reason, changed: true });
        return { type: "quarantined" };
    }
  }

  /** A repeated turn (its first answer was lost): the same answer. */
  #writtenBefore(row: BatchRun, entry: PackedTurn): EntryResult | null {
    const written = row.epoch === entry.epoch && this.loaded.written.get(turnName(entry.run, entry.n));
    const answer = written ? answerAgain(written, entry, this) : null;
    const wakes = answer && hasEnded(entry.status) ? this.#wakeNext(row) : undefined;
    return answer && wakes !== undefined ? { ...answer, wakes } : answer;
  }

  #turn(row: BatchRun, entry: PackedTurn): EntryResult {
    const { n, status, consumes } = entry;
    const seqBefore = row.seq;
    const { firstSeq, grants, facts } = takeTurn(row, entry, this);
    const unread = this.loaded.unread.get(entry.run);
    if (consumes !== null) {
      if (!unread?.delete(consumes))
        throw new Error(`turn ${n} of ${entry.run} consumes the message ${consumes}, which is not waiting in its inbox`);
      this.consumed.push({ run: entry.run, nonce: consumes, n });
    }
    for (const call of entry.calls) this.calls.push({ run: entry.run, call });
    const open = row.open.length === 0 ? noneOpen : JSON.stringify(row.open);
    const { at, hash, body, progress } = entry;
    this.#write(row, { at, hash, open, progress, body, facts: `[${facts}]` });
    const { limitNano, spentNano } = row;
    this.loaded.written.set(turnName(entry.run, n), [at, hash, body, progress, `[${facts}]`, open, limitNano, spentNano, seqBefore]);
    if (!hasEnded(status)) {
      if (status !== row.status || row.claims > 0) Object.assign(row, { status, claims: 0, changed: true });
      return { type: "written", firstSeq, grants };
    }
    const finishedAt = entry.finishedAt ?? row.createdAt + at;
    Object.assign(row, { status, claims: 0, owner: null, wakeAt: null, finishedAt, changed: true });
    if (row.session !== null) {
      const others = this.#session(row.session).filter(({ id }) => id !== row.id);
      this.loaded.sessions.set(row.session, others);
    }
    const wakes = this.#wakeNext(row);
    return wakes === undefined ? { type: "written", firstSeq, grants } : { type: "written", firstSeq, grants, wakes };
  }

  #write(row: BatchRun, rest: Pick<NewTurn, "at" | "hash" | "open" | "progress" | "body" | "facts">): void {
    const { position, id: run, head: n, seq, limitNano, spentNano, heldNano } = row;
    this.turns.push({ position, run, n, seq, limitNano, spentNano, heldNano, ...rest });
  }

  /** The next run of the session of a run that has ended may be claimed. */
  #wakeNext({ session }: BatchRun): string | undefined {
    const next = session === null ? undefined : this.#session(session)[0];
    if (next?.epoch !== 0) return undefined;
    const row = this.loaded.runs.get(next.id);
    if (row) Object.assign(row, { wakeAt: 0, changed: true });
    else this.woken.add(next.id);
    return next.id;
  }

  #session(name: string): { id: string; epoch: number }[] {
    const found = this.loaded.sessions.get(name) ?? [];
    this.loaded.sessions.set(name, found);
    return found;
  }
}

/** A repeated acceptance (its first answer was lost): the same answer, unless the run has gone on under somebody else. */
function acceptedBefore(entry: PackedAccept, row: BatchRun): EntryResult {
  if (row.epoch > 1 || (row.epoch === 1 && row.owner !== entry.owner && !hasEnded(row.status))) return { type: "fenced" };
  return { type: "accepted", status: row.epoch === 0 ? "queued" : "running", epoch: row.epoch };
}
