/**
 * Tables of the SQLite store, and how its file is opened. Owns the file's version and pragmas; what is done with the rows is its neighbours'.
 *
 *  1. A turn is one insert. `turns` is append-only: one row a turn with its facts and the run's state after it (money, open asks, progress),
 *     found by (run, n). Row 0 is the acceptance; its body is the run's info. So a turn writes at the table's end and never rewrites a row:
 *     with a thousand live runs, updating a row a run dirties a page of its own for almost every turn, which is most of the cost.
 *     (A table clustered by run costs eight times as much.)
 *  2. `facts` is a JSON array, one fact a line (`[a,\nb]`): a fact holds no line break, so the array is split without being parsed.
 *     `seq` is that of the run's last fact after the turn.
 *  3. `runs` holds what does not change each turn. `wake_at` is set only on runs without an owner that somebody should claim: 0 at once,
 *     else when their earliest timer is due.
 *  4. `calls` is one row a call, with the columns of its run that usage groups by. It is clustered by tenant and time and has no index:
 *     a sum reads one range, and a call dirties one page.
 *  5. `finished_at is null` means unfinished; of one session's unfinished runs the first may go, the others are queued (epoch 0).
 */
import { existsSync, mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { EscapementError } from "../../protocol/errors.ts";
import { isStoreFailure, storeError } from "./errors.ts";

export const schemaVersion = 5;

export type SqliteOptions = {
  /**
   * What a resolved promise survives. `full` (default): loss of power, by one fsync a batch. `process`: the death of the process;
   * a loss of power may take the last batches, in order and whole, never a part of one.
   */
  readonly durability?: "full" | "process";
  /** Bytes the file may grow to (its write-ahead log apart); then writes are refused with `storage_full` and reads go on. Default: no limit. */
  readonly maxBytes?: number;
  /** How long to wait for another process's lock before `unavailable`, in milliseconds. Default 5,000. */
  readonly busyTimeoutMs?: number;
};

const tables = `
create table runs (
  position integer primary key,
  id text not null unique,
  epoch integer not null,
  owner text,
  claims integer not null,
  status text not null,
  reason text,
  wake_at integer,
  created_at integer not null,
  finished_at integer,
  tenant text not null,
  user text,
  session text,
  agent text not null,
  machine text not null,
  feature text,
  key text
);
create index runs_of_owner on runs (owner) where owner is not null;
create index runs_to_wake on runs (wake_at) where wake_at is not null;
create index runs_of_session on runs (tenant, session) where session is not null;
create index runs_unfinished_of_session on runs (tenant, session, user) where session is not null and finished_at is null;
create index runs_unfinished on runs (position) where finished_at is null;
create index runs_finished on runs (finished_at) where finished_at is not null;
create table turns (
  run integer not null,
  n integer not null,
  seq integer not null,
  limit_nano integer not null,
  spent_nano integer not null,
  held_nano integer not null,
  at integer not null,
  hash text not null,
  open text not null,
  progress text not null,
  body text not null,
  facts text not null
);
create unique index turns_of_run on turns (run, n);
create table meters (
  key text primary key,
  level text not null,
  limit_nano integer not null,
  spent_nano integer not null,
  held_nano integer not null,
  counts text
) without rowid;
create table inbox (
  position integer primary key,
  run integer not null,
  nonce text not null,
  kind text not null,
  ordinal integer,
  value text not null,
  created_at integer not null,
  n integer,
  unique (run, nonce)
);
create index inbox_unread on inbox (run) where n is null;
create table idempotency (
  scope text not null,
  key text not null,
  body_hash text not null,
  run text not null,
  expires_at integer not null,
  primary key (scope, key)
) without rowid;
create index idempotency_expired on idempotency (expires_at);
create table owners (owner text primary key, until integer not null) without rowid;
create table agents (hash text primary key, json text not null) without rowid;
`;

/** Since version 4. */
const newTables = `
create table calls (
  run integer not null,
  ordinal integer not null,
  at integer not null,
  tenant text not null,
  user text,
  key text,
  feature text,
  agent text not null,
  purpose text,
  provider text,
  model text,
  tier text,
  prompt text,
  attempt integer not null,
  retry integer not null,
  fell_back integer not null,
  cached integer not null,
  input_tokens integer not null,
  cached_tokens integer not null,
  output_tokens integer not null,
  cost_nano integer not null,
  saved_nano integer not null,
  estimated integer not null,
  finish text not null,
  error text,
  ttft_ms integer,
  duration_ms integer,
  primary key (tenant, at, run, ordinal)
) without rowid;
create table overrides (
  position integer primary key autoincrement,
  subject text not null unique,
  limit_nano integer,
  limit_tokens integer,
  limit_calls integer,
  changed_by text not null,
  changed_at integer not null
);
`;

/** Since version 5. */
const scoresTable = `
create table scores (
  run integer not null,
  name text not null,
  scored_by text not null,
  value real not null,
  comment text,
  at integer not null,
  primary key (run, name, scored_by)
) without rowid;
`;

/** Opens the file, making folder and tables where they are missing. Throws `unavailable`; not retryable when the file is of a newer version. */
export function open(path: string, options: SqliteOptions): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    if (path !== ":memory:") makeFolder(dirname(resolve(path)));
    db = new DatabaseSync(path);
    // Larger pages and rarer checkpoints than SQLite's defaults: measured, 10 to 20 % less CPU a turn. A file keeps the page size it has.
    const { busyTimeoutMs = 5_000 } = options;
    db.exec(`pragma busy_timeout = ${busyTimeoutMs}; pragma page_size = 8192; pragma wal_autocheckpoint = 2000`);
    db.exec("pragma temp_store = memory; pragma cache_size = -16000");
    prepareFile(db, options, busyTimeoutMs);
    migrate(db, path);
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof EscapementError) throw error;
    const told = storeError(error, `cannot open the store "${path}"`);
    // Whatever kept the file shut (rights, a folder in its place, another format) is the operator's to fix.
    throw isStoreFailure(told) ? told : new EscapementError("unavailable", told.message, { details: { reason: "store" } });
  }
}

