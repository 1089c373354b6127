/** Small files of each format, made by code: what a reader must find in them is what was put in. */
import { type Zippable, zipSync } from "fflate";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
export const zipped = (parts: { readonly [name: string]: string }): Uint8Array<ArrayBuffer> =>
  zipSync(Object.fromEntries(Object.entries(parts).map(([name, text]) => [name, bytes(text)])) as Zippable) as Uint8Array<ArrayBuffer>;

const core = (title: string): string =>
  `<?xml version="1.0"?><cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>${escaped(title)}</dc:title><dc:creator>A</dc:creator></cp:coreProperties>`;

/** `# ` and `## ` begin headings, `| a | b` is a row of a table, `---` a page's end. German names of styles, as Word writes them there. */
export function docx(title: string, lines: readonly string[]): Uint8Array<ArrayBuffer> {
  const run = (text: string): string => `<w:r><w:t xml:space="preserve">${escaped(text)}</w:t></w:r>`;
  const paragraph = (text: string, style?: string): string =>
    `<w:p>${style ? `<w:pPr><w:pStyle w:val="${style}"/></w:pPr>` : ""}${run(text.slice(0, 5))}${run(text.slice(5))}</w:p>`;
  const body = lines.map((line) => {
    if (line === "---") return "<w:p><w:r><w:lastRenderedPageBreak/></w:r></w:p>";
    if (line.startsWith("| "))
      return `<w:tbl><w:tr>${line
        .slice(2)
        .split(" | ")
        .map((cell) => `<w:tc>${paragraph(cell)}</w:tc>`)
        .join("")}</w:tr></w:tbl>`;
    const [, marks, text] = /^(#+) (.*)$/.exec(line) ?? [];
    return marks ? paragraph(text as string, `berschrift${marks.length}`) : paragraph(line);
  });
  const style = (level: number): string =>
    `<w:style w:type="paragraph" w:styleId="berschrift${level}"><w:name w:val="heading ${level}"/></w:style>`;
  return zipped({
    "[Content_Types].xml": "<Types/>",
    "docProps/core.xml": core(title),
    "word/styles.xml": `<w:styles xmlns:w="w">${style(1)}${style(2)}</w:styles>`,
    "word/document.xml": `<w:document xmlns:w="w"><w:body>${body.join("")}<w:p><w:del><w:r><w:delText>deleted words</w:delText></w:r></w:del></w:p></w:body></w:document>`,
  });
}

export type Slide = { readonly title: string; readonly text: readonly string[]; readonly notes?: string };

/** The file of the first slide is the last one, as after somebody has moved it. */
export function pptx(title: string, slides: readonly Slide[]): Uint8Array<ArrayBuffer> {
  const paragraphs = (texts: readonly string[]): string =>
    texts.map((text) => `<a:p><a:r><a:t>${escaped(text)}</a:t></a:r></a:p>`).join("");
  const shape = (kind: string, texts: readonly string[]): string =>
    `<p:sp><p:nvSpPr><p:nvPr><p:ph type="${kind}"/></p:nvPr></p:nvSpPr><p:txBody>${paragraphs(texts)}</p:txBody></p:sp>`;
  const file = (index: number): number => slides.length - index;
  const parts: { [name: string]: string } = { "[Content_Types].xml": "<Types/>", "docProps/core.xml": core(title) };
  parts["ppt/presentation.xml"] = `<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst>${slides
    .map((_, index) => `<p:sldId r:id="r${index}" id="${256 + index}"/>`)
    .join("")}</p:sldIdLst></p:presentation>`;
  parts["ppt/_rels/presentation.xml.rels"] = `<Relationships>${slides
    .map((_, index) => `<Relationship Id="r${index}" Target="slides/slide${file(index)}.xml"/>`)
    .join("")}</Relationships>`;
  for (const [index, { title, text, notes }] of slides.entries()) {
    const number = file(index);
    parts[`ppt/slides/slide${number}.xml`] =
      `<p:sld xmlns:p="p" xmlns:a="a">${shape("body", text)}${shape("title", [title])}${shape("sldNum", [String(index + 1)])}</p:sld>`;
    if (notes === undefined) continue;
    parts[`ppt/slides/_rels/slide${number}.xml.rels`] =
      `<Relationships><Relationship Id="r1" Target="../notesSlides/notesSlide${number}.xml"/></Relationships>`;
    parts[`ppt/notesSlides/notesSlide${number}.xml`] =
      `<p:notes xmlns:p="p" xmlns:a="a">${shape("body", [notes])}${shape("sldNum", ["1"])}</p:notes>`;
  }
  return zipped(parts);
}

export type Line = { readonly text: string; readonly size?: number; readonly gap?: number };

/** One font, lines from the top; a line of `gap` 2 stands two line heights below the one before. */
export function pdf(title: string, pages: readonly (readonly Line[])[]): Uint8Array<ArrayBuffer> {
  const literal = (text: string): string => `(${text.replace(/[\\()]/g, "\\$&")})`;
  const objects: string[] = [];
  const add = (content: string): number => objects.push(content);
  add("<< /Type /Catalog /Pages 2 0 R >>");
  add(`<< /Type /Pages /Count ${pages.length} /Kids [${pages.map((_, index) => `${4 + 2 * index} 0 R`).join(" ")}] >>`);
  add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>");
  for (const lines of pages) {
    let y = 780;
    const drawn = lines.map(({ text, size = 11, gap = 1 }) => {
      y -= Math.round(size * 1.3 * gap);
      return `BT /F1 ${size} Tf 60 ${y} Td ${literal(text)} Tj ET`;
    });
    const stream = drawn.join("\n");
    const page = add(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents ${objects.length + 2} 0 R >>`,
    );
    if (add(`<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`) !== page + 1) throw new Error("objects are out of order");
  }
  const info = add(`<< /Title ${literal(title)} >>`);
  let file = "%PDF-1.4\n";
  const offsets = objects.map((content, index) => {
    const at = file.length;
    file += `${index + 1} 0 obj\n${content}\nendobj\n`;
    return at;
  });
  const xref = file.length;
  const rows = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R /Info ${info} 0 R >>\nstartxref\n${xref}\n%%EOF\n`;
  return Uint8Array.from(Buffer.from(file, "latin1"));
}
