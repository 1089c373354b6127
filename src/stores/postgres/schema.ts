/**
 * Tables of the Postgres store, and how they come to be. Owns the schema's version; what is done with the rows is its neighbours'.
 * They are SQLite's tables (`sqlite/schema.ts` says why they are as they are), with these differences:
 *
 *  1. Names and keys are compared byte by byte (`collate "C"`), so that they are in the same order everywhere.
 *  2. Rows of runs and meters are locked by who writes them, and rewritten in place: their pages keep room for that.
 */
import { EscapementError } from "../../protocol/errors.ts";
import type { Sql } from "./database.ts";
import { lockOf } from "./text.ts";

export const schemaVersion = 3;

const tables = (schema: string): string => `
create table ${schema}.version (version integer not null);
insert into ${schema}.version values (${schemaVersion});
create table ${schema}.runs (
  position bigint generated always as identity primary key,
  id text collate "C" not null unique,
  epoch bigint not null,
  owner text collate "C",
  claims integer not null,
  status text not null,
  reason text,
  wake_at bigint,
  created_at bigint not null,
  finished_at bigint,
  tenant text collate "C" not null,
  "user" text collate "C",
  session text collate "C",
  agent text collate "C" not null,
  machine text collate "C" not null,
  feature text collate "C",
  key text collate "C"
) with (fillfactor = 80);
create index runs_of_owner on ${schema}.runs (owner) where owner is not null;
create index runs_to_wake on ${schema}.runs (wake_at) where wake_at is not null;
create index runs_of_session on ${schema}.runs (tenant, session) where session is not null;
create index runs_unfinished_of_session on ${schema}.runs (tenant, session, position) where session is not null and finished_at is null;
create index runs_unfinished on ${schema}.runs (position) where finished_at is null;
create index runs_finished on ${schema}.runs (finished_at, position) where finished_at is not null;
create table ${schema}.turns (
  run bigint not null,
  n bigint not null,
  seq bigint not null,
  limit_nano bigint not null,
  spent_nano bigint not null,
  held_nano bigint not null,
  at bigint not null,
  hash text not null,
  open text not null,
  progress text not null,
  body text not null,
  facts text not null
);
create unique index turns_of_run on ${schema}.turns (run, n);
create table ${schema}.meters (
  key text collate "C" primary key,
  level text not null,
  limit_nano bigint not null,
  spent_nano bigint not null,
  held_nano bigint not null,
  counts text
) with (fillfactor = 50);
create table ${schema}.inbox (
  position bigint generated always as identity primary key,
  run bigint not null,
  nonce text not null,
  kind text not null,
  ordinal bigint,
  value text not null,
  created_at bigint not null,
  n bigint,
  unique (run, nonce)
);
create index inbox_unread on ${schema}.inbox (run) where n is null;
create table ${schema}.idempotency (
  scope text collate "C" not null,
  key text collate "C" not null,
  body_hash text not null,
  run text not null,
  expires_at bigint not null,
  primary key (scope, key)
);
create index idempotency_expired on ${schema}.idempotency (expires_at);
create table ${schema}.owners (owner text collate "C" primary key, until bigint not null);
create table ${schema}.agents (hash text primary key, json text not null);
${newTables(schema)}
${scoresTable(schema)}`;

/** Since version 2. */
const newTables = (schema: string): string => `
create table ${schema}.calls (
  run bigint not null,
  ordinal bigint not null,
  at bigint not null,
  tenant text collate "C" not null,
  "user" text collate "C",
  key text collate "C",
  feature text collate "C",
  agent text collate "C" not null,
  purpose text,
  provider text collate "C",
  model text collate "C",
  tier text collate "C",
  prompt text collate "C",
  attempt bigint not null,
  retry smallint not null,
  fell_back smallint not null,
  cached smallint not null,
  input_tokens bigint not null,
  cached_tokens bigint not null,
  output_tokens bigint not null,
  cost_nano bigint not null,
  saved_nano bigint not null,
  estimated smallint not null,
  finish text not null,
  error text,
  ttft_ms bigint,
  duration_ms bigint
);
create index calls_of_tenant on ${schema}.calls (tenant, at);
create table ${schema}.overrides (
  position bigint generated always as identity unique,
  subject text collate "C" primary key,
  limit_nano bigint,
  limit_tokens bigint,
  limit_calls bigint,
  changed_by text not null,
  changed_at bigint not null
);
`;

/** Since version 3. */
const scoresTable = (schema: string): string => `
create table ${schema}.scores (
  run bigint not null,
  name text collate "C" not null,
  scored_by text collate "C" not null,
  value double precision not null,
  comment text,
  at bigint not null,
  primary key (run, name, scored_by)
);
`;

/** Makes the tables where they are missing. Throws `unavailable`, not retryable, when they are of a newer version. */
export async function prepareSchema(sql: Sql, name: string, schema: string): Promise<void> {
  if ((await versionOf(sql, name, schema)) === schemaVersion) return;
  await sql("begin");
  try {
    await sql("select pg_advisory_xact_lock($1)", [lockOf("schema", name)]);
    // Another process may have made it meanwhile.
    const found = await versionOf(sql, name, schema);
    if (found !== null && found > schemaVersion)
      throw new EscapementError(
        "unavailable",
        `the schema ${schema} has version ${found}, and this release reads up to ${schemaVersion}: update Escapement or use another schema`,
        { retryable: false, details: { reason: "store", schema_version: found, supported: schemaVersion } },
      );
    if (found === null) {
      const there = await sql("select 1 from pg_namespace where nspname = $1", [name]);
      // Whoever may not make schemas is given one.
      if (there.length === 0) await sql(`create schema ${schema}`);
      await all(sql, tables(schema));
    } else if (found < schemaVersion) {
      const tablesOf2 = `alter table ${schema}.runs add column key text collate "C";\n${newTables(schema)}`;
      await all(sql, `${found === 1 ? tablesOf2 : ""}\n${scoresTable(schema)}`);
      await sql(`update ${schema}.version set version = ${schemaVersion}`);
    }
    await sql("commit");
  } catch (error) {
    await sql("rollback").catch(() => {});
    throw error;
  }
}

async function all(sql: Sql, statements: string): Promise<void> {
  const each = statements.split(";\n").filter((statement) => statement.trim() !== "");
  await Promise.all(each.map((statement) => sql(statement)));
}

async function versionOf(sql: Sql, name: string, schema: string): Promise<number | null> {
  const [table] = await sql<[string | null]>(
    "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = 'version'",
    [name],
  );
  if (!table) return null;
  return (await sql<[number]>(`select version from ${schema}.version`))[0]?.[0] ?? null;
}

/** What selects a `PackedRecord`. */
export const recordColumns =
  "r.id, r.status, r.epoch, nullif(r.owner, ''), t.n, t.seq, t.limit_nano, t.spent_nano, t.held_nano, t.open, t.progress, i.body, r.reason";
/** The run, its acceptance and its last turn. */
export const recordTables = (schema: string): string =>
  `${schema}.runs r join ${schema}.turns i on i.run = r.position and i.n = 0 ${lastTurn(schema)}`;
export const lastTurn = (schema: string): string =>
  `cross join lateral (select * from ${schema}.turns where run = r.position order by n desc limit 1) t`;
