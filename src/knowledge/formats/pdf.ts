/**
 * PDF by pdf.js (`unpdf`), which knows glyphs and places: lines that stand close are a paragraph, a line in larger letters than the text
 * is a heading. A page without text (a scan) has nothing to index; a document of such pages is unreadable.
 */
import type { PDFDocumentProxy } from "unpdf/pdfjs";
import { Blocks, type Content, firstHeading, maxPages, UnreadableDocument } from "../content.ts";

type Line = { text: string; y: number; size: number };

export async function readPdf(bytes: Uint8Array): Promise<Content> {
  const { getDocumentProxy, getMeta } = await import("unpdf");
  // pdf.js takes the bytes away from their owner, and warns on the console of what it mends.
  const document = await getDocumentProxy(bytes.slice(), { verbosity: 0 }).catch((error: Error) => {
    throw new UnreadableDocument(error.name === "PasswordException" ? "it is protected by a password" : "it is damaged, or no PDF");
  });
  try {
    if (document.numPages > maxPages) throw new UnreadableDocument(`it has ${document.numPages} pages, at most ${maxPages} are read`);
    const blocks = new Blocks();
    const pages = await linesOf(document);
    const usual = usualSize(pages.flat());
    for (const [index, lines] of pages.entries()) addPage(blocks, lines, index + 1, usual);
    if (blocks.found.length === 0) throw new UnreadableDocument("it has no text (a scan?)");
    const title = (await getMeta(document)).info.Title;
    return { title: typeof title === "string" && title.trim() ? title.trim() : firstHeading(blocks.found), blocks: blocks.found };
  } finally {
    await document.loadingTask.destroy();
  }
}

async function linesOf(document: PDFDocumentProxy): Promise<Line[][]> {
  const pages: Line[][] = [];
  for (let number = 1; number <= document.numPages; number++) {
    const page = await document.getPage(number);
    const { items } = await page.getTextContent();
    const lines: Line[] = [];
    let line: Line | undefined;
    for (const item of items) {
      if (!("str" in item)) continue;
      if (item.str) {
        const y = item.transform[5] as number;
        line ??= { text: "", y, size: 0 };
        line.text += item.str;
        if (item.str.trim()) line.size = Math.max(line.size, item.height);
      }
      if (item.hasEOL && line) {
        lines.push(line);
        line = undefined;
      }
    }
    if (line) lines.push(line);
    page.cleanup();
    pages.push(lines.filter(({ text }) => text.trim()));
  }
  return pages;
}

/** The height in which most letters are. */
function usualSize(lines: readonly Line[]): number {
  const letters = new Map<number, number>();
  for (const { text, size } of lines) {
    const key = Math.round(size * 2) / 2;
    letters.set(key, (letters.get(key) ?? 0) + text.length);
  }
  return [...letters].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

function addPage(blocks: Blocks, lines: readonly Line[], page: number, usual: number): void {
  let paragraph: Line[] = [];
  const end = (): void => {
    const [first] = paragraph;
    if (!first) return;
    // Words that were divided at a line's end are joined.
    const text = paragraph
      .map((line) => line.text.trim())
      .join("\n")
      .replace(/(\p{L})-\n(\p{Ll})/gu, "$1$2")
      .replaceAll("\n", " ");
    const level = first.size >= usual * 1.6 ? 1 : first.size >= usual * 1.15 ? 2 : undefined;
    blocks.add({ text, page, ...(level !== undefined && text.length <= 200 && { heading: level }) });
    paragraph = [];
  };
  for (const line of lines) {
    const last = paragraph.at(-1);
    const isFar = last !== undefined && (Math.abs(last.y - line.y) > Math.max(last.size, line.size) * 1.7 || line.y > last.y);
    if (last && (isFar || Math.abs(last.size - line.size) > usual * 0.1)) end();
    paragraph.push(line);
  }
  end();
}
