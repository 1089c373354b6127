/**
 * Entries in a SQLite file of their own, `cache.db` in the data folder, shared by the processes that use it.
 *
 *  1. Nothing here is worth a sync: `synchronous=OFF`. A file that is damaged (power was lost) is thrown away and begun anew.
 *  2. No call waits for the disk's lock longer than {@link busyMs}: reads are single look-ups by key, writes are gathered and written as
 *     one transaction later, and a write that finds the file locked is tried again a few times and then given up. A purge never is.
 *  3. The file has `maxBytes` at most: what is kept no longer goes first, then what is oldest.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { EscapementError } from "../protocol/errors.ts";
import { Statements } from "../sqlite/statements.ts";
import type { CacheBacking, CacheEntry, Purge } from "./cache.ts";

export type SqliteBackingOptions = {
  /** 256 MiB. */
  readonly maxBytes?: number | undefined;
  readonly now: () => number;
  readonly onError?: ((message: string) => void) | undefined;
};

const busyMs = 5;
const maxWaiting = 1_000;
const maxTries = 5;
const retryMs = 20;
const purgeWithinMs = 5_000;

const schema = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
  PRAGMA auto_vacuum = INCREMENTAL;
  CREATE TABLE IF NOT EXISTS entries (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, agent TEXT NOT NULL, version TEXT NOT NULL, keep_until INTEGER NOT NULL, json TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS entries_by_end ON entries (keep_until);
  CREATE TABLE IF NOT EXISTS tags (tenant TEXT, tag TEXT, id TEXT, PRIMARY KEY (tag, tenant, id)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS tags_by_entry ON tags (id);
  CREATE TRIGGER IF NOT EXISTS untag AFTER DELETE ON entries BEGIN DELETE FROM tags WHERE id = old.id; END;
  CREATE TABLE IF NOT EXISTS mark (mark TEXT NOT NULL);
`;

export function sqliteBacking(path: string, options: SqliteBackingOptions): CacheBacking {
  return new SqliteBacking(path, options);
}

class SqliteBacking implements CacheBacking {
  readonly local = true;
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #onError: (message: string) => void;
  #statements: Statements;
  #waiting = new Map<string, { readonly entry: CacheEntry; readonly mark: string }>();
  #timer: NodeJS.Immediate | NodeJS.Timeout | undefined;
  #tries = 0;
  #db: DatabaseSync;

  constructor(path: string, { maxBytes = 256 * 1024 * 1024, now, onError = () => {} }: SqliteBackingOptions) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#now = now;
    this.#onError = onError;
    mkdirSync(dirname(path), { recursive: true });
    this.#db = this.#open();
    this.#statements = new Statements(this.#db);
  }

  async get(id: string): Promise<CacheEntry | null> {
    const waiting = this.#waiting.get(id);
    if (waiting) return waiting.entry;
    const row = this.#try(() => this.#statements.of("SELECT json FROM entries WHERE id = ?").get(id)) as { json: string } | undefined;
    // Written below.
    return row ? (JSON.parse(row.json) as CacheEntry) : null;
  }

  async put(entry: CacheEntry, mark: string): Promise<void> {
    if (this.#waiting.size >= maxWaiting) return;
    this.#waiting.set(entry.id, { entry, mark });
    this.#timer ??= setImmediate(() => this.#write());
  }

  async purge(which: Purge): Promise<number> {
    const until = performance.now() + purgeWithinMs;
    for (;;) {
      try {
        // What waits to be written goes as well.
        this.#flush();
        return this.#delete(which);
      } catch (error) {
        if (!isBusy(error) || performance.now() > until) {
          throw new EscapementError("unavailable", `the cache in ${this.#path} could not be purged: ${words(error)}; purge it again`);
        }
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }

  async mark(): Promise<string> {
    return this.#try(() => this.#readMark());
  }

  async close(): Promise<void> {
    if (this.#timer) this.#write();
    clearTimeout(this.#timer as NodeJS.Timeout | undefined);
    if (this.#db.isOpen) this.#db.close();
  }

  #readMark(): string {
    return (this.#statements.of("SELECT mark FROM mark").get() as { mark: string } | undefined)?.mark ?? "";
  }

  #delete({ tenant, key, tag, agent, version }: Purge): number {
    const conditions = ["1"];
    const values: SQLInputValue[] = [];
    const and = (condition: string, ...bound: SQLInputValue[]): void => {
      conditions.push(condition);
      values.push(...bound);
    };
    if (tenant !== undefined) and("tenant = ?", tenant);
    if (key !== undefined) and("id = ?", key);
    if (agent !== undefined) and("agent = ?", agent);
    if (version !== undefined) and("version = ?", version);
    if (tag !== undefined) and("id IN (SELECT id FROM tags WHERE tag = ?)", tag);
    return this.#statements.transaction(() => {
      const { changes } = this.#statements.of(`DELETE FROM entries WHERE ${conditions.join(" AND ")}`).run(...values);
      this.#statements.of("DELETE FROM mark").run();
      this.#statements.of("INSERT INTO mark VALUES (?)").run(randomUUID());
      return Number(changes);
    });
  }

  #write(): void {
    this.#timer = undefined;
    try {
      this.#flush();
    } catch (error) {
      if (isBusy(error) && ++this.#tries < maxTries) {
        this.#timer = setTimeout(() => this.#write(), retryMs);
        this.#timer.unref();
        return;
      }
      this.#waiting.clear();
      this.#tries = 0;
      this.#failed(error);
    }
  }

  #flush(): void {
    if (this.#waiting.size === 0) return;
    this.#statements.transaction(() => {
      const current = this.#readMark();
      for (const { entry, mark } of this.#waiting.values()) {
        if (mark !== current) continue;
        const { id, tenant, agent, version, keepUntil, tags } = entry;
        this.#statements.of("DELETE FROM entries WHERE id = ?").run(id);
        this.#statements
          .of("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)")
          .run(id, tenant, agent, version, keepUntil, JSON.stringify(entry));
        for (const tag of new Set(tags)) this.#statements.of("INSERT INTO tags VALUES (?, ?, ?)").run(tenant, tag, id);
      }
      this.#trim();
    });
    this.#waiting = new Map();
    this.#tries = 0;
  }

  /** A tenth of what is left goes at once, so that a full file is not trimmed with every write. */
  #trim(): void {
    this.#statements
      .of("DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE keep_until < ? ORDER BY keep_until LIMIT 200)")
      .run(this.#now());
    if (this.#bytes() <= this.#maxBytes) return;
    for (let round = 0; round < 1_000 && this.#bytes() > this.#maxBytes * 0.9; round++) {
      const { changes } = this.#statements
        .of("DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY keep_until LIMIT 16)")
        .run();
      if (Number(changes) === 0) break;
    }
  }

  /** Pages in use. */
  #bytes(): number {
    const number = (pragma: string): number => Number(Object.values(this.#statements.of(`PRAGMA ${pragma}`).get() ?? {})[0]);
    return (number("page_count") - number("freelist_count")) * number("page_size");
  }

  /** A look-up that fails is told once it is more than a lock, and is the caller's miss. */
  #try<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (!isBusy(error)) this.#failed(error);
      throw error;
    }
  }

  #failed(error: unknown): void {
    this.#onError(`the cache in ${this.#path}: ${words(error)}`);
    if (isDamaged(error)) this.#begin();
  }

  #open(): DatabaseSync {
    try {
      return this.#opened();
    } catch (error) {
      if (!isDamaged(error)) throw new EscapementError("unavailable", `the cache ${this.#path} cannot be opened: ${words(error)}`);
      this.#onError(`the cache ${this.#path} was damaged and is begun anew`);
      this.#remove();
      return this.#opened();
    }
  }

  #opened(): DatabaseSync {
    const db = new DatabaseSync(this.#path, { timeout: 1_000 });
    try {
      db.exec(schema);
      db.exec(`PRAGMA busy_timeout = ${busyMs}`);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  }

  #begin(): void {
    this.#db.close();
    this.#remove();
    this.#db = this.#open();
    this.#statements = new Statements(this.#db);
  }

  #remove(): void {
    for (const ending of ["", "-wal", "-shm"]) rmSync(this.#path + ending, { force: true });
  }
}

/** SQLite's primary result codes. */
const codeOf = (error: unknown): number => ((error as { errcode?: number } | null)?.errcode ?? 0) & 0xff;
const isBusy = (error: unknown): boolean => [5, 6].includes(codeOf(error));
const isDamaged = (error: unknown): boolean => [11, 26].includes(codeOf(error));
const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
