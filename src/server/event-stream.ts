/**
 * A run's events as server-sent events: `id: <cursor>`, `data: <event>`. Owns one reader and the response's stream; whoever opened the
 * reader decided where it begins.
 *
 * Invariants:
 *  1. Pulled: the reader is asked for more only after the last chunk was taken, so a slow client costs one chunk.
 *  2. The stream ends after `run.finished`, when the server drains (the client comes back with its last id), when the reader fails, and
 *     when nothing was taken for `slowMs`.
 *  3. `onGone` is called once, and only when the client left or stalled before the end.
 */
import type { Event } from "../protocol/events.ts";
import type { EventReader } from "../protocol/runs.ts";
import type { ServerContext } from "./context.ts";
import { eventText } from "./event-text.ts";
import { failure } from "./failure.ts";
import { retryAfter } from "./options.ts";
import type { Position } from "./position.ts";
import type { Headers } from "./reply.ts";
import { dataHeaders } from "./security-headers.ts";

/** A chunk is closed when it has so many characters. */
const chunkLength = 64 * 1024;

export const eventStreamHeaders: Headers = {
  ...dataHeaders,
  "content-type": "text/event-stream; charset=utf-8",
  // Proxies that buffer (nginx) would hold tokens back.
  "x-accel-buffering": "no",
};

export type EventStreamOptions = {
  readonly reader: EventReader;
  /** Where the reader begins. */
  readonly position: Position;
  /** Events that were read already and come first. */
  readonly first?: readonly Event[];
  readonly headers?: Headers;
  readonly onGone?: () => void;
  /** Ends the connection of a client that stalls; without it the stream is only errored. */
  readonly disconnect?: (() => void) | undefined;
};

export function eventStream(context: ServerContext, options: EventStreamOptions): Response {
  const { intervals } = context.settings;
  const { reader, position } = options;
  const encoder = new TextEncoder();
  let queue: readonly Event[] = options.first ?? [];
  let next = 0;
  let over = false;
  let takenAt = performance.now();
  let comments: NodeJS.Timeout | undefined;

  const end = () => {
    if (over) return false;
    over = true;
    clearInterval(comments);
    context.drain.draining.removeEventListener("abort", leave);
    context.gauges.add("escapement_event_streams", -1);
    reader.close();
    return true;
  };
  /** Closing the reader ends its `read()`, which ends the stream. */
  const leave = () => reader.close();

  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        context.gauges.add("escapement_event_streams");
        context.drain.draining.addEventListener("abort", leave);
        if (context.drain.draining.aborted) leave();
        controller.enqueue(encoder.encode(`retry: ${retryAfter(intervals.retryMs)}\n\n`));
        comments = setInterval(() => {
          if ((controller.desiredSize ?? 0) >= 0) {
            controller.enqueue(encoder.encode(":\n\n"));
          } else if (performance.now() - takenAt >= intervals.slowMs && end()) {
            options.onGone?.();
            if (options.disconnect) options.disconnect();
            else controller.error(new Error("the client takes nothing"));
          }
        }, intervals.commentMs);
        comments.unref();
      },
      async pull(controller) {
        takenAt = performance.now();
        try {
          if (next >= queue.length) {
            const events = await reader.read();
            if (over) return;
            if (events === null) {
              if (end()) controller.close();
              return;
            }
            queue = events;
            next = 0;
          }
          let chunk = "";
          let finished = false;
          while (next < queue.length && chunk.length < chunkLength) {
            const event = queue[next++]!;
            chunk += `id: ${position.after(event)}\ndata: ${eventText(event)}\n\n`;
            finished ||= event.type === "run.finished";
          }
          controller.enqueue(encoder.encode(chunk));
          takenAt = performance.now();
          if (finished && end()) controller.close();
        } catch (error) {
          // Headers are long gone; a cut stream is what EventSource answers with a reconnect from its last id.
          failure(error, context, "an event stream");
          if (end()) controller.error(error);
        }
      },
      cancel() {
        if (end()) options.onGone?.();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status: 200, headers: { ...eventStreamHeaders, ...options.headers } });
}
