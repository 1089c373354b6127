/**
 * What a document says, whatever its format: blocks in their order. Owns the types and the bounds that every format keeps; the formats
 * are in `formats/`.
 *
 *  1. A reader throws {@link UnreadableDocument} with a reason for people, or gives what there is; it never gives a part in silence.
 *  2. No document makes more than the bounds below, however small its file is.
 */
export type Block = {
  readonly text: string;
  /** 1 to 6: the block is a heading, and what follows belongs to it. */
  readonly heading?: number;
  /** From 1: a page, or a slide. */
  readonly page?: number;
  /** From 1: a line of the file, in formats that have lines. */
  readonly line?: number;
};

export type Content = { readonly title?: string | undefined; readonly blocks: readonly Block[] };

/** Gives what a file's bytes say. */
export type Format = (bytes: Uint8Array) => Content | Promise<Content>;

export class UnreadableDocument extends Error {
  override name = "UnreadableDocument";
}

/** Of a file. */
export const maxFileBytes = 32 * 1024 * 1024;
/** Of what a file's parts unpack to: a document of a million words has about 30 MB of XML. */
export const maxUnpackedBytes = 128 * 1024 * 1024;
/** Pages of a PDF, slides of a presentation. */
export const maxPages = 2_000;
/** Characters of text. */
export const maxCharacters = 8_000_000;
/** Of markup. */
const maxDepth = 5_000;

/** UTF-8, or UTF-16 where the file says so by its first bytes; what is neither is no text. */
export function decoded(bytes: Uint8Array): string {
  const [a, b] = bytes;
  const encoding = a === 0xff && b === 0xfe ? "utf-16le" : a === 0xfe && b === 0xff ? "utf-16be" : "utf-8";
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    // What older Windows programs wrote; every byte is a character of it.
    text = new TextDecoder("windows-1252").decode(bytes);
  }
  if (text.includes("\0")) throw new UnreadableDocument("it is no text");
  return text;
}

/** Blocks as they are found, within the bounds. */
export class Blocks {
  readonly found: Block[] = [];
  #characters = 0;

  add(block: Block): void {
    const text = block.text.trim();
    if (!text) return;
    this.#characters += text.length;
    if (this.#characters > maxCharacters) throw new UnreadableDocument(`it has more than ${maxCharacters} characters of text; split it`);
    this.found.push({ ...block, text });
  }
}

/** How deep markup is nested: a parser takes the square of it. */
export class Depth {
  #depth = 0;

  open(): void {
    if (++this.#depth > maxDepth) throw new UnreadableDocument(`its markup is nested more than ${maxDepth} deep`);
  }

  close(): void {
    this.#depth--;
  }
}

export const firstHeading = (blocks: readonly Block[]): string | undefined => blocks.find(({ heading }) => heading !== undefined)?.text;
