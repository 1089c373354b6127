/** A route of the HTTP server. The whole table is in `app.ts`, so that a test can hold every route against a rule. */
import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { Caller } from "../protocol/caller.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { ServerContext } from "./context.ts";

/** The bindings are there when our own listener serves, not when the app is embedded. */
export type RouteRequest = Context<{ Bindings: Partial<HttpBindings> }>;

export type RouteInput = {
  readonly request: RouteRequest;
  readonly context: ServerContext;
  readonly caller: Caller;
  /** Set by a route whose body names a user: whose rate limits the answer tells. */
  user?: string | undefined;
};

export type Route = {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Hono's form: `/v1/runs/:id`. */
  readonly path: string;
  /** `open` is served to everyone who may connect, `caller` to an authenticated caller. */
  readonly access: "open" | "caller";
  readonly serve: (input: RouteInput) => Response | Promise<Response>;
};

/** The id in the path. What cannot be an id of a run is not looked up. */
export function runParam(request: RouteRequest): string {
  const id = request.req.param("id") ?? "";
  if (!/^[\w.~-]{1,200}$/.test(id)) throw new EscapementError("not_found", "there is no such run");
  return id;
}

/** The query as an object, each key once. `ticket` belongs to auth. */
export function queryObject(request: RouteRequest): Record<string, string> {
  const { ticket: _, ...query } = request.req.query();
  return query;
}
