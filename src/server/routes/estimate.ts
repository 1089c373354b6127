/** `POST /v1/estimate`: what the run that a start body asks for would take at most. Nothing is started. */
import { readBody } from "../body.ts";
import { startSchema } from "../command-schemas.ts";
import { decode } from "../decode.ts";
import { jsonReply } from "../reply.ts";
import type { Route } from "../route.ts";

export const estimateRoute: Route = {
  method: "POST",
  path: "/v1/estimate",
  access: "caller",
  serve: async ({ context, request }) => {
    const body = decode(startSchema, await readBody(request.req.raw, context.settings.limits));
    return jsonReply(200, context.runtime.estimate(body));
  },
};
