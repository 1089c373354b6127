/**
 * The index in a SQLite file (or in memory): documents, their chunks with vectors, and full text by SQLite's own FTS5, whose rank is
 * BM25. Owns the tables; when what is indexed is `indexer.ts`, how it is searched `search.ts`.
 *
 *  1. A document is replaced as a whole, in one transaction, which also notes that answers made from it are to be purged.
 *  2. Nothing here is worth more than the folder it was made from: a damaged file is begun anew, another way of making chunks empties it.
 *  3. Processes may share the file. {@link KnowledgeFile.version} changes when another one has written.
 */
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { EscapementError } from "../protocol/errors.ts";
import { Statements } from "../sqlite/statements.ts";
import type { Chunk } from "./chunks.ts";
import { indexed } from "./words.ts";

/** Raised when the same files give other chunks than before. */
const revision = 1;
const waitMs = 5_000;

const schema = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, hash TEXT NOT NULL, title TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, document TEXT NOT NULL, ordinal INTEGER NOT NULL, headings TEXT NOT NULL, page INTEGER, line INTEGER,
    text TEXT NOT NULL, tokens INTEGER NOT NULL, hash TEXT NOT NULL, vector BLOB
  );
  CREATE INDEX IF NOT EXISTS chunks_by_document ON chunks (document);
  CREATE INDEX IF NOT EXISTS chunks_without_vector ON chunks (id) WHERE vector IS NULL;
  CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    title, headings, text, content = '', contentless_delete = 1, tokenize = "porter unicode61 remove_diacritics 2"
  );
  CREATE TRIGGER IF NOT EXISTS unindex AFTER DELETE ON chunks BEGIN DELETE FROM words WHERE rowid = old.id; END;
  CREATE TABLE IF NOT EXISTS purges (tag TEXT PRIMARY KEY) WITHOUT ROWID;
