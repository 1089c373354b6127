/**
 * Redaction of a text that comes in pieces: what may be the beginning of something is kept back until it is seen whole.
 *
 *  1. The pieces that come out, joined, are the text without what was found in it, however it was cut.
 *  2. At most {@link maxHeld} characters are kept back; of what is longer the beginning decides, and the rest of its run is dropped with it.
 */
import { maxBlock } from "./secret-shapes.ts";
import { masked, type Span } from "./spans.ts";

export interface RedactionStream {
  /** More text; what of it can be shown by now. */
  push(text: string): string;
  /** The rest. */
  end(): string;
}

/** A word, and what may stand before it in a number, an IBAN or behind the name of a secret. */
const words = 96;
const maxWord = 4 * 1024;
const maxHeld = maxBlock + maxWord;
/** What was let go is still looked at, for what it says about what follows (`tel.`, `password:`). */
const context = 64;

/** `find` gives the spans of a text in order; `longest`: of what has no shape, the longest. */
export function redactionStream(find: (text: string) => readonly Span[], longest: number): RedactionStream {
  let before = "";
  let held = "";
  /** In the middle of something too long to keep: its run of characters is dropped. */
  let dropping = false;

  const dropped = (text: string): string => {
    if (!dropping) return text;
    const end = text.search(/[^A-Za-z0-9_\-.~+/=%*]/);
    if (end === -1) return "";
    dropping = false;
    return text.slice(end);
  };

  const release = (isEnd: boolean): string => {
    const text = before + held;
    const spans = find(text);
    const to = isEnd ? text.length : settled(text, spans, before.length, Math.max(words, longest));
    const shown = masked(text, spans, before.length, to);
    // What is cut off at its hold's end goes on in what comes next.
    dropping = !isEnd && spans.some(({ start, end }) => start < to && end >= text.length);
    const until = dropping ? text.length : Math.max(to, ...spans.filter(({ start }) => start < to).map(({ end }) => end));
    held = text.slice(until);
    before = text.slice(Math.max(0, until - context), until);
    return shown;
  };

  return {
    push(text) {
      const more = dropped(text);
      if (more === "") return "";
      held += more;
      return release(false);
    },
    end: () => release(true),
  };
}

/** Up to where nothing can change any more, whatever comes. */
function settled(text: string, spans: readonly Span[], from: number, window: number): number {
  let to = text.length - window;
  // A word is not cut.
  let start = to;
  while (start > from && to - start < maxWord && !/\s/.test(text[start - 1] as string)) start--;
  if (to - start < maxWord) to = start;
  // A private key lasts until its end.
  const block = text.lastIndexOf("-----BEGIN");
  if (block !== -1 && !text.includes("-----END", block) && text.length - block < maxBlock) to = Math.min(to, block);
  // What reaches to where it may go on is kept, unless too much is kept already.
  for (const span of spans) if (span.start < to && span.end > to && text.length - span.start < maxHeld) to = span.start;
  return Math.max(from, to);
}
