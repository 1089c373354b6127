/** What HTTP and WebSocket do alike with a start, after it was decoded. */

import type { Caller } from "../protocol/caller.ts";
import type { StartBody } from "../protocol/commands.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { RunHandle } from "../protocol/runs.ts";
import type { ServerContext } from "./context.ts";
import { retryAfter } from "./options.ts";
import { present } from "./present.ts";

/** Rejects with `unavailable` while draining, `forbidden` for a `user` the caller may not name, and with what the runtime refuses. */
export async function startRun(
  context: ServerContext,
  body: StartBody,
  caller: Caller,
  idempotencyKey: string | undefined,
): Promise<RunHandle> {
  if (context.drain.draining.aborted) throw draining(context);
  if (body.user !== undefined && !caller.scopes.includes("users")) {
    throw new EscapementError("forbidden", 'only a key with the scope "users" may name a user', { details: { path: "user" } });
  }
  return context.runtime.start(body, { caller, ...present({ idempotencyKey }) });
}

export function draining(context: ServerContext, run?: string): EscapementError {
  return new EscapementError("unavailable", "this server is going down; try again", {
    retry_after_ms: retryAfter(context.settings.intervals.retryMs),
    details: { reason: "draining" },
    ...present({ run }),
  });
}

/** Cancels a run whose starter is gone and had asked for that. Nobody is left to be told of a failure, so it is only logged. */
export function cancelAbandoned(context: ServerContext, run: string, caller: Caller): void {
  context.runtime.cancel(run, { caller, reason: "the client disconnected" }).catch((error: unknown) => {
    if (!(error instanceof EscapementError)) context.settings.onDefect("cancelling an abandoned run failed", error);
  });
}
