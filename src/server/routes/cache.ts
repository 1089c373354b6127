/** `DELETE /v1/cache`: cached answers that are to be given no more. */
import { z } from "zod";
import { EscapementError } from "../../protocol/errors.ts";
import { decode } from "../decode.ts";
import { jsonReply } from "../reply.ts";
import { queryObject, type Route } from "../route.ts";

const name = z.string().min(1).max(200);
const purgeSchema = z.strictObject({
  tag: name.optional(),
  key: name.optional(),
  agent: name.optional(),
  version: name.optional(),
  all: z.literal("true").optional(),
});

export const cacheRoute: Route = {
  method: "DELETE",
  path: "/v1/cache",
  access: "caller",
  serve: async ({ context, request, caller }) => {
    const { all, tag, key, agent, version } = decode(purgeSchema, queryObject(request));
    const which = {
      ...(tag !== undefined && { tag }),
      ...(key !== undefined && { key }),
      ...(agent !== undefined && { agent }),
      ...(version !== undefined && { version }),
    };
    if (!all && Object.keys(which).length === 0)
      throw new EscapementError("invalid_request", "say what is to go: tag, key, agent or version; or all=true");
    return jsonReply(200, { purged: await context.runtime.purgeCache(which, caller) });
  },
};
