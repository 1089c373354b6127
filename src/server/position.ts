/**
 * Follows the cursor event by event. The reader of a run knows only the position after a whole batch; each event of an event stream
 * needs its own as `id`.
 */
import { type Cursor, formatCursor, parseCursor, startOfRun } from "../protocol/cursor.ts";
import type { Event } from "../protocol/events.ts";

export class Position {
  #seq: number;
  readonly #calls: Map<string, number>;
  readonly #internal: boolean;

  /** `internal`: the reader also gets the text of internal calls. Throws `invalid_request` for what is no cursor. */
  constructor(after: string | undefined, internal: boolean) {
    const cursor: Cursor = after === undefined ? startOfRun : parseCursor(after);
    this.#internal = internal;
    this.#seq = cursor.seq;
    this.#calls = new Map(cursor.calls);
  }

  /** The last fact seen. */
  get seq(): number {
    return this.#seq;
  }

  /** The cursor after this event. */
  after(event: Event): string {
    if (event.type === "text.delta") {
      this.#calls.set(event.call, event.offset + event.text.length);
    } else if (event.type !== "reasoning.delta" && event.type !== "partial") {
      this.#seq = event.seq;
      // With its 0, a call that finishes before the reader comes back still owes its text.
      if (event.type === "call.started" && (this.#internal || event.for === "answer")) this.#calls.set(event.call, 0);
      else if (event.type === "call.finished") this.#calls.delete(event.call);
    }
    return formatCursor({ seq: this.#seq, calls: this.#calls });
  }
}
