/** Word (`.docx`): paragraphs, headings by their style's own name or outline level, rows of tables. Deleted text is not read. */
import { Blocks, type Content, firstHeading } from "../content.ts";
import { partOf, titleOf, unpack, walk } from "./zip.ts";

export function readDocx(bytes: Uint8Array): Content {
  const parts = unpack(bytes, /^(word\/(document|styles)|docProps\/core)\.xml$/);
  const xml = partOf(parts, "word/document.xml");
  const styles = headingStyles(parts.get("word/styles.xml") ?? "");
  const blocks = new Blocks();
  // Word notes where pages ended when it last showed the document.
  const hasPages = xml.includes("lastRenderedPageBreak");
  let page = 1;
  let text = "";
  let heading: number | undefined;
  let isText = false;
  /** Cells of the row, in a table. */
  let row: string[] | undefined;
  let cell = "";
  /** Depth in what an older Word is shown instead. */
  let fallback = 0;
  const add = (said: string): void =>
    blocks.add({ text: said, ...(hasPages && { page }), ...(heading !== undefined && row === undefined && { heading }) });
  walk(xml, {
    open(name, { val, type }) {
      if (name === "Fallback") fallback++;
      else if (name === "p") {
        text = "";
        heading = undefined;
      } else if (name === "pStyle") heading = styles.get(val ?? "");
      else if (name === "outlineLvl") heading = levelOf(val);
      else if (name === "t") isText = true;
      else if (name === "tab") text += "\t";
      else if (name === "br" && type !== "page") text += "\n";
      else if (name === "lastRenderedPageBreak") page++;
      else if (name === "tr") row = [];
      else if (name === "tc") cell = "";
    },
    text(part) {
      if (isText && fallback === 0) text += part;
    },
    close(name) {
      if (name === "Fallback") fallback--;
      else if (name === "t") isText = false;
      else if (name === "p") {
        if (row) cell += `${cell && text ? " " : ""}${text}`;
        else add(text);
        text = "";
      } else if (name === "tc") row?.push(cell.trim());
      else if (name === "tr") {
        if (row) add(row.filter(Boolean).join(" | "));
        row = undefined;
      }
    },
  });
  return { title: titleOf(parts) ?? firstHeading(blocks.found), blocks: blocks.found };
}

/** Style's id → level. The ids are in the author's language, the names are not ("heading 1"). */
function headingStyles(xml: string): Map<string, number> {
  const levels = new Map<string, number>();
  let id = "";
  walk(xml, {
    open(name, { styleId, val }) {
      if (name === "style") id = styleId ?? "";
      else if (name === "name" && val === "Title") levels.set(id, 1);
      else if (name === "name") {
        const level = /^heading ([1-6])$/i.exec(val ?? "")?.[1];
        if (level) levels.set(id, Number(level));
      } else if (name === "outlineLvl") {
        const level = levelOf(val);
        if (level !== undefined) levels.set(id, level);
      }
    },
  });
  return levels;
}

/** Counted from 0; 9 is body text. */
const levelOf = (val: string | undefined): number | undefined => (/^[0-5]$/.test(val ?? "") ? Number(val) + 1 : undefined);
