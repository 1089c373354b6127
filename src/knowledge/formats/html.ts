/** HTML as a reader sees it: headings, paragraphs, list items, rows of tables. Scripts, styles and navigation are left out. */
import { Parser } from "htmlparser2";
import { Blocks, type Content, Depth, decoded, firstHeading } from "../content.ts";

const unread = new Set(["script", "style", "noscript", "template", "svg", "nav", "button", "select", "iframe", "object", "head"]);
const inline = new Set(
  "a abbr b bdi bdo cite code data del dfn em font i img ins kbd label mark q s samp small span strong sub sup time u var wbr".split(" "),
);

export function readHtml(bytes: Uint8Array): Content {
  const html = decoded(bytes);
  const blocks = new Blocks();
  const lineAt = lineCounter(html);
  let title = "";
  let inTitle = false;
  /** How deep in something that is not read. */
  let unreadDepth = 0;
  let pre = 0;
  let text = "";
  let from = 0;
  const end = (heading?: number): void => {
    const said = pre > 0 ? text : text.replace(/\s+/g, " ");
    if (said.trim()) blocks.add({ text: said, line: lineAt(from), ...(heading !== undefined && { heading }) });
    text = "";
  };
  const depth = new Depth();
  const parser = new Parser({
    onopentag(name) {
      depth.open();
      if (name === "title") inTitle = title === "";
      if (unread.has(name)) unreadDepth++;
      if (unreadDepth > 0 || inline.has(name)) return;
      if (name === "br") text += pre > 0 ? "\n" : " ";
      else if (name === "td" || name === "th") text += text.trim() ? " | " : "";
      else {
        end();
        if (name === "pre") pre++;
        if (name === "li") text = "- ";
      }
    },
    ontext(part) {
      if (inTitle) title += part;
      if (unreadDepth > 0) return;
      if (text.trim() === "" || text === "- ") from = parser.startIndex;
      text += part;
    },
    onclosetag(name) {
      depth.close();
      if (name === "title") inTitle = false;
      if (unread.has(name)) unreadDepth = Math.max(0, unreadDepth - 1);
      if (unreadDepth > 0 || inline.has(name) || name === "td" || name === "th" || name === "br") return;
      const level = /^h([1-6])$/.exec(name)?.[1];
      end(level === undefined ? undefined : Number(level));
      if (name === "pre") pre = Math.max(0, pre - 1);
    },
  });
  parser.end(html);
  end();
  return { title: title.replace(/\s+/g, " ").trim() || firstHeading(blocks.found), blocks: blocks.found };
}

/** Asked with growing positions. */
function lineCounter(text: string): (index: number) => number {
  let line = 1;
  let at = 0;
  return (index) => {
    for (let next = text.indexOf("\n", at); next >= 0 && next < index; next = text.indexOf("\n", at)) {
      line++;
      at = next + 1;
    }
    return line;
  };
}
