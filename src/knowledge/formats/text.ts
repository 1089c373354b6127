/** Plain text: paragraphs are between empty lines. */
import { Blocks, type Content, decoded } from "../content.ts";

export function readText(bytes: Uint8Array): Content {
  const blocks = new Blocks();
  let line = 1;
  // Each second part is the empty lines after a paragraph.
  for (const part of decoded(bytes).split(/((?:[^\S\n]*\r?\n){2,})/)) {
    blocks.add({ text: part, line: line + newlines(/^\s*/.exec(part)?.[0] ?? "") });
    line += newlines(part);
  }
  return { blocks: blocks.found };
}

const newlines = (text: string): number => text.split("\n").length - 1;
