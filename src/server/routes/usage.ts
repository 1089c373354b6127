/** `GET /v1/usage`: what calls have cost and how they went. */
import { usageQuery } from "../../protocol/usage.ts";
import { decode } from "../decode.ts";
import { jsonReply } from "../reply.ts";
import { queryObject, type Route } from "../route.ts";

export const usageRoute: Route = {
  method: "GET",
  path: "/v1/usage",
  access: "caller",
  serve: async ({ context, request, caller }) =>
    jsonReply(200, await context.runtime.usage(decode(usageQuery, queryObject(request)), caller)),
};