`;

/** Words of a title or a heading say more than those of the text. */
const weights = "2.0, 1.5, 1.0";

export type StoredChunk = Omit<Chunk, "hash"> & {
  readonly id: number;
  readonly document: string;
  readonly title: string;
  /** Of the document's chunks, from 0. */
  readonly ordinal: number;
  readonly vector?: Float32Array;
};

export class KnowledgeFile {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #statements: Statements;

  /** `:memory:` or a file, whose folder is made. Throws `unavailable`. */
  constructor(path: string) {
    this.#path = path;
    if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true });
    this.#db = this.#open();
    this.#statements = new Statements(this.#db);
  }

  /** Empties the index where it was made otherwise (`chunking`), and forgets the vectors of another embedder. */
  prepare(chunking: string, embedder: string | undefined): void {
    this.#statements.transaction(() => {
      const made = `${revision} ${chunking}`;
      if (this.#meta("made") !== made) {
        this.#run("DELETE FROM chunks");
        this.#run("DELETE FROM documents");
        this.#setMeta("made", made);
      }
      if (embedder === undefined || this.#meta("embedder") === embedder) return;
      this.#run("UPDATE chunks SET vector = NULL");
      this.#setMeta("embedder", embedder);
    });
  }

  /** Of every document, its file's hash. */
  hashes(): Map<string, string> {
    const rows = this.#all("SELECT id, hash FROM documents") as { id: string; hash: string }[];
    return new Map(rows.map(({ id, hash }) => [id, hash]));
  }

  /** Chunks that it had before keep their vectors. `tags`: of the answers that are to be purged. */
  replace(document: string, hash: string, title: string, chunks: readonly Chunk[], tags: readonly string[]): void {
    this.#statements.transaction(() => {
      const before = this.#all("SELECT hash, vector FROM chunks WHERE document = ? AND vector IS NOT NULL", document);
      const vectors = new Map((before as { hash: string; vector: Uint8Array }[]).map((row) => [row.hash, row.vector]));
      this.#delete(document, tags);
      this.#run("INSERT INTO documents VALUES (?, ?, ?)", document, hash, title);
      for (const [ordinal, chunk] of chunks.entries()) {
        const { headings, page = null, line = null, text, tokens } = chunk;
        const { lastInsertRowid } = this.#run(
          "INSERT INTO chunks (document, ordinal, headings, page, line, text, tokens, hash, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
          ...[document, ordinal, JSON.stringify(headings), page, line, text, tokens, chunk.hash, vectors.get(chunk.hash) ?? null],
        );
        this.#run(
          "INSERT INTO words (rowid, title, headings, text) VALUES (?, ?, ?, ?)",
          ...[lastInsertRowid, indexed(title), indexed(headings.join("\n")), indexed(text)],
        );
      }
    });
  }

  remove(document: string, tags: readonly string[]): void {
    this.#statements.transaction(() => this.#delete(document, tags));
  }

  #delete(document: string, tags: readonly string[]): void {
    this.#run("DELETE FROM chunks WHERE document = ?", document);
    this.#run("DELETE FROM documents WHERE id = ?", document);
    for (const tag of tags) this.#run("INSERT OR IGNORE INTO purges VALUES (?)", tag);
  }

  // ── what is to be done ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Tags of answers that are to be purged. */
  purges(): string[] {
    return (this.#all("SELECT tag FROM purges") as { tag: string }[]).map(({ tag }) => tag);
  }

  purged(tag: string): void {
    this.#run("DELETE FROM purges WHERE tag = ?", tag);
  }

  /** Chunks that have no vector yet, `after` an id. */
  unembedded(
    after: number,
    limit: number,
  ): { readonly id: number; readonly title: string; readonly headings: readonly string[]; readonly text: string }[] {
    const rows = this.#all(`${selectChunks} WHERE c.vector IS NULL AND c.id > ? ORDER BY c.id LIMIT ?`, after, limit);
    return (rows as Row[]).map(chunkOf);
  }

  embed(vectors: ReadonlyMap<number, Float32Array>): void {
    this.#statements.transaction(() => {
      for (const [id, vector] of vectors)
        this.#run("UPDATE chunks SET vector = ? WHERE id = ?", new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), id);
    });
  }

  // ── searching ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Changes when another connection has written. */
  version(): number {
    return (this.#all("PRAGMA data_version")[0] as { data_version: number }).data_version;
  }

  counts(): { readonly documents: number; readonly chunks: number; readonly tokens: number } {
    const sql = "SELECT (SELECT COUNT(*) FROM documents) documents, COUNT(*) chunks, COALESCE(SUM(tokens), 0) tokens FROM chunks";
    return { ...(this.#all(sql)[0] as { documents: number; chunks: number; tokens: number }) };
  }

  /** Chunks. */
  size(): number {
    return (this.#all("SELECT COUNT(*) n FROM chunks")[0] as { n: number }).n;
  }

  /** In how many chunks a word is. */
  frequency(term: string): number {
    return (this.#all("SELECT COUNT(*) n FROM words WHERE words MATCH ?", quoted(term))[0] as { n: number }).n;
  }

  /** Which of these chunks have the word. */
  having(term: string, ids: readonly number[]): number[] {
    const sql = `SELECT rowid id FROM words WHERE words MATCH ? AND rowid IN (${ids.map(() => "?").join(", ")})`;
    return (this.#all(sql, quoted(term), ...ids) as { id: number }[]).map(({ id }) => id);
  }

  /** Chunks with any of the words, the best by BM25 first. */
  matching(terms: readonly string[], limit: number): number[] {
    if (terms.length === 0) return [];
    const sql = `SELECT rowid id FROM words WHERE words MATCH ? ORDER BY bm25(words, ${weights}), rowid LIMIT ?`;
    return (this.#all(sql, terms.map(quoted).join(" OR "), limit) as { id: number }[]).map(({ id }) => id);
  }

  /** In the order of the ids; what is gone is left out. */
  chunks(ids: readonly number[]): StoredChunk[] {
    const rows = this.#all(`${selectChunks} WHERE c.id IN (${ids.map(() => "?").join(", ")})`, ...ids) as Row[];
    const byId = new Map(rows.map((row) => [row.id, chunkOf(row)]));
    return ids.flatMap((id) => byId.get(id) ?? []);
  }

  vectors(): { readonly id: number; readonly vector: Float32Array }[] {
    const rows = this.#all("SELECT id, vector FROM chunks WHERE vector IS NOT NULL") as { id: number; vector: Uint8Array }[];
    return rows.map(({ id, vector }) => ({ id, vector: floats(vector) }));
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #meta(key: string): string | undefined {
    return (this.#all("SELECT value FROM meta WHERE key = ?", key)[0] as { value: string } | undefined)?.value;
  }

  #setMeta(key: string, value: string): void {
    this.#run("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value);
  }

  #all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#statements.of(sql).all(...values);
  }

  #run(sql: string, ...values: SQLInputValue[]) {
    return this.#statements.of(sql).run(...values);
  }

  #open(): DatabaseSync {
    try {
      return this.#opened();
    } catch (error) {
      const code = ((error as { errcode?: number }).errcode ?? 0) & 0xff;
      // SQLITE_CORRUPT, SQLITE_NOTADB.
      if (code !== 11 && code !== 26)
        throw new EscapementError("unavailable", `the index ${this.#path} cannot be opened: ${(error as Error).message}`);
      for (const ending of ["", "-wal", "-shm"]) rmSync(this.#path + ending, { force: true });
      return this.#opened();
    }
  }

  #opened(): DatabaseSync {
    const db = new DatabaseSync(this.#path, { timeout: waitMs });
    try {
      db.exec(schema);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  }
}

const selectChunks = `SELECT c.id, c.document, c.ordinal, c.headings, c.page, c.line, c.text, c.tokens, c.vector, d.title
  FROM chunks c JOIN documents d ON d.id = c.document`;

type Row = {
  id: number;
  document: string;
  ordinal: number;
  headings: string;
  page: number | null;
  line: number | null;
  text: string;
  tokens: number;
  vector: Uint8Array | null;
  title: string;
};

function chunkOf({ headings, page, line, vector, ...rest }: Row): StoredChunk {
  return {
    ...rest,
    // Written above.
    headings: JSON.parse(headings) as string[],
    ...(page !== null && { page }),
    ...(line !== null && { line }),
    ...(vector && { vector: floats(vector) }),
  };
}

/** A copy, since SQLite's bytes need not begin where a float may. */
const floats = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);

/** A word as FTS5 takes it: nothing in it is an operator. */
const quoted = (term: string): string => `"${term.replaceAll('"', '""')}"`;
