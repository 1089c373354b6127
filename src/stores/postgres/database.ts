/**
 * The way to the server: connections, transactions, limits of time. Owns the pools; what is said to the server is its neighbours'.
 *
 *  1. Every wait ends: connecting, a lock, a statement, an answer that does not come, a transaction that its process has left open.
 *  2. A transaction that fails against another one is done again, at most `attempts` times. One that may or may not be written (its
 *     connection died at the commit) rejects: whoever asked repeats it, and is answered as then.
 *  3. A connection that failed is thrown away; the next call makes another. A server that restarts is found again by the calls.
 *  4. The schema is there before the first statement.
 */
import pg from "pg";
import { EscapementError } from "../../protocol/errors.ts";
import { failure, isConflict, storeGone } from "./errors.ts";
import type { PostgresOptions } from "./options.ts";
import { prepareSchema } from "./schema.ts";

/** Carries out one statement; its rows are arrays of the selected columns, and `Row` says what its SQL selects. Rejects with {@link failure}. */
export type Sql = <Row extends readonly unknown[]>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** Inside a transaction: `last` is for statements that nobody waits for but the commit. */
export type Transaction = { readonly sql: Sql; readonly last: (statement: Promise<unknown>) => void };

/** Which connections: turns are written by one, so that the batches of a process do not fight; leases never wait behind reads. */
export type Lane = "writes" | "leases" | "reads";
const connections: { readonly [lane in Lane]: number } = { writes: 1, leases: 2, reads: 4 };

/** All end well before a lease of 10 s does. */
const connectMs = 5_000;
const lockMs = 3_000;
const statementMs = 5_000;
const answerMs = 7_000;
/** A process that stands still inside a transaction holds the rows of others. */
const idleInTransactionMs = 5_000;
/** An idle connection is closed. */
const idleMs = 30_000;
const attempts = 6;
const pauseMs = 20;

/** Integers of the tables are safe ones: amounts are checked before they are written. */
const int8 = 20;
const types = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format as "text")) as typeof pg.types.getTypeParser,
};

export class Database {
  /** As an identifier in SQL, quoted. */
  readonly schema: string;
  readonly #pools: { readonly [lane in Lane]: pg.Pool };
  readonly #schemaName: string;
  #ready: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(url: string, { schema = "escapement" }: PostgresOptions) {
    checkAddress(url);
    this.#schemaName = schema;
    this.schema = pg.escapeIdentifier(schema);
    const pool = (lane: Lane): pg.Pool => {
      const made = new pg.Pool({
        connectionString: url,
        max: connections[lane],
        connectionTimeoutMillis: connectMs,
        idleTimeoutMillis: idleMs,
        lock_timeout: lockMs,
        statement_timeout: statementMs,
        query_timeout: answerMs,
        idle_in_transaction_session_timeout: idleInTransactionMs,
        // Statements are small and many: compiling one takes longer than any of them. Those of the writer are the same few with arrays of
        // any size, and are planned once, when tables may still be empty: by their indexes, and not by what is in the arrays.
        options: `-c jit=off${lane === "writes" ? " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off" : ""}`,
        application_name: "escapement",
        keepAlive: true,
        pipeline: true,
        allowExitOnIdle: true,
        types,
      });
      // A connection that fails while nobody uses it is no event of ours; one in use fails its statements.
      made.on("error", () => {});
      made.on("connect", (client) => void client.on("error", () => {}));
      return made;
    };
    this.#pools = { writes: pool("writes"), leases: pool("leases"), reads: pool("reads") };
  }

  /** One statement, in a transaction of its own. */
  async query<Row extends readonly unknown[]>(text: string, values?: readonly unknown[], lane: Lane = "reads"): Promise<Row[]> {
    return this.#with(lane, (sql) => sql<Row>(text, values));
  }

  /** All of `work` or nothing of it, durable when it resolves. `work` is done again when another transaction was in its way. */
  async transaction<T>(lane: Lane, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#with(lane, (sql) => once(sql, work));
      } catch (error) {
        if (!isConflict(error) || attempt === attempts) throw error;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * pauseMs * attempt));
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all(Object.values(this.#pools).map((pool) => pool.end())).then(() => {});
    return this.#closing;
  }

  async #with<T>(lane: Lane, work: (sql: Sql) => Promise<T>): Promise<T> {
    if (this.#closing) throw storeGone("the store is closed");
    await this.#prepared();
    return this.#connected(lane, work);
  }

  /** The first call makes the schema, and the next one where that failed. */
  #prepared(): Promise<void> {
    this.#ready ??= this.#connected("writes", (sql) => prepareSchema(sql, this.#schemaName, this.schema)).catch((error: unknown) => {
      this.#ready = null;
      throw error;
    });
    return this.#ready;
  }

  async #connected<T>(lane: Lane, work: (sql: Sql) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pools[lane].connect();
    } catch (error) {
      throw failure(error);
    }
    const sql: Sql = async (text, values) => {
      try {
        const name = lane === "writes" && values ? nameOf(text) : undefined;
        const { rows } = await client.query({ text, values: values as unknown[], rowMode: "array", ...(name && { name }) });
        return rows as never; // the tuples that this SQL selects
      } catch (error) {
        throw failure(error);
      }
    };
    let isSound = false;
    try {
      const result = await work(sql);
      isSound = true;
      return result;
    } catch (error) {
      // A statement's own failure leaves the connection as good as it was; after anything else it is not trusted again.
      isSound = !(error instanceof EscapementError);
      throw error;
    } finally {
      client.release(!isSound);
    }
  }
}

/** Of a prepared statement: the writer has a fixed set of them. */
const statementNames = new Map<string, string>();
function nameOf(text: string): string {
  const known = statementNames.get(text);
  if (known) return known;
  const name = `escapement_${statementNames.size + 1}`;
  statementNames.set(text, name);
  return name;
}

/** Statements are sent without waiting for those before them, in order; each is answered for itself. */
async function once<T>(sql: Sql, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  const sent: Promise<unknown>[] = [];
  const last = (statement: Promise<unknown>): void => void sent.push(statement.catch((error: unknown) => Promise.reject(error)));
  const begun = sql("begin");
  begun.catch(() => {});
  try {
    const result = await work({ sql, last });
    await settled([begun, ...sent, sql("commit")]);
    return result;
  } catch (error) {
    await Promise.allSettled([begun, ...sent]);
    await sql("rollback");
    throw error;
  }
}

/** Waits for all, and rejects with the failure of the first that has one. */
async function settled(statements: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(statements)) if (result.status === "rejected") throw result.reason;
}

/** The words of the library would show the address. */
function checkAddress(url: string): void {
  if (URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol)) return;
  throw new EscapementError(
    "invalid_request",
    "the address of the store is none of Postgres: write postgres://user:password@host:5432/database",
  );
}
