/**
 * Writes batches of entries: turns with their money, acceptances, parking, quarantine. Owns the rows that an entry changes and in which
 * order; what a turn means for its run and its money is `sql/turn.ts`, who may claim a run is `ownership.ts`, messages are `inbox.ts`.
 *
 *  1. One transaction a batch. An entry is refused (`fenced`, `known`) before it has changed anything; one that was written before is
 *     answered as then.
 *  2. An exception rolls the batch back; it is then done again with a savepoint an entry, and only the entry that throws is `broken`.
 *     A failure of the store itself (lock, disk) is nobody's fault and rejects the batch.
 *  3. A turn is one insert (one more for each call that it settles, and an update of its run when its status changes); meters are written
 *     once a batch.
 *  4. Rows and meters that are remembered from one batch to the next are true: see `LiveRuns` and `Ledger`.
 *
 * The open asks are one column, written by each turn: right for tens of open asks a run, not for thousands.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { hasEnded } from "../../protocol/run.ts";
import { amount } from "../sql/amount.ts";
import type { FencedEntry } from "../sql/fence.ts";
import { callColumns, type Packed, type PackedAccept, type PackedEntry, type PackedTurn, unpack } from "../sql/packed.ts";
import { earliestDue, noneOpen, progressBefore, takeTurn } from "../sql/turn.ts";
import type { EntryResult } from "../store.ts";
import { isStoreFailure } from "./errors.ts";
import { Ledger } from "./ledger.ts";
import { LiveRuns, type RunRow } from "./live-runs.ts";
import { Repeats } from "./repeats.ts";
import { type Query, query } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

export class Writer {
  readonly #transaction: Transaction;
  readonly #isCurrent: (row: RunRow, entry: FencedEntry) => boolean;
  readonly #ledger: Ledger;
  readonly #live: LiveRuns;
  readonly #repeats: Repeats;
  readonly #dataVersion: Query<[number]>;
  #seenVersion = -1;
  readonly #insertRun: StatementSync;
  readonly #insertTurn: StatementSync;
  readonly #insertCall: StatementSync;
  readonly #status: StatementSync;
  readonly #end: StatementSync;
  readonly #consume: StatementSync;
  readonly #hasMessage: Query<[1]>;
  readonly #park: StatementSync;
  readonly #quarantine: StatementSync;
  readonly #hasUnfinished: Query<[1]>;
  readonly #nextOfSession: Query<[position: number, id: string, epoch: number]>;
  readonly #wake: StatementSync;
  readonly #key: Query<[run: string, bodyHash: string, expiresAt: number]>;
  readonly #insertKey: StatementSync;

  constructor(db: DatabaseSync, transaction: Transaction, isCurrent: (row: RunRow, entry: FencedEntry) => boolean) {
    this.#transaction = transaction;
    this.#isCurrent = isCurrent;
    this.#ledger = new Ledger(db);
    this.#live = new LiveRuns(db);
    this.#repeats = new Repeats(db, this.#ledger);
    this.#dataVersion = query(db, "pragma data_version");
    this.#insertRun = db.prepare(
      `insert into runs (id, epoch, owner, claims, status, created_at, tenant, user, session, agent, machine, feature, key)
       values (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do nothing`,
    );
    this.#insertTurn = db.prepare(
      `insert into turns (run, n, seq, limit_nano, spent_nano, held_nano, at, hash, open, progress, body, facts)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertCall = db.prepare(
      `insert into calls (run, tenant, user, key, feature, agent, ${callColumns.map(([name]) => name).join(", ")})
       select position, tenant, user, key, feature, agent, ${callColumns.map((_, i) => `?${i + 2}`).join(", ")} from runs where position = ?1`,
    );
    this.#status = db.prepare("update runs set status = ?, claims = 0 where position = ?");
    this.#end = db.prepare("update runs set status = ?, claims = 0, owner = null, wake_at = null, finished_at = ? where position = ?");
    this.#consume = db.prepare("update inbox set n = ? where run = ? and nonce = ? and n is null");
    this.#hasMessage = query(db, "select 1 from inbox where run = ? and n is null limit 1");
    // Parking is progress: who has replayed the run to its head and found nothing to do was not killed by it.
    this.#park = db.prepare("update runs set owner = null, claims = 0, wake_at = ? where position = ?");
    this.#quarantine = db.prepare("update runs set owner = null, wake_at = null, status = 'quarantined', reason = ? where position = ?");
    this.#hasUnfinished = query(
      db,
      "select 1 from runs where tenant = ? and session = ? and user is ? and session is not null and finished_at is null limit 1",
    );
    this.#nextOfSession = query(
      db,
      `select n.position, n.id, n.epoch from runs r join runs n on n.tenant = r.tenant and n.session = r.session and n.user is r.user
         and n.session is not null and n.finished_at is null
       where r.position = ? order by n.position limit 1`,
    );
    this.#wake = db.prepare("update runs set wake_at = 0 where position = ?");
    this.#key = query(db, "select run, body_hash, expires_at from idempotency where scope = ? and key = ?");
    this.#insertKey = db.prepare("insert or replace into idempotency (scope, key, run, body_hash, expires_at) values (?, ?, ?, ?, ?)");
  }

  commit(packed: Packed): EntryResult[] {
    const batch = unpack(packed);
    try {
      return this.#write(() => batch.map((entry) => this.#apply(entry)));
    } catch (error) {
      if (isStoreFailure(error)) throw error;
      return this.#write(() => batch.map((entry) => this.#applyAlone(entry)));
    }
  }

  /** Forgets what is remembered of runs and meters, which others have changed or a rollback has undone. */
  forget(): void {
    this.#live.forget();
    this.#ledger.forget();
  }

  /** Deletes those of the meters that carry no hold; how many. */
  purgeMeters(keys: readonly string[]): number {
    return this.#write(() => this.#ledger.purge(keys));
  }

  #write<T>(work: () => T): T {
    try {
      return this.#transaction.run(() => {
        // Changes when another connection has written to the file; asked inside the transaction, after which none can.
        const version = this.#dataVersion.get()?.[0] ?? -1;
        if (version !== this.#seenVersion) this.forget();
        this.#seenVersion = version;
        const results = work();
        this.#ledger.flush();
        return results;
      });
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  #applyAlone(entry: PackedEntry): EntryResult {
    try {
      return this.#transaction.part(() => {
        const result = this.#apply(entry);
        this.#ledger.flush();
        return result;
      });
    } catch (error) {
      if (isStoreFailure(error)) throw error;
      this.forget();
      return { type: "broken", message: error instanceof Error ? error.message : String(error) };
    }
  }

  #apply(entry: PackedEntry): EntryResult {
    if (entry.type === "broken") return entry;
    if (entry.type === "accept") return this.#accept(entry);
    const row = this.#live.find(entry.run);
    if (!row) return { type: "fenced" };
    if (!this.#isCurrent(row, entry)) return (entry.type === "turn" && this.#writtenBefore(row, entry)) || { type: "fenced" };
    switch (entry.type) {
      case "turn":
        return this.#turn(row, entry);
      case "park": {
        if (row.head !== entry.head || this.#hasMessage.get(row.position)) return { type: "parked", parked: false };
        this.#park.run(earliestDue(row.open), row.position);
        this.#live.drop(entry.run);
        return { type: "parked", parked: true };
      }
      case "quarantine":
        this.#quarantine.run(entry.reason, row.position);
        this.#live.drop(entry.run);
        return { type: "quarantined" };
    }
  }

  #accept(entry: PackedAccept): EntryResult {
    const { idempotency } = entry;
    if (idempotency) {
      const known = this.#key.get(idempotency.scope, idempotency.key);
      // The entry's own key: its first commit was written and the answer lost. What follows finds the run.
      if (known && known[0] !== entry.run && known[2] > entry.createdAt)
        return { type: "known", run: known[0], sameBody: known[1] === idempotency.bodyHash };
    }
    const queued = entry.session !== null && this.#hasUnfinished.get(entry.tenant, entry.session, entry.user) !== undefined;
    const epoch = queued ? 0 : 1;
    const status = queued ? "queued" : "running";
    const { run, createdAt, owner, session } = entry;
    const limitNano = amount("limitNano", entry.limitNano);
    const { changes, lastInsertRowid } = this.#insertRun.run(
      run,
      epoch,
      queued ? null : owner,
      status,
      createdAt,
      entry.tenant,
      entry.user,
      session,
      entry.agent,
      entry.machine,
      entry.feature,
      entry.key,
    );
    if (changes === 0) return this.#acceptedBefore(entry);
    const position = Number(lastInsertRowid);
    const seq = entry.factCount;
    this.#insertTurn.run(position, 0, seq, limitNano, 0, 0, 0, "", noneOpen, progressBefore, entry.info, `[${entry.facts}]`);
    if (idempotency) this.#insertKey.run(idempotency.scope, idempotency.key, run, idempotency.bodyHash, idempotency.expiresAt);
    if (!queued)
      this.#live.remember(run, {
        level: "run",
        position,
        epoch,
        owner,
        createdAt,
        hasSession: session !== null,
        claims: 0,
        status,
        head: 0,
        seq,
        limitNano,
        spentNano: 0,
        heldNano: 0,
        open: [],
      });
    return { type: "accepted", status, epoch };
  }

  /** A repeated acceptance (its first answer was lost): the same answer, unless the run has gone on under somebody else. */
  #acceptedBefore(entry: PackedAccept): EntryResult {
    const row = this.#live.find(entry.run);
    if (!row || row.epoch > 1 || (row.epoch === 1 && row.owner !== entry.owner && !hasEnded(row.status))) return { type: "fenced" };
    return { type: "accepted", status: row.epoch === 0 ? "queued" : "running", epoch: row.epoch };
  }

  /** A repeated turn (its first answer was lost): the same answer. */
  #writtenBefore(row: RunRow, entry: PackedTurn): EntryResult | null {
    const answer = this.#repeats.answer(row, entry);
    const wakes = answer && hasEnded(entry.status) && row.hasSession ? this.#wakeNext(row.position) : undefined;
    return answer && wakes !== undefined ? { ...answer, wakes } : answer;
  }

  #turn(row: RunRow, entry: PackedTurn): EntryResult {
    const { position, createdAt } = row;
    const { n, status } = entry;
    const { firstSeq, grants, facts } = takeTurn(row, entry, this.#ledger);
    const ends = hasEnded(status);
    this.#insertTurn.run(
      position,
      n,
      row.seq,
      row.limitNano,
      row.spentNano,
      row.heldNano,
      entry.at,
      entry.hash,
      row.open.length === 0 ? noneOpen : JSON.stringify(row.open),
      entry.progress,
      entry.body,
      `[${facts}]`,
    );
    for (const call of entry.calls) this.#insertCall.run(position, ...call);
    if (entry.consumes !== null && this.#consume.run(n, position, entry.consumes).changes === 0)
      throw new Error(`turn ${n} of ${entry.run} consumes the message ${entry.consumes}, which is not waiting in its inbox`);
    if (!ends) {
      if (status !== row.status || row.claims > 0) {
        this.#status.run(status, position);
        row.status = status;
        row.claims = 0;
      }
      return { type: "written", firstSeq, grants };
    }
    this.#end.run(status, entry.finishedAt ?? createdAt + entry.at, position);
    this.#live.drop(entry.run);
    const wakes = row.hasSession ? this.#wakeNext(position) : undefined;
    return wakes === undefined ? { type: "written", firstSeq, grants } : { type: "written", firstSeq, grants, wakes };
  }

  /** The next run of the session of a run that has just ended may be claimed. */
  #wakeNext(position: number): string | undefined {
    const next = this.#nextOfSession.get(position);
    if (!next) return undefined;
    const [at, id, epoch] = next;
    if (epoch !== 0) return undefined;
    this.#wake.run(at);
    return id;
  }
}
