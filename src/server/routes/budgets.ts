/** `/v1/budgets`: how the budgets above the run stand, and their change while running. */
import { budgetChange } from "../../protocol/budget.ts";
import { readBody } from "../body.ts";
import { decode } from "../decode.ts";
import { jsonReply } from "../reply.ts";
import type { Route } from "../route.ts";

export const budgetRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/budgets",
    access: "caller",
    serve: async ({ context, caller }) => jsonReply(200, { data: await context.runtime.budgets(caller), next: null }),
  },
  {
    method: "PUT",
    path: "/v1/budgets/:level/:subject",
    access: "caller",
    serve: async ({ context, request, caller }) => {
      const { level = "", subject = "" } = request.req.param();
      const change = decode(budgetChange, await readBody(request.req.raw, context.settings.limits));
      return jsonReply(200, await context.runtime.setBudget(level, subject, change, caller));
    },
  },
];
