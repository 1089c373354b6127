/**
 * Documents in chunks: along headings and paragraphs, at most so many tokens each, what stands at the end of one again at the beginning of
 * the next.
 *
 *  1. A chunk never crosses a heading; the headings above it go with it as its path, not as its text.
 *  2. A chunk has at most `tokens` tokens, as OpenAI's o200k counts them. A paragraph is divided where it must be: between sentences, else
 *     between words, else anywhere.
 *  3. The overlap is whole sentences from the end of the chunk before, of the same heading, up to `overlap` of the tokens; words where
 *     the last sentence is longer.
 */
import { hash } from "node:crypto";
import { countText, unmargined } from "../money/tokens.ts";
import type { Block, Content } from "./content.ts";

export type ChunkOptions = {
  /** At most; 512. */
  readonly tokens: number;
  /** Part of the tokens that is repeated; 0.1. */
  readonly overlap: number;
};

export type Chunk = {
  /** The headings above it, the outermost first. */
  readonly headings: readonly string[];
  readonly page?: number;
  readonly line?: number;
  readonly text: string;
  readonly tokens: number;
  /** Of headings and text: chunks of one hash have the same vector. */
  readonly hash: string;
};

export const defaultChunk: ChunkOptions = { tokens: 512, overlap: 0.1 };

/** A sentence, or what had to be cut from one. `gap` stands before it where it does not begin a chunk. */
type Piece = { readonly text: string; readonly tokens: number; readonly gap: string; readonly page?: number; readonly line?: number };

const count = (text: string): number => countText(text, unmargined);

/** `loadTokenizer` was awaited: until then tokens are bytes. */
export function chunksOf({ blocks }: Content, options: ChunkOptions): Chunk[] {
  const chunks: Chunk[] = [];
  const path: { readonly level: number; readonly text: string }[] = [];
  let section: Piece[] = [];
  const end = (): void => {
    const headings = path.map(({ text }) => text);
    for (const pieces of assembled(section, options)) chunks.push(chunkOf(headings, pieces));
    section = [];
  };
  for (const block of blocks) {
    if (block.heading === undefined) {
      section.push(...piecesOf(block, options.tokens));
      continue;
    }
    end();
    while (path.length > 0 && (path.at(-1)?.level ?? 0) >= block.heading) path.pop();
    path.push({ level: block.heading, text: block.text.replace(/\s+/g, " ").slice(0, 200) });
  }
  end();
  return chunks;
}

const sentences = new Intl.Segmenter(undefined, { granularity: "sentence" });

function piecesOf({ text, page, line }: Block, limit: number): Piece[] {
  const place = { ...(page !== undefined && { page }), ...(line !== undefined && { line }) };
  const tokens = count(text);
  if (tokens <= limit / 10) return [{ text, tokens, gap: "\n\n", ...place }];
  let passed = 0;
  return [...sentences.segment(text)].flatMap(({ segment }, index) => {
    const at = line === undefined ? place : { ...place, line: line + passed };
    passed += segment.split("\n").length - 1;
    return divided(segment, limit).map((part, inner) => ({
      text: part,
      tokens: count(part),
      gap: index === 0 && inner === 0 ? "\n\n" : "",
      ...at,
    }));
  });
}

/** Halves, at a space where one is near, until each is short enough. */
function divided(text: string, limit: number): string[] {
  if (count(text) <= limit || text.length < 2) return [text];
  const middle = Math.ceil(text.length / 2);
  const space = text.lastIndexOf(" ", middle);
  let at = space > text.length / 4 ? space + 1 : middle;
  // Not between the two halves of a character.
  if (at === middle && /[\uDC00-\uDFFF]/.test(text[at] ?? "")) at--;
  return [...divided(text.slice(0, at), limit), ...divided(text.slice(at), limit)];
}

function assembled(pieces: readonly Piece[], { tokens: limit, overlap }: ChunkOptions): Piece[][] {
  const chunks: Piece[][] = [];
  let open: Piece[] = [];
  let size = 0;
  for (const piece of pieces) {
    if (size > 0 && size + costOf(piece) > limit) {
      chunks.push(open);
      open = tailOf(open, Math.min(limit * overlap, limit - costOf(piece)));
      size = open.reduce((sum, one) => sum + costOf(one), 0);
    }
    open.push(piece);
    size += costOf(piece);
  }
  if (open.length > 0) chunks.push(open);
  return chunks;
}

/** A gap is a token. */
const costOf = ({ tokens, gap }: Piece): number => tokens + (gap ? 1 : 0);

function tailOf(pieces: readonly Piece[], limit: number): Piece[] {
  const tail: Piece[] = [];
  let left = Math.floor(limit);
  for (const piece of pieces.toReversed()) {
    if (costOf(piece) > left) break;
    tail.unshift(piece);
    left -= costOf(piece);
  }
  const last = pieces.at(-1);
  if (tail.length > 0 || !last || left < 2) return tail;
  const words = last.text.split(/(?<=\s)/);
  let text = "";
  for (const word of words.toReversed()) {
    if (count(word + text) + 1 > left) break;
    text = word + text;
  }
  return text ? [{ ...last, text, tokens: count(text), gap: "" }] : [];
}

function chunkOf(headings: readonly string[], pieces: readonly Piece[]): Chunk {
  const [first] = pieces as [Piece];
  const text = pieces
    .map((piece, index) => (index === 0 ? piece.text : piece.gap + piece.text))
    .join("")
    .trim();
  return {
    headings,
    ...(first.page !== undefined && { page: first.page }),
    ...(first.line !== undefined && { line: first.line }),
    text,
    tokens: count(text),
    hash: hash("sha256", JSON.stringify([headings, text])),
  };
}
