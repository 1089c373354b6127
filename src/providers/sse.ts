/**
 * A parser of server-sent events (WHATWG HTML, 9.2) for the data callback of a socket.
 *
 * Owns lines, events and UTF-8 across any split of the bytes. What an event means is the handler's matter.
 * Tolerated beyond the standard: an event whose last line is complete but whose blank line is missing at a clean end (`end`).
 * `id` and `retry` are ignored: a provider's stream cannot be resumed.
 */
import { StringDecoder } from "node:string_decoder";

/** Characters of one event at most, as it is held in memory. */
export const maxEventLength = 8 * 1024 * 1024;

export interface SseHandler {
  /** `data` lines are joined by a line feed. Return false to hear no more. */
  event(data: string): boolean;
  /** The event is larger than `maxEventLength`: nothing more will be parsed. */
  overflow(): void;
}

const lineFeed = 10;
const colon = 58;
const space = 32;
const byteOrderMark = 0xfeff;

export class SseParser {
  readonly #handler: SseHandler;
  readonly #limit: number;
  /** Made when a chunk ends within a character; most end with a line feed. */
  #decoder: StringDecoder | undefined;
  /** The line that the next chunk goes on with. Only appended to, so V8 keeps it as a rope and a long event costs no copies. */
  #rest = "";
  #data: string | undefined;
  /** The last chunk ended with CR: a following LF belongs to it. */
  #afterReturn = false;
  #started = false;
  #stopped = false;

  constructor(handler: SseHandler, limit: number = maxEventLength) {
    this.#handler = handler;
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    if (this.#stopped || chunk.length === 0) return;
    if (this.#decoder === undefined && chunk[chunk.length - 1]! < 0x80) this.#parse(chunk.toString("utf8"));
    else {
      this.#decoder ??= new StringDecoder("utf8");
      this.#parse(this.#decoder.write(chunk));
    }
  }

  /** The body ended cleanly. */
  end(): void {
    if (this.#stopped) return;
    if (this.#decoder) this.#rest += this.#decoder.end();
    const rest = this.#rest;
    this.#rest = "";
    if (rest !== "") this.#line(rest, 0, rest.length);
    if (this.#data !== undefined) this.#dispatch();
    this.#stopped = true;
  }

  #parse(text: string): void {
    let start = 0;
    if (!this.#started && text.length > 0) {
      this.#started = true;
      if (text.charCodeAt(0) === byteOrderMark) start = 1;
    }
    if (this.#afterReturn && text.length > start) {
      this.#afterReturn = false;
      if (text.charCodeAt(start) === lineFeed) start++;
    }
    let feed = text.indexOf("\n", start);
    let back = text.indexOf("\r", start);
    while (feed !== -1 || back !== -1) {
      let end = feed;
      let next = feed + 1;
      if (back !== -1 && (feed === -1 || back < feed)) {
        end = back;
        next = back + 1;
        if (feed === next) next++;
        else if (next === text.length) this.#afterReturn = true;
      }
      if (this.#rest === "") this.#line(text, start, end);
      else {
        const line = this.#rest + text.slice(start, end);
        this.#rest = "";
        this.#line(line, 0, line.length);
      }
      if (this.#stopped) return;
      start = next;
      if (feed !== -1 && feed < start) feed = text.indexOf("\n", start);
      if (back !== -1 && back < start) back = text.indexOf("\r", start);
    }
    if (start < text.length) {
      this.#rest += start === 0 ? text : text.slice(start);
      this.#check(this.#rest.length);
    }
  }

  /** One line, without its end: `text` from `start` to `end`. */
  #line(text: string, start: number, end: number): void {
    if (start === end) {
      if (this.#data !== undefined) this.#dispatch();
      return;
    }
    // Only `data` matters: comments, `event` (each wire repeats it in its data), `id`, `retry` and unknown fields do not.
    if (!text.startsWith("data", start)) return;
    let from = start + 4;
    if (from < end) {
      if (text.charCodeAt(from) !== colon) return;
      from++;
      if (from < end && text.charCodeAt(from) === space) from++;
    }
    const value = text.slice(from, end);
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    this.#check(0);
  }

  #dispatch(): void {
    const data = this.#data!;
    this.#data = undefined;
    if (!this.#handler.event(data)) this.#stopped = true;
  }

  #check(rest: number): void {
    if (rest + (this.#data?.length ?? 0) <= this.#limit) return;
    this.#stopped = true;
    this.#rest = "";
    this.#data = undefined;
    this.#handler.overflow();
  }
}
