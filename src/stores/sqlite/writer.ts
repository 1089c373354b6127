/**
 * Writes batches of entries: turns with their money, acceptances, parking, quarantine. Owns what an entry changes and in which order;
 * who may claim a run is `ownership.ts`, messages are `inbox.ts`, the meters' arithmetic is `ledger.ts`.
 *
 *  1. One transaction a batch. An entry is refused (`fenced`, `known`) before it has changed anything.
 *  2. An exception rolls the batch back; it is then done again with a savepoint an entry, and only the entry that throws is `broken`.
 *     A failure of the store itself (lock, disk) is nobody's fault and rejects the batch.
 *  3. A run ends with no open ask: an entry that would leave one (and its hold) behind is `broken`.
 *  4. A turn costs three statements (select run, insert turn, update run); meters are written once a batch.
 *
 * The open asks are one column, rewritten by each turn that asks or closes: right for tens of open asks a run, not for thousands.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { decide } from "../../money/budget.ts";
import { hasEnded } from "../../protocol/run.ts";
import type { AskEntry, EntryResult, Grant, OpenAsk, ParkEntry, QuarantineEntry } from "../store.ts";
import { grantFacts } from "../store.ts";
import { isStoreFailure } from "./errors.ts";
import { Ledger } from "./ledger.ts";
import { factSeparator, type Packed, type PackedAccept, type PackedEntry, type PackedTurn, unpack } from "./packed.ts";
import { type Query, query } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

/** What an entry is checked against and applied to. Also the level `run` of a budget decision. */
export type RunRow = {
  readonly level: "run";
  readonly position: number;
  readonly epoch: number;
  readonly owner: string | null;
  readonly head: number;
  readonly seq: number;
  limitNano: number;
  spentNano: number;
  heldNano: number;
  readonly createdAt: number;
  readonly hasSession: boolean;
  /** JSON of {@link OpenAsk}[]. */
  readonly open: string;
};

export type FencedEntry = PackedTurn | ParkEntry | QuarantineEntry;

type RunColumns = [
  position: number,
  epoch: number,
  owner: string | null,
  head: number,
  seq: number,
  limitNano: number,
  spentNano: number,
  heldNano: number,
  createdAt: number,
  hasSession: number,
  open: string,
];

const noneOpen = "[]";

