/**
 * Follows the cursor event by event. The reader of a run knows only the position after a whole batch; each event of an event stream
 * needs its own as `id`.
 */
import { type Cursor, formatCursor, parseCursor, startOfRun } from "../protocol/cursor.ts";
import type { Event } from "../protocol/events.ts";

export class Position {
  #seq: number;
  readonly #calls: Map<string, number>;

  /** Throws `invalid_request` for what is no cursor. */
  constructor(after: string | undefined) {
    const cursor: Cursor = after === undefined ? startOfRun : parseCursor(after);
    this.#seq = cursor.seq;
    this.#calls = new Map(cursor.calls);
  }

  /** The cursor after this event. */
  after(event: Event): string {
    if (event.type === "text.delta") {
      this.#calls.set(event.call, event.offset + event.text.length);
    } else if (event.type !== "reasoning.delta" && event.type !== "partial") {
      this.#seq = event.seq;
      if (event.type === "call.finished") this.#calls.delete(event.call);
    }
    return formatCursor({ seq: this.#seq, calls: this.#calls });
  }
}
