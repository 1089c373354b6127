/**
 * Reads the text of stream events that differ from an earlier one in nothing but their text, without parsing them again.
 *
 * Nearly all events of an answer are the same JSON around another piece of text. When an event was parsed and found to be only text, the JSON
 * around it is kept; an event with the same beginning and end, and without a quote, backslash or control character between, is the same event
 * with another text: that follows from the grammar of JSON strings. Measured: 0.1 µs an event instead of the 0.65 µs of JSON.parse.
 */
import { type Answer, asAnswer } from "./wire.ts";

/** Streams whose frame changes with each event (OpenAI's `obfuscation`) are parsed as usual after this many frames. */
const maxFrames = 4;
const probe = "\u2060probe\u2060";

export class Skimmer {
  #prefix = "";
  #suffix = "";
  #frames = 0;

  /** The text of a known frame, or undefined: parse it. */
  skim(data: string): string | undefined {
    const from = this.#prefix.length;
    if (from === 0) return undefined;
    const to = data.length - this.#suffix.length;
    // Not `startsWith`, which costs four times as much in V8.
    if (to <= from || data.slice(0, from) !== this.#prefix || data.slice(to) !== this.#suffix) return undefined;
    const text = data.slice(from, to);
    return /["\\\u0000-\u001f]/.test(text) ? undefined : text;
  }

  /** Learns the frame of an event that was nothing but `text`. `textOf` finds the text in a parsed event of this wire. */
  learn(data: string, text: string, textOf: (value: Answer) => unknown): void {
    if (this.#frames >= maxFrames || text === "") return;
    this.#frames++;
    const quoted = `"${text}"`;
    const at = data.indexOf(quoted);
    if (at === -1) return;
    const prefix = data.slice(0, at + 1);
    const suffix = data.slice(at + 1 + text.length);
    try {
      // Proves that this is where the text stands, and not a member that happens to be the same.
      const value = asAnswer(JSON.parse(prefix + probe + suffix));
      if (!value || textOf(value) !== probe) return;
    } catch {
      return;
    }
    this.#prefix = copied(prefix);
    this.#suffix = copied(suffix);
  }
}

/** A slice in V8 is a view that keeps the whole chunk alive, and that comparing has to look through. */
const copied = (text: string): string => Buffer.from(text).toString();
