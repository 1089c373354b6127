/** PowerPoint (`.pptx`): the slides in the order in which they are shown, each under its title, with the speaker's notes. */
import { type Block, Blocks, type Content, firstHeading, maxPages, UnreadableDocument } from "../content.ts";
import { partOf, titleOf, unpack, walk } from "./zip.ts";

const wanted =
  /^(ppt\/presentation\.xml|ppt\/_rels\/presentation\.xml\.rels|ppt\/(slides|notesSlides)\/([^/]+\.xml|_rels\/[^/]+\.xml\.rels)|docProps\/core\.xml)$/;

export function readPptx(bytes: Uint8Array): Content {
  const parts = unpack(bytes, wanted);
  const slides = slidesOf(parts);
  if (slides.length > maxPages) throw new UnreadableDocument(`it has ${slides.length} slides, at most ${maxPages} are read`);
  const blocks = new Blocks();
  for (const [index, name] of slides.entries()) {
    const page = index + 1;
    for (const block of shapesOf(partOf(parts, name))) blocks.add({ ...block, page });
    const notes = [...relations(parts, name).values()].find((target) => target.startsWith("ppt/notesSlides/"));
    if (notes) for (const { text } of shapesOf(parts.get(notes) ?? "", "body")) blocks.add({ text, page });
  }
  return { title: titleOf(parts) ?? firstHeading(blocks.found), blocks: blocks.found };
}

function slidesOf(parts: ReadonlyMap<string, string>): string[] {
  const targets = relations(parts, "ppt/presentation.xml");
  const slides: string[] = [];
  walk(partOf(parts, "ppt/presentation.xml"), {
    open(name, { id }) {
      // `r:id`, which is given before the plain `id`.
      const target = name === "sldId" ? targets.get(id ?? "") : undefined;
      if (target) slides.push(target);
    },
  });
  return slides;
}

/** Relation's id → part. */
function relations(parts: ReadonlyMap<string, string>, part: string): Map<string, string> {
  const at = part.lastIndexOf("/");
  const folder = part.slice(0, at);
  const found = new Map<string, string>();
  walk(parts.get(`${folder}/_rels${part.slice(at)}.rels`) ?? "", {
    open(name, { Id = "", Target = "" }) {
      if (name === "Relationship") found.set(Id, new URL(Target, `file:///${folder}/`).pathname.slice(1));
    },
  });
  return found;
}

/** The paragraphs of each shape as one block; titles are headings. `only`: shapes of that kind alone. */
function shapesOf(xml: string, only?: string): Block[] {
  const found: Block[] = [];
  let kind = "";
  let text = "";
  let isText = false;
  let isInCell = false;
  const end = (): void => {
    const isTitle = kind === "title" || kind === "ctrTitle";
    // Slide numbers, dates and footers are on every slide.
    if (text.trim() && (only === undefined ? !["sldNum", "dt", "ftr"].includes(kind) : kind === only))
      found.push(isTitle ? { text: text.trim().replace(/\s+/g, " "), heading: 2 } : { text: text.trim() });
    kind = "";
    text = "";
  };
  walk(xml, {
    open(name, { type }) {
      if (name === "sp" || name === "graphicFrame") end();
      else if (name === "ph") kind = type ?? "body";
      else if (name === "t") isText = true;
      else if (name === "br") text += "\n";
      else if (name === "tc") {
        isInCell = true;
        if (text && !text.endsWith("\n")) text += " | ";
      }
    },
    text(part) {
      if (isText) text += part;
    },
    close(name) {
      if (name === "t") isText = false;
      else if (name === "tc") isInCell = false;
      else if (name === "tr" || (name === "p" && text && !isInCell)) text += "\n";
      else if (name === "sp" || name === "graphicFrame") end();
    },
  });
  // A title may be drawn after what it stands above.
  return found.toSorted((a, b) => Number(b.heading !== undefined) - Number(a.heading !== undefined));
}
