/**
 * The contract of channels: they tell readers what a run's owner publishes. A channel holds no queue per reader: a reader is
 * a position, facts are read again from the store when the channel no longer has them, text from the open calls.
 */
import type { Fact } from "../protocol/events.ts";
import type { Json } from "../protocol/json.ts";

/** A call whose text is on its way. The owner appends; readers remember how far they have read. */
export type OpenCall = {
  readonly call: string;
  readonly for: "answer" | "internal";
  readonly actor: string;
  /** As sent: a surrogate pair is never split between two appends. */
  text: string;
  reasoning: string;
  /** The object so far, of a structured answer, and how often it has grown. */
  partial?: { readonly value: Json; readonly version: number };
};

/** What a channel knows of one run. */
export interface Topic {
  /** Seq of the last fact published here; 0 when nothing was. */
  readonly seq: number;
  readonly ended: boolean;
  /** Its owner is in this process: whatever happens to it is published here. */
  readonly live: boolean;
  /** Published facts with seq > `after`, or null when the channel has them no longer. */
  factsAfter(after: number): readonly Fact[] | null;
  readonly calls: ReadonlyMap<string, OpenCall>;
  /** Calls `wake` once, at the next publication or delta; the result takes it back. */
  wait(wake: () => void): () => void;
}

export interface Channel {
  publish(run: string, facts: readonly Fact[]): void;
  openCall(run: string, call: OpenCall): void;
  /** There is more text in an open call of this run. */
  nudge(run: string): void;
  /** The owner let go of the run (parked, lost the lease): its open calls are void. */
  release(run: string): void;
  /** Attaches a reader: the topic stays until `leave`. */
  join(run: string): Topic & { leave(): void };
}
