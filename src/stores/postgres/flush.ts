/** Writes what a batch has decided: a statement for each table at most, none of them waited for by another. */
import { callColumns } from "../sql/packed.ts";
import type { Batch } from "./batch.ts";
import type { Transaction } from "./database.ts";
import { storable, storableOrNull } from "./text.ts";

type Column<T> = readonly [name: string, type: "text" | "bigint", of: (row: T) => string | number | null];

/** Rows as one array a column. */
const values = <T>(rows: readonly T[], columns: readonly Column<T>[]): unknown[] => columns.map(([, , of]) => rows.map(of));
const unnested = (columns: readonly Column<never>[]): string =>
  `unnest(${columns.map(([, type], i) => `$${i + 1}::${type}[]`).join(", ")}) as new(${columns.map(([name]) => name).join(", ")})`;
const names = (columns: readonly Column<never>[]): string => columns.map(([name]) => name).join(", ");
const whole = (n: number | null): number | null => (n === null ? null : Math.ceil(n));

const ofAccepted: readonly Column<Batch["accepted"][number]>[] = [
  ["id", "text", ({ row }) => row.id],
  ["epoch", "bigint", ({ row }) => row.epoch],
  ["owner", "text", ({ row }) => row.owner],
  ["claims", "bigint", ({ row }) => row.claims],
  ["status", "text", ({ row }) => row.status],
  ["reason", "text", ({ row }) => storableOrNull(row.reason)],
  ["wake_at", "bigint", ({ row }) => whole(row.wakeAt)],
  ["created_at", "bigint", ({ row }) => row.createdAt],
  ["finished_at", "bigint", ({ row }) => row.finishedAt],
  ["tenant", "text", ({ entry }) => storable(entry.tenant)],
  ['"user"', "text", ({ entry }) => storableOrNull(entry.user)],
  ["session", "text", ({ entry }) => storableOrNull(entry.session)],
  ["agent", "text", ({ entry }) => storable(entry.agent)],
  ["machine", "text", ({ entry }) => storable(entry.machine)],
  ["feature", "text", ({ entry }) => storableOrNull(entry.feature)],
  ["key", "text", ({ entry }) => storableOrNull(entry.key)],
];
const ofChanged: readonly Column<Batch["accepted"][number]["row"]>[] = [
  ["position", "bigint", ({ position }) => position],
  ["owner", "text", ({ owner }) => owner],
  ["claims", "bigint", ({ claims }) => claims],
  ["status", "text", ({ status }) => status],
  ["reason", "text", ({ reason }) => storableOrNull(reason)],
  ["wake_at", "bigint", ({ wakeAt }) => whole(wakeAt)],
  ["finished_at", "bigint", ({ finishedAt }) => finishedAt],
];
const ofTurns: readonly Column<Batch["turns"][number]>[] = [
  ["run", "bigint", ({ position }) => position],
  ["id", "text", ({ run }) => run],
  ["n", "bigint", ({ n }) => n],
  ["seq", "bigint", ({ seq }) => seq],
  ["limit_nano", "bigint", ({ limitNano }) => limitNano],
  ["spent_nano", "bigint", ({ spentNano }) => spentNano],
  ["held_nano", "bigint", ({ heldNano }) => heldNano],
  ["at", "bigint", ({ at }) => at],
  ["hash", "text", ({ hash }) => hash],
  ["open", "text", ({ open }) => open],
  ["progress", "text", ({ progress }) => progress],
  ["body", "text", ({ body }) => body],
  ["facts", "text", ({ facts }) => facts],
];
const ofCalls: readonly Column<Batch["calls"][number]>[] = [
  ["id", "text", ({ run }) => run],
  ...callColumns.map(
    ([name, type], i): Column<Batch["calls"][number]> => [
      name,
      type,
      ({ call }) => {
        const value = call[i] ?? null;
        return typeof value === "string" ? storable(value) : value;
      },
    ],
  ),
];
const callNames = callColumns.map(([name]) => name).join(", ");
const ofConsumed: readonly Column<Batch["consumed"][number]>[] = [
  ["id", "text", ({ run }) => run],
  ["nonce", "text", ({ nonce }) => nonce],
  ["n", "bigint", ({ n }) => n],
];
const ofKeys: readonly Column<Batch["keys"] extends Map<string, infer K> ? K : never>[] = [
  ["scope", "text", ({ scope }) => storable(scope)],
  ["key", "text", ({ key }) => storable(key)],
  ["body_hash", "text", ({ bodyHash }) => bodyHash],
  ["run", "text", ({ run }) => run],
  ["expires_at", "bigint", ({ expiresAt }) => whole(expiresAt)],
];
type Meter = Batch["loaded"]["meters"] extends Map<string, infer M> ? M : never;
const ofMeters: readonly Column<Meter>[] = [
  ["key", "text", ({ key }) => key],
  ["level", "text", ({ level }) => level],
  ["limit_nano", "bigint", ({ limitNano }) => limitNano],
  ["spent_nano", "bigint", ({ spentNano }) => spentNano],
  ["held_nano", "bigint", ({ heldNano }) => heldNano],
  ["counts", "text", ({ counts }) => (counts ? JSON.stringify(counts) : null)],
];

