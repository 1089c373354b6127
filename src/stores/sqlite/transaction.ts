/** Transactions of one connection: taken for writing at once, so that what is read inside cannot change before it is written. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

export class Transaction {
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #savepoint: StatementSync;
  readonly #release: StatementSync;
  readonly #undo: StatementSync;
  #isOpen = false;

  constructor(db: DatabaseSync) {
    this.#begin = db.prepare("begin immediate");
    this.#commit = db.prepare("commit");
    this.#rollback = db.prepare("rollback");
    this.#savepoint = db.prepare("savepoint entry");
    this.#release = db.prepare("release entry");
    this.#undo = db.prepare("rollback to entry");
  }

  /** All of `work` or nothing of it. Inside another one it is a {@link part} of that, and durable with it. */
  run<T>(work: () => T): T {
    if (this.#isOpen) return this.part(work);
    this.#begin.run();
    this.#isOpen = true;
    try {
      const result = work();
      this.#commit.run();
      return result;
    } catch (error) {
      this.#quietly(this.#rollback);
      throw error;
    } finally {
      this.#isOpen = false;
    }
  }

  /** All of `work` or nothing of it, inside {@link run}. */
  part<T>(work: () => T): T {
    this.#savepoint.run();
    try {
      const result = work();
      this.#release.run();
      return result;
    } catch (error) {
      this.#quietly(this.#undo);
      this.#quietly(this.#release);
      throw error;
    }
  }

  /** SQLite ends the transaction itself after some failures (a full disk), and then there is nothing left to undo. */
  #quietly(statement: StatementSync): void {
    try {
      statement.run();
    } catch {}
  }
}
