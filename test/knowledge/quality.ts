/** How well questions find their passages: recall at 5 and at 1 of words alone, of both rankings joined, and after each reranker. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { localEmbedder } from "../../src/embeddings/local.ts";
import { Knowledge, type KnowledgeOptions } from "../../src/knowledge/knowledge.ts";
import { localReranker } from "../../src/knowledge/reranker.ts";
import { corpus, questions } from "./corpus.ts";

export type Quality = { readonly at5: number; readonly at1: number; readonly byMeaningAt5: number; readonly missed: readonly string[] };

export function corpusFolder(): { readonly folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "corpus-"));
  for (const [name, content] of corpus()) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

export async function measured(folder: string, options: Pick<KnowledgeOptions, "embedder" | "reranker">): Promise<Quality> {
  const knowledge = new Knowledge({ folder, name: "corpus", file: ":memory:", ...options });
  try {
    await knowledge.reindex();
    const ranks = new Map<string, number>();
    for (const { asked, document, words } of questions) {
      const { chunks } = await knowledge.search(asked, 5, AbortSignal.timeout(30_000));
      const rank = chunks.findIndex((chunk) => chunk.document === document && chunk.text.includes(words));
      if (rank >= 0) ranks.set(asked, rank);
    }
    const share = (asked: readonly { readonly asked: string }[], within: number): number =>
      asked.filter((one) => (ranks.get(one.asked) ?? 99) < within).length / asked.length;
    return {
      at5: share(questions, 5),
      at1: share(questions, 1),
      byMeaningAt5: share(
        questions.filter(({ byMeaning }) => byMeaning),
        5,
      ),
      missed: questions.filter(({ asked }) => !ranks.has(asked)).map(({ asked }) => asked),
    };
  } finally {
    await knowledge.close();
  }
}

const embedder = async () => localEmbedder({ timeoutMs: 60_000 });
const reranker = async () => localReranker;
export const ways: { readonly [way: string]: Pick<KnowledgeOptions, "embedder" | "reranker"> } = {
  "words alone": { embedder: undefined, reranker: undefined },
  "words, reranked": { embedder: undefined, reranker },
  "words and meaning": { embedder, reranker: undefined },
  "words and meaning, reranked": { embedder, reranker },
};

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`.padStart(6);
export const line = (way: string, { at5, at1, byMeaningAt5 }: Quality): string =>
  `${way.padEnd(28)} recall@5 ${percent(at5)}  recall@1 ${percent(at1)}  asked in other words @5 ${percent(byMeaningAt5)}`;

if (import.meta.main) {
  const { folder, remove } = corpusFolder();
  try {
    process.stdout.write(`${questions.length} questions, ${corpus().size} documents\n`);
    for (const [way, options] of Object.entries(ways)) {
      const quality = await measured(folder, options);
      process.stdout.write(`${line(way, quality)}\n`);
      for (const asked of quality.missed) process.stdout.write(`    missed: ${asked}\n`);
    }
  } finally {
    remove();
  }
}
