/** `GET /v1/runs/{id}/events`: as a stream, or its stored facts as JSON. */
import { z } from "zod";
import { EscapementError } from "../../protocol/errors.ts";
import type { Event } from "../../protocol/events.ts";
import { hasEnded } from "../../protocol/run.ts";
import { decode } from "../decode.ts";
import { eventStream, eventStreamHeaders } from "../event-stream.ts";
import { preferredForm } from "../negotiation.ts";
import { Position } from "../position.ts";
import { present } from "../present.ts";
import { jsonReply } from "../reply.ts";
import { queryObject, type Route, type RouteInput, runParam } from "../route.ts";
import { dataHeaders } from "../security-headers.ts";

const eventsQuery = z.strictObject({
  after: z.string().max(4_096).optional(),
  /** Also the deltas of internal calls. */
  internal: z.enum(["true", "false", "1", "0"]).optional(),
  /** Facts of one page, in the JSON form. */
  limit: z.coerce.number().int().min(1).max(1_000).optional(),
});

export const eventsRoute: Route = { method: "GET", path: "/v1/runs/:id/events", access: "caller", serve: events };

async function events({ context, request, caller }: RouteInput): Promise<Response> {
  const { runtime } = context;
  const run = runParam(request);
  const query = decode(eventsQuery, queryObject(request));
  // A reconnecting EventSource repeats its URL, so the header is the newer of the two.
  const after = lastEventId(request.req.header("last-event-id")) ?? query.after;
  const internal = query.internal === "true" || query.internal === "1";
  const position = new Position(after, internal);

  if (preferredForm(request.req.header("accept"), "text/event-stream") === "application/json") {
    // Of facts alone, those behind the last one seen are the rest.
    const facts = after === undefined ? {} : { after: String(position.seq) };
    const page = await runtime.facts(run, { caller, ...present({ limit: query.limit }), ...facts });
    return jsonReply(200, page);
  }
  if (request.req.raw.method === "HEAD") {
    await runtime.get(run, caller);
    return new Response(null, { headers: eventStreamHeaders });
  }
  const reader = await runtime.events(run, { caller, ...present({ after }), internal });
  let first: readonly Event[] | undefined;
  try {
    // Only someone who has read something can be at the end. Of a run that has ended the first read does not wait.
    if (after !== undefined && hasEnded((await runtime.get(run, caller)).status)) {
      const read = await reader.read();
      if (read === null) {
        reader.close();
        return new Response(null, { status: 204, headers: dataHeaders });
      }
      first = read;
    }
  } catch (error) {
    reader.close();
    throw error;
  }
  const outgoing = request.env?.outgoing;
  const disconnect = outgoing && (() => void outgoing.destroy());
  return eventStream(context, { reader, position, disconnect, ...(first === undefined ? {} : { first }) });
}

/** An empty one is what a browser without any sends. */
function lastEventId(header: string | undefined): string | undefined {
  if (header === undefined || header === "") return undefined;
  if (header.length > 4_096) {
    throw new EscapementError("invalid_request", "Last-Event-ID is no cursor", { details: { path: "Last-Event-ID" } });
  }
  return header;
}
