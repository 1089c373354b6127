/**
 * One consumer of a run's events. Takes from the run's feed what is new to it, merges deltas, and holds a bounded number of events: a
 * consumer that falls further behind is taken off the feed and put back, by its cursor, when it has read what is here.
 *
 * Invariants:
 *  1. What `read()` gives is in order, without gap and without repetition, across every reconnect.
 *  2. At most `maxEvents` events wait here (and the text of the calls among them).
 *  3. `cursor()` is behind the last event given, not the last that arrived.
 */
import type { Event } from "../protocol/events.ts";
import type { EventReader } from "../protocol/runs.ts";
import type { EscapementError } from "./error.ts";
import { Position } from "./position.ts";

/** What a reader needs of whoever made it. */
export type ReaderOwner = {
  /** Put the reader on its run's feed. */
  join(reader: Reader): void;
  leave(reader: Reader): void;
};

export class Reader implements EventReader {
  readonly run: string;
  readonly internal: boolean;
  readonly #owner: ReaderOwner;
  readonly #maxEvents: number;
  /** Behind what arrived. */
  readonly arrived: Position;
  /** Behind what was given. */
  readonly #given: Position;
  #waiting: Event[] = [];
  /** Off the feed until the consumer has caught up. */
  #behind = false;
  /** The run's last event has arrived. */
  #complete = false;
  #closed = false;
  #error: EscapementError | undefined;
  #wake: (() => void)[] = [];

  constructor(run: string, owner: ReaderOwner, options: { after?: string | undefined; internal: boolean; maxEvents: number }) {
    this.run = run;
    this.internal = options.internal;
    this.#owner = owner;
    this.#maxEvents = options.maxEvents;
    this.arrived = new Position(options.after, options.internal);
    this.#given = new Position(options.after, options.internal);
  }

  async read(): Promise<readonly Event[] | null> {
    for (;;) {
      if (this.#closed) return null;
      if (this.#waiting.length > 0) {
        const events = this.#waiting;
        this.#waiting = [];
        for (const event of events) this.#given.pass(event);
        return events;
      }
      if (this.#complete) return null;
      if (this.#error) throw this.#error;
      if (this.#behind) {
        this.#behind = false;
        this.#owner.join(this);
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  cursor(): string {
    return this.#given.cursor();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#owner.leave(this);
    this.#wakeUp();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    try {
      for (let events = await this.read(); events !== null; events = await this.read()) yield* events;
    } finally {
      this.close();
    }
  }

  /** From the feed. False: something before this event is missing, and the reader has to be put on again by its cursor. */
  take(event: Event, mixed: boolean): boolean {
    const events = this.arrived.advance(event, mixed);
    if (events === null) return false;
    if (events.length === 0) return true;
    for (const fresh of events) this.#add(fresh);
    if (event.type === "run.finished") this.finish();
    else if (this.#waiting.length >= this.#maxEvents) {
      this.#behind = true;
      this.#owner.leave(this);
    }
    this.#wakeUp();
    return true;
  }

  /** Nothing more will come. */
  finish(): void {
    this.#complete = true;
    this.#owner.leave(this);
    this.#wakeUp();
  }

  /** Told by `read()` once the events before it are given. */
  fail(error: EscapementError): void {
    this.#error = error;
    this.#owner.leave(this);
    this.#wakeUp();
  }

  #add(event: Event): void {
    const last = this.#waiting.at(-1);
    if (
      last !== undefined &&
      (event.type === "text.delta" || event.type === "reasoning.delta") &&
      last.type === event.type &&
      last.call === event.call
    ) {
      this.#waiting[this.#waiting.length - 1] = { ...last, text: last.text + event.text };
    } else {
      this.#waiting.push(event);
    }
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}
