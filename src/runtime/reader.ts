/**
 * Reads one run's events: a position, and no queue. What is there is read when it is asked for, so that a slow reader holds
 * nothing up and deltas merge by themselves. Facts come from the channel while it has them, else from the store.
 *
 *  1. Facts in order, without gap, each once.
 *  2. All deltas of a call come before its `call.finished`, and joined they are its text; of a call that was finished
 *     before the reader came, and of which its cursor says nothing, only `call.finished`.
 */
import type { Channel } from "../channels/channel.ts";
import { type Cursor, formatCursor, parseCursor, startOfRun } from "../protocol/cursor.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Event, Fact } from "../protocol/events.ts";
import type { EventReader, EventsOptions } from "../protocol/runs.ts";
import type { RunRecord, Store } from "../stores/store.ts";
import { factOf } from "./facts.ts";
import type { Scheduler } from "./scheduler.ts";

/** Facts read from the store at once. */
const page = 256;
/** How often a run that lives in another process is looked at. */
const pollMs = 1_000;

const none: readonly Fact[] = [];

export type ReadingDeps = {
  readonly store: Store;
  readonly channel: Channel;
  readonly scheduler: Scheduler;
  /** Keeps the process alive until the result is called: who waits for an event is not ended by the wait. */
  readonly hold: () => () => void;
};

type Following = { offset: number; reasoning: number; partial?: number; wanted: boolean };

