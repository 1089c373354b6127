/** Indexing a folder: only what changed, broken files named, nothing lost by failures; and what is to be purged. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Embedder } from "../../src/embeddings/embedder.ts";
import { Knowledge, type KnowledgeOptions } from "../../src/knowledge/knowledge.ts";
import { DocumentReader } from "../../src/knowledge/reader.ts";
import { EscapementError } from "../../src/protocol/errors.ts";
import { docx, pdf, pptx } from "./files.ts";

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "knowledge-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function opened(folder: string, more: Partial<KnowledgeOptions> = {}): Knowledge {
  const knowledge = new Knowledge({ folder, name: "docs", file: ":memory:", embedder: undefined, reranker: undefined, ...more });
  onTestFinished(() => knowledge.close());
  return knowledge;
}

const found = async (knowledge: Knowledge, question: string): Promise<string[]> =>
  (await knowledge.search(question, 5, AbortSignal.timeout(10_000))).chunks.map(({ document }) => document);

/** Vectors by the words `cat` and `dog`; counts what it was given. */
function countingEmbedder(name = "test/two"): Embedder & { texts: number; failing: boolean } {
  return {
    name,
    dimensions: 3,
    threshold: 0.9,
    local: true,
    texts: 0,
    failing: false,
    async embed(texts) {
      if (this.failing) throw new EscapementError("unavailable", "no vectors today");
      this.texts += texts.length;
      const vectors = texts.map((text) => Float32Array.of(/cat|feline/i.test(text) ? 1 : 0, /dog/i.test(text) ? 1 : 0, 0.1));
      return { vectors, tokens: texts.length, costNano: 5 };
    },
    close: async () => {},
  };
}

