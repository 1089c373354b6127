/**
 * Who works on a run: leases of owners, and claims of runs that have none. Owns `owners` and the columns epoch, owner, claims and wake_at;
 * the writer gives ownership up (park, quarantine, end), this file hands it out.
 *
 *  1. A claim raises the epoch, so every turn of the owner before it is fenced.
 *  2. A claim counts until the run's next turn (or until it is parked or released); the third one in a row quarantines the run instead.
 *  3. One damaged row costs its own run, never the claim of the others.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Claimed, ClaimOptions } from "../sql/calls.ts";
import { disowned, maxClaims } from "../sql/fence.ts";
import { type PackedRecord, record } from "../sql/packed.ts";
import { isStoreFailure } from "./errors.ts";
import { type Query, query, recordColumns, recordTables } from "./schema.ts";
import type { Transaction } from "./transaction.ts";

/** `released` (0 or 1): its last owner gave it up in order. Not said of a run from quarantine, whose open work may have been begun. */
type Candidate = [position: number, claims: number, released: number];

const owned = "select distinct owner from runs where owner is not null";
const ofMachines = "machine in (select value from json_each(?))";

export class Ownership {
  readonly #transaction: Transaction;
  readonly #changed: () => void;
  readonly #heartbeat: StatementSync;
  readonly #release: StatementSync;
  readonly #disown: StatementSync;
  readonly #forget: StatementSync;
  readonly #owners: Query<[owner: string, until: number]>;
  readonly #lapsed: Query<[owner: string]>;
  readonly #ofOwner: Query<Candidate>;
  readonly #toWake: Query<Candidate>;
  readonly #one: Query<[position: number, claims: number, owner: string | null, wakeAt: number | null, status: string]>;
  readonly #take: StatementSync;
  readonly #quarantine: StatementSync;
  readonly #record: Query<PackedRecord>;
  readonly #nextDue: Query<[number | null]>;
  readonly #forgetIdle: StatementSync;

  /** `changed` is called when runs have changed hands: what the writer remembers of them is no longer true. */
  constructor(db: DatabaseSync, transaction: Transaction, changed: () => void) {
    this.#transaction = transaction;
    this.#changed = changed;
    this.#heartbeat = db.prepare("insert into owners (owner, until) values (?1, ?2) on conflict (owner) do update set until = ?2");
    this.#release = db.prepare("update runs set owner = null, claims = max(claims - 1, 0), wake_at = 0 where owner = ?");
    this.#disown = db.prepare(`update runs set owner = '${disowned}', claims = max(claims - 1, 0) where owner = ?`);
    this.#forget = db.prepare("delete from owners where owner = ?");
    this.#owners = query(
      db,
      `select r.owner, coalesce(o.until, 0) from (${owned}) r left join owners o on o.owner = r.owner
         where r.owner <> '${disowned}' order by 1`,
    );
    this.#lapsed = query(db, `select r.owner from (${owned}) r left join owners o on o.owner = r.owner where coalesce(o.until, 0) < ?`);
    this.#ofOwner = query(db, `select position, claims, 0 from runs where owner = ? and ${ofMachines} order by position limit ?`);
    this.#toWake = query(
      db,
      `select position, claims, 1 from runs where wake_at is not null and wake_at <= ? and ${ofMachines} order by wake_at, position limit ?`,
    );
    this.#one = query(db, `select position, claims, owner, wake_at, status from runs where id = ? and ${ofMachines}`);
    this.#take = db.prepare(
      `update runs set epoch = epoch + 1, owner = ?, claims = ?, wake_at = null, reason = null,
         status = case when status in ('queued', 'quarantined') then 'running' else status end
       where position = ?`,
    );
    this.#quarantine = db.prepare("update runs set owner = null, wake_at = null, status = 'quarantined', reason = ? where position = ?");
    this.#record = query(db, `select ${recordColumns} from ${recordTables} where r.position = ?`);
    this.#nextDue = query(db, "select min(wake_at) from runs where wake_at is not null and wake_at > 0");
    this.#forgetIdle = db.prepare("delete from owners where until < ? and owner not in (select owner from runs where owner is not null)");
  }

  heartbeat(owner: string, until: number): void {
    this.#heartbeat.run(owner, until);
  }

  release(owner: string, begun: boolean): void {
    this.#changed();
    this.#transaction.run(() => {
      (begun ? this.#disown : this.#release).run(owner);
      this.#forget.run(owner);
    });
  }

  owners(): [owner: string, until: number][] {
    return this.#owners.all();
  }

  nextDue(): number | null {
    return this.#nextDue.get()?.[0] ?? null;
  }

  /** Owners of no run whose lease ended before `before`. */
  forgetIdle(before: number): void {
    this.#forgetIdle.run(before);
  }

  claim(owner: string, options: ClaimOptions): Claimed[] {
    return this.#transaction.run(() => {
      const taken: Claimed[] = [];
      // A run is looked at once: one that its owner's lapsed lease brought here may be owned under the same name afterwards.
      const seen = new Set<number>();
      for (;;) {
        const candidates = this.#candidates(options, options.limit - taken.length + seen.size).filter(([position]) => !seen.has(position));
        for (const [position, claims, released] of candidates) {
          if (taken.length >= options.limit) return taken;
          seen.add(position);
          const claimed = this.#claimOne(owner, position, claims);
          if (claimed) taken.push([released === 1, ...claimed]);
        }
        if (candidates.length === 0) return taken;
      }
    });
  }

  #candidates(options: ClaimOptions, limit: number): Candidate[] {
    const machines = JSON.stringify(options.machines);
    const dead = new Set(options.dead);
    for (const [owner] of this.#lapsed.all(options.now)) dead.add(owner);
    if (options.run !== undefined) return this.#named(options.run, machines, dead, options);
    const found: Candidate[] = [];
    for (const owner of dead) {
      if (found.length >= limit) return found;
      found.push(...this.#ofOwner.all(owner, machines, limit - found.length));
    }
    if (found.length < limit) found.push(...this.#toWake.all(options.now, machines, limit - found.length));
    return found;
  }

  #named(run: string, machines: string, dead: ReadonlySet<string>, options: ClaimOptions): Candidate[] {
    const row = this.#one.get(run, machines);
    if (!row) return [];
    const [position, claims, owner, wakeAt, status] = row;
    // An operator's retry starts the count again.
    if (options.quarantined && status === "quarantined") return [[position, 0, 0]];
    const free = (owner !== null && dead.has(owner)) || (wakeAt !== null && wakeAt <= options.now);
    return free ? [[position, claims, owner === null ? 1 : 0]] : [];
  }

  #claimOne(owner: string, position: number, claims: number): PackedRecord | null {
    this.#changed();
    if (claims >= maxClaims) {
      this.#quarantine.run(`taken ${claims} times without a turn since`, position);
      return null;
    }
    this.#take.run(owner, claims + 1, position);
    try {
      // Reading alone can fail: an integer beyond what JavaScript can hold.
      const row = this.#record.get(position);
      if (!row) throw new Error("its acceptance is missing");
      record(row);
      return row;
    } catch (error) {
      if (isStoreFailure(error)) throw error;
      this.#quarantine.run(`damaged row: ${error instanceof Error ? error.message : String(error)}`, position);
      return null;
    }
  }
}
