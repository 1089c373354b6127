/**
 * Markdown: headings (`#` and underlined), paragraphs between empty lines, code in fences whole. The marks stay in the text, since models
 * read them.
 */
import { Blocks, type Content, decoded, firstHeading } from "../content.ts";

export function readMarkdown(bytes: Uint8Array): Content {
  const lines = decoded(bytes).split(/\r?\n/);
  const blocks = new Blocks();
  let paragraph: string[] = [];
  let from = 1;
  let fence: string | undefined;
  const end = (): void => {
    blocks.add({ text: paragraph.join("\n"), line: from });
    paragraph = [];
  };
  const add = (text: string, line: number): void => {
    if (paragraph.length === 0) from = line;
    paragraph.push(text);
  };
  const matter = frontMatter(lines);
  for (let i = matter.lines; i < lines.length; i++) {
    const text = lines[i] as string;
    const line = i + 1;
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(text)?.[1];
    if (fence !== undefined) {
      add(text, line);
      if (mark?.startsWith(fence)) fence = undefined;
      continue;
    }
    const heading = /^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$/.exec(text);
    const underline = paragraph.length === 1 && /^ {0,3}(=+|-{2,})[ \t]*$/.exec(text)?.[1];
    if (mark) {
      fence = mark;
      add(text, line);
    } else if (heading) {
      end();
      blocks.add({ text: heading[2] as string, heading: (heading[1] as string).length, line });
    } else if (underline) {
      blocks.add({ text: paragraph[0] as string, heading: underline.startsWith("=") ? 1 : 2, line: from });
      paragraph = [];
    } else if (text.trim() === "") end();
    else add(text, line);
  }
  end();
  return { title: matter.title ?? firstHeading(blocks.found), blocks: blocks.found };
}

/** What stands between two `---` at the very start is about the document, not of it. */
function frontMatter(lines: readonly string[]): { readonly lines: number; readonly title?: string } {
  if (lines[0]?.trim() !== "---") return { lines: 0 };
  const end = lines.indexOf("---", 1);
  if (end < 0) return { lines: 0 };
  const title = lines.slice(1, end).flatMap((line) => /^title:\s*["']?(.+?)["']?\s*$/.exec(line)?.[1] ?? [])[0];
  return { lines: end + 1, ...(title !== undefined && { title }) };
}