/** `record`: the run as the store had it when the reader came. Throws `invalid_request` for a cursor that cannot be. */
export function readEvents(
  record: Pick<RunRecord, "id" | "seq">,
  ends: boolean,
  deps: ReadingDeps,
  options: EventsOptions = {},
): EventReader {
  const { store, channel, scheduler, hold } = deps;
  const cursor: Cursor = options.after === undefined ? startOfRun : parseCursor(options.after);
  const run = record.id;
  const topic = channel.join(run);
  const head = Math.max(record.seq, topic.seq);
  if (cursor.seq > head) {
    topic.leave();
    throw new EscapementError("invalid_request", `the cursor ${options.after} lies after the run's last event (${head})`, {
      run,
      details: { path: "after" },
    });
  }
  let { seq } = cursor;
  /** Calls finished up to here were finished before the reader came. */
  const cameAt = head;
  const calls = new Map<string, Following>();
  const isWanted = (call: { readonly for: "answer" | "internal" }): boolean => call.for === "answer" || options.internal === true;
  for (const [call, offset] of cursor.calls) calls.set(call, { offset, reasoning: 0, wanted: true });
  // An unfinished call whose start the client has seen, without an offset: its text from 0.
  for (const open of topic.calls.values())
    if (!calls.has(open.call)) calls.set(open.call, { offset: 0, reasoning: 0, wanted: isWanted(open) });
  const seen = new Set<string>(cursor.calls.keys());
  let ended = ends || topic.ended;
  let finished = false;
  let closed = false;
  let wakeUp: (() => void) | undefined;

  const stored = async (): Promise<readonly Fact[]> => (await store.facts(run, seq, page)).map((row) => factOf(run, row.seq, row.json));

  const nextFacts = (): readonly Fact[] | Promise<readonly Fact[]> => {
    if (topic.seq > seq) return topic.factsAfter(seq) ?? stored();
    return seq < head ? stored() : none;
  };

  /** Calls that end now and whose start was not seen here: they had begun before the cursor, in another process. */
  const strangers = (facts: readonly Fact[]): Set<string> | null => {
    let found: Set<string> | null = null;
    for (const fact of facts) {
      if (fact.type !== "call.finished" || fact.seq <= cameAt || calls.has(fact.call)) continue;
      if (facts.some((other) => other.type === "call.started" && other.call === fact.call)) continue;
      found ??= new Set();
      found.add(fact.call);
    }
    return found;
  };

  /** Their text is told from 0, if it is for this reader: the fact of their start says so. */
  const learn = async (unknown: Set<string>): Promise<void> => {
    for (let after = 0; unknown.size > 0 && after < cursor.seq; ) {
      const rows = await store.facts(run, after, Math.min(page, cursor.seq - after));
      for (const { seq: at, json } of rows) {
        const fact = factOf(run, at, json);
        if (fact.type === "call.started" && unknown.delete(fact.call))
          calls.set(fact.call, { offset: 0, reasoning: 0, wanted: isWanted(fact) });
        after = at;
      }
      if (rows.length === 0) return;
    }
  };

  const take = (facts: readonly Fact[], events: Event[]): void => {
    for (const fact of facts) {
      if (fact.type === "call.started") {
        const wanted = isWanted(fact);
        const known = calls.get(fact.call);
        if (known) known.wanted = wanted;
        else calls.set(fact.call, { offset: 0, reasoning: 0, wanted });
        seen.add(fact.call);
      } else if (fact.type === "call.finished") {
        const call = calls.get(fact.call);
        const isOwed = fact.seq > cameAt || cursor.calls.has(fact.call);
        if (call?.wanted && isOwed && fact.text !== undefined && fact.text.length > call.offset) {
          const offset = characterAt(fact.text, call.offset);
          events.push({
            run,
            seq,
            type: "text.delta",
            at: fact.at,
            actor: fact.actor,
            call: fact.call,
            offset,
            text: fact.text.slice(offset),
          });
        }
        calls.delete(fact.call);
      } else if (fact.type === "run.finished") {
        ended = true;
        finished = true;
      }
      seq = fact.seq;
      events.push(fact);
    }
  };

  const takeText = (events: Event[]): void => {
    for (const open of topic.calls.values()) {
      const call = calls.get(open.call);
      // The start of a call is a fact: its text is not told before that was read.
      if (!call?.wanted || (seq < topic.seq && !seen.has(open.call))) continue;
      if (open.for === "internal" && options.internal !== true) continue;
      const at = new Date(scheduler.now()).toISOString();
      if (open.reasoning.length > call.reasoning) {
        events.push({
          run,
          seq,
          type: "reasoning.delta",
          at,
          actor: open.actor,
          call: open.call,
          offset: call.reasoning,
          text: open.reasoning.slice(call.reasoning),
        });
        call.reasoning = open.reasoning.length;
      }
      if (open.text.length > call.offset) {
        const offset = characterAt(open.text, call.offset);
        events.push({
          run,
          seq,
          type: "text.delta",
          at,
          actor: open.actor,
          call: open.call,
          offset,
          text: open.text.slice(offset),
        });
        call.offset = open.text.length;
      }
      if (open.partial && open.partial.version !== call.partial) {
        // Only the type of the schema's JSON has no readonly lists.
        const { value } = open.partial as { value: (Event & { type: "partial" })["value"] };
        events.push({ run, seq, type: "partial", at, actor: open.actor, call: open.call, value });
        call.partial = open.partial.version;
      }
    }
  };

  const sleep = (): Promise<void> =>
    new Promise((resolve) => {
      const giveBack = hold();
      let unwait = (): void => {};
      // The run may be advancing in another process.
      const look = async (): Promise<void> => {
        const now = await store.get(run).catch(() => null);
        if (now && now.seq > Math.max(seq, topic.seq)) behind = true;
        done();
      };
      const unpoll = topic.live ? () => {} : scheduler.after(pollMs, () => void look());
      const done = (): void => {
        giveBack();
        unpoll();
        unwait();
        wakeUp = undefined;
        resolve();
      };
      wakeUp = done;
      unwait = topic.wait(done);
    });

  let behind = false;
  const reader: EventReader = {
    async read() {
      for (;;) {
        if (closed || finished) {
          reader.close();
          return null;
        }
        const events: Event[] = [];
        const next = behind ? stored() : nextFacts();
        behind = false;
        const facts = next instanceof Promise ? await next : next;
        const unknown = strangers(facts);
        if (unknown) await learn(unknown);
        take(facts, events);
        if (!finished && seq >= topic.seq) takeText(events);
        if (events.length > 0) return events;
        if (ended && seq >= Math.max(head, topic.seq)) finished = true;
        else await sleep();
      }
    },
    cursor: () =>
      formatCursor({ seq, calls: new Map([...calls].filter(([, call]) => call.wanted).map(([call, { offset }]) => [call, offset])) }),
    close() {
      closed = true;
      topic.leave();
      wakeUp?.();
    },
    [Symbol.asyncIterator]: () => eachEvent(reader),
  };
  return reader;
}

/** A cursor may lie inside a surrogate pair: then the whole character is told. */
function characterAt(text: string, offset: number): number {
  const isInside = /[\ud800-\udbff]/.test(text.charAt(offset - 1)) && /[\udc00-\udfff]/.test(text.charAt(offset));
  return isInside ? offset - 1 : offset;
}

/**
 * The events of a reader one by one; one is asked for after the other. By hand: a generator costs three promises an event, and two around
 * one another six.
 */
export function eachEvent(reader: Pick<EventReader, "read" | "close">): AsyncIterator<Event, undefined> {
  let events: readonly Event[] = [];
  let next = 0;
  return {
    async next() {
      try {
        while (next === events.length) {
          const more = await reader.read();
          if (more === null) return { done: true, value: undefined };
          events = more;
          next = 0;
        }
      } catch (error) {
        reader.close();
        throw error;
      }
      return { done: false, value: events[next++] as Event };
    },
    async return() {
      reader.close();
      return { done: true, value: undefined };
    },
  };
}
