/** The tool `search_knowledge`: a question in, the passages that answer it best out, each told as a citation. */
import { z } from "zod";
import type { Knowledge } from "../../src/knowledge/knowledge.ts";
import { passagesText } from "../../src/knowledge/passages.ts";
// The one place of this group that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";

const passages = 5;
/** Of a citation; the passage itself is in the tool's result. */
const quoteLength = 300;
const resultBytes = 64 * 1024;

export type SearchToolOptions = {
  /** What the documents are about, for the model. */
  readonly about?: string | undefined;
  /** What a document's path is added to, for the citations' `url`. */
  readonly baseURL?: string | undefined;
};

export function searchKnowledge(knowledge: Knowledge, { about, baseURL }: SearchToolOptions = {}): Tool {
  const documents = about ? `documents about ${about}` : "the documents of this application";
  return tool({
    name: `search_${knowledge.name}`,
    description:
      `Searches ${documents} and gives the passages that fit best, with document, section and page. ` +
      "Use it before you answer anything that they may tell, with one question or topic at a time; ask again in other words when nothing fits.",
    class: "pure",
    untrusted: true,
    input: z.strictObject({
      query: z.string().trim().min(1).max(1_000).describe("A question or a few words, in the language of the documents."),
    }),
    resultBytes,
    async run({ query }, { signal, data }) {
      const { chunks, lacks } = await knowledge.search(query, passages, signal);
      for (const { document, ordinal, title, page, text } of chunks) {
        data("source", {
          id: `${document}#${ordinal}`,
          title,
          document,
          ...(page !== undefined && { page }),
          ...(baseURL && { url: urlOf(baseURL, document) }),
          quote: text.length > quoteLength ? `${text.slice(0, quoteLength)}…` : text,
        });
      }
      return passagesText(chunks, lacks);
    },
  });
}

const urlOf = (base: string, document: string): string =>
  `${base.replace(/\/+$/, "")}/${document.split("/").map(encodeURIComponent).join("/")}`;
