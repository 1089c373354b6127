/**
 * What a batch of entries is decided on, read from the database and locked, all of it at once and in few round trips: runs with their last
 * turn, keys, sessions, meters, messages, turns written before. Owns the order of the locks; what entries do to it is `batch.ts`.
 *
 *  1. Rows are locked in one order by everybody: runs by id, idempotency keys, sessions, meters by key. Who reads what must not change in
 *     between reads it in a statement after the one that locked.
 *  2. A meter that a reserve names and that has no row is given an empty one here, so that there is something to lock; if nothing is
 *     reserved on it after all, it is deleted again with the batch.
 */
import { hasEnded, type RunStatus } from "../../protocol/run.ts";
import type { PackedMeter } from "../sql/calls.ts";
import { type Meter, newMeter } from "../sql/meter.ts";
import type { PackedEntry } from "../sql/packed.ts";
import type { WrittenTurn } from "../sql/repeat.ts";
import type { RunState } from "../sql/turn.ts";
import type { Counts, MeterRef, OpenAsk } from "../store.ts";
import type { Transaction } from "./database.ts";
import { lockOf, storable } from "./text.ts";

export type BatchRun = Omit<RunState, "owner"> & {
  readonly id: string;
  /** Null of a run that this batch accepts. */
  readonly position: number | null;
  /** Null without one. */
  readonly session: string | null;
  owner: string | null;
  reason: string | null;
  wakeAt: number | null;
  finishedAt: number | null;
  /** Differs from its row. */
  changed: boolean;
};
/** An unfinished run of a session. */
export type SessionRun = { readonly id: string; readonly epoch: number };
export type Key = { readonly run: string; readonly bodyHash: string; readonly expiresAt: number };

export class Loaded {
  readonly runs = new Map<string, BatchRun>();
  /** By {@link keyName}. */
  readonly keys = new Map<string, Key>();
  /** By {@link sessionName}: unfinished runs, the first that may go before those that wait. */
  readonly sessions = new Map<string, SessionRun[]>();
  readonly meters = new Map<string, Meter>();
  /** Runs and meters (`the run r1`, `the meter m`) that cannot be read, and why: who needs one of them is broken, and nobody else. */
  readonly damaged = new Map<string, string>();
  /** Rows that were made only to be locked. */
  readonly placeholders = new Set<string>();
  /** Runs and nonces of messages that no turn has consumed. */
  readonly unread = new Map<string, Set<string>>();
  /** By {@link turnName}. */
  readonly written = new Map<string, WrittenTurn>();
}

export const keyName = (scope: string, key: string): string => JSON.stringify([scope, key]);
export const sessionName = (tenant: string, user: string | null, session: string): string => JSON.stringify([tenant, user, session]);
export const turnName = (run: string, n: number): string => `${n} ${run}`;

type RunRow = [
  id: string,
  position: number,
  epoch: number,
  owner: string | null,
  claims: number,
  status: RunStatus,
  reason: string | null,
  wakeAt: number | null,
  createdAt: number,
  finishedAt: number | null,
  tenant: string,
  user: string | null,
  session: string | null,
];
type LastTurn = [id: string, n: number, seq: number, limitNano: number, spentNano: number, heldNano: number, open: string];

