/**
 * The one interface to runs: what `createRuntime()` gives in process and `connect()` gives over the network.
 * A client is the runtime seen from afar.
 */
import type { AnswerBody, StartBody } from "./commands.ts";
import type { Event } from "./events.ts";
import type { Run } from "./run.ts";

export type StartOptions = { readonly idempotencyKey?: string };
export type EventsOptions = {
  /** A cursor; without one, from the run's start. */
  readonly after?: string;
  /** Also the deltas of internal calls (classifier, judge, summary). */
  readonly internal?: boolean;
};

/** Reads one run's events in order. It keeps a position and no queue: a slow reader costs nothing. */
export interface EventReader extends AsyncIterable<Event> {
  /** Waits for at least one event and gives all that is there, deltas merged; `null` after `run.finished` or `close()`. */
  read(): Promise<readonly Event[] | null>;
  /** The position after the last event given: `12/c3=140`. */
  cursor(): string;
  close(): void;
}

export interface RunHandle extends AsyncIterable<Event> {
  readonly id: string;
  /** The start joined a run that an earlier start with the same key had made. */
  readonly replayed: boolean;
  events(options?: EventsOptions): EventReader;
  /** The Run at its end, whatever its status. Rejects only when the run cannot be read. */
  result(): Promise<Run>;
  cancel(reason?: string): Promise<Run>;
  answer(answer: AnswerBody): Promise<Run>;
}

export interface Runs {
  /** Resolves when the run is durable. Throws an `EscapementError` when it is not accepted; then nothing was charged. */
  start(body: StartBody, options?: StartOptions): Promise<RunHandle>;
  /** A handle on a run that exists already; its methods fail with `not_found` where it does not. */
  run(id: string): RunHandle;
  get(id: string): Promise<Run>;
  close(): Promise<void>;
}
