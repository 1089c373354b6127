/** A run on the server, seen from the client. */
import type { AnswerBody } from "../protocol/commands.ts";
import type { Event } from "../protocol/events.ts";
import type { Run } from "../protocol/run.ts";
import type { EventReader, EventsOptions, RunHandle } from "../protocol/runs.ts";

/** What a handle needs of its client. */
export type RemoteRunOwner = {
  read(run: string, options: EventsOptions): EventReader;
  /** The Run at its end. */
  result(run: string): Promise<Run>;
  cancel(run: string, reason: string | undefined): Promise<Run>;
  answer(run: string, answer: AnswerBody): Promise<Run>;
};

export class RemoteRun implements RunHandle {
  readonly id: string;
  readonly replayed: boolean;
  readonly #owner: RemoteRunOwner;
  /** Reads from the run's start since the start was answered; for the first who wants that. */
  #first: EventReader | undefined;

  constructor(id: string, owner: RemoteRunOwner, started?: { readonly replayed: boolean; readonly first: EventReader }) {
    this.id = id;
    this.#owner = owner;
    this.replayed = started?.replayed ?? false;
    this.#first = started?.first;
  }

  events(options: EventsOptions = {}): EventReader {
    const first = this.#first;
    if (first === undefined || options.after !== undefined || options.internal) return this.#owner.read(this.id, options);
    this.#first = undefined;
    return first;
  }

  result(): Promise<Run> {
    return this.#owner.result(this.id);
  }

  cancel(reason?: string): Promise<Run> {
    return this.#owner.cancel(this.id, reason);
  }

  answer(answer: AnswerBody): Promise<Run> {
    return this.#owner.answer(this.id, answer);
  }

  [Symbol.asyncIterator](): AsyncIterator<Event> {
    return this.events()[Symbol.asyncIterator]();
  }
}