export async function load({ sql }: Transaction, schema: string, batch: readonly PackedEntry[]): Promise<Loaded> {
  const loaded = new Loaded();
  const ids = unique(batch.flatMap((entry) => ("run" in entry ? [entry.run] : [])));
  if (ids.length === 0) return loaded;
  const readers = unique(
    batch.flatMap((entry) => (entry.type === "park" || (entry.type === "turn" && entry.consumes !== null) ? [entry.run] : [])),
  );
  const asked = batch.flatMap((entry) => (entry.type === "accept" && entry.idempotency ? [entry.idempotency] : []));
  const nothing = Promise.resolve([]);
  const [rows, lastTurns, keys, unread] = await Promise.all([
    sql<RunRow>(
      `select id, position, epoch, owner, claims, status, reason, wake_at, created_at, finished_at, tenant, "user", session
       from ${schema}.runs where id = any($1::text[]) order by id for update`,
      [ids],
    ),
    sql<LastTurn>(
      `select r.id, t.n, t.seq, t.limit_nano, t.spent_nano, t.held_nano, t.open from ${schema}.runs r
       cross join lateral (select * from ${schema}.turns where run = r.position order by n desc limit 1) t where r.id = any($1::text[])`,
      [ids],
    ),
    asked.length === 0
      ? nothing
      : sql<[scope: string, key: string, run: string, bodyHash: string, expiresAt: number]>(
          `select scope, key, run, body_hash, expires_at from ${schema}.idempotency
           where (scope, key) in (select * from unnest($1::text[], $2::text[])) order by scope, key for update`,
          [asked.map(({ scope }) => storable(scope)), asked.map(({ key }) => storable(key))],
        ),
    readers.length === 0
      ? nothing
      : sql<[id: string, nonce: string]>(
          `select r.id, m.nonce from ${schema}.inbox m join ${schema}.runs r on r.position = m.run where m.n is null and r.id = any($1::text[])`,
          [readers],
        ),
  ]);
  const last = new Map(lastTurns.map((row) => [row[0], row]));
  for (const row of rows) {
    const turn = last.get(row[0]);
    // Without a turn its acceptance is missing: damage, and nothing can be written to it.
    if (turn) readable(loaded, `the run ${row[0]}`, () => loaded.runs.set(row[0], runOf(row, turn)));
  }
  for (const [scope, key, run, bodyHash, expiresAt] of keys) loaded.keys.set(keyName(scope, key), { run, bodyHash, expiresAt });
  for (const [id, nonce] of unread) {
    const nonces = loaded.unread.get(id);
    if (nonces) nonces.add(nonce);
    else loaded.unread.set(id, new Set([nonce]));
  }
  await Promise.all([loadRepeats(loaded, sql, schema, batch), loadSessions(loaded, sql, schema, batch)]);
  await lockMeters(loaded, sql, schema, batch);
  return loaded;
}

function runOf(row: RunRow, [, head, seq, limitNano, spentNano, heldNano, open]: LastTurn): BatchRun {
  const [id, position, epoch, owner, claims, status, reason, wakeAt, createdAt, finishedAt, tenant, user, session] = row;
  return {
    level: "run",
    id,
    position,
    epoch,
    owner,
    claims,
    status,
    reason,
    wakeAt,
    createdAt,
    finishedAt,
    hasSession: session !== null,
    session: session === null ? null : sessionName(tenant, user, session),
    head,
    seq,
    limitNano,
    spentNano,
    heldNano,
    open: JSON.parse(open) as OpenAsk[], // written by a writer as JSON of this type
    changed: false,
  };
}

/** Turns that were written already, as it seems: they are looked at whole. */
async function loadRepeats(loaded: Loaded, sql: Transaction["sql"], schema: string, batch: readonly PackedEntry[]): Promise<void> {
  const again = batch.filter((entry) => {
    const row = entry.type === "turn" && loaded.runs.get(entry.run);
    return row && entry.type === "turn" && row.epoch === entry.epoch && entry.n <= row.head;
  }) as (PackedEntry & { type: "turn" })[]; // filtered by type
  if (again.length === 0) return;
  const rows = await sql<[id: string, n: number, ...WrittenTurn]>(
    `select q.id, q.n, t.at, t.hash, t.body, t.progress, t.facts, t.open, t.limit_nano, t.spent_nano, b.seq
     from unnest($1::text[], $2::bigint[]) q(id, n) join ${schema}.runs r on r.id = q.id
       join ${schema}.turns t on t.run = r.position and t.n = q.n join ${schema}.turns b on b.run = t.run and b.n = t.n - 1`,
    [again.map(({ run }) => run), again.map(({ n }) => n)],
  );
  for (const [id, n, ...written] of rows) loaded.written.set(turnName(id, n), written);
}

