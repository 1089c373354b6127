/** The database itself, looked at by a connection of its own while stores write to it; and a rule in it that no meter may break. */
import { DatabaseSync } from "node:sqlite";
import { Client } from "pg";
import type { Counts } from "../../src/stores/store.ts";
import type { Place } from "./terms.ts";

export type MeterRow = {
  readonly key: string;
  readonly limitNano: number;
  readonly spentNano: number;
  readonly heldNano: number;
  readonly counts?: Counts;
};

export interface View {
  meters(): Promise<readonly MeterRow[]>;
  /** Runs in all, and those that have not ended. */
  runs(): Promise<{ readonly all: number; readonly unfinished: number }>;
  /** Ids of runs that wait for an operator. */
  quarantined(): Promise<readonly string[]>;
  close(): Promise<void>;
}

type Columns = [key: string, limit: number | string, spent: number | string, held: number | string, counts: string | null];
const meterSql = "select key, limit_nano, spent_nano, held_nano, counts from meters";
const quarantinedSql = "select id from runs where status = 'quarantined'";
const runsSql = "select count(*), count(*) - count(finished_at) from runs";

const meterOf = ([key, limit, spent, held, counts]: Columns): MeterRow => ({
  key,
  limitNano: Number(limit),
  spentNano: Number(spent),
  heldNano: Number(held),
  ...(counts !== null && { counts: JSON.parse(counts) as Counts }), // written by a store from this type
});

/** The tables are there already. From here on the database refuses to write a meter beyond its limit. */
export const openView = (place: Place): Promise<View> => ("path" in place ? sqliteView(place.path) : postgresView(place));

async function sqliteView(path: string): Promise<View> {
  const db = new DatabaseSync(path);
  db.exec("pragma busy_timeout = 20000");
  const over = (unit: string): string =>
    `json_extract(new.counts, '$.${unit}.spent') + json_extract(new.counts, '$.${unit}.held') > json_extract(new.counts, '$.${unit}.limit')`;
  for (const change of ["insert", "update"])
    db.exec(
      `create trigger no_overshoot_${change} before ${change} on meters
       when new.spent_nano + new.held_nano > new.limit_nano or ${over("calls")} or ${over("tokens")}
       begin select raise(abort, 'a meter passed its limit'); end`,
    );
  const query = (sql: string) => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return () => statement.all() as unknown as never[]; // arrays of what the SQL selects
  };
  const meters = query(meterSql);
  const runs = query(runsSql);
  const quarantined = query(quarantinedSql);
  return {
    meters: async () => (meters() as Columns[]).map(meterOf),
    runs: async () => {
      const [all = 0, unfinished = 0] = (runs() as number[][])[0] ?? [];
      return { all, unfinished };
    },
    quarantined: async () => (quarantined() as [string][]).map(([id]) => id),
    close: async () => db.close(),
  };
}

async function postgresView({ url, schema }: { readonly url: string; readonly schema: string }): Promise<View> {
  const connect = async (): Promise<Client> => {
    const made = new Client({ connectionString: url, options: `-c search_path=${schema}`, pipeline: true });
    made.on("error", () => {});
    await made.connect();
    return made;
  };
  let client = connect();
  /** A server that was restarted is asked again, over another connection. */
  const ask = async (config: { text: string; rowMode?: "array" }): Promise<unknown[]> => {
    const asked = client;
    for (let tries = 0; ; tries++) {
      try {
        return (await (await client).query(config)).rows;
      } catch (error) {
        if (tries > 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
        if (client === asked || tries > 0) client = connect();
      }
    }
  };
  const counted = (unit: string, part: string): string => `(counts::jsonb #>> '{${unit},${part}}')::bigint`;
  const within = (unit: string): string => `${counted(unit, "spent")} + ${counted(unit, "held")} <= ${counted(unit, "limit")}`;
  await ask({
    text: `alter table meters add constraint no_overshoot check (spent_nano + held_nano <= limit_nano
       and (counts is null or (${within("calls")} and ${within("tokens")})))`,
  });
  const query = async <Row extends unknown[]>(text: string): Promise<Row[]> => (await ask({ text, rowMode: "array" })) as Row[];
  return {
    meters: async () => (await query<Columns>(meterSql)).map(meterOf),
    runs: async () => {
      const [all = "0", unfinished = "0"] = (await query<string[]>(runsSql))[0] ?? [];
      return { all: Number(all), unfinished: Number(unfinished) };
    },
    quarantined: async () => (await query<[string]>(quarantinedSql)).map(([id]) => id),
    close: async () => (await client).end(),
  };
}
