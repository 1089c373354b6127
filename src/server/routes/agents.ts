/** `/v1/agents`: what there is to start. */
import { EscapementError } from "../../protocol/errors.ts";
import { jsonReply } from "../reply.ts";
import type { Route, RouteRequest } from "../route.ts";
import type { AgentDescription, ServerRuntime } from "../runtime.ts";

export const agentRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/agents",
    access: "caller",
    serve: ({ context }) => jsonReply(200, { data: context.runtime.agents(), next: null }),
  },
  {
    method: "GET",
    path: "/v1/agents/:name",
    access: "caller",
    serve: ({ context, request }) => jsonReply(200, describedAgent(context.runtime, request)),
  },
  {
    method: "GET",
    path: "/v1/agents/:name/machine",
    access: "caller",
    serve: ({ context, request }) => jsonReply(200, context.runtime.machine(describedAgent(context.runtime, request).name)),
  },
  {
    method: "GET",
    path: "/v1/agents/:name/bounds",
    access: "caller",
    serve: async ({ context, request }) => jsonReply(200, await context.runtime.bounds(describedAgent(context.runtime, request).name)),
  },
];

function describedAgent(runtime: ServerRuntime, request: RouteRequest): AgentDescription {
  const name = request.req.param("name") ?? "";
  const agent = runtime.agents().find((candidate) => candidate.name === name);
  if (!agent) throw new EscapementError("not_found", `there is no agent ${JSON.stringify(name.slice(0, 80))}`);
  return agent;
}
