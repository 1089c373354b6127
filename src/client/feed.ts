/**
 * One run on the client's socket. The server keeps one subscription a run and socket, so all readers of the run share it: it begins at
 * the earliest of them, and each takes what is new to it.
 *
 * Invariants:
 *  1. A reader gets events only after the `ok` of a subscription that began at or before its position.
 *  2. Of a lost connection nothing is left but the readers; every one of them joins anew by its own position.
 *  3. Without readers there is no subscription.
 */
import type { Event } from "../protocol/events.ts";
import type { Commands, Ok } from "./commands.ts";
import { hasEnded } from "./ends.ts";
import type { EscapementError } from "./error.ts";
import { formatCursor } from "./position.ts";
import type { Reader } from "./reader.ts";

export type FeedOwner = {
  readonly commands: Commands;
  isOpen(): boolean;
  want(): void;
  /** Whether nothing of the run comes after this cursor. */
  isAtEnd(run: string, cursor: string): Promise<boolean>;
  /** The feed has no readers left. */
  empty(feed: Feed): void;
};

export class Feed {
  readonly run: string;
  readonly #owner: FeedOwner;
  /** False: joined, but the subscription that serves it is not there yet. */
  readonly #readers = new Map<Reader, boolean>();
  #subscribed = false;
  #internal = false;
  #asking = false;
  #askAgain = false;

  constructor(run: string, owner: FeedOwner) {
    this.run = run;
    this.#owner = owner;
  }

  /** Puts a reader on by its position. */
  join(reader: Reader): void {
    this.#readers.set(reader, false);
    this.#ask();
  }

  /** Puts a reader on that begins where a subscription just made by a start begins. */
  adopt(reader: Reader): void {
    for (const other of this.#readers.keys()) other.arrived.owe();
    this.#readers.set(reader, true);
    this.#subscribed = true;
    this.#internal = false;
    // The start's subscription has replaced one that served internal readers.
    if ([...this.#readers.keys()].some(({ internal }) => internal)) this.#ask();
  }

  /** Puts a reader on that begins at {@link liveCursor}. */
  attach(reader: Reader): void {
    this.#readers.set(reader, true);
  }

  /** Where the subscription is now, as one of its readers has it; `undefined` when there is none. */
  liveCursor(): string | undefined {
    for (const [reader, active] of this.#readers) if (active) return reader.arrived.cursor();
    return undefined;
  }

  leave(reader: Reader): void {
    // While a subscription is on its way, it is ended when it is there; a newer feed of the run could not tell the two apart.
    if (this.#readers.delete(reader) && !this.#asking) this.#endIfEmpty();
  }

  event(event: Event): void {
    // A subscription is over with its run.
    if (event.type === "run.finished") this.#subscribed = false;
    for (const [reader, active] of [...this.#readers]) {
      if (active && !reader.take(event, this.#internal && !reader.internal)) this.join(reader);
    }
    if (event.type === "run.finished" && this.#readers.size > 0 && !this.#asking) this.#ask();
  }

  opened(): void {
    this.#asking = false;
    this.#askAgain = false;
    if (this.#readers.size > 0) this.#ask();
  }

  lost(): void {
    this.#subscribed = false;
    this.#asking = false;
    for (const reader of this.#readers.keys()) this.#readers.set(reader, false);
    this.#endIfEmpty();
  }

  /** The server ended the subscription, or refused it. */
  failed(error: EscapementError): void {
    this.#subscribed = false;
    if (error.code === "unavailable") {
      for (const reader of this.#readers.keys()) this.#readers.set(reader, false);
      const delay = error.body.retry_after_ms ?? 1_000;
      setTimeout(() => this.#readers.size > 0 && this.#ask(), delay * (1 + Math.random()));
    } else {
      for (const reader of [...this.#readers.keys()]) reader.fail(error);
    }
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    if (this.#readers.size > 0) return;
    if (this.#subscribed && this.#owner.isOpen()) {
      this.#owner.commands.tell({ type: "unsubscribe", run: this.run }, ignore, ignore);
    }
    this.#subscribed = false;
    this.#owner.empty(this);
  }

  #ask(): void {
    if (!this.#owner.isOpen()) {
      this.#owner.want();
      return;
    }
    if (this.#asking) {
      this.#askAgain = true;
      return;
    }
    this.#asking = true;
    const readers = [...this.#readers.keys()];
    const after = earliest(readers);
    const internal = readers.some((reader) => reader.internal);
    this.#owner.commands.tell(
      { type: "subscribe", run: this.run, ...(after === undefined ? {} : { after }), ...(internal ? { internal } : {}) },
      (ok) => this.#begun(readers, internal, ok),
      (error) => {
        this.#asking = false;
        this.failed(error);
      },
    );
  }

  #begun(readers: readonly Reader[], internal: boolean, ok: Ok): void {
    this.#asking = false;
    this.#subscribed = true;
    this.#internal = internal;
    for (const reader of readers) {
      if (!this.#readers.has(reader)) continue;
      reader.arrived.owe();
      this.#readers.set(reader, true);
    }
    if (this.#readers.size === 0) {
      this.#endIfEmpty();
    } else if (this.#askAgain) {
      this.#askAgain = false;
      this.#ask();
    } else if (ok.status !== undefined && hasEnded(ok.status)) {
      // A reader that begins at the end of a run gets no event that would tell it.
      for (const reader of readers) void this.#finishAtEnd(reader);
    }
  }

  async #finishAtEnd(reader: Reader): Promise<void> {
    const cursor = reader.arrived.cursor();
    const atEnd = await this.#owner.isAtEnd(this.run, cursor).catch(() => false);
    if (atEnd && this.#readers.has(reader) && reader.arrived.cursor() === cursor) reader.finish();
  }
}

/**
 * The position from which every reader gets all it lacks. Offsets only of calls that the earliest know: of others the text comes whole,
 * or with `call.finished`, and each reader cuts what it has.
 */
function earliest(readers: readonly Reader[]): string | undefined {
  const seq = Math.min(...readers.map(({ arrived }) => arrived.seq));
  const texts = new Map<string, number>();
  for (const { arrived } of readers) {
    if (arrived.seq !== seq) continue;
    for (const [call, offset] of arrived.texts) texts.set(call, Math.min(offset, texts.get(call) ?? offset));
  }
  return seq === 0 ? undefined : formatCursor(seq, texts);
}

function ignore(): void {}
