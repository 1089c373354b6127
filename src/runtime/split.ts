/**
 * Cuts a text into chunks of at most so many tokens, at the ends of paragraphs where it can, else of sentences, else of words.
 *
 *  1. Chunks in order, each without the overlap at its beginning, give the text back, byte for byte.
 *  2. No chunk counts more than `tokens`; a single word that does is cut within. No surrogate pair is cut.
 */
import { EscapementError } from "../protocol/errors.ts";

/** More would be a list that nobody maps. */
const maxChunks = 20_000;

/** `count`: tokens of a text, an upper bound. `tokens` above `overlap` ≥ 0. */
export function splitText(text: string, tokens: number, overlap: number, count: (text: string) => number): readonly string[] {
  const room = tokens - overlap;
  if (room < 1) throw new EscapementError("invalid_request", `an overlap of ${overlap} leaves no room in chunks of ${tokens} tokens`);
  if (text.trim() === "") return [];
  const pieces = piecesOf(text, room, count, 0);
  const bodies: string[] = [];
  let body = "";
  let size = 0;
  for (const piece of pieces) {
    // Tokens of joined pieces are at most the sum of theirs, one more for a merge that is lost.
    const more = count(piece) + 1;
    if (body !== "" && size + more > room) {
      bodies.push(body);
      if (bodies.length >= maxChunks)
        throw new EscapementError("too_large", `the text gives more than ${maxChunks} chunks; make chunks larger`);
      body = "";
      size = 0;
    }
    body += piece;
    size += more;
  }
  if (body !== "") bodies.push(body);
  return bodies.map((own, i) => (i === 0 || overlap === 0 ? own : tailOf(bodies[i - 1] as string, overlap, count) + own));
}

const boundaries = [/(?<=\n\s*\n)/, /(?<=[.!?…。！？]["'”’)\]]*\s)/u, /(?<=\s)/] as const;

function piecesOf(text: string, room: number, count: (text: string) => number, level: number): readonly string[] {
  const boundary = boundaries[level];
  if (!boundary) return count(text) < room ? [text] : halves(text, room, count);
  return text.split(boundary).flatMap((piece) => (count(piece) < room ? [piece] : piecesOf(piece, room, count, level + 1)));
}

function halves(text: string, room: number, count: (text: string) => number): readonly string[] {
  if (text.length < 2 || count(text) < room) return [text];
  const middle = text.length >> 1;
  const at = isLow(text, middle) ? middle + 1 : middle;
  if (at >= text.length) return [text];
  return [...halves(text.slice(0, at), room, count), ...halves(text.slice(at), room, count)];
}

/** The end of a text, from a word on, of at most so many tokens. */
function tailOf(text: string, tokens: number, count: (text: string) => number): string {
  const words = text.split(/(?<=\s)/);
  let from = words.length;
  let size = 0;
  for (; from > 0; from--) {
    size += count(words[from - 1] as string) + 1;
    if (size > tokens) break;
  }
  return words.slice(from).join("");
}

const isLow = (text: string, index: number): boolean => {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit <= 0xdfff;
};
