/** Runs that exist: read, listed, cancelled, answered, scored, and their sessions. */
import { z } from "zod";
import { cancelBody, runsQuery } from "../../protocol/commands.ts";
import { EscapementError } from "../../protocol/errors.ts";
import { scoreBody } from "../../protocol/score.ts";
import { decodeAnswer } from "../answer.ts";
import { readBody } from "../body.ts";
import { decode } from "../decode.ts";
import { parseIdempotencyKey } from "../idempotency-key.ts";
import { present } from "../present.ts";
import { type Headers, jsonReply } from "../reply.ts";
import { queryObject, type Route, type RouteRequest, runParam } from "../route.ts";

const journalQuery = z.strictObject({
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).optional(),
});

export const runRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/runs",
    access: "caller",
    serve: async ({ context, request, caller }) =>
      jsonReply(200, await context.runtime.list(decode(runsQuery, queryObject(request)), caller)),
  },
  {
    method: "GET",
    path: "/v1/runs/:id",
    access: "caller",
    serve: async ({ context, request, caller }) => jsonReply(200, await context.runtime.get(runParam(request), caller)),
  },
  {
    method: "GET",
    path: "/v1/runs/:id/journal",
    access: "caller",
    serve: async ({ context, request, caller }) =>
      jsonReply(200, await context.runtime.journal(runParam(request), { caller, ...present(decode(journalQuery, queryObject(request))) })),
  },
  {
    method: "GET",
    path: "/v1/runs/:id/decisions",
    access: "caller",
    serve: async ({ context, request, caller }) => jsonReply(200, await context.runtime.decisions(runParam(request), caller)),
  },
  {
    method: "POST",
    path: "/v1/runs/:id/cancel",
    access: "caller",
    serve: async ({ context, request, caller }) => {
      const run = runParam(request);
      const key = parseIdempotencyKey(request.req.header("idempotency-key"));
      const { reason } = decode(cancelBody, (await readBody(request.req.raw, context.settings.limits)) ?? {});
      const cancelled = await context.runtime.cancel(run, { caller, ...present({ reason, idempotencyKey: key }) });
      return jsonReply(cancelled.ended ? 200 : 202, cancelled.run, replayedHeader(cancelled.replayed));
    },
  },
  {
    method: "POST",
    path: "/v1/runs/:id/answers",
    access: "caller",
    serve: async ({ context, request, caller }) => {
      const run = runParam(request);
      const key = parseIdempotencyKey(request.req.header("idempotency-key"));
      const answer = decodeAnswer(await readBody(request.req.raw, context.settings.limits));
      const answered = await context.runtime.answer(run, answer, { caller, ...present({ idempotencyKey: key }) });
      return jsonReply(202, answered.run, replayedHeader(answered.replayed));
    },
  },
  {
    method: "POST",
    path: "/v1/runs/:id/scores",
    access: "caller",
    serve: async ({ context, request, caller }) => {
      const run = runParam(request);
      const score = decode(scoreBody, await readBody(request.req.raw, context.settings.limits));
      return jsonReply(201, await context.runtime.score(run, score, caller));
    },
  },
  {
    method: "GET",
    path: "/v1/runs/:id/scores",
    access: "caller",
    serve: async ({ context, request, caller }) => jsonReply(200, await context.runtime.scores(runParam(request), caller)),
  },
  {
    method: "GET",
    path: "/v1/sessions/:id",
    access: "caller",
    serve: async ({ context, request, caller }) => jsonReply(200, await context.runtime.session(sessionParam(request), caller)),
  },
];

export function replayedHeader(replayed: boolean): Headers {
  return replayed ? { "idempotent-replayed": "true" } : {};
}

/** A session's id is the client's own: any text of 1 to 200 characters. */
function sessionParam(request: RouteRequest): string {
  const id = request.req.param("id") ?? "";
  if (id.length > 200) throw new EscapementError("not_found", "there is no such session");
  return id;
}
