/**
 * One run on one socket: moves events from the run's reader to the socket's outbox. Owns the reader and keeps no queue of its own
 * beside the batch it is sending: it reads only while the socket has room, and the reader merges or re-reads what came meanwhile.
 */
import type { EventReader } from "../protocol/runs.ts";
import type { Outbox } from "./outbox.ts";

export type SubscriptionEnd = { readonly why: "finished" | "closed" } | { readonly why: "failed"; readonly error: unknown };

export class Subscription {
  readonly run: string;
  readonly #reader: EventReader;
  readonly #outbox: Outbox;
  #closed = false;

  constructor(run: string, reader: EventReader, outbox: Outbox) {
    this.run = run;
    this.#reader = reader;
    this.#outbox = outbox;
  }

  /** Sends until the run has finished, the reader ends or `close()`; never rejects. */
  async pump(): Promise<SubscriptionEnd> {
    try {
      while (!this.#closed) {
        const events = await this.#reader.read();
        if (events === null || this.#closed) break;
        for (const event of events) {
          if (!this.#outbox.hasRoom) await this.#outbox.room();
          if (this.#closed) return { why: "closed" };
          this.#outbox.event(event);
          if (event.type === "run.finished") return { why: "finished" };
        }
        if (!this.#outbox.hasRoom) await this.#outbox.room();
      }
      // A reader that ends unasked has nothing left to show: its run has finished.
      return { why: this.#closed ? "closed" : "finished" };
    } catch (error) {
      return { why: "failed", error };
    } finally {
      this.#reader.close();
    }
  }

  /** No event is sent after this returns. */
  close(): void {
    this.#closed = true;
    this.#reader.close();
  }
}
