/** What each format says: title, headings, paragraphs, pages and lines; and what broken and hostile files do. */
import { Zip, ZipDeflate, zipSync } from "fflate";
import { expect, test } from "vitest";
import type { Block, Content } from "../../src/knowledge/content.ts";
import { formatOf } from "../../src/knowledge/formats/formats.ts";
import { unpack } from "../../src/knowledge/formats/zip.ts";
import { docx, pdf, pptx, zipped } from "./files.ts";

const read = async (name: string, file: string | Uint8Array): Promise<Content> =>
  (await formatOf(name))(typeof file === "string" ? new TextEncoder().encode(file) : file);
const heading = (level: number, text: string, place: Partial<Block>): Block => ({ text, heading: level, ...place });

test("text: paragraphs with their lines, in the encodings that programs write", async () => {
  expect(await read("a.txt", "One,\ngoes on.\n\n\n  Two.\r\n\r\nThree")).toEqual({
    blocks: [
      { text: "One,\ngoes on.", line: 1 },
      { text: "Two.", line: 5 },
      { text: "Three", line: 7 },
    ],
  });
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("Größe", "utf16le")]);
  expect((await read("a.txt", utf16)).blocks[0]?.text).toBe("Größe");
  expect((await read("a.txt", Buffer.from("Größe", "latin1"))).blocks[0]?.text).toBe("Größe");
  await expect(read("a.txt", Buffer.from([1, 0, 2]))).rejects.toThrow("it is no text");
});

test("markdown: headings of both kinds, code whole, front matter aside", async () => {
  const text = [
    "---",
    'title: "The guide"',
    "---",
    "# Begin #",
    "First.",
    "",
    "Under",
    "-----",
    "```sh",
    "# no heading",
    "",
    "run",
    "```",
    "#tag",
    "### Deep",
  ];
  expect(await read("a.md", text.join("\n"))).toEqual({
    title: "The guide",
    blocks: [
      heading(1, "Begin", { line: 4 }),
      { text: "First.", line: 5 },
      heading(2, "Under", { line: 7 }),
      { text: "```sh\n# no heading\n\nrun\n```\n#tag", line: 9 },
      heading(3, "Deep", { line: 15 }),
    ],
  });
});

test("HTML: what is read, not what is run or clicked", async () => {
  const html = `<html><head><title>A &amp; B</title><style>p{}</style></head>
<body><nav><a href="/">Home</a></nav><h1>Top</h1><p>One <b>bold</b>
 word.<script>alert("<p>")</script><p>Two<br>lines<ul><li>item</ul>
<table><tr><th>Size<th>Price<tr><td>L<td>9</table><pre>a
  b</pre></body></html>`;
  expect(await read("a.html", html)).toEqual({
    title: "A & B",
    blocks: [
      heading(1, "Top", { line: 2 }),
      { text: "One bold word.", line: 2 },
      { text: "Two lines", line: 3 },
      { text: "- item", line: 3 },
      { text: "Size | Price", line: 4 },
      { text: "L | 9", line: 4 },
      { text: "a\n  b", line: 4 },
    ],
  });
});

test("Word: headings by the style's own name, tables by rows, pages, nothing deleted", async () => {
  const file = docx("Contract", ["# Terms & prices", "The first paragraph.", "| Size | Price", "---", "## Notice", "Three months."]);
  expect(await read("a.docx", file)).toEqual({
    title: "Contract",
    blocks: [
      heading(1, "Terms & prices", { page: 1 }),
      { text: "The first paragraph.", page: 1 },
      { text: "Size | Price", page: 1 },
      heading(2, "Notice", { page: 2 }),
      { text: "Three months.", page: 2 },
    ],
  });
});

test("PowerPoint: slides in the order they are shown, titles first, notes with them, no slide numbers", async () => {
  const file = pptx("Plan", [
    { title: "Goals", text: ["Grow.", "Stay."], notes: "Say why." },
    { title: "Means", text: ["People."] },
  ]);
  expect(await read("a.pptx", file)).toEqual({
    title: "Plan",
    blocks: [
      heading(2, "Goals", { page: 1 }),
      { text: "Grow.\nStay.", page: 1 },
      { text: "Say why.", page: 1 },
      heading(2, "Means", { page: 2 }),
      { text: "People.", page: 2 },
    ],
  });
});

