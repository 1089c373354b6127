/**
 * The HTTP side as one fetch handler: who may talk to us at all, then the route table, then errors in the protocol's shape.
 * The listener and the WebSocket side are neighbours; both use the same judgement of origins.
 */
import type { HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { EscapementError, errorBody } from "../protocol/errors.ts";
import type { ServerContext } from "./context.ts";
import { failure } from "./failure.ts";
import { corsHeaders, judgeOrigin, preflightHeaders } from "./origin.ts";
import { Page } from "./page.ts";
import { rateLimitHeaders } from "./rate-limit-headers.ts";
import { errorReply } from "./reply.ts";
import type { Route, RouteInput } from "./route.ts";
import { agentRoutes } from "./routes/agents.ts";
import { budgetRoutes } from "./routes/budgets.ts";
import { cacheRoute } from "./routes/cache.ts";
import { estimateRoute } from "./routes/estimate.ts";
import { eventsRoute } from "./routes/events.ts";
import { healthRoutes } from "./routes/health.ts";
import { runRoutes } from "./routes/runs.ts";
import { startRoute } from "./routes/start.ts";
import { usageRoute } from "./routes/usage.ts";

export type FetchHandler = (request: Request, env?: unknown) => Promise<Response>;

const webSocketRoute: Route = {
  method: "GET",
  path: "/v1/ws",
  access: "caller",
  // An upgrade never comes here: the listener takes it.
  serve: () =>
    errorReply(
      errorBody("invalid_request", "this is a WebSocket: connect with the subprotocol escapement.v1"),
      { upgrade: "websocket" },
      426,
    ),
};

export const routes: readonly Route[] = [
  ...healthRoutes,
  ...agentRoutes,
  ...budgetRoutes,
  cacheRoute,
  usageRoute,
  startRoute,
  estimateRoute,
  ...runRoutes,
  eventsRoute,
  webSocketRoute,
];

export function createApp(context: ServerContext): FetchHandler {
  const { settings, gauges } = context;
  const page = new Page(settings.page);
  const app = new Hono<{ Bindings: Partial<HttpBindings> }>();

  for (const route of routes) {
    app.on(route.method, route.path, (request) => {
      const input: RouteInput = { request, context, caller: settings.caller };
      const isLimited = route.access === "caller" && context.runtime.rateLimits !== undefined;
      return (isLimited ? limited(route, input) : route.serve(input)) as Promise<Response>;
    });
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    const methods = routes.filter((route) => route.path === path).flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
    app.all(path, (request) => notAllowed(request.req.raw.method, methods));
  }
  app.notFound((request) => {
    const { method, url } = request.req.raw;
    if (method === "GET" || method === "HEAD") {
      const file = page.serve(rawPath(url), request.req.header("if-none-match"));
      if (file) return file;
    } else if (page.serve(rawPath(url), undefined)) {
      return notAllowed(method, ["GET", "HEAD"]);
    }
    const error = errorBody("not_found", `nothing is served at ${method} ${JSON.stringify(request.req.path.slice(0, 200))}`);
    return errorReply(settings.redaction.error(error));
  });
  app.onError((error, request) => errorReply(failure(error, context, `${request.req.method} ${request.req.routePath}`)));

  return async (request, env) => {
    const origin = request.headers.get("origin");
    const verdict = judgeOrigin(origin, request.headers.get("host") ?? hostOf(request.url), settings.origins);
    let response: Response;
    if (verdict === "foreign") {
      response = errorReply(errorBody("forbidden", "this origin is not allowed; the operator can add it to ESCAPEMENT_ORIGINS"));
    } else if (request.method === "OPTIONS" && verdict === "allowed" && request.headers.has("access-control-request-method")) {
      response = new Response(null, { status: 204, headers: preflightHeaders });
    } else {
      // Hono wants the bindings it was typed with; an embedder may have others or none, and the routes look before they use them.
      response = await app.fetch(request, (env ?? {}) as Partial<HttpBindings>);
    }
    gauges.add("escapement_http_responses_total");
    if (verdict === "allowed" && origin !== null) {
      for (const [name, value] of Object.entries(corsHeaders(origin))) response.headers.set(name, value);
    }
    return response;
  };
}

/** Every answer to a limited caller says how it stands, also one that refuses. */
async function limited(route: Route, input: RouteInput): Promise<Response> {
  const { context, request, caller } = input;
  let response: Response;
  try {
    response = await route.serve(input);
  } catch (error) {
    response = errorReply(failure(error, context, `${request.req.method} ${route.path}`));
  }
  const limits = await context.runtime.rateLimits?.(caller, input.user);
  for (const [name, value] of Object.entries(rateLimitHeaders(limits ?? []))) response.headers.set(name, value);
  return response;
}

function notAllowed(method: string, allowed: readonly string[]): Response {
  const allow = allowed.join(", ");
  return errorReply(errorBody("invalid_request", `${method.slice(0, 20)} is not served here, only ${allow}`), { allow }, 405);
}

/** The path as it was sent, up to the query. */
function rawPath(url: string): string {
  return /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? "/";
}

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    throw new EscapementError("invalid_request", "the request has no host");
  }
}