test("six formats are indexed; what cannot be read is named and stops nothing", async () => {
  const folder = newFolder();
  mkdirSync(join(folder, "sub"));
  mkdirSync(join(folder, ".git"));
  const files = {
    "a.md": "# A\n\nalpha",
    "b.txt": "bravo",
    "c.html": "<p>charlie",
    "sub/d.pdf": pdf("D", [[{ text: "delta" }]]),
    "sub/e.docx": docx("E", ["echo"]),
    "sub/f.pptx": pptx("F", [{ title: "F", text: ["foxtrot"] }]),
    "broken.docx": "no zip",
    "broken.pdf": "%PDF-1.7",
    "empty.md": "",
    "table.xlsx": "not read",
    ".git/x.md": "hidden",
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  writeFileSync(join(folder, "large.txt"), "x");
  truncateSync(join(folder, "large.txt"), 40 * 1024 * 1024);
  const outside = join(newFolder(), "secret.md");
  writeFileSync(outside, "outside");
  symlinkSync(outside, join(folder, "link.md"));
  const knowledge = opened(folder);
  const report = await knowledge.reindex();
  expect(report).toMatchObject({ documents: 6, chunks: 6, others: 1, unchanged: 0 });
  expect(report.added).toEqual(["a.md", "b.txt", "c.html", "sub/d.pdf", "sub/e.docx", "sub/f.pptx"]);
  expect(report.failed).toEqual([
    { document: "broken.docx", reason: "it is not what its name says: no zip" },
    { document: "broken.pdf", reason: "it is damaged, or no PDF" },
    { document: "empty.md", reason: "it has no text" },
    { document: "large.txt", reason: expect.stringContaining("at most 33554432 are read") },
  ]);
  for (const [word, document] of [
    ["alpha", "a.md"],
    ["charlie", "c.html"],
    ["delta", "sub/d.pdf"],
    ["echo", "sub/e.docx"],
    ["foxtrot", "sub/f.pptx"],
  ])
    expect(await found(knowledge, word as string)).toEqual([document]);
  expect(await found(knowledge, "outside hidden")).toEqual([]);
});

test("only what changed is read again, over restarts; a changed document's equal chunks keep their vectors", async () => {
  const folder = newFolder();
  const file = join(newFolder(), "index", "knowledge.db");
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write("cats.md", "# Cats\n\nA cat sleeps.\n\n# More\n\nAnother cat eats.");
  write("dogs.md", "The dog barks.");
  write("gone.md", "The dog is gone.");
  const embedder = countingEmbedder();
  const options = { file, embedder: async () => embedder };
  const purged: string[] = [];
  const purge = async (tag: string): Promise<void> => void purged.push(tag);
  const first = opened(folder, options);
  expect(await first.reindex(purge)).toMatchObject({ documents: 3, chunks: 4, embedded: { chunks: 4, tokens: 4, costNano: 5 } });
  // Of new documents no answer was made.
  expect(purged.splice(0)).toEqual(["knowledge:docs"]);
  expect(await found(first, "feline")).toContain("cats.md");
  await first.close();

  const second = opened(folder, options);
  expect((await found(second, "feline")).slice(0, 2)).toEqual(["cats.md", "cats.md"]);
  embedder.texts = 0;
  expect(await second.reindex(purge)).toMatchObject({ unchanged: 3, added: [], changed: [], removed: [], embedded: { chunks: 0 } });
  expect([embedder.texts, purged]).toEqual([0, []]);
  write("cats.md", "# Cats\n\nA cat sleeps.\n\n# More\n\nAnother cat drinks.");
  write("new.md", "New.");
  rmSync(join(folder, "gone.md"));
  expect(await second.reindex(purge)).toMatchObject({
    changed: ["cats.md"],
    added: ["new.md"],
    removed: ["gone.md"],
    embedded: { chunks: 2 },
  });
  expect(purged.splice(0).sort()).toEqual(["doc:cats.md", "doc:gone.md", "knowledge:docs"]);
  expect([await found(second, "drinks"), await found(second, "gone eats")].flat()).not.toContain("gone.md");
  // A document that can be read no more says nothing.
  renameSync(join(folder, "new.md"), join(folder, "new.docx"));
  writeFileSync(join(folder, "dogs.md"), Buffer.from([1, 0, 2]));
  expect(await second.reindex(purge)).toMatchObject({
    removed: ["dogs.md", "new.md"],
    failed: [{ document: "dogs.md" }, { document: "new.docx" }],
  });
  expect(purged.sort()).toEqual(["doc:dogs.md", "doc:new.md", "knowledge:docs"]);
});

test("a purge that fails is made by the next indexing; a folder that is not there removes nothing", async () => {
  const folder = newFolder();
  writeFileSync(join(folder, "a.md"), "one");
  const knowledge = opened(folder);
  await knowledge.reindex(async () => {});
  writeFileSync(join(folder, "a.md"), "two");
  const down = async (): Promise<never> => {
    throw new EscapementError("unavailable", "no Redis");
  };
  await expect(knowledge.reindex(down)).rejects.toMatchObject({ code: "unavailable" });
  const purged: string[] = [];
  expect(await knowledge.reindex(async (tag) => void purged.push(tag))).toMatchObject({ unchanged: 1 });
  expect(purged.sort()).toEqual(["doc:a.md", "knowledge:docs"]);
  renameSync(folder, `${folder}-away`);
  await expect(knowledge.reindex()).rejects.toMatchObject({ code: "invalid_request" });
  renameSync(`${folder}-away`, folder);
  expect(await found(knowledge, "two")).toEqual(["a.md"]);
});

test("a failing embedder leaves words; the next indexing embeds; another embedder embeds anew, other chunks read anew", async () => {
  const folder = newFolder();
  const file = join(newFolder(), "k.db");
  writeFileSync(join(folder, "a.md"), "A cat.");
  const embedder = countingEmbedder();
  embedder.failing = true;
  const knowledge = opened(folder, { file, embedder: async () => embedder });
  expect((await knowledge.reindex()).embedded).toMatchObject({ chunks: 0, failed: "no vectors today" });
  const { chunks, lacks } = await knowledge.search("cat", 5, AbortSignal.timeout(5_000));
  expect([chunks.length, lacks]).toEqual([1, ["no vectors today"]]);
  embedder.failing = false;
  expect(await knowledge.reindex()).toMatchObject({ unchanged: 1, embedded: { chunks: 1 } });
  await knowledge.close();
  const other = opened(folder, { file, embedder: async () => countingEmbedder("test/other") });
  expect(await other.reindex()).toMatchObject({ unchanged: 1, embedded: { chunks: 1 } });
  await other.close();
  const smaller = opened(folder, { file, chunk: { tokens: 64 } });
  expect(await smaller.reindex()).toMatchObject({ added: ["a.md"] });
});

test("a damaged index is begun anew; another process's indexing is seen", async () => {
  const folder = newFolder();
  const file = join(newFolder(), "k.db");
  writeFileSync(file, "this is no database, and long enough to be looked at as one".repeat(100));
  writeFileSync(join(folder, "a.md"), "one");
  const mine = opened(folder, { file });
  expect(await mine.reindex()).toMatchObject({ documents: 1 });
  writeFileSync(join(folder, "b.md"), "two");
  const theirs = opened(folder, { file });
  expect(await theirs.reindex()).toMatchObject({ added: ["b.md"], unchanged: 1 });
  expect(await found(mine, "two")).toEqual(["b.md"]);
  expect(existsSync(file)).toBe(true);
});

test("a search during the first indexing waits for it; closing ends both", async () => {
  const folder = newFolder();
  for (let n = 0; n < 50; n++) writeFileSync(join(folder, `${n}.md`), `word${n}`);
  const knowledge = opened(folder);
  const indexing = knowledge.reindex();
  expect(knowledge.reindex()).toBe(indexing);
  const searching = found(knowledge, "word49");
  await indexing;
  expect(await searching).toEqual(expect.arrayContaining([]));
  expect(await found(knowledge, "word49")).toEqual(["49.md"]);
  writeFileSync(join(folder, "49.md"), "changed");
  const late = expect(knowledge.reindex()).rejects.toMatchObject({ code: "unavailable" });
  await knowledge.close();
  await late;
  await expect(knowledge.search("x", 5, AbortSignal.timeout(1_000))).rejects.toMatchObject({ code: "unavailable" });
});

test("a document that takes too long is given up, and the next one is read", async () => {
  const reader = new DocumentReader(1);
  onTestFinished(() => reader.close());
  const bytes = () => new TextEncoder().encode("text") as Uint8Array<ArrayBuffer>;
  const message = () => ({ name: "a.txt", bytes: bytes(), chunk: { tokens: 64, overlap: 0 } });
  await expect(reader.read(message())).rejects.toThrow("takes longer to read than 1 ms");
  const patient = new DocumentReader();
  onTestFinished(() => patient.close());
  expect((await patient.read(message())).chunks).toMatchObject([{ text: "text", tokens: 1 }]);
  expect((await patient.read(message())).chunks.length).toBe(1);
});
