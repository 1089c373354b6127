/**
 * Writes batches of entries, one after the other over one connection. A batch is four round trips, whatever its size: lock and read,
 * lock its meters, write, commit.
 *
 *  1. One transaction a batch. What an entry breaks by itself is found in memory (`batch.ts`) and costs only that entry.
 *  2. A value that the server refuses rolls the batch back; it is then done again with a savepoint an entry, and only that one is `broken`.
 *     A failure of the server or of the way to it is nobody's fault and rejects the batch.
 */
import { type Packed, type PackedEntry, unpack } from "../sql/packed.ts";
import type { EntryResult } from "../store.ts";
import { Batch } from "./batch.ts";
import type { Database, Transaction } from "./database.ts";
import { isConflict, isOfValues } from "./errors.ts";
import { flush } from "./flush.ts";
import { load } from "./loaded.ts";

export class Writer {
  readonly #database: Database;
  #last: Promise<unknown> = Promise.resolve();

  constructor(database: Database) {
    this.#database = database;
  }

  commit(packed: Packed): Promise<EntryResult[]> {
    const batch = unpack(packed);
    return this.#inTurn(async () => {
      try {
        return await this.#database.transaction("writes", (transaction) => this.#write(transaction, batch));
      } catch (error) {
        if (!isOfValues(error)) throw error;
        return this.#database.transaction("writes", (transaction) => this.#writeAlone(transaction, batch));
      }
    });
  }

  /** When all that was asked so far is done. */
  async idle(): Promise<void> {
    await this.#last;
  }

  /** Deletes those of the meters that carry no hold; how many. */
  async purgeMeters(keys: readonly string[]): Promise<number> {
    const { schema } = this.#database;
    const deleted = await this.#inTurn(() =>
      this.#database.query(
        `with idle as (select key from ${schema}.meters where key = any($1::text[]) and held_nano = 0 order by key for update)
         delete from ${schema}.meters m using idle where m.key = idle.key returning 1`,
        [keys],
        "writes",
      ),
    );
    return deleted.length;
  }

  /** In the order of the calls; one that fails is no other one's business. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #write(transaction: Transaction, entries: readonly PackedEntry[]): Promise<EntryResult[]> {
    const { schema } = this.#database;
    const batch = new Batch(await load(transaction, schema, entries));
    const results = entries.map((entry) => batch.apply(entry));
    flush(transaction, schema, batch);
    return results;
  }

  async #writeAlone({ sql }: Transaction, entries: readonly PackedEntry[]): Promise<EntryResult[]> {
    const results: EntryResult[] = [];
    for (const entry of entries) {
      await sql("savepoint entry");
      try {
        const statements: Promise<unknown>[] = [];
        const [result] = await this.#write({ sql, last: (statement) => void statements.push(statement) }, [entry]);
        await Promise.all(statements);
        results.push(result as EntryResult);
      } catch (error) {
        if (!isOfValues(error) || isConflict(error)) throw error;
        await sql("rollback to savepoint entry");
        results.push({ type: "broken", message: (error as Error).message });
      }
      await sql("release savepoint entry");
    }
    return results;
  }
}
