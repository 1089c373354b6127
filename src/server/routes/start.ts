/** `POST /v1/runs`: one start, answered as the client prefers: the Run at its end, at once, or its events. */
import { errorBody } from "../../protocol/errors.ts";
import type { RunHandle } from "../../protocol/runs.ts";
import { readBody } from "../body.ts";
import { startSchema } from "../command-schemas.ts";
import { decode } from "../decode.ts";
import { eventStream } from "../event-stream.ts";
import { failure } from "../failure.ts";
import { parseIdempotencyKey } from "../idempotency-key.ts";
import { preferredForm } from "../negotiation.ts";
import { Position } from "../position.ts";
import { type Preference, parsePrefer, preferenceApplied } from "../preference.ts";
import { errorReply, type Headers, jsonReply } from "../reply.ts";
import type { Route, RouteInput } from "../route.ts";
import { cancelAbandoned, draining, startRun } from "../start.ts";
import { waitForEnd } from "../wait-for-end.ts";
import { replayedHeader } from "./runs.ts";

export const startRoute: Route = { method: "POST", path: "/v1/runs", access: "caller", serve: start };

async function start(input: RouteInput): Promise<Response> {
  const { context, request, caller } = input;
  const key = parseIdempotencyKey(request.req.header("idempotency-key"));
  const form = preferredForm(request.req.header("accept"), "application/json");
  const prefer = parsePrefer(request.req.header("prefer"));
  const body = decode(startSchema, await readBody(request.req.raw, context.settings.limits));
  input.user = body.user;
  const handle = await startRun(context, body, caller, key);
  const headers: Headers = { location: `/v1/runs/${handle.id}`, ...replayedHeader(handle.replayed) };
  const abandon = () => {
    if (body.cancel_on_disconnect) cancelAbandoned(context, handle.id, caller);
  };
  try {
    return await answer(input, handle, { form, prefer, headers, abandon });
  } catch (error) {
    // It was accepted and goes on: whoever is told of a failure must be able to find it, or would start (and pay) again.
    const told = context.drain.draining.aborted ? draining(context, handle.id).body : failure(error, context, "answering a start");
    return errorReply({ ...told, run: handle.id }, headers);
  }
}

type Reply = { form: string; prefer: Preference; headers: Headers; abandon: () => void };

async function answer(
  { context, request, caller }: RouteInput,
  handle: RunHandle,
  { form, prefer, headers, abandon }: Reply,
): Promise<Response> {
  const { settings, runtime } = context;
  if (form === "text/event-stream") {
    const reader = handle.events();
    const outgoing = request.env?.outgoing;
    const disconnect = outgoing && (() => void outgoing.destroy());
    return eventStream(context, { reader, position: new Position(undefined, false), headers, onGone: abandon, disconnect });
  }

  const waitMs = Math.min(prefer.waitMs ?? (prefer.respondAsync ? 0 : settings.intervals.waitMs), settings.intervals.maxWaitMs);
  const waited = prefer.waitMs === undefined ? undefined : waitMs;
  if (prefer.respondAsync && waitMs === 0) {
    const run = await runtime.get(handle.id, caller);
    return jsonReply(202, run, { ...headers, ...preferenceApplied({ respondAsync: true, waitMs: waited }) });
  }
  const { why, run } = await waitForEnd(context, handle, { caller, waitMs, signal: request.req.raw.signal });
  switch (why) {
    case "ended":
      return jsonReply(200, run, { ...headers, ...preferenceApplied({ respondAsync: false, waitMs: waited }) });
    case "parked":
      return jsonReply(202, run, { ...headers, ...preferenceApplied({ respondAsync: prefer.respondAsync, waitMs: waited }) });
    case "timeout": {
      const applied = { ...headers, ...preferenceApplied({ respondAsync: prefer.respondAsync, waitMs: waited }) };
      if (prefer.respondAsync) return jsonReply(202, run, applied);
      const message = `the run has not ended within ${Math.round(waitMs / 1_000)} s; it goes on`;
      return errorReply(errorBody("timeout", message, { run: run.id }), applied);
    }
    case "draining":
      return errorReply(draining(context, run.id).body, headers);
    case "gone":
      abandon();
      return errorReply(errorBody("cancelled", "the client disconnected", { run: run.id }), headers);
  }
}
