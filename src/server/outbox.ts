/**
 * The way out of one WebSocket. Owns the order and batching of what is written and knows how much the client has not taken yet;
 * the subscription decides whether to write.
 *
 * Invariants:
 *  1. What is sent in one turn of the event loop leaves in one write: the socket is corked at the first frame and uncorked when the
 *     loop has dealt with its input.
 *  2. Frames go to the socket whole and in order. Events are framed once for all clients and written past `ws`; that is sound because
 *     without compression `ws` never queues, so both write to the same socket in the order of the calls.
 *  3. Nothing is written after the closing handshake began.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { Event } from "../protocol/events.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import { eventFrame, textFrame } from "./event-text.ts";

/** As much of libuv's stream as is needed to see a write that is only partly done; Node's own idle timer looks at the same field. */
type WithHandle = { readonly _handle?: { readonly writeQueueSize?: number } | null };

export class Outbox {
  readonly #ws: WebSocket;
  readonly #raw: Duplex;
  readonly #unsentBytes: number;
  #corked = false;
  #written = 0;
  #waiting: (() => void)[] = [];

  /** `unsentBytes` must be above the socket's high-water mark (64 KiB), or no drain would be heard. */
  constructor(ws: WebSocket, raw: Duplex, unsentBytes: number) {
    this.#ws = ws;
    this.#raw = raw;
    this.#unsentBytes = unsentBytes;
    raw.on("drain", () => this.#wake());
    raw.on("close", () => this.#wake());
  }

  send(frame: ServerFrame): void {
    this.#write(textFrame(JSON.stringify(frame)));
  }

  event(event: Event): void {
    this.#write(eventFrame(event));
  }

  /** Whether more events may be added now. True once the socket is closed: then they go nowhere. */
  get hasRoom(): boolean {
    return this.#ws.readyState !== this.#ws.OPEN || this.#raw.writableLength < this.#unsentBytes;
  }

  /** Resolves when there is room, or the socket is closed. */
  async room(): Promise<void> {
    while (!this.hasRoom) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  get unsent(): number {
    return this.#raw.writableLength;
  }

  /** Changes whenever the client takes something, be it a part of one large write. */
  get taken(): string {
    // The field is Node's own and may be missing on other streams; then only whole writes are seen.
    const inFlight = (this.#raw as WithHandle)._handle?.writeQueueSize ?? 0;
    return `${this.#written - this.#raw.writableLength}:${inFlight}`;
  }

  #write(frame: Buffer): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#raw.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#raw.uncork();
      });
    }
    this.#written += frame.byteLength;
    this.#raw.write(frame);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