test("PDF: paragraphs by their distance, headings by their size, divided words joined", async () => {
  const file = pdf("Manual", [
    [
      { text: "Setting up", size: 20 },
      { text: "Screw the plate to the wall and main-", gap: 2 },
      { text: "tain a distance of 30 cm (one foot)." },
      { text: "Then plug it in.", gap: 2 },
    ],
    [
      { text: "Care", size: 14 },
      { text: "Wipe with a dry cloth.", gap: 2 },
    ],
  ]);
  expect(await read("a.pdf", file)).toEqual({
    title: "Manual",
    blocks: [
      heading(1, "Setting up", { page: 1 }),
      { text: "Screw the plate to the wall and maintain a distance of 30 cm (one foot).", page: 1 },
      { text: "Then plug it in.", page: 1 },
      heading(2, "Care", { page: 2 }),
      { text: "Wipe with a dry cloth.", page: 2 },
    ],
  });
});

const office = docx("T", ["# A", "Some text."]);
test.each([
  ["a.docx", "just text", "no zip"],
  ["a.docx", Buffer.from([0xd0, 0xcf, 0x11, 0xe0]), "protected by a password, or in the older binary format"],
  ["a.docx", zipped({ "other.xml": "<a/>" }), "word/document.xml is missing"],
  ["a.docx", office.slice(0, office.length / 2), /missing or cut off|damaged/],
  ["a.pptx", office, "ppt/presentation.xml is missing"],
  ["a.pdf", "%PDF-1.7 and nothing more", "damaged, or no PDF"],
  ["a.pdf", pdf("", [[]]), "no text (a scan?)"],
] as const)("a broken %s says what is wrong (%#)", async (name, file, reason) => {
  await expect(read(name, file as string | Uint8Array)).rejects.toThrow(reason);
});

test("a zip bomb is refused at the bound, whatever its directory says", async () => {
  const bomb = zipSync({ "word/document.xml": new Uint8Array(8 * 1024 * 1024) });
  expect(bomb.length).toBeLessThan(30_000);
  const open = () => unpack(bomb, /^word\//, 4 * 1024 * 1024);
  expect(open).toThrow("unpacks to more than 4 MB");
  // Its sizes say a hundred bytes, in the directory and before the part.
  const view = new DataView(bomb.buffer, bomb.byteOffset, bomb.byteLength);
  const directory = bomb.length - 22 - 46 - "word/document.xml".length;
  view.setUint32(22, 100, true);
  view.setUint32(directory + 24, 100, true);
  expect(open).toThrow(/unpacks to more than 4 MB|damaged/);
});

test("a zip that was written as a stream, its sizes behind the parts, is read", async () => {
  const chunks: Uint8Array[] = [];
  const zip = new Zip((error, data) => (error ? expect.unreachable(String(error)) : chunks.push(data)));
  for (const name of ["other.bin", "word/document.xml"]) {
    const part = new ZipDeflate(name);
    zip.add(part);
    part.push(new TextEncoder().encode("<w:document><w:p><w:r><w:t>Said.</w:t></w:r></w:p></w:document>"), true);
  }
  zip.end();
  expect((await read("a.docx", Buffer.concat(chunks))).blocks).toEqual([{ text: "Said." }]);
});

test("entities that would grow are not known, and markup has a depth", async () => {
  const xml = `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><w:document><w:p><w:r><w:t>&b;&b;</w:t></w:r></w:p></w:document>`;
  expect((await read("a.docx", zipped({ "word/document.xml": xml }))).blocks).toEqual([{ text: "&b;&b;" }]);
  const nested = (depth: number): string => `${"<div>".repeat(depth)}core${"</div>".repeat(depth)}`;
  expect((await read("a.html", nested(4_000))).blocks).toEqual([{ text: "core", line: 1 }]);
  await expect(read("a.html", nested(200_000))).rejects.toThrow("nested more than 5000 deep");
});
