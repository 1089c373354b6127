/**
 * Cuts a text into chunks of at most so many tokens, at the ends of paragraphs where it can, else of sentences, else of words.
 *
 *  1. Chunks in order, each without the overlap at its beginning, give the text back, byte for byte.
 *  2. No chunk counts more than `tokens`; a single word that does is cut within. No surrogate pair is cut.
 *  3. Time grows with the text, whatever it is made of: it may be a model's.
 */
import { countText, unmargined } from "../money/tokens.ts";
import { EscapementError } from "../protocol/errors.ts";

/** More would be a list that nobody maps. */
const maxChunks = 20_000;

/** By the vocabulary of OpenAI's models; until `loadTokenizer` has resolved, bytes are tokens. */
export const countTokens = (text: string): number => countText(text, unmargined);

/** `isCut`: it goes on within a word that was cut, and joined the two may count more than their sum. */
type Piece = { readonly text: string; readonly size: number; readonly isCut?: boolean };
const pieceOf = (text: string): Piece => ({ text, size: countTokens(text) });

/** `tokens` above `overlap` ≥ 0. */
export function splitText(text: string, tokens: number, overlap: number): readonly string[] {
  const room = tokens - overlap;
  if (room < 1) throw new EscapementError("invalid_request", `an overlap of ${overlap} leaves no room in chunks of ${tokens} tokens`);
  if (text.trim() === "") return [];
  const bodies: string[] = [];
  let body = "";
  let size = 0;
  for (const piece of piecesOf(pieceOf(text), room, 0)) {
    // Tokens of joined pieces are at most the sum of theirs, one more for a merge that is lost.
    const more = piece.size + 1;
    if (body !== "" && (size + more > room || piece.isCut)) {
      bodies.push(body);
      if (bodies.length >= maxChunks)
        throw new EscapementError("too_large", `the text gives more than ${maxChunks} chunks; make chunks larger`);
      body = "";
      size = 0;
    }
    body += piece.text;
    size += more;
  }
  if (body !== "") bodies.push(body);
  return bodies.map((own, i) => (i === 0 || overlap === 0 ? own : tailOf(bodies[i - 1] as string, overlap) + own));
}

/** Behind each of them stands one run of characters at most, and it is read back once. */
const boundaries = [/(?<=\n[^\S\n]*\n)/, /(?<=[.!?…。！？]["'”’)\]]*\s)/u, /(?<=\s)/] as const;

function piecesOf(piece: Piece, room: number, level: number): readonly Piece[] {
  if (piece.size < room) return [piece];
  const boundary = boundaries[level];
  if (!boundary) return halves(piece, room);
  const inner = piece.text.split(boundary);
  // What has no such boundary was counted already.
  return inner.length === 1 ? piecesOf(piece, room, level + 1) : inner.flatMap((text) => piecesOf(pieceOf(text), room, level + 1));
}

function halves(piece: Piece, room: number): readonly Piece[] {
  const { text, size } = piece;
  if (text.length < 2 || size < room) return [piece];
  const middle = text.length >> 1;
  const at = isLow(text, middle) ? middle + 1 : middle;
  if (at >= text.length) return [piece];
  const first = halves({ ...pieceOf(text.slice(0, at)), isCut: piece.isCut ?? false }, room);
  return [...first, ...halves({ ...pieceOf(text.slice(at)), isCut: true }, room)];
}

/** The end of a text, from a word on, of at most so many tokens. */
function tailOf(text: string, tokens: number): string {
  const words = text.split(/(?<=\s)/);
  let from = words.length;
  let size = 0;
  for (; from > 0; from--) {
    size += countTokens(words[from - 1] as string) + 1;
    if (size > tokens) break;
  }
  return words.slice(from).join("");
}

const isLow = (text: string, index: number): boolean => {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit <= 0xdfff;
};