/** Whoever is accepted into a session, or ends in it, does so one after another: else a run that waits might be woken by nobody. */
async function loadSessions(loaded: Loaded, sql: Transaction["sql"], schema: string, batch: readonly PackedEntry[]): Promise<void> {
  const names = unique(
    batch.flatMap((entry) => {
      if (entry.type === "accept" && entry.session !== null)
        return [sessionName(storable(entry.tenant), entry.user === null ? null : storable(entry.user), storable(entry.session))];
      const session = entry.type === "turn" && hasEnded(entry.status) ? loaded.runs.get(entry.run)?.session : null;
      return session ? [session] : [];
    }),
  );
  if (names.length === 0) return;
  const locks = unique(names.map((name) => lockOf("session", schema, name))).sort();
  const parts = names.map((name) => JSON.parse(name) as [tenant: string, user: string | null, session: string]); // see sessionName
  const [, rows] = await Promise.all([
    sql("select pg_advisory_xact_lock(id) from unnest($1::bigint[]) id", [locks]),
    // All that this batch could end, and one more.
    sql<[ordinal: number, id: string, epoch: number]>(
      `select q.ordinal, n.id, n.epoch from unnest($1::text[], $2::text[], $3::text[]) with ordinality q(tenant, "user", session, ordinal)
       cross join lateral (
         select id, epoch, position from ${schema}.runs r
         where r.tenant = q.tenant and r.session = q.session and r."user" is not distinct from q."user"
           and r.session is not null and r.finished_at is null
         order by position limit $4) n
       order by q.ordinal, n.position`,
      [parts.map(([tenant]) => tenant), parts.map(([, user]) => user), parts.map(([, , session]) => session), batch.length + 1],
    ),
  ]);
  for (const name of names) loaded.sessions.set(name, []);
  for (const [ordinal, id, epoch] of rows) loaded.sessions.get(names[ordinal - 1] as string)?.push({ id, epoch });
}

async function lockMeters(loaded: Loaded, sql: Transaction["sql"], schema: string, batch: readonly PackedEntry[]): Promise<void> {
  const reserved = new Set<string>();
  const held = new Set<string>();
  for (const entry of batch) {
    if (entry.type !== "turn") continue;
    for (const { reserve } of entry.asks) for (const { key } of reserve?.meters ?? []) reserved.add(key);
    if (entry.closes.length === 0) continue;
    for (const { meters } of loaded.runs.get(entry.run)?.open ?? []) for (const key of meters ?? []) held.add(key);
  }
  const keys = [...new Set([...reserved, ...held])];
  if (keys.length === 0) return;
  const lock = async (some: readonly string[]): Promise<void> => {
    const rows = await sql<PackedMeter>(
      `select key, level, limit_nano, spent_nano, held_nano, counts from ${schema}.meters where key = any($1::text[]) order by key for update`,
      [some],
    );
    for (const row of rows) readable(loaded, `the meter ${row[0]}`, () => loaded.meters.set(row[0], meterOf(row)));
  };
  await lock(keys);
  const missing = [...reserved].filter((key) => !loaded.meters.has(key) && !loaded.damaged.has(`the meter ${key}`));
  if (missing.length === 0) return;
  const made = await sql<[string]>(
    `insert into ${schema}.meters (key, level, limit_nano, spent_nano, held_nano)
     select key, '', 0, 0, 0 from unnest($1::text[]) key order by key on conflict (key) do nothing returning key`,
    [missing],
  );
  for (const [key] of made) loaded.placeholders.add(key);
  // Made by somebody else meanwhile.
  const others = missing.filter((key) => !loaded.placeholders.has(key));
  if (others.length > 0) await lock(others);
}

function meterOf([key, level, limitNano, spentNano, heldNano, counts]: PackedMeter): Meter {
  return {
    ...newMeter({ key, level: level as MeterRef["level"], limitNano }), // written from a meter
    spentNano,
    heldNano,
    counts: counts === null ? undefined : (JSON.parse(counts) as Counts),
    changed: false,
  };
}

function readable(loaded: Loaded, what: string, read: () => void): void {
  try {
    read();
  } catch (error) {
    loaded.damaged.set(what, `${what} is damaged: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