export class Writer {
  readonly #transaction: Transaction;
  readonly #isCurrent: (row: RunRow, entry: FencedEntry) => boolean;
  readonly #ledger: Ledger;
  readonly #run: Query<RunColumns>;
  readonly #insertRun: StatementSync;
  readonly #insertTurn: StatementSync;
  readonly #advance: StatementSync;
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
    this.#run = query(
      db,
      `select position, epoch, owner, head, seq, limit_nano, spent_nano, held_nano, created_at, session is not null, open
       from runs where id = ?`,
    );
    this.#insertRun = db.prepare(
      `insert into runs (id, epoch, owner, head, seq, limit_nano, spent_nano, held_nano, status, created_at, session, open, progress,
         claims, tenant, user, agent, machine, feature)
       values (?, ?, ?, 0, ?, ?, 0, 0, ?, ?, ?, '${noneOpen}', ?, 0, ?, ?, ?, ?, ?) on conflict (id) do nothing`,
    );
    this.#insertTurn = db.prepare("insert into turns (run, n, first_seq, at, hash, body, facts) values (?, ?, ?, ?, ?, ?, ?)");
    const advanced =
      "head = ?2, seq = ?3, limit_nano = ?4, spent_nano = ?5, held_nano = ?6, status = ?7, open = ?8, progress = ?9, claims = 0";
    this.#advance = db.prepare(`update runs set ${advanced} where position = ?1`);
    this.#end = db.prepare(`update runs set ${advanced}, finished_at = ?10, owner = null, wake_at = null where position = ?1`);
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
    this.#ledger.forget();
    try {
      return this.#transaction.run(() => {
        const results = batch.map((entry) => this.#apply(entry));
        this.#ledger.flush();
        return results;
      });
    } catch (error) {
      if (isStoreFailure(error)) throw error;
      this.#ledger.forget();
      return this.#transaction.run(() => batch.map((entry) => this.#applyAlone(entry)));
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
      this.#ledger.forget();
      return { type: "broken", message: error instanceof Error ? error.message : String(error) };
    }
  }

  #apply(entry: PackedEntry): EntryResult {
    if (entry.type === "broken") return entry;
    if (entry.type === "accept") return this.#accept(entry);
    const row = this.#find(entry.run);
    if (!row || !this.#isCurrent(row, entry)) return { type: "fenced" };
    switch (entry.type) {
      case "turn":
        return this.#turn(row, entry);
      case "park": {
        if (row.head !== entry.head || this.#hasMessage.get(row.position)) return { type: "parked", parked: false };
        this.#park.run(earliestDue(row.open), row.position);
        return { type: "parked", parked: true };
      }
      case "quarantine":
        this.#quarantine.run(entry.reason, row.position);
        return { type: "quarantined" };
    }
  }

  #find(run: string): RunRow | undefined {
    const columns = this.#run.get(run);
    if (!columns) return undefined;
    const [position, epoch, owner, head, seq, limitNano, spentNano, heldNano, createdAt, hasSession, open] = columns;
    return {
      level: "run",
      position,
      epoch,
      owner,
      head,
      seq,
      limitNano,
      spentNano,
      heldNano,
      createdAt,
      hasSession: hasSession === 1,
      open,
    };
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
    const { changes, lastInsertRowid } = this.#insertRun.run(
      entry.run,
      epoch,
      queued ? null : entry.owner,
      entry.factCount,
      amount("limitNano", entry.limitNano),
      status,
      entry.createdAt,
      entry.session,
      noProgress,
      entry.tenant,
      entry.user,
      entry.agent,
      entry.machine,
      entry.feature,
    );
    if (changes === 0) return this.#acceptedBefore(entry);
    this.#insertTurn.run(lastInsertRowid, 0, 1, 0, "", entry.info, `[${entry.facts}]`);
    if (idempotency) this.#insertKey.run(idempotency.scope, idempotency.key, entry.run, idempotency.bodyHash, idempotency.expiresAt);
    return { type: "accepted", status, epoch };
  }

  /** A repeated acceptance (its first answer was lost): the same answer, unless the run has gone on under somebody else. */
  #acceptedBefore(entry: PackedAccept): EntryResult {
    const row = this.#find(entry.run);
    if (!row || row.epoch > 1 || (row.epoch === 1 && row.owner !== entry.owner)) return { type: "fenced" };
    return { type: "accepted", status: row.epoch === 0 ? "queued" : "running", epoch: row.epoch };
  }

  #turn(row: RunRow, entry: PackedTurn): EntryResult {
    row.limitNano += amount("raiseNano", entry.raiseNano);
    let open = row.open;
    let grants: readonly Grant[] = [];
    if (entry.closes.length > 0 || entry.asks.length > 0) {
      // Written below as JSON of this type.
      const asks = open === noneOpen ? [] : (JSON.parse(open) as OpenAsk[]);
      for (const close of entry.closes) this.#close(row, asks, close);
      if (entry.asks.length > 0) grants = entry.asks.map((ask) => this.#ask(row, asks, ask));
      open = asks.length === 0 ? noneOpen : JSON.stringify(asks);
    }
    let facts = entry.facts;
    let factCount = entry.factCount;
    if (grants.length > 0) {
      const more = grantFacts(entry.asks, grants, new Date(row.createdAt + entry.at).toISOString());
      if (more.length > 0) {
        const joined = more.join(factSeparator);
        facts = factCount === 0 ? joined : `${facts}${factSeparator}${joined}`;
        factCount += more.length;
      }
    }
    const firstSeq = row.seq + 1;
    const { position, limitNano, spentNano, heldNano } = row;
    this.#insertTurn.run(position, entry.n, firstSeq, entry.at, entry.hash, entry.body, `[${facts}]`);
    if (entry.consumes !== null && this.#consume.run(entry.n, position, entry.consumes).changes === 0)
      throw new Error(`turn ${entry.n} of ${entry.run} consumes the message ${entry.consumes}, which is not waiting in its inbox`);
    const { n, status, progress } = entry;
    const seq = row.seq + factCount;
    if (!hasEnded(status)) {
      this.#advance.run(position, n, seq, limitNano, spentNano, heldNano, status, open, progress);
      return { type: "written", firstSeq, grants };
    }
    if (open !== noneOpen) throw new Error(`turn ${n} of ${entry.run} ends it with open asks: ${open}`);
    const finishedAt = entry.finishedAt ?? row.createdAt + entry.at;
    this.#end.run(position, n, seq, limitNano, spentNano, heldNano, status, open, progress, finishedAt);
    const wakes = row.hasSession ? this.#wakeNext(position) : undefined;
    return wakes === undefined ? { type: "written", firstSeq, grants } : { type: "written", firstSeq, grants, wakes };
  }

  /** Settles an ask: its hold ends, and what it cost is spent on the same meters. */
  #close(row: RunRow, asks: OpenAsk[], close: { readonly ordinal: number; readonly costNano: number }): void {
    const index = asks.findIndex((ask) => ask.ordinal === close.ordinal);
    const ask = asks[index];
    if (!ask) throw new Error(`closes the ask ${close.ordinal}, which is not open`);
    asks.splice(index, 1);
    const costNano = amount("costNano", close.costNano);
    const hold = ask.holdNano ?? 0;
    row.heldNano -= hold;
    row.spentNano += costNano;
    for (const key of ask.meters ?? []) {
      const meter = this.#ledger.find(key);
      if (!meter) throw new Error(`the meter ${key} of the open ask ${ask.ordinal} has no row`);
      meter.heldNano -= hold;
      meter.spentNano += costNano;
      meter.changed = true;
    }
  }

  /** Opens an ask, with its hold when it reserves money and every level has enough left. */
  #ask(row: RunRow, asks: OpenAsk[], ask: AskEntry): Grant {
    const { ordinal, kind, hash, reserve, due } = ask;
    if (asks.some((open) => open.ordinal === ordinal)) throw new Error(`asks under the ordinal ${ordinal}, which is open`);
    const opened = due === undefined ? { ordinal, kind, hash } : { ordinal, kind, hash, due };
    if (!reserve) {
      asks.push(opened);
      return { ordinal, granted: true, holdNano: 0, maxTokens: 0 };
    }
    const meters = reserve.meters.map((ref) => this.#ledger.at(ref));
    const grant = decide(ordinal, reserve, [row, ...meters]);
    if (!grant.granted) {
      asks.push({ ...opened, denied: grant.level });
      return grant;
    }
    const holdNano = amount("hold", grant.holdNano);
    row.heldNano += holdNano;
    for (const meter of meters) {
      meter.heldNano += holdNano;
      meter.changed = true;
    }
    asks.push({ ...opened, holdNano, maxTokens: grant.maxTokens, meters: meters.map((meter) => meter.key) });
    return grant;
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

/** What a run has done before its first turn. */
const noProgress = JSON.stringify({ steps: 0, calls: 0, toolCalls: 0, inputTokens: 0, cachedTokens: 0, outputTokens: 0, estimated: false });

/** NaN would pass every comparison with a limit, and a fraction would never settle to zero. */
function amount(name: string, nano: number): number {
  if (!Number.isSafeInteger(nano) || nano < 0) throw new Error(`${name} is ${nano}: not a whole number of nano-dollars`);
  return nano;
}

function earliestDue(open: string): number | null {
  let earliest: number | null = null;
  // Written by the turn as JSON of this type.
  for (const { due } of JSON.parse(open) as OpenAsk[]) if (due !== undefined && (earliest === null || due < earliest)) earliest = due;
  return earliest;
}