/** Not `recursive: true`: Node 26 tries for ever where the system answers ENOENT under a folder that exists (as in `/proc`). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Made by another process in between.
    if (!existsSync(folder)) throw error;
  }
}

function prepareFile(db: DatabaseSync, options: SqliteOptions, busyTimeoutMs: number): void {
  // Two processes that meet at a new file can get SQLITE_BUSY here at once, whatever busy_timeout says.
  const giveUp = Date.now() + busyTimeoutMs;
  for (;;) {
    try {
      db.exec(`pragma journal_mode = wal; pragma synchronous = ${options.durability === "process" ? "normal" : "full"}`);
      break;
    } catch (error) {
      if (!isStoreFailure(error) || !String(error).includes("locked") || Date.now() > giveUp) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
  if (options.maxBytes !== undefined) {
    const pageSize = Number(db.prepare("pragma page_size").get()?.page_size ?? 4096);
    db.exec(`pragma max_page_count = ${Math.max(1, Math.floor(options.maxBytes / pageSize))}`);
  }
}

function migrate(db: DatabaseSync, path: string): void {
  const version = () => Number(db.prepare("pragma user_version").get()?.user_version ?? 0);
  if (version() === schemaVersion) return;
  db.exec("begin immediate");
  try {
    const found = version();
    if (found > schemaVersion)
      throw new EscapementError(
        "unavailable",
        `the store "${path}" has schema version ${found}, and this release reads up to ${schemaVersion}: update Escapement or use another file`,
        { retryable: false, details: { reason: "store", schema_version: found, supported: schemaVersion } },
      );
    if (found === 0) db.exec(`${tables} ${newTables}`);
    // Meters count tokens and calls since version 2: JSON of `Counts`, null where only money is limited.
    if (found === 1) db.exec("alter table meters add column counts text");
    // The reconciler's, since version 3.
    if (found === 1 || found === 2) db.exec("create index runs_unfinished on runs (position) where finished_at is null");
    if (found > 0 && found < 4) db.exec(`alter table runs add column key text; ${newTables}`);
    db.exec(scoresTable);
    db.exec(`pragma user_version = ${schemaVersion}`);
    db.exec("commit");
  } catch (error) {
    db.exec("rollback");
    throw error;
  }
}

/** A prepared statement whose rows are arrays of the selected columns, in order: what `Row` says is what its SQL selects. */
export type Query<Row> = { get(...values: SQLInputValue[]): Row | undefined; all(...values: SQLInputValue[]): Row[] };

export function query<Row extends readonly unknown[]>(db: DatabaseSync, sql: string): Query<Row> {
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  // node:sqlite types rows as objects of any column; with arrays set, a row is the tuple that the SQL beside it selects.
  return statement as unknown as Query<Row>;
}

/** What selects a `PackedRecord`. */
export const recordColumns =
  "r.id, r.status, r.epoch, nullif(r.owner, ''), t.n, t.seq, t.limit_nano, t.spent_nano, t.held_nano, t.open, t.progress, i.body, r.reason";
/** The run, its acceptance and its last turn. */
export const recordTables = `runs r join turns i on i.run = r.position and i.n = 0
  join turns t on t.rowid = (select rowid from turns where run = r.position order by n desc limit 1)`;