/** Sends the statements; the transaction waits for them. */
export function flush({ sql, last }: Transaction, schema: string, batch: Batch): void {
  const { accepted, turns, calls, consumed, loaded, woken } = batch;
  const keys = [...batch.keys.values()];
  const write = <T>(rows: readonly T[], columns: readonly Column<T>[], text: string): void => {
    if (rows.length > 0) last(sql(text, values(rows, columns)));
  };
  // Accepted in this order, so listed in it.
  write(accepted, ofAccepted, `insert into ${schema}.runs (${names(ofAccepted)}) select ${names(ofAccepted)} from ${unnested(ofAccepted)}`);
  write(
    [...loaded.runs.values()].filter(({ changed, position }) => changed && position !== null),
    ofChanged,
    `update ${schema}.runs r set owner = new.owner, claims = new.claims, status = new.status, reason = new.reason,
       wake_at = new.wake_at, finished_at = new.finished_at
     from ${unnested(ofChanged)} where r.position = new.position`,
  );
  write(
    turns,
    ofTurns,
    `insert into ${schema}.turns (run, n, seq, limit_nano, spent_nano, held_nano, at, hash, open, progress, body, facts)
     select coalesce(run, (select r.position from ${schema}.runs r where r.id = new.id)),
       n, seq, limit_nano, spent_nano, held_nano, at, hash, open, progress, body, facts
     from ${unnested(ofTurns)}`,
  );
  write(
    calls,
    ofCalls,
    `insert into ${schema}.calls (run, tenant, "user", key, feature, agent, ${callNames})
     select r.position, r.tenant, r."user", r.key, r.feature, r.agent, ${callColumns.map(([name]) => `new.${name}`).join(", ")}
     from ${unnested(ofCalls)} join ${schema}.runs r on r.id = new.id`,
  );
  write(
    consumed,
    ofConsumed,
    `update ${schema}.inbox m set n = new.n from ${unnested(ofConsumed)} join ${schema}.runs r on r.id = new.id
     where m.run = r.position and m.nonce = new.nonce`,
  );
  write(
    [...loaded.meters.values()].filter(({ changed }) => changed),
    ofMeters,
    `update ${schema}.meters m set level = new.level, limit_nano = new.limit_nano, spent_nano = new.spent_nano,
       held_nano = new.held_nano, counts = new.counts
     from ${unnested(ofMeters)} where m.key = new.key`,
  );
  const unused = [...loaded.placeholders].filter((key) => !loaded.meters.has(key));
  if (unused.length > 0) last(sql(`delete from ${schema}.meters where key = any($1::text[])`, [unused]));
  // A key that somebody else has written meanwhile is a conflict: the batch is done again, and knows it then.
  write(
    keys.filter(({ isNew }) => isNew),
    ofKeys,
    `insert into ${schema}.idempotency (${names(ofKeys)}) select ${names(ofKeys)} from ${unnested(ofKeys)}`,
  );
  write(
    keys.filter(({ isNew }) => !isNew),
    ofKeys,
    `update ${schema}.idempotency k set body_hash = new.body_hash, run = new.run, expires_at = new.expires_at
     from ${unnested(ofKeys)} where k.scope = new.scope and k.key = new.key`,
  );
  if (woken.size > 0) last(sql(`update ${schema}.runs set wake_at = 0 where id = any($1::text[]) and epoch = 0`, [[...woken]]));
}
